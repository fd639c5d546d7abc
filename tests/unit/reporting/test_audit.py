from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.reporting import audit
from rotator.reporting.audit import (
    AuditEvent,
    AuditInput,
    FailureGroup,
    HoldPeriod,
    Period,
    Report,
    SecretUse,
)
from rotator.reporting.audit_data import document, sheet
from rotator.reporting.audit_html import page
from rotator.reporting.verification import LedgerVerification
from tests.support.samples import account

NOW = datetime(2026, 10, 1, tzinfo=UTC)
DAY = timedelta(days=1)
PERIOD = Period(since=NOW - 90 * DAY, until=NOW)
RECORD = LedgerVerification(account="a", entries=1, head="", vault="matches")
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


def made(*events: AuditEvent, **known: Any) -> audit.AccountReport:  # noqa: ANN401
    """Report on an account with these entries."""
    usual: dict[str, Any] = {
        "name": "a",
        "account": ACCOUNT,
        "events": events,
        "current_id": None,
        "current_since": None,
        "record": RECORD,
    }
    return audit.audit(AuditInput(**usual | known), PERIOD)


def test_secrets_follow_one_another() -> None:
    """Each is in use from when its rotation was verified until the next one's was."""
    first, second = NOW - 80 * DAY, NOW - 50 * DAY
    report = made(
        *rotation(first, "s1", "s2", since="2026-06-23T00:00:00Z"), *rotation(second, "s2", "s3")
    )

    assert [(each.secret_id, each.since, each.until) for each in report.uses] == [
        ("s1", datetime(2026, 6, 23, tzinfo=UTC), first),
        ("s2", first, second),
        ("s3", second, None),
    ]
    assert [each.outcome for each in report.rotations] == ["completed", "completed"]
    assert [(each.old_id, each.new_id) for each in report.rotations] == [("s1", "s2"), ("s2", "s3")]


@pytest.mark.parametrize(
    ("made_days_ago", "age", "overdue", "verdict"),
    [
        (10, 10, 0, "within policy"),
        (45, 45, 0, "within policy"),
        (46, 46, 1, "overdue"),
        # Overdue before the period began: only the period counts.
        (200, 200, 90, "overdue"),
    ],
)
def test_a_secret_older_than_the_policy_allows_is_overdue(
    made_days_ago: int, age: int, overdue: int, verdict: str
) -> None:
    """For as long of the period as it was in use and too old."""
    report = made(current_id="s1", current_since=NOW - made_days_ago * DAY)

    assert (report.oldest, report.overdue) == (age * DAY, overdue * DAY)
    assert report.verdict == verdict


def test_a_rotation_ends_being_overdue() -> None:
    """What was replaced late was overdue until then."""
    report = made(*rotation(NOW - 85 * DAY, "s1", "s2"), *rotation(NOW - 10 * DAY, "s2", "s3"))

    assert report.uses[1:] == (
        SecretUse(
            secret_id="s2",
            since=NOW - 85 * DAY,
            until=NOW - 10 * DAY,
            age=75 * DAY,
            overdue=30 * DAY,
        ),
        SecretUse(secret_id="s3", since=NOW - 10 * DAY, until=None, age=10 * DAY),
    )


@pytest.mark.parametrize(
    ("known", "verdict"),
    [
        # Never seen, or replaced before anyone wrote down how old it was.
        ({}, "not known"),
        ({"events": rotation(NOW - DAY, "s1", "s2")}, "not known"),
        ({"account": None, "current_id": "s1", "current_since": NOW - DAY}, "no policy"),
    ],
)
def test_what_is_not_known_is_not_called_well(known: dict[str, Any], verdict: str) -> None:
    """Evidence claims no more than the ledger has."""
    assert made(**known).verdict == verdict


def test_only_the_period_counts() -> None:
    """What was over before, or came after, is left out; what reached into it is not."""
    events = [
        *rotation(NOW - 100 * DAY, "s1", "s2"),
        entry(NOW - 95 * DAY, "refused", code="old", why=""),
        entry(NOW - 91 * DAY, "opened", "open", rotation="long", reason="due"),
        entry(NOW - 89 * DAY, "closed", "abort", rotation="long", outcome="failed", code="x"),
        *rotation(NOW + DAY, "s2", "s3"),
        entry(NOW + DAY, "held", reason="later", by="ann", freeze=False),
    ]
    report = made(*events)

    assert [each.id for each in report.rotations] == ["long"]
    assert [each.secret_id for each in report.uses] == ["s2"]
    assert (report.failures, report.holds) == ((), ())


def test_the_same_refusal_again_is_counted() -> None:
    """A daemon that tries again makes no page longer."""
    events = [entry(NOW - day * DAY, "refused", code="drift", why="w") for day in (9, 8, 7)]
    report = made(*events, entry(NOW - DAY, "failed", code="vault-unavailable"))

    assert report.failures == (
        FailureGroup(
            event="refused",
            code="drift",
            why="w",
            count=3,
            first_at=NOW - 9 * DAY,
            last_at=NOW - 7 * DAY,
        ),
        FailureGroup(
            event="failed",
            code="vault-unavailable",
            why="",
            count=1,
            first_at=NOW - DAY,
            last_at=NOW - DAY,
        ),
    )


def test_a_hold_lasts_until_it_is_released_or_replaced() -> None:
    """Who held what and why, and who ended that; one that is still there has no end."""
    report = made(
        entry(NOW - 99 * DAY, "held", reason="a", by="ann", freeze=False),
        entry(NOW - 80 * DAY, "held", reason="b", by="bob", freeze=True),
        entry(NOW - 70 * DAY, "released", reason="b", by="eve", held_by="bob"),
        entry(NOW - DAY, "held", reason="c", by="ann", freeze=False),
    )
    first = HoldPeriod(
        reason="a",
        by="ann",
        freeze=False,
        since=NOW - 99 * DAY,
        until=NOW - 80 * DAY,
        ended_by="bob",
    )

    assert report.holds == (
        first,
        HoldPeriod(
            reason="b",
            by="bob",
            freeze=True,
            since=NOW - 80 * DAY,
            until=NOW - 70 * DAY,
            ended_by="eve",
        ),
        replace(first, reason="c", since=NOW - DAY, until=None, ended_by=None),
    )


def test_what_was_done_by_hand_is_told() -> None:
    """A secret made or deleted with `rotator secrets`, with what became of it."""
    report = made(
        entry(NOW - DAY, "intent", operation="delete", secret_id="s1", by="operator"),
        entry(NOW - DAY, "unknown", operation="delete", secret_id="s1", by="operator", code="x"),
    )

    assert [
        (action.operation, action.secret_id, action.outcome) for action in report.manual_actions
    ] == [("delete", "s1", "unknown")]
    assert report.rotations == ()


@pytest.mark.parametrize("odd", [7, {"a": 1}, ["x"], "yesterday", "9999-12-31T23:59:59Z"])
def test_what_was_tampered_with_ends_no_report(odd: Any) -> None:  # noqa: ANN401  # any JSON
    """Whatever an entry holds, the report is made: it has to say that the ledger is not whole."""
    facts = dict.fromkeys(("reason", "predecessor_id", "predecessor_since"), odd)
    events = [
        entry(NOW - 2 * DAY, "opened", "open", rotation="r", **facts),
        entry(NOW - DAY, "done", "create", rotation="r", secret_id=odd, operation=odd),
        entry(NOW - DAY, "done", "verify", rotation="r"),
        entry(NOW - DAY, "closed", "complete", rotation="r", outcome=odd, code=odd),
        entry(NOW - DAY, "held", reason=odd, by=odd, freeze=odd),
        entry(NOW - DAY, "failed", code=odd, why=odd),
        replace(entry(NOW - DAY, "refused"), at=datetime(2026, 9, 30)),  # noqa: DTZ001
    ]
    report = made(*events)
    whole = Report(period=PERIOD, made_at=NOW, version="1", accounts=(report,))

    assert [each.id for each in report.rotations] == ["r"]
    assert len(report.failures) == 1
    assert document(whole)["accounts"][0]["name"] == "a"
    assert page(whole)
    assert sheet(whole)


def test_what_was_learned_counts() -> None:
    """Where an answer was lost, the look after it told the ids."""
    report = made(
        entry(NOW - DAY, "opened", "open", rotation="r", reason="asked", predecessor_id=None),
        entry(NOW - DAY, "learned", "open", rotation="r", predecessor_id="s1"),
        entry(NOW - DAY, "learned", "push", rotation="r", secret_id="s2", vault_version=2),
    )

    assert [(each.old_id, each.new_id, each.outcome) for each in report.rotations] == [
        ("s1", "s2", None)
    ]
    assert (report.count(None), report.count("completed")) == (1, 0)
