"""Each action: the facts that lead to it, and each single fact that forbids it."""

from dataclasses import fields

import pytest

from rotator.rotation.steps.base import Action
from rotator.rotation.steps.bookkeeping import Abort, Close, Idle, Learn, Observe, Redate
from rotator.rotation.steps.issue import Create, Probe
from rotator.rotation.steps.prepare import Evict, Open, Stage
from rotator.rotation.steps.prove import FailedDeletion, Prove
from rotator.rotation.steps.publish import Clear, Push, Verify
from rotator.rotation.steps.retire import Delete, Notify, Wait
from tests.unit.rotation.protocol.after_push import CLEARING, DELETING, PROVING, VERIFYING
from tests.unit.rotation.protocol.before_push import (
    CREATING,
    EVICTING,
    LEARNING,
    PUSHING,
    STAGING,
    UNDOING,
)
from tests.unit.rotation.protocol.belonging import BELONGING
from tests.unit.rotation.protocol.facts import Facts, decided
from tests.unit.rotation.protocol.opening import OPENING, RECOVERING

EVERYTHING = [
    *(OPENING, RECOVERING, EVICTING, STAGING, CREATING, LEARNING, PUSHING, UNDOING),
    *(VERIFYING, CLEARING, DELETING, PROVING, BELONGING),
]


@pytest.mark.parametrize(("facts", "expected"), [row for rows in EVERYTHING for row in rows])
def test_what_follows_from_the_facts(facts: Facts, expected: Action | str) -> None:
    """One world leads to one action, or to one refusal."""
    assert decided(facts) == expected


def test_every_action_is_decided_somewhere() -> None:
    """The tables leave out no action."""
    decisions = [decided(row.values[0]) for rows in EVERYTHING for row in rows]  # type: ignore[attr-defined]
    kinds = {type(decision) for decision in decisions if not isinstance(decision, str)}

    assert kinds == {
        *(Open, Evict, Stage, Create, Probe, Push, Verify, Clear, Delete, Learn, Abort, Close),
        *(Observe, Wait, Idle, Redate, Notify, Prove, FailedDeletion),
    }


def test_a_decision_holds_no_value() -> None:
    """Actions carry ids, versions, codes and times: nothing that a log must not show."""
    kinds = {
        field.type
        for kind in (Open, Evict, Stage, Create, Probe, Push, Verify, Clear, Delete, Learn, Abort)
        for field in fields(kind)
    }

    assert kinds <= {str, int, bool, str | None, int | None, frozenset[str]}
