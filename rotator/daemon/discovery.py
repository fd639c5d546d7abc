"""Discovers the subaccounts of parents, for `[[discover]]`."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

from rotator.daemon.periodic import PeriodicCheck
from rotator.model import DiscoveredSubaccount, SubaccountState
from rotator.rotation.credentials import with_own_credential


class Discovery(PeriodicCheck):
    """Lists each parent's subaccounts.

    Its findings only go into the ledger: from there, this daemon and all others read them.
    """

    failure = "not listed"

    def interval(self) -> timedelta:
        """See `PeriodicCheck.interval`."""
        return self._application.settings.daemon.discover_check

    def subjects(self) -> Mapping[str, datetime | None]:
        """Return the parents."""
        parents = [each.parent for each in self._application.settings.discover]
        return {parent: self.checked_at(parent) for parent in parents}

    def checked_at(self, name: str) -> datetime | None:
        """Return when any daemon last listed below the parent."""
        return self._application.ledger.discovered.listed_at(name)

    def check(self, name: str) -> None:
        """List the subaccounts of a parent, and record what has changed."""
        settings, clients = self._application.settings, self._application.clients
        parent, send = settings.account(name), clients.subaccounts.list_subaccounts
        listed = with_own_credential(clients.store, parent, send)
        discovered = [
            DiscoveredSubaccount(
                parent=name,
                api_key=each.api_key,
                title=each.name,
                state=SubaccountState.SUSPENDED if each.suspended else SubaccountState.ACTIVE,
            )
            for each in listed.subaccounts
        ]
        recorded = self._application.ledger.discovered.record(
            name, discovered, names=settings.found_names, now=datetime.now(UTC)
        )
        for account, entry in recorded:
            self._application.observer.entry_recorded(account, entry)
