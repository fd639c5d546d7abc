"""Compares accounts with Vonage and Vault between their rotations."""

from collections.abc import Mapping
from datetime import datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from rotator.daemon.periodic import PeriodicCheck
from rotator.model.account import without_parents

if TYPE_CHECKING:
    from rotator.rotation.reconciler import Reconciler


class DriftCheck(PeriodicCheck):
    """Observes each account; the first time also sets when it is first due."""

    failure = "not seen"

    def interval(self) -> timedelta:
        """See `PeriodicCheck.interval`."""
        return self._application.settings.daemon.drift_check

    def subjects(self) -> Mapping[str, datetime | None]:
        """Return all accounts. A parent that becomes due must find its children's due times set."""
        last_seen = self._application.ledger.reader.last_seen()
        accounts = self._application.settings.accounts
        names = [account.name for account in (*without_parents(accounts), *accounts)]
        return {name: last_seen.get(name) for name in names}

    def checked_at(self, name: str) -> datetime | None:
        """Return when any process last observed the account."""
        return self._application.ledger.reader.last_seen([name]).get(name)

    def check(self, name: str) -> None:
        """Observe an account, and record drift that begins or ends."""
        self._reconciler.refresh(self._application.accounts[name])
        self._health.mark_up("vault", "vonage")

    @cached_property
    def _reconciler(self) -> "Reconciler":
        return self._application.reconciler()
