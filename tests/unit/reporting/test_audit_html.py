from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rotator.reporting.audit import AccountReport, Report
from rotator.reporting.audit_html import page
from rotator.reporting.audit_records import HoldPeriod, Period, SecretUse
from rotator.reporting.verification import LedgerVerification
from tests.support.samples import account

NOW = datetime(2026, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)
#: Its policy allows 45 days.
ACCOUNT = AccountReport(
    name="a",
    account=account("a"),
    rotations=(),
    uses=(),
    failures=(),
    holds=(),
    manual_actions=(),
    record=LedgerVerification(account="a", entries=1, head="", vault="matches"),
)


def rendered(**known: object) -> str:
    """Return the page of a report on one account over 100 days."""
    made = replace(ACCOUNT, **known)  # type: ignore[arg-type]  # as the caller says
    period = Period(since=NOW - 100 * DAY, until=NOW)
    return page(Report(period=period, made_at=NOW, version="rotator 1", accounts=(made,)))


def test_what_people_wrote_is_text() -> None:
    """Markup is escaped, and characters that mislead a reader are replaced."""
    hostile = "<script>\"'&amp;\u202e\u200b\x1b[31m"
    hold = HoldPeriod(
        reason=hostile, by=hostile, freeze=False, since=NOW - DAY, until=None, ended_by=hostile
    )
    text = rendered(name=hostile, holds=(hold,))

    assert "<script" not in text
    assert "&lt;script&gt;&#34;&#39;&amp;amp;" in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_a_drawing_is_to_scale() -> None:
    """Ten units to a day: the second use in the other colour, its overdue part over it."""
    uses = (
        SecretUse(secret_id="s1", since=None, until=NOW - 60 * DAY, age=None),
        SecretUse(
            secret_id="s2",
            since=NOW - 60 * DAY,
            until=None,
            age=60 * DAY,
            aged_from=NOW - 60 * DAY,
            overdue=15 * DAY,
        ),
    )
    text = rendered(uses=uses)

    assert '<rect class="even" x="0.0" y="4" width="400.0" height="26">' in text
    assert '<rect class="odd" x="400.0" y="4" width="600.0" height="26">' in text
    assert '<rect class="late" x="850.0" y="4" width="150.0" height="26">' in text
    assert "<title>secret s2, 60d old at the end</title>" in text
