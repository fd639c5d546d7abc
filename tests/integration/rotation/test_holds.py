"""An operator who holds an account while a pass works on it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.ledger.holds import Holds
from rotator.model import Hold, Outcome, Step
from tests.support.clock import START
from tests.support.rotation_fixture import NAME, RotationFixture, code

HOLD = Hold(reason="audit", by="ann", at=START)
FREEZE = replace(HOLD, freeze=True)
#: The commits of a rotation, by what they intend; the third is made to look.
BEFORE_PUSH = {1: "stage", 2: "create", 3: None, 4: "push"}
AFTER_PUSH = {5: "clear", 6: "delete"}


def hold_before_commit(scene: RotationFixture, number: int, hold: Hold) -> None:
    """Put a hold on the account when the next pass is about to make a commit."""
    holds = Holds(scene.database)
    scene.calls.plan("before", "ledger.commit", number, lambda: holds.put(NAME, hold))


def release(scene: RotationFixture) -> None:
    """Release the account as the operator does."""
    Holds(scene.database).lift(NAME, by="ann", now=scene.clock.now())


@pytest.mark.parametrize("hold", [HOLD, FREEZE])
@pytest.mark.parametrize("number", BEFORE_PUSH)
def test_a_pass_before_its_push_stops_at_the_next_step(
    tmp_path: Path, number: int, hold: Hold
) -> None:
    """What was about to be tried is withdrawn; after the release the same rotation goes on."""
    with RotationFixture(tmp_path) as scene:
        hold_before_commit(scene, number, hold)
        held = scene.attempt()
        pushes, events = scene.look().version, scene.events()
        again = scene.attempt()
        release(scene)
        report = scene.attempt()

        assert (held.outcome, code(held), code(again)) == (Outcome.REFUSED, "held", "held")
        assert (f"withdrawn {BEFORE_PUSH[number]}" in events) is bool(BEFORE_PUSH[number])
        assert "intent clear" not in events
        assert pushes == 1
        assert report.outcome is Outcome.COMPLETED
        assert report.rotation_id == held.rotation_id


@pytest.mark.parametrize("number", AFTER_PUSH)
def test_a_pass_after_its_push_finishes(tmp_path: Path, number: int) -> None:
    """Consumers use the new secret already, so a hold does not keep the old one alive."""
    with RotationFixture(tmp_path) as scene:
        hold_before_commit(scene, number, HOLD)
        report = scene.attempt()
        next_one = scene.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert code(next_one) == "held"
        assert len(scene.secrets()) == 1


@pytest.mark.parametrize("number", AFTER_PUSH)
def test_a_freeze_stops_a_pass_after_its_push_as_well(tmp_path: Path, number: int) -> None:
    """Neither the pending entry nor the predecessor is touched until the release."""
    with RotationFixture(tmp_path) as scene:
        hold_before_commit(scene, number, FREEZE)
        frozen = scene.attempt()
        before, living = scene.look(), len(scene.secrets())
        again = scene.resume()
        after = scene.look()
        release(scene)
        report = scene.resume()

        assert (code(frozen), code(again)) == ("held", "held")
        assert (living, before) == (2, after)
        assert report.outcome is Outcome.COMPLETED


def test_a_withdrawn_intent_leaves_no_mark_on_its_rotation(tmp_path: Path) -> None:
    """The rotation is at the step it was at: nothing was drawn, sent or pushed."""
    with RotationFixture(tmp_path) as scene:
        hold_before_commit(scene, 4, HOLD)
        scene.attempt()
        rotation = scene.rotation()

        assert rotation is not None
        assert (rotation.step, rotation.values_generated, rotation.vault_version) == (
            Step.CREATE,
            1,
            None,
        )


def test_a_freeze_outlasts_the_grace(tmp_path: Path) -> None:
    """What waits for its deletion waits for the release, too; the grace does not start anew."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as scene:
        waiting = scene.attempt()
        Holds(scene.database).put(NAME, FREEZE)
        scene.clock.advance(hours=2)
        frozen = scene.resume()
        release(scene)
        report = scene.resume()

        assert (waiting.outcome, code(frozen)) == (Outcome.AWAITING_DELETION, "held")
        assert report.outcome is Outcome.COMPLETED
