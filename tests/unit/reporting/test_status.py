from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.model import CLOCK, Actor, GateWait, Hold, State, Step, Trouble
from rotator.model.convergence import Convergence
from rotator.model.notification import Event, PendingDelivery
from rotator.model.trigger import TriggerRequest
from rotator.reporting.status import AccountStatus
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
STUCK = replace(COMPLETED, step=Step.STAGE, closed_at=None, outcome=None, verified_at=None)
ROTATING = replace(STUCK, opened_at=NOW - timedelta(minutes=10))
WAITING = replace(STUCK, step=Step.WAIT, verified_at=NOW - HOUR)

HOLD = Hold(reason="moving house", by="ann", at=NOW - HOUR)
BROKEN = Trouble(
    state=State.BROKEN,
    code="current-refused",
    why="Vonage refuses the value that Vault holds",
    hint="`rotator adopt a` puts a working secret there",
    since=NOW - 2 * HOUR,
)
DRIFTED = replace(BROKEN, state=State.DRIFTED, code="foreign-secret", why="both slots are taken")
REFUSED = replace(DRIFTED, state=State.REFUSED, code="clock-behind")
FAILURE = replace(BROKEN, state=State.FAILING, code="vonage", why="Vonage failed", hint=None)
FAILING: dict[str, Any] = {"failures": 3, "failure": FAILURE, "retry_at": NOW + HOUR}
LATE_DELETION = replace(WAITING, verified_at=NOW - 3 * DAY)


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
    ("known", "state"),
    [
        ({}, State.HEALTHY),
        ({"last_rotation": None}, State.HEALTHY),
        ({"last_rotation": replace(FAILED, error_code="superseded")}, State.HEALTHY),
        ({"next_due_at": NOW - timedelta(minutes=1)}, State.DUE),
        ({"last_rotation": ROTATING}, State.ROTATING),
        ({"last_rotation": WAITING}, State.WAITING),
        ({"last_rotation": None, "seen_at": None, "current_id": None}, State.UNMANAGED),
        ({"last_rotation": None, "current_id": None}, State.UNMANAGED),
        ({"last_rotation": None, "current_id": None, "is_managed": True}, State.HEALTHY),
        ({"last_rotation": None, "hold": HOLD, "seen_at": None}, State.HELD),
        ({"last_rotation": FAILED}, State.FAILING),
        (FAILING, State.FAILING),
        ({"current_since": NOW - 46 * DAY}, State.OVERDUE),
        ({"current_since": NOW - 46 * DAY, "hold": HOLD}, State.HELD),
        ({**FAILING, "current_since": NOW - 46 * DAY}, State.OVERDUE),
        ({**FAILING, "trouble": REFUSED}, State.REFUSED),
        ({"trouble": REFUSED, "current_since": NOW - 46 * DAY}, State.REFUSED),
        ({"trouble": REFUSED, "hold": HOLD}, State.HELD),
        ({"last_rotation": WAITING, "trouble": DRIFTED}, State.DRIFTED),
        ({"last_rotation": FAILED, "trouble": DRIFTED, "hold": HOLD}, State.DRIFTED),
        ({"last_rotation": FAILED, "trouble": BROKEN, "hold": HOLD}, State.BROKEN),
    ],
)
def test_the_state_is_the_most_urgent_condition(known: dict[str, Any], state: State) -> None:
    """What breaks consumers comes before what an operator has to do, and that before the rest."""
    found = status(**known)

    assert found.state is state
    assert found.document()["state"] == found.document()["phase"] == found.row()[1] == state
    assert found.needs_attention is any(each.state.needs_attention for each in found.conditions)


def test_each_condition_has_its_cause_and_cure() -> None:
    """With its code, its beginning, the tries and the next one; the most urgent one comes first."""
    old: dict[str, Any] = {"current_since": NOW - 46 * DAY, "next_due_at": NOW - 16 * DAY}
    found = status(trouble=BROKEN, failures=3, retry_at=NOW + HOUR, **old)
    document = found.document()

    assert {key: document[key] for key in ("state", "code", "why", "hint", "tries")} == {
        "state": "broken",
        "code": "current-refused",
        "why": "Vonage refuses the value that Vault holds",
        "hint": "`rotator adopt a` puts a working secret there",
        "tries": 3,
    }
    assert document["since"] == "2026-11-23T10:00:00Z"
    assert document["next_try_at"] == "2026-11-23T13:00:00Z"
    assert [each["state"] for each in document["conditions"]] == ["broken", "overdue", "due"]
    assert document["conditions"][1]["why"] == "the secret is older than max_age 45d"


@pytest.mark.parametrize(
    ("known", "at"),
    [
        ({"next_due_at": NOW - DAY}, NOW + HOUR),
        ({"last_rotation": ROTATING}, NOW + HOUR),
        ({"next_due_at": NOW + DAY}, NOW + DAY),
        ({"next_due_at": None}, None),
    ],
)
@pytest.mark.parametrize("wrong", [{}, {"trouble": REFUSED}])
def test_nothing_is_tried_again_before_it_is_due(
    wrong: dict[str, Any], known: dict[str, Any], at: datetime | None
) -> None:
    """A rotation that nobody needs yet, and that failed, is not repeated before its time."""
    found = status(**FAILING, **wrong, **known)

    assert found.condition.next_try_at == at


def test_the_notes_name_each_cause_with_its_code_and_the_tries() -> None:
    """On one line, for the table."""
    assert status(**FAILING, last_rotation=ROTATING).row()[-1] == (
        "Vonage failed (vonage, since 2026-11-23 10:00 UTC, 3 tries, next try 2026-11-23 13:00 UTC)"
    )
    assert status(trouble=DRIFTED, hold=HOLD).row()[-1] == (
        "both slots are taken (foreign-secret, since 2026-11-23 10:00 UTC); "
        f"the account is held: {HOLD}"
    )
    assert status(last_rotation=ROTATING).row()[-1] == "-"


def test_failures_of_an_older_version_are_told_without_their_reason() -> None:
    """It recorded how often, and nothing more."""
    found = status(failures=2, retry_at=NOW + HOUR).condition

    assert (found.state, found.code, found.tries, found.since) == (State.FAILING, "failed", 2, None)
    assert "rotator history a" in str(found.hint)


@pytest.mark.parametrize(
    ("known", "code"),
    [
        ({"next_due_at": NOW - HOUR}, "late"),
        ({"current_since": NOW - 46 * DAY}, "overdue"),
        ({"last_rotation": ROTATING, "next_due_at": NOW - HOUR}, "late"),
        ({"last_rotation": LATE_DELETION}, "late"),
    ],
)
def test_what_should_have_happened_needs_attention(known: dict[str, Any], code: str) -> None:
    """A rotation or a deletion that nobody did, and a secret that is too old."""
    late = status(**known)
    condition = next(each for each in late.conditions if each.code == code)

    assert late.needs_attention
    assert late.overdue_reason == condition.why
    assert late.document()["overdue"] is True
    assert condition.hint
    assert condition.why in late.row()[-1]


def test_what_is_due_has_a_while_to_be_done() -> None:
    """A rotation that is due is late once others that are due as well have had their turn."""
    due = status(next_due_at=NOW - timedelta(minutes=14))
    late = status(next_due_at=NOW - timedelta(minutes=16))

    assert due.overdue_reason is None
    assert due.due_from == NOW - timedelta(minutes=14)
    assert late.overdue_reason == "a rotation is due and has not begun"


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
        # Asked for before it was due, and to be carried on at once, or from a window on.
        ({"last_rotation": ROTATING}, NOW + timedelta(minutes=5)),
        (
            {"last_rotation": replace(ROTATING, waiting=GateWait(retry_at=NOW + DAY))},
            NOW + DAY + timedelta(minutes=15),
        ),
        ({"last_rotation": ROTATING, "next_due_at": None}, NOW + timedelta(minutes=5)),
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


@pytest.mark.parametrize("wrong", [FAILING, {"trouble": REFUSED}])
def test_what_is_tried_in_vain_is_not_late(wrong: dict[str, Any]) -> None:
    """Why nothing happens is known: nobody has to look for a daemon."""
    found = status(**wrong, next_due_at=NOW - DAY)

    assert [each.code for each in found.conditions if each.code == "late"] == []
    assert found.conditions[-1].state is State.DUE


def test_a_hold_does_not_hide_that_a_pushed_rotation_is_finished() -> None:
    """Its old secret is deleted after the grace all the same, unless the hold is a freeze."""
    frozen = replace(HOLD, freeze=True)
    states = [
        [each.state for each in status(hold=hold, last_rotation=WAITING).conditions]
        for hold in (HOLD, frozen)
    ]

    assert states == [[State.HELD, State.WAITING], [State.HELD]]


def test_nothing_is_deleted_while_something_is_wrong() -> None:
    """The wait has no end yet."""
    listed = ("new", "old")
    found = status(trouble=BROKEN, last_rotation=LATE_DELETION, listed_ids=listed).conditions[-1]

    assert (found.state, found.code) == (State.WAITING, None)
    assert found.why == "the old secret stays until what is wrong is mended"


def test_a_held_account_is_never_late() -> None:
    """An operator wants it to wait."""
    held = status(hold=HOLD, next_due_at=NOW - DAY, current_since=NOW - 46 * DAY)

    assert held.late_from is None
    assert held.overdue_reason is None
    assert [each.state for each in held.conditions] == [State.HELD]


def test_a_row_tells_the_last_rotation() -> None:
    """How it ended, how long ago, and why it failed."""
    assert status().row()[5] == "completed 2d ago"
    assert status(last_rotation=FAILED).row()[5] == "failed 2d ago (secret-rejected)"
    assert status(last_rotation=WAITING).row()[5] == "open for 3d, at wait"
    assert status(last_rotation=None).row()[5] == "-"
    assert "grace until 2026-11-24 11:00 UTC" in status(last_rotation=WAITING).row()[-1]


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
    assert "grace until" not in found.row()[-1]
    assert found.document()["gate"] == {
        "name": "consumers",
        "reason": "exit status 1: 3 of 7",
        "since": "2026-11-23T11:00:00Z",
        "next_try_at": "2026-11-23T13:00:00Z",
        "consumers": None,
        "converged": None,
        "behind": None,
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


def test_what_is_waited_for_is_named() -> None:
    """The grace, a gate, the clock or a window, each since when; and a deletion that is at hand."""
    policy = replace(account("a").policy, window=("sun 02:00-05:00",))
    ended = replace(WAITING, verified_at=NOW - 25 * HOUR)
    clock = GateWait(gate=CLOCK, reason="it is 3h ahead", shut_since=NOW - HOUR)
    in_window = replace(
        status(last_rotation=ended), account=replace(account("a"), policy=policy)
    ).condition

    assert in_window.why == (
        "waiting for the window that opens at 2026-11-29 02:00 UTC, then the old secret is deleted"
    )
    assert in_window.since == NOW - HOUR
    assert status(last_rotation=WAITING).condition.since == NOW - HOUR
    assert status(last_rotation=ended).condition.why == "the old secret is deleted soon"
    assert status(last_rotation=replace(ended, waiting=clock)).condition.why == (
        "waiting for the clock since 2026-11-23 11:00 UTC: it is 3h ahead"
    )


def test_it_is_told_how_many_consumers_a_gate_has_counted() -> None:
    """Once: the gate's own reason may have it, too."""
    counted = Convergence(consumers=7, converged=3, behind=("a",))
    gate = replace(GATED.waiting or GateWait(), convergence=counted)
    found = status(last_rotation=replace(GATED, waiting=gate))
    doubled = replace(gate, reason="exit status 1: 3 of 7 consumers use the new secret; not yet: a")
    once = status(last_rotation=replace(GATED, waiting=doubled))

    assert found.condition.why == (
        "waiting for gate consumers since 2026-11-23 11:00 UTC: exit status 1: 3 of 7 "
        "(3 of 7 consumers use the new secret; not yet: a and 3 more)"
    )
    assert once.condition.why.endswith(
        ": exit status 1: 3 of 7 consumers use the new secret; not yet: a"
    )
    assert found.document()["gate"]["consumers"] == 7
    assert found.document()["gate"]["converged"] == 3
    assert found.document()["gate"]["behind"] == ["a"]


def test_a_late_deletion_says_that_a_gate_is_shut() -> None:
    """Who reads that nothing is deleted needs to know why."""
    late = replace(LATE_DELETION, waiting=GATED.waiting)
    found = status(last_rotation=late).condition

    assert found.code == "late"
    assert "gate consumers" in found.why
    assert found.hint == "see what the gate says"


@pytest.mark.parametrize(
    "known",
    [
        {},
        {"next_due_at": NOW + HOUR},
        {"last_rotation": WAITING},
        {"last_rotation": ROTATING, "next_due_at": NOW + HOUR},
        {"current_since": NOW - 45 * DAY + HOUR},
        {"next_due_at": None, "current_since": None},
    ],
)
def test_the_conditions_change_at_the_times_that_are_told(known: dict[str, Any]) -> None:
    """Between two of them, the clock alone changes nothing."""
    found, states = status(**known), []
    for _ in range(9):
        states.append([(each.state, each.code) for each in found.conditions])
        at = found.changes_at
        if at is None:
            break
        before = found.at(at)
        assert [(each.state, each.code) for each in before.conditions] in states[-1:] or (
            before.now == at
        )
        found = found.at(at + timedelta(microseconds=1))
    assert found.changes_at is None
    far = found.at(found.now + 400 * DAY)
    assert [(e.state, e.code) for e in far.conditions] == [
        (e.state, e.code) for e in found.conditions
    ]


def test_a_request_through_the_trigger_is_shown_until_it_is_carried_out() -> None:
    """Who asks, from where and why; it counts as late if no daemon takes it up."""
    scanner = Actor(by="trigger", host="192.0.2.7", because="found in a repository")
    request = TriggerRequest(
        id="msg_1", account="a", is_compromised=True, actor=scanner, at=NOW - HOUR / 6, seq=7
    )
    found = status(asked_for=request)
    late = found.at(NOW + HOUR)

    assert found.state is State.DUE
    assert found.row()[-1] == (
        "a rotation was asked for through the trigger, from 192.0.2.7, as the secret leaked: "
        "found in a repository"
    )
    assert found.document()["asked_for"] == {
        "id": "msg_1",
        "at": "2026-11-23T11:50:00Z",
        "compromised": True,
        "from": "192.0.2.7",
        "because": "found in a repository",
        "tries": 0,
    }
    assert found.changes_at == found.late_from == NOW + HOUR / 12
    assert (found.condition.code, late.condition.code) == (None, "late")
    assert not found.needs_attention
    assert late.needs_attention
    plain = replace(request, is_compromised=False, actor=Actor(by="trigger", host="192.0.2.7"))
    assert status(asked_for=plain).condition.why.endswith("through the trigger, from 192.0.2.7")
    assert status().document()["asked_for"] is None
