from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.model import GateWait, Hold, Step
from rotator.model.notification import Event, PendingDelivery
from rotator.reporting.status import AccountStatus, Phase
from rotator.rotation.ports import AccountSummary
from tests.support.samples import account, rotation

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
COMPLETED = rotation(
    account="a",
    reason="due",
    step=Step.COMPLETE,
    opened_at=NOW - 3 * DAY,
    new_id="new",
    vault_version=2,
    verified_at=NOW - 3 * DAY,
    closed_at=NOW - 2 * DAY,
    outcome="completed",
)
FAILED = replace(COMPLETED, step=Step.ABORT, outcome="failed", error_code="secret-rejected")
ROTATING = replace(COMPLETED, step=Step.STAGE, closed_at=None, outcome=None, verified_at=None)
WAITING = replace(ROTATING, step=Step.WAIT, verified_at=NOW - HOUR)

HOLD = Hold(reason="moving house", by="ann", at=NOW - HOUR)


def status(
    *,
    now: datetime = NOW,
    undelivered: tuple[PendingDelivery, ...] = (),
    **known: Any,  # noqa: ANN401  # of `AccountSummary`
) -> AccountStatus:
    """Return the status of an account that is well, except for what is given."""
    usual: dict[str, Any] = {
        "listed_ids": ("new",),
        "current_id": "new",
        "current_since": NOW - 3 * DAY,
        "seen_at": NOW - HOUR,
        "next_due_at": NOW + 20 * DAY,
        "last_rotation": COMPLETED,
    }
    summary = replace(AccountSummary(name="a"), **(usual | known))
    return AccountStatus(account=account("a"), summary=summary, now=now, undelivered=undelivered)


@pytest.mark.parametrize(
    ("known", "phase"),
    [
        ({}, Phase.IDLE),
        ({"last_rotation": None}, Phase.IDLE),
        ({"last_rotation": None, "seen_at": None}, Phase.NEW),
        ({"last_rotation": FAILED}, Phase.FAILED),
        ({"last_rotation": replace(FAILED, error_code="superseded")}, Phase.IDLE),
        ({"last_rotation": ROTATING}, Phase.ROTATING),
        ({"last_rotation": WAITING}, Phase.WAITING),
        ({"last_rotation": WAITING, "drift": "drift: x"}, Phase.DRIFT),
        ({"last_rotation": FAILED, "drift": "drift: x", "hold": HOLD}, Phase.HELD),
    ],
)
def test_a_phase_is_what_matters_most(known: dict[str, Any], phase: Phase) -> None:
    """What an operator has to do comes before what rotator is doing."""
    assert status(**known).phase is phase


@pytest.mark.parametrize(
    "known",
    [
        {"next_due_at": NOW - HOUR},
        {"current_since": NOW - 46 * DAY},
        {"last_rotation": ROTATING, "next_due_at": NOW - HOUR},
        {"last_rotation": replace(WAITING, verified_at=NOW - 3 * DAY)},
    ],
)
def test_what_should_have_happened_is_overdue(known: dict[str, Any]) -> None:
    """A rotation or a deletion that nobody did, and a secret that is too old, are told."""
    late = status(**known)

    assert late.overdue_reason
    assert late.needs_attention
    assert late.document()["overdue"] is True
    assert "overdue: " in late.row()[-1]


def test_what_is_due_has_a_while_to_be_done() -> None:
    """A rotation that is due is late once others that are due as well have had their turn."""
    due = status(next_due_at=NOW - timedelta(minutes=14))
    late = status(next_due_at=NOW - timedelta(minutes=16))

    assert due.overdue_reason is None
    assert due.due_from == NOW - timedelta(minutes=14)
    assert late.overdue_reason == "due for 16m"


def test_what_came_due_in_a_long_grace_is_due_from_its_end() -> None:
    """No rotation could begin before: it is not late for that."""
    long_due: dict[str, Any] = {"next_due_at": NOW - 5 * DAY}
    ended = replace(COMPLETED, closed_at=NOW - timedelta(minutes=1))

    assert status(**long_due, last_rotation=ended).due_from == NOW - timedelta(minutes=1)
    assert status(**long_due, last_rotation=ended).overdue_reason is None
    assert status(**long_due, last_rotation=FAILED).due_from == NOW - 5 * DAY
    # Its end was written by a clock that was ahead.
    early = replace(COMPLETED, closed_at=NOW + DAY)
    assert status(**long_due, last_rotation=early).due_from == NOW


@pytest.mark.parametrize(
    ("known", "late_from"),
    [
        ({}, NOW + 20 * DAY + timedelta(minutes=15)),
        ({"next_due_at": None}, NOW + 42 * DAY),
        ({"current_since": None, "next_due_at": None}, None),
        ({"last_rotation": WAITING}, NOW + 2 * DAY - HOUR),
        ({"last_rotation": ROTATING}, NOW + 20 * DAY + timedelta(minutes=15)),
    ],
)
def test_it_is_known_when_something_becomes_late(
    known: dict[str, Any], late_from: datetime | None
) -> None:
    """Nothing is late until then, and something is right after it."""
    assert status(**known).late_from == late_from
    if late_from:
        assert status(**known, now=late_from).overdue_reason is None
        assert status(**known, now=late_from + timedelta(microseconds=1)).overdue_reason


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"next_due_at": None, "current_since": None},
        {"last_rotation": WAITING, "next_due_at": NOW - HOUR},
        {"last_rotation": replace(WAITING, verified_at=NOW - DAY - HOUR)},
    ],
)
def test_what_is_under_way_is_not_overdue(known: dict[str, Any]) -> None:
    """A rotation in its grace has done what was due."""
    assert status(**known).overdue_reason is None
    assert not status(**known).needs_attention


@pytest.mark.parametrize("known", [{"hold": HOLD}, {"drift": "x"}, {"last_rotation": FAILED}])
def test_what_somebody_has_to_look_at(known: dict[str, Any]) -> None:
    """A hold, a drift and a failure fail the check, overdue or not."""
    assert status(**known).needs_attention
    assert status(**known).document()["overdue"] is False


def test_a_row_tells_the_last_rotation() -> None:
    """How it ended, how long ago, and why it failed."""
    assert status().row()[5] == "completed 2d ago"
    assert status(last_rotation=FAILED).row()[5] == "failed 2d ago (secret-rejected)"
    assert status(last_rotation=WAITING).row()[5] == "open for 3d, at wait"
    assert status(last_rotation=None).row()[5] == "-"
    assert "waiting until 2026-11-24 11:00 UTC" in status(last_rotation=WAITING).row()[-1]


GATED = replace(
    WAITING,
    verified_at=NOW - 2 * DAY,
    waiting=GateWait(
        gate="consumers", reason="exit status 1: 3 of 7", shut_since=NOW - HOUR, retry_at=NOW + HOUR
    ),
)
UNDELIVERED = PendingDelivery(
    account="a",
    hook="chat",
    event=Event.PUSHED,
    since=NOW - HOUR,
    attempts=3,
    reason="answered 500",
    next_try_at=NOW + HOUR,
)


def test_a_gate_is_named_instead_of_the_grace() -> None:
    """With its reason, and since when it is waited for."""
    found = status(last_rotation=GATED)

    assert (
        "waiting for gate consumers since 2026-11-23 11:00 UTC: exit status 1: 3 of 7"
        in (found.row()[-1])
    )
    assert "waiting until" not in found.row()[-1]
    assert found.document()["gate"] == {
        "name": "consumers",
        "reason": "exit status 1: 3 of 7",
        "since": "2026-11-23T11:00:00Z",
        "next_try_at": "2026-11-23T13:00:00Z",
    }
    assert status(last_rotation=WAITING).document()["gate"] is None
    assert status().document()["gate"] is None


@pytest.mark.parametrize(
    ("undelivered", "note"),
    [
        ([], "-"),
        ([replace(UNDELIVERED, reason=None)], "-"),
        ([UNDELIVERED], "hook chat fails (pushed, tried 3 times): answered 500"),
        (
            [UNDELIVERED, replace(UNDELIVERED, hook="other")],
            "hook chat fails (pushed, tried 3 times): answered 500, and 1 more",
        ),
    ],
)
def test_hooks_that_fail_are_noted(undelivered: list[PendingDelivery], note: str) -> None:
    """One that was not tried yet is no failure; the first that fails is named."""
    assert status(undelivered=tuple(undelivered)).row()[-1] == note
