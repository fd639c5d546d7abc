"""Alerts that no rotation causes: overdue accounts and low balances."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import structlog

from rotator.daemon.periodic import PeriodicCheck
from rotator.model import Account
from rotator.model.notification import Event
from rotator.reporting.status import AccountStatus
from rotator.rotation.observation import with_own_credential

_log = structlog.get_logger(__name__)

#: How often overdue accounts are looked for: an account that is late now was due days ago.
INTERVAL = timedelta(minutes=5)
#: How long an account must be overdue: one that is due is being rotated, perhaps after a retry.
PATIENCE = timedelta(hours=1)


class AlertCheck(PeriodicCheck):
    """Alerts hooks once, each time that a condition begins."""

    def _alert(self, name: str, event: Event, state: str | None, why: str) -> None:
        """Record the condition's present state, or None for its end; nothing if it is the same."""
        now = datetime.now(UTC)
        self._application.ledger.writer.set_alert(name, event, state, why=why, now=now)

    def _has_subscribers(self, event: Event) -> bool:
        return any(event in hook.on for hook in self._application.settings.hooks)


class OverdueCheck(AlertCheck):
    """Looks for accounts that became overdue; its only subject is all of them."""

    failure = "overdue accounts not read"

    def interval(self) -> timedelta:
        """See `PeriodicCheck.interval`."""
        return INTERVAL

    def subjects(self) -> Mapping[str, datetime | None]:
        """Return the one subject, if a hook subscribes."""
        return {"overdue": None} if self._has_subscribers(Event.OVERDUE) else {}

    def check(self, name: str) -> None:
        """Alert hooks of accounts that became overdue, or are so no more."""
        del name
        now, accounts = datetime.now(UTC), self._application.accounts
        alerted = self._application.ledger.writer.alerted(Event.OVERDUE)
        summaries = self._application.ledger.reader.accounts(list(accounts))
        for account, summary in zip(accounts.values(), summaries, strict=True):
            status = AccountStatus(account=account, summary=summary, now=now)
            why = status.overdue_reason
            before = replace(status, now=now - PATIENCE).overdue_reason
            if why is None and account.name in alerted:
                self._alert(account.name, Event.OVERDUE, None, "")
            elif why and before and account.name not in alerted:
                self._alert(account.name, Event.OVERDUE, "late", why)


class BalanceCheck(AlertCheck):
    """Reads the balance of each account with `min_balance`."""

    failure = "balance not read"

    def interval(self) -> timedelta:
        """See `PeriodicCheck.interval`."""
        return self._application.settings.daemon.drift_check

    def subjects(self) -> Mapping[str, datetime | None]:
        """Return the accounts with `min_balance`."""
        accounts = self._application.settings.accounts
        return {account.name: None for account in accounts if account.min_balance is not None}

    def check(self, name: str) -> None:
        """Read the balance of an account, and alert if it is too low."""
        account, clients = self._application.accounts[name], self._application.clients
        balance = with_own_credential(clients.store, account, clients.accounts.balance)
        self._application.observer.balance_read(name, balance.value)
        self.interpret(account, balance.value)

    def interpret(self, account: Account, euros: Decimal) -> None:
        """Log and alert, once, that a balance has fallen too low or has recovered."""
        is_low, least = account.is_low(euros), account.min_balance
        if self._changes.is_change(f"balance of {account.name}", "low" if is_low else None):
            _log.warning(
                "balance low" if is_low else "balance recovered",
                account=account.name,
                balance_eur=str(euros),
                min_balance_eur=str(least),
            )
        if self._has_subscribers(Event.BALANCE):
            why = f"{euros} EUR are left, less than {least}" if is_low else ""
            self._alert(account.name, Event.BALANCE, "low" if is_low else None, why)
