"""Causes and cures that hold for every condition."""

from dataclasses import replace
from typing import Any

import pytest

from rotator.model import State, Step
from rotator.reporting.condition import GONE, STAYS, UNPROVEN
from tests.unit.reporting.test_status import (
    BROKEN,
    DAY,
    DRIFTED,
    FAILED,
    FAILING,
    HOLD,
    LATE_DELETION,
    NOW,
    REFUSED,
    ROTATING,
    WAITING,
    status,
)

CONDITIONS: list[dict[str, Any]] = [
    {"next_due_at": NOW - DAY},
    {"next_due_at": NOW - DAY, "last_rotation": ROTATING},
    {"last_rotation": LATE_DELETION},
    {"last_rotation": replace(LATE_DELETION, step=Step.PROVE, deleted_at=NOW - DAY)},
    {"current_since": NOW - 46 * DAY},
    {"last_rotation": FAILED},
    {"last_rotation": None, "seen_at": None, "current_id": None},
    {"last_rotation": None, "current_id": None},
    {"hold": HOLD},
    FAILING,
    {"trouble": BROKEN},
    {"trouble": replace(DRIFTED, hint=None)},
    {"trouble": replace(REFUSED, hint=None)},
]


@pytest.mark.parametrize("known", CONDITIONS)
def test_a_cause_does_not_change_as_time_passes(known: dict[str, Any]) -> None:
    """What is told of it once would be told again and again; `since` says for how long it is so."""
    now = status(**known)
    later = now.at(NOW + 3 * DAY)

    assert now.condition.code
    assert now.condition.code == later.condition.code
    assert now.condition.why == later.condition.why


@pytest.mark.parametrize("known", CONDITIONS)
def test_whatever_has_a_code_has_a_cure(known: dict[str, Any]) -> None:
    """Also what an older ledger has, which knows none: the next look does."""
    for condition in status(**known).conditions:
        assert condition.hint or condition.code is None


def test_what_an_older_ledger_has_is_looked_at_again() -> None:
    """Its cure is not known until then."""
    [condition] = status(trouble=replace(DRIFTED, hint=None)).conditions

    assert condition.state is State.DRIFTED
    assert condition.hint == "`rotator status a --refresh` looks again and says what to do"


@pytest.mark.parametrize(
    ("listed", "why"), [((), STAYS), (("new", "old"), STAYS), (("new",), GONE)]
)
def test_an_old_secret_that_is_gone_does_not_stay(listed: tuple[str, ...], why: str) -> None:
    """Someone else revoked it in its grace; where nothing is listed, nobody knows."""
    rotation = replace(WAITING, predecessor_id="old")
    found = status(last_rotation=rotation, trouble=DRIFTED, listed_ids=listed)

    assert [each.why for each in found.conditions] == [DRIFTED.why, why]


def test_a_proof_that_is_left_is_not_a_deletion() -> None:
    """Soon after the deletion, and long after it."""
    soon = replace(WAITING, verified_at=NOW - DAY, step=Step.PROVE, deleted_at=NOW)
    late = replace(LATE_DELETION, step=Step.PROVE, deleted_at=NOW - DAY)
    found = [status(last_rotation=each).condition for each in (soon, late)]

    assert [each.why for each in found] == [UNPROVEN, UNPROVEN]
    assert [each.code for each in found] == [None, "late"]
    assert [each.since for each in found] == [NOW, NOW - DAY]
