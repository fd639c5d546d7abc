from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotator.model import Account, CurrentEntry, OnForeign, Request, Step
from rotator.rotation.dry_run import assumed_steps
from rotator.rotation.steps.base import Action
from rotator.rotation.steps.bookkeeping import Refuse
from rotator.rotation.steps.issue import NEW_ID, Create
from rotator.rotation.steps.prepare import Open, Stage
from rotator.rotation.steps.publish import Push, Verify
from rotator.rotation.steps.retire import Delete, Wait
from rotator.rotation.steps.withdraw import Withdraw
from tests.support.observations import but
from tests.support.samples import NOW, account, policy, rotation
from tests.unit.rotation.protocol.after_push import DELETING
from tests.unit.rotation.protocol.facts import (
    ALIEN,
    GRACE,
    HOLD,
    NEW,
    NOTE,
    OLD,
    PENDING,
    QUIET,
    Facts,
)

ACCOUNT = account(policy=policy(grace=timedelta(), on_foreign=OnForeign.EVICT_OLDEST))
ROTATION = rotation(step=Step.CREATE, grace=timedelta(), sent_at=NOW)
REST = ["Probe", "Push", "Verify", "Clear", "Delete", "Close"]


def planned(
    account: Account = ACCOUNT,
    request: Request = Request(reason="asked"),  # noqa: B008  # frozen
    **changes: Any,  # noqa: ANN401  # of the observation
) -> list[Action]:
    """List the steps from the observation with `changes`."""
    return assumed_steps(
        account,
        but(QUIET, **changes),
        request,
        propagation_timeout=timedelta(minutes=2),
        now=NOW,
    )


def names(actions: list[Action]) -> list[str]:
    """Return the names of the actions' kinds."""
    return [type(action).__name__ for action in actions]


def test_a_replaced_value_is_planned_to_leave_before_its_secret() -> None:
    """A plan that goes past the grace has the step between the two."""
    note = replace(NOTE, secret_id="new", rotation_id="r1")
    kept = CurrentEntry(version=8, note=note, intact=True, has_value=True, previous="past")
    waiting = rotation(
        step=Step.WAIT, sent_at=NOW, new_id="new", vault_version=8, verified_at=NOW - 2 * GRACE
    )
    actions = planned(current=kept, listed=(OLD, NEW), rotation=waiting)

    assert names(actions) == ["Withdraw", "Delete", "Close"]
    assert Withdraw(field="past") in actions


def test_a_whole_rotation_is_planned() -> None:
    """From opening to closing, with what each step is aimed at."""
    actions = planned()

    assert names(actions) == ["Open", "Stage", "Create", *REST]
    assert Open(predecessor_id="old") in actions
    assert Stage(listed_ids=frozenset({"old"})) in actions
    assert Verify(version=8) in actions
    assert Delete(secret_id="old") in actions


def test_a_plan_ends_where_the_grace_begins() -> None:
    """The last action says until when."""
    actions = planned(account(policy=policy(grace=GRACE)))

    assert actions[-1] == Wait(until=NOW + GRACE)
    assert "Delete" not in names(actions)


def test_a_grace_asked_for_is_planned_with() -> None:
    """As the rotation would be opened with it."""
    actions = planned(request=Request(reason="asked", grace=GRACE))

    assert actions[-1] == Wait(until=NOW + GRACE)


def test_an_eviction_is_planned() -> None:
    """What would be deleted to make room is named."""
    actions = planned(listed=(OLD, ALIEN))

    assert names(actions) == ["Open", "Evict", "Stage", "Create", *REST]


def test_an_open_rotation_is_planned_from_where_it_is() -> None:
    """Nothing is planned again that was done."""
    rotation = replace(ROTATION, new_id="new")
    actions = planned(rotation=rotation, pending=PENDING, listed=(OLD, NEW))

    assert names(actions) == REST


def test_a_lost_answer_is_planned_to_be_looked_into() -> None:
    """The probe is taken to succeed, and the id to be learned by it."""
    actions = planned(rotation=ROTATION, pending=PENDING, listed=(OLD, NEW))

    assert names(actions) == ["Probe", "Learn", *REST[1:]]


def test_a_recovery_is_planned_with_the_pending_value() -> None:
    """The rotation of the pending entry is opened, and its value sent again, not another."""
    actions = planned(pending=PENDING, pending_is_unrecorded=True)

    assert names(actions) == ["Open", "Create", *REST]


def test_an_undoing_is_planned_to_its_end() -> None:
    """What was made is deleted and cleared, and the rotation closed with its code."""
    rotation = replace(ROTATION, new_id="new", sent_at=None)
    long_ago = NOW - timedelta(days=1)
    actions = planned(
        rotation=rotation,
        pending=None,
        listed=(OLD, NEW),
        pending_refused_since=long_ago,
        pending_refused_at=NOW,
    )

    assert names(actions) == ["Abort", "Delete", "Close"]


@pytest.mark.parametrize(
    ("changes", "last"),
    [({"hold": HOLD}, Refuse), ({"current": None}, Refuse)],
)
def test_a_refusal_is_all_that_is_planned(changes: dict[str, Any], last: type[Action]) -> None:
    """Where an operator must decide, nothing would be done."""
    actions = planned(**changes)

    assert [type(action) for action in actions] == [last]


def test_nothing_is_planned_where_nothing_is_asked() -> None:
    """Without a reason and without an open rotation."""
    assert names(planned(request=Request(reason=None))) == ["Idle"]


def test_a_look_ends_a_plan() -> None:
    """What a look would show cannot be planned."""
    stale = NOW - timedelta(hours=1)
    actions = planned(listed=(OLD, ALIEN), seen_at=stale)

    assert names(actions) == ["Observe"]


def test_a_plan_follows_the_parents_credential() -> None:
    """A dead value is replaced, and nothing deleted: no predecessor is known."""
    note = replace(NOTE, secret_id="gone")
    current = CurrentEntry(version=7, note=note, intact=True, has_value=True)
    actions = planned(current=current, current_authenticated_at=None)

    assert actions[0] == Open(predecessor_id=None)
    assert names(actions) == ["Open", "Stage", "Create", *REST[:4], "Close"]


def test_a_grace_from_the_future_is_planned_to_begin_anew() -> None:
    """A clock that was ahead told when it began; the predecessor lives on from now."""
    waiting: Facts = DELETING[0].values[0]  # type: ignore[attr-defined]
    facts = waiting.but(rotation__grace=GRACE, rotation__verified_at=NOW + timedelta(days=60))
    actions = assumed_steps(
        ACCOUNT,
        facts.observation,
        Request(reason=None),
        propagation_timeout=timedelta(minutes=2),
        now=NOW,
    )

    assert names(actions) == ["Redate", "Wait"]
    assert actions[-1] == Wait(until=NOW + GRACE)


def test_a_plan_has_no_value_and_no_id_that_is_not_known() -> None:
    """The new secret's id is a placeholder until Vonage gives it."""
    actions = planned()

    assert Create() in actions
    assert Push() in actions
    assert NEW_ID not in str([it for it in actions if isinstance(it, Delete)])


def test_a_proof_is_planned_where_it_is_wanted() -> None:
    """After the deletion of a secret that leaked, or where the policy asks for it."""
    proving = replace(ACCOUNT, policy=replace(ACCOUNT.policy, prove_deletion=True))
    leaked = Request(reason="compromised", grace=timedelta())
    plain, by_policy, by_request = planned(), planned(proving), planned(request=leaked)

    assert names(plain)[-2:] == ["Delete", "Close"]
    assert names(by_policy)[-3:] == names(by_request)[-3:] == ["Delete", "Prove", "Close"]
