"""What is shown of an account that is rotated on request only."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from rotator.model import State
from rotator.reporting import audit_data
from rotator.reporting.audit import WITHIN, Report
from rotator.reporting.audit_html import page
from rotator.reporting.audit_sheet import sheet
from rotator.reporting.gauges import AccountGauges
from rotator.reporting.status import AccountStatus
from rotator.web.upcoming import next_of
from rotator.web.views import account_detail, policy_facts
from tests.support import audit_samples
from tests.support.samples import account, policy
from tests.unit.reporting.test_status import DAY, FAILED, NOW, status

#: Due for long by an earlier policy, and older than anything is allowed to get.
OLD: dict[str, Any] = {"current_since": NOW - 400 * DAY, "next_due_at": NOW - 300 * DAY}


def on_request(max_age: timedelta | None = None, **known: Any) -> AccountStatus:  # noqa: ANN401  # of `AccountSummary`
    """Return the status of an account without a schedule."""
    usual = status(**{**OLD, **known})
    return replace(usual, account=account("a", policy=policy(every=None, max_age=max_age)))


def test_it_is_never_due_nor_overdue() -> None:
    """`status` says never, the page that it waits for a request, and no deadline is exported."""
    found = on_request()
    detail = account_detail(found)
    exported = "".join(AccountGauges([found.account]).lines({"a": found.summary}, NOW))

    assert (found.state, found.is_due, found.late_from) == (State.HEALTHY, False, None)
    assert found.row()[4] == "never"
    assert found.document()["next_due_at"] is None
    assert next_of(found).text == "a rotation only on request"
    assert ("overdue after", "never") in list(policy_facts(found.account.policy))
    assert detail.age
    assert (detail.age.limit, detail.age.tone) == ("", "young")
    assert "rotator_next_due_timestamp_seconds{" not in exported
    assert "rotator_account_late_timestamp_seconds{" not in exported


def test_an_age_of_its_own_holds() -> None:
    """An operator who sets `max_age` beside `never` is told when a secret is older than that."""
    found = on_request(max_age=90 * DAY)

    assert found.state is State.OVERDUE
    assert "rotate-now a" in str(found.condition.hint)


def test_what_was_undone_is_not_tried_again_by_itself() -> None:
    """The hint names the command that does."""
    found = on_request(last_rotation=FAILED)

    assert found.condition.next_try_at is None
    assert "`rotator rotate-now a` tries again" in str(found.condition.hint)


def test_a_report_measures_no_age_against_it() -> None:
    """In every format it is within its policy, which says that it is rotated on request."""
    managed = account("a", policy=policy(every=None, max_age=None))
    since = audit_samples.NOW - 400 * DAY
    known = audit_samples.seen("s1", current_id="s1", current_since=since)
    found = audit_samples.made(account=managed, summary=known)
    report = Report(
        period=audit_samples.PERIOD,
        made_at=audit_samples.NOW,
        version="1",
        accounts=(found,),
    )

    assert (found.verdict, found.overdue) == (WITHIN, timedelta())
    assert audit_data.policy(managed) == "on request only, grace 1d"
    assert audit_data.document(report)["accounts"][0]["max_age_days"] is None
    assert "on request only" in page(report)
    assert ",within policy," in sheet(report)


def test_a_subaccount_without_a_secret_waits_for_a_request() -> None:
    """Nothing makes its first secret by itself, so it is not called well."""
    found = on_request(current_id=None, current_since=None, last_rotation=None)
    found = replace(found, account=replace(found.account, discovered=True))

    assert found.state is State.UNMANAGED
    assert found.condition.hint == "`rotator rotate-now a` makes the first one"
