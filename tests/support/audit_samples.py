"""Entries of an account as a report reads them, and the report on it, made at one time."""

from datetime import UTC, datetime, timedelta
from typing import Any

from rotator.reporting.audit import AccountReport, AuditInput, audit
from rotator.reporting.audit_records import AuditEvent, Period
from rotator.reporting.verification import LedgerVerification
from rotator.rotation.ports import AccountSummary
from tests.support.samples import account

NOW = datetime(2026, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PERIOD = Period(since=NOW - 90 * DAY, until=NOW)
RECORD = LedgerVerification(account="a", entries=1, head="", vault="matches", violations=())
#: Its policy allows 45 days.
ACCOUNT = account("a")


def entry(at: datetime, event: str, step: str | None = None, **detail: Any) -> AuditEvent:  # noqa: ANN401
    """Make an entry; `rotation` is its rotation."""
    rotation_id = detail.pop("rotation", None)
    return AuditEvent(at=at, event=event, step=step, rotation_id=rotation_id, detail=detail)


def rotation(at: datetime, old: str, new: str, since: str | None = None) -> list[AuditEvent]:
    """Make the entries of a rotation that took no time."""
    name = f"to-{new}"
    return [
        entry(
            at, "opened", "open", rotation=name, reason="due",
            predecessor_id=old, predecessor_since=since,
        ),
        entry(at, "done", "create", rotation=name, secret_id=new),
        entry(at, "done", "verify", rotation=name, vault_version=2),
        entry(at, "done", "delete", rotation=name, secret_id=old),
        entry(at, "closed", "complete", rotation=name, outcome="completed", code=None),
    ]  # fmt: skip


def made(*events: AuditEvent, **known: Any) -> AccountReport:  # noqa: ANN401
    """Report on an account with these entries."""
    period = known.pop("period", PERIOD)
    usual: dict[str, Any] = {
        "name": "a",
        "account": ACCOUNT,
        "events": events,
        "summary": AccountSummary(name="a"),
        "record": RECORD,
        "now": NOW,
    }
    return audit(AuditInput(**usual | known), period)


def seen(*listed_ids: str, at: datetime = NOW, **columns: Any) -> AccountSummary:  # noqa: ANN401  # of `AccountSummary`
    """Return the row of an account whose secrets Vonage listed then."""
    return AccountSummary(name="a", listed_ids=listed_ids, seen_at=at, **columns)
