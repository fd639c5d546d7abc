"""A report as CSV: a row for each record."""

import csv
import io
from collections.abc import Iterator

from rotator.model.redaction import printable
from rotator.model.times import rfc3339
from rotator.reporting import audit_data
from rotator.reporting.audit import AccountReport, Report
from rotator.reporting.audit_records import Period, Revocation

#: Columns keep their names and order; new ones are added at the end.
COLUMNS = (
    "record",
    "account",
    "api_key",
    "from",
    "to",
    "rotation_id",
    "old_secret_id",
    "new_secret_id",
    "reason",
    "outcome",
    "code",
    "count",
    "age_days",
    "max_age_days",
    "overdue_days",
    "person",
    "text",
    "state",
    "hint",
    "host",
    "because",
    "revoked_at",
    "revoked_by",
    "broken_seconds",
    "dead_at",
    "rules",
)

#: Prefixes that a spreadsheet would take for a formula, full-width forms included.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")

Row = dict[str, object]


def sheet(report: Report) -> str:
    """Return a report as `report --format csv` prints it. Times are UTC, ages in days."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for account in report.accounts:
        configured = account.account
        same: Row = {
            "account": account.name,
            "api_key": configured.api_key if configured else "",
            "max_age_days": audit_data.days(configured.policy.max_age) if configured else "",
        }
        for row in _rows(account, report.period):
            writer.writerow({name: _cell(value) for name, value in (same | row).items()})
    return lines.getvalue()


def _rows(account: AccountReport, period: Period) -> Iterator[Row]:
    yield {
        "record": "account",
        "from": rfc3339(period.since),
        "to": rfc3339(period.until),
        "outcome": account.verdict,
        "count": account.count("completed"),
        "age_days": audit_data.days(account.oldest),
        "overdue_days": audit_data.days(account.overdue),
        "text": audit_data.verdict(account.record),
        "state": account.state,
        "broken_seconds": audit_data.seconds(account.broken),
        "rules": audit_data.rules(account.record),
    }
    for violation in account.record.violations or ():
        yield {
            "record": "broken-rule",
            "rotation_id": violation.rotation_id,
            "code": f"rule-{violation.rule}",
            "text": str(violation),
        }
    for rotation in account.rotations:
        yield {
            "record": "rotation",
            "from": rfc3339(rotation.opened_at),
            "to": rfc3339(rotation.closed_at),
            "rotation_id": rotation.id,
            "old_secret_id": rotation.old_id,
            "new_secret_id": rotation.new_id,
            "reason": rotation.reason,
            "outcome": rotation.outcome or "open",
            "code": rotation.code,
        }
    for use in account.uses:
        yield {
            "record": "secret",
            "from": rfc3339(use.since),
            "to": rfc3339(use.until),
            "new_secret_id": use.secret_id,
            "age_days": audit_data.days(use.age),
            "overdue_days": audit_data.days(use.overdue),
            "outcome": _OUTCOMES[use.is_live],
            **(_revocation(use.revocation) if use.revocation else {}),
        }
    for failure in account.failures:
        yield {
            "record": failure.event,
            "from": rfc3339(failure.first_at),
            "to": rfc3339(failure.last_at),
            "code": failure.code,
            "count": failure.count,
            "text": failure.why,
        }
    for hold in account.holds:
        yield {
            "record": "hold",
            "from": rfc3339(hold.since),
            "to": rfc3339(hold.until),
            "outcome": "frozen" if hold.freeze else "held",
            "person": hold.by,
            "text": hold.reason,
        }
    for action in account.manual_actions:
        yield {
            "record": "by hand",
            "from": rfc3339(action.at),
            "to": rfc3339(action.at),
            "new_secret_id": action.secret_id,
            "reason": action.operation,
            "outcome": action.outcome,
        }
    yield from _newer_rows(account)


def _newer_rows(account: AccountReport) -> Iterator[Row]:
    """Yield the records that older versions did not have, after those that they had."""
    for act in account.acts:
        yield {
            "record": "act",
            "from": rfc3339(act.at),
            "to": rfc3339(act.at),
            "new_secret_id": act.facts.get("secret_id"),
            "reason": act.operation,
            "outcome": act.outcome,
            "code": act.code,
            "person": act.by or audit_data.NOT_RECORDED,
            "text": audit_data.facts(act),
            "host": act.host,
            "because": act.because,
        }
    for trouble in account.troubles:
        yield {
            "record": "trouble",
            "from": rfc3339(trouble.since),
            "to": rfc3339(trouble.until),
            "code": trouble.code,
            "text": trouble.why,
            "state": trouble.state,
        }
    for revocation in account.revocations:
        yield {
            "record": "revocation",
            "from": rfc3339(revocation.at),
            "to": rfc3339(revocation.at),
            "rotation_id": revocation.rotation_id,
            "old_secret_id": revocation.secret_id,
            "reason": revocation.how,
            "person": revocation.person,
            **_revocation(revocation),
        }
    for sighting in account.sightings:
        yield {
            "record": "sighting",
            "from": rfc3339(sighting.at),
            "to": rfc3339(sighting.at),
            "new_secret_id": sighting.secret_id,
            "outcome": sighting.what,
            "text": sighting.origin,
        }
    for condition in account.conditions:
        yield {
            "record": "present",
            "from": rfc3339(condition.since),
            "to": rfc3339(account.observed_at),
            "code": condition.code,
            "count": condition.tries,
            "text": condition.why,
            "state": condition.state,
            "hint": condition.hint,
        }
    for secret in account.live:
        yield {
            "record": "live secret",
            "from": rfc3339(secret.first_seen_at),
            "to": rfc3339(account.observed_at),
            "new_secret_id": secret.id,
            "outcome": "managed" if secret.is_managed else "unmanaged",
            "reason": secret.role,
            "text": secret.origin,
        }


_OUTCOMES = {True: "live", False: "revoked", None: "not known"}


def _revocation(revocation: Revocation) -> Row:
    return {
        "revoked_at": rfc3339(revocation.at),
        "revoked_by": revocation.by,
        "dead_at": rfc3339(revocation.dead_at),
    }


def _cell(value: object) -> object:
    """Return a cell on one line that no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return "" if value is None else value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
