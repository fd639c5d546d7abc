"""Watches the balances of accounts with `min_balance`."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal

import structlog

from rotator.application import Application
from rotator.daemon.health import Health, told_of
from rotator.errors import RotatorError
from rotator.model import Account
from rotator.rotation import schedule
from rotator.rotation.credentials import with_own_credential

_log = structlog.get_logger(__name__)

#: Called with each balance's account, and why the balance is too low; None if it is not.
OnBalance = Callable[[Account, str | None], None]


class BalanceCheck:
    """Reads each watched balance once in every `daemon.drift_check`. For one configuration."""

    def __init__(
        self,
        application: Application,
        *,
        health: Health,
        stopping: threading.Event,
        on_balance: OnBalance = lambda _account, _why: None,
    ) -> None:
        """Store what is needed; nothing is requested yet. `on_balance` notifies hooks."""
        self._application = application
        self._health = health
        self._stopping = stopping
        self._on_balance = on_balance
        self._watched = [
            account for account in application.settings.accounts if account.min_balance is not None
        ]
        self._read_at: dict[str, datetime] = {}
        #: Accounts with a warning that have not recovered.
        self._low: set[str] = set()

    def run(self) -> None:
        """Read every balance that is due, and report which has fallen or recovered."""
        for account in self._watched:
            if self._stopping.is_set():
                return
            if not self._is_turn(account):
                continue
            self._read_at[account.name] = datetime.now(UTC)
            try:
                euros = balance_of(self._application, account)
            except RotatorError as error:
                if not self._health.failed(error):
                    _log.warning("balance not read", account=account.name, **told_of(error))
                continue
            self._interpret(account, euros)

    def _is_turn(self, account: Account) -> bool:
        return schedule.is_check_due(
            account.name,
            self._read_at.get(account.name),
            interval=self._application.settings.daemon.drift_check,
            now=datetime.now(UTC),
        )

    def _interpret(self, account: Account, euros: Decimal) -> None:
        """Pass on whether a balance is too low, and log each change once."""
        was_low, is_low = account.name in self._low, account.is_low(euros)
        why = f"{euros} EUR are left, less than {account.min_balance}" if is_low else None
        if is_low != was_low:
            self._low ^= {account.name}
            self._say(account, euros, is_low=is_low)
        self._on_balance(account, why)

    def _say(self, account: Account, euros: Decimal, *, is_low: bool) -> None:
        _log.warning(
            "balance low" if is_low else "balance recovered",
            account=account.name,
            balance_eur=str(euros),
            min_balance_eur=str(account.min_balance),
        )


def balance_of(application: Application, account: Account) -> Decimal:
    """Return the balance of `account` at Vonage, in euros.

    Raises:
        CredentialRefused: Vault has no value for it, or Vonage does not accept it.
        RotatorError: any other failure.
    """
    balance = application.clients.accounts.balance
    return with_own_credential(application.clients.store, account, balance).value
