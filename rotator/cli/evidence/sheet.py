"""A report as comma-separated values: a row for each account, rotation, secret, refusal, hold."""

import csv
import io
from collections.abc import Iterator

from rotator.cli.evidence import wording
from rotator.cli.evidence.wording import days
from rotator.redaction import printable
from rotator.report import AccountReport, Period, Report
from rotator.words import rfc3339

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
)
#: What a spreadsheet would take for a formula, also in the full width of East Asian keyboards.
_FORMULA = ("=", "+", "-", "@", "\uff1d", "\uff0b", "\uff0d", "\uff20")

Row = dict[str, object]


def sheet(report: Report) -> str:
    """Give a report as `report --format csv` prints it. Times are UTC, ages in days."""
    lines = io.StringIO()
    writer = csv.DictWriter(lines, COLUMNS, restval="", lineterminator="\n")
    writer.writeheader()
    for account in report.accounts:
        configured = account.account
        same: Row = {
            "account": account.name,
            "api_key": configured.api_key if configured else "",
            "max_age_days": days(configured.policy.max_age) if configured else "",
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
        "age_days": days(account.oldest),
        "overdue_days": days(account.overdue),
        "text": wording.record(account.record),
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
    for tenure in account.tenures:
        yield {
            "record": "secret",
            "from": rfc3339(tenure.since),
            "to": rfc3339(tenure.until),
            "new_secret_id": tenure.secret_id,
            "age_days": days(tenure.age),
            "overdue_days": days(tenure.overdue),
        }
    for trouble in account.troubles:
        yield {
            "record": trouble.event,
            "from": rfc3339(trouble.first),
            "to": rfc3339(trouble.last),
            "code": trouble.code,
            "count": trouble.count,
            "text": trouble.why,
        }
    for holding in account.holdings:
        yield {
            "record": "hold",
            "from": rfc3339(holding.since),
            "to": rfc3339(holding.until),
            "outcome": "frozen" if holding.freeze else "held",
            "person": holding.by,
            "text": holding.reason,
        }
    for deed in account.deeds:
        yield {
            "record": "by hand",
            "from": rfc3339(deed.at),
            "to": rfc3339(deed.at),
            "new_secret_id": deed.secret_id,
            "reason": deed.operation,
            "outcome": deed.outcome,
        }


def _cell(value: object) -> object:
    """Return a cell on one line that no spreadsheet takes for a formula."""
    if not isinstance(value, str):
        return "" if value is None else value
    text = printable(value)
    return f"'{text}" if text.lstrip().startswith(_FORMULA) else text
