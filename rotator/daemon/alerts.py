"""Alerts that no rotation causes: overdue accounts and low balances."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import structlog

from rotator.daemon.periodic import PeriodicCheck
from rotator.model import Account, State, Trouble
from rotator.model.notification import Event
from rotator.reporting.condition import LATE, Condition
from rotator.reporting.status import AccountStatus
from rotator.rotation import window
from rotator.rotation.credentials import with_own_credential

_log = structlog.get_logger(__name__)

#: How often overdue accounts are looked for: an account that is late now was due days ago.
INTERVAL = timedelta(minutes=5)
#: How long an account must be overdue or late: one that is due is being rotated, perhaps after a
#: retry.
PATIENCE = timedelta(hours=1)


class AlertCheck(PeriodicCheck):
    """Alerts hooks once, each time that a condition begins."""

    def _alert(
        self, name: str, event: Event, state: str | None, why: str, trouble: Trouble | None = None
    ) -> None:
        """Record the condition's present state, or None for its end; nothing if it is the same."""
        now = datetime.now(UTC)
        writer = self._application.ledger.writer
        writer.set_alert(name, event, state, why=why, now=now, trouble=trouble)

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
            if status.is_paused:
                # An operator wants it to wait; what was told is not over by that.
                continue
            if account.name in alerted:
                if not _overdue(status):
                    self._alert(account.name, Event.OVERDUE, None, "")
            elif found := self._worth_telling(status):
                self._alert(account.name, Event.OVERDUE, found.code, found.why, found)

    def _worth_telling(self, status: AccountStatus) -> Trouble | None:
        """Return what has been overdue or late for long, unless a rotation is mending it.

        What is late is what no daemon did. That counts from this one's start: it has just begun
        with what became due while none was running, be it overdue as well.
        """
        opened, now = status.opened, status.now
        if opened and not opened.verified_at and now - opened.opened_at < PATIENCE:
            return None
        lasting = _overdue(status.at(now - PATIENCE))
        is_due = status.due_from is not None and status.due_from <= now
        is_beginning = is_due and window.opens_at(status.account.policy, now) <= now
        for code, each in _overdue(status).items():
            needed = INTERVAL if is_beginning else timedelta()
            if code in lasting and self._health.age >= (PATIENCE if code == LATE else needed):
                return Trouble(
                    state=each.state,
                    code=code,
                    why=each.why,
                    hint=each.hint,
                    since=each.since or now,
                )
        return None


def _overdue(status: AccountStatus) -> dict[str, Condition]:
    """Return the conditions that hooks are told of as overdue, the worst first, by code."""
    found = {each.code: each for each in status.conditions if each.code}
    return {code: each for code, each in found.items() if code in (LATE, State.OVERDUE)}


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
