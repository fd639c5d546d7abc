"""Alerts that no rotation causes: overdue accounts and low balances."""

from datetime import UTC, datetime, timedelta

from rotator.application import Application
from rotator.model import Account
from rotator.model.notification import Event
from rotator.reporting.status import AccountStatus

#: How often overdue accounts are looked for: an account that is late now was due days ago.
INTERVAL = timedelta(minutes=5)
#: How long an account must be overdue: one that is due is being rotated, perhaps after a retry.
PATIENCE = timedelta(hours=1)


class Alerts:
    """Alerts that hooks get once, each time a condition begins. For one configuration."""

    def __init__(self, application: Application) -> None:
        """Store what is needed; nothing is checked yet."""
        self._application = application
        self._looked_at: datetime | None = None

    def overdue(self) -> None:
        """Alert hooks of accounts that became overdue, if a check is due and a hook subscribes.

        Raises:
            RotatorError: the ledger cannot be used.
        """
        now = datetime.now(UTC)
        is_early = self._looked_at is not None and now - self._looked_at < INTERVAL
        if is_early or not self._is_heard(Event.OVERDUE):
            return
        self._looked_at = now
        accounts, book = self._application.accounts, self._application.ledger.writer
        told = book.noticed(Event.OVERDUE)
        records = self._application.ledger.reader.accounts(list(accounts))
        for account, record in zip(accounts.values(), records, strict=True):
            overdue_reason = AccountStatus.of(account, record, now).overdue_reason
            if overdue_reason is None and account.name in told:
                book.notice(account.name, Event.OVERDUE, None, why="", now=now)
            before = AccountStatus.of(account, record, now - PATIENCE)
            if overdue_reason and before.overdue_reason and account.name not in told:
                book.notice(account.name, Event.OVERDUE, "late", why=overdue_reason, now=now)

    def balance(self, account: Account, why: str | None) -> None:
        """Record that the balance of `account` is too low, and `why`; for None, that it is not.

        Raises:
            RotatorError: the ledger cannot be used.
        """
        if self._is_heard(Event.BALANCE):
            what, now = "low" if why else None, datetime.now(UTC)
            self._application.ledger.writer.notice(
                account.name, Event.BALANCE, what, why=why or "", now=now
            )

    def _is_heard(self, event: Event) -> bool:
        return any(event in hook.on for hook in self._application.settings.hooks)
