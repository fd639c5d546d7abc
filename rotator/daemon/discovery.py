"""Discovers the subaccounts of parents, for `[[discover]]`."""

import threading
from datetime import UTC, datetime

import structlog

from rotator.application import Application
from rotator.daemon.health import Health, told_of
from rotator.errors import RotatorError
from rotator.model import Account, DiscoveredSubaccount, SubaccountState
from rotator.rotation import schedule
from rotator.rotation.credentials import with_own_credential

_log = structlog.get_logger(__name__)


class Discovery:
    """Lists each parent's subaccounts once in every interval. For one configuration.

    Its findings only go into the ledger: from there, this daemon and all others read them.
    """

    def __init__(
        self,
        application: Application,
        *,
        health: Health,
        stopping: threading.Event,
    ) -> None:
        """Store what is needed; nothing is requested yet."""
        self._application = application
        self._health = health
        self._stopping = stopping
        #: Consecutive failures by parent, and when to list again.
        self._failures: dict[str, int] = {}
        self._retry_at: dict[str, datetime] = {}

    def run(self) -> None:
        """List the subaccounts of every parent that is due.

        Raises:
            RotatorError: the ledger cannot be used.
        """
        settings = self._application.settings
        for parent in dict.fromkeys(each.parent for each in settings.discover):
            if self._stopping.is_set() or not self._is_turn(parent):
                continue
            try:
                listed = subaccounts_of(self._application, settings.account(parent))
            except RotatorError as error:
                self._failed(parent, error)
                continue
            self._failures.pop(parent, None)
            self._retry_at.pop(parent, None)
            told = self._application.ledger.discovered.record(
                parent, listed, names=settings.found_names, now=datetime.now(UTC)
            )
            for name, draft in told:
                self._application.observer.entry_recorded(name, draft)

    def _is_turn(self, parent: str) -> bool:
        now = datetime.now(UTC)
        interval = self._application.settings.daemon.discover_check
        listed_at = self._application.ledger.discovered.listed_at(parent)
        is_due = schedule.is_check_due(parent, listed_at, interval=interval, now=now)
        return is_due and self._retry_at.get(parent, now) <= now

    def _failed(self, parent: str, error: RotatorError) -> None:
        failures = self._failures[parent] = self._failures.get(parent, 0) + 1
        now = datetime.now(UTC)
        if self._health.failed(error):
            self._retry_at[parent] = now + schedule.pause(failures)
            return
        self._retry_at[parent] = schedule.retry_at(parent, failures, now)
        if failures == 1:
            _log.warning("not listed", account=parent, **told_of(error))


def subaccounts_of(application: Application, parent: Account) -> list[DiscoveredSubaccount]:
    """List the subaccounts of `parent` at Vonage, with its secret from Vault.

    Raises:
        CredentialRefused: Vault has no secret for it, or Vonage does not accept it.
        RotatorError: any other failure.
    """
    listed = with_own_credential(
        application.clients.store, parent, application.clients.subaccounts.list_subaccounts
    )
    return [
        DiscoveredSubaccount(
            parent=parent.name,
            api_key=each.api_key,
            title=each.name,
            state=SubaccountState.SUSPENDED if each.suspended else SubaccountState.ACTIVE,
        )
        for each in listed.subaccounts
    ]
