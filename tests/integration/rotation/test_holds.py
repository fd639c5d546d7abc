"""An operator who holds an account while a pass works on it."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.ledger.holds import Holds
from rotator.model import Hold, Outcome, Step
from tests.support.clock import START
from tests.support.rotation_fixture import NAME, RotationFixture, code
from tests.support.samples import ANN

HOLD = Hold(reason="audit", by="ann", at=START)
FREEZE = replace(HOLD, freeze=True)
#: The commits of a rotation, by what they intend; the third is made to look.
BEFORE_PUSH = {1: "stage", 2: "create", 3: None, 4: "push"}
AFTER_PUSH = {5: "clear", 6: "delete"}


def hold_before_commit(fixture: RotationFixture, number: int, hold: Hold) -> None:
    """Put a hold on the account when the next pass is about to make a commit."""
    holds = Holds(fixture.database)
    fixture.calls.plan("before", "ledger.commit", number, lambda: holds.put(NAME, hold))


def release(fixture: RotationFixture) -> None:
    """Release the account as the operator does."""
    Holds(fixture.database).lift(NAME, actor=ANN, now=fixture.clock.now())


@pytest.mark.parametrize("hold", [HOLD, FREEZE])
@pytest.mark.parametrize("number", BEFORE_PUSH)
def test_a_pass_before_its_push_stops_at_the_next_step(
    tmp_path: Path, number: int, hold: Hold
) -> None:
    """What was about to be tried is withdrawn; after the release the same rotation goes on."""
    with RotationFixture(tmp_path) as fixture:
        hold_before_commit(fixture, number, hold)
        held = fixture.attempt()
        pushes, events = fixture.look().version, fixture.events()
        again = fixture.attempt()
        release(fixture)
        report = fixture.attempt()

        assert (held.outcome, code(held), code(again)) == (Outcome.REFUSED, "held", "held")
        assert (f"withdrawn {BEFORE_PUSH[number]}" in events) is bool(BEFORE_PUSH[number])
        assert "intent clear" not in events
        assert pushes == 1
        assert report.outcome is Outcome.COMPLETED
        assert report.rotation_id == held.rotation_id


@pytest.mark.parametrize("number", AFTER_PUSH)
def test_a_pass_after_its_push_finishes(tmp_path: Path, number: int) -> None:
    """Consumers use the new secret already, so a hold does not keep the old one alive."""
    with RotationFixture(tmp_path) as fixture:
        hold_before_commit(fixture, number, HOLD)
        report = fixture.attempt()
        next_one = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert code(next_one) == "held"
        assert len(fixture.secrets()) == 1


@pytest.mark.parametrize("number", AFTER_PUSH)
def test_a_freeze_stops_a_pass_after_its_push_as_well(tmp_path: Path, number: int) -> None:
    """Neither the pending entry nor the predecessor is touched until the release."""
    with RotationFixture(tmp_path) as fixture:
        hold_before_commit(fixture, number, FREEZE)
        frozen = fixture.attempt()
        before, living = fixture.look(), len(fixture.secrets())
        again = fixture.resume()
        after = fixture.look()
        release(fixture)
        report = fixture.resume()

        assert (code(frozen), code(again)) == ("held", "held")
        assert (living, before) == (2, after)
        assert report.outcome is Outcome.COMPLETED


def test_a_withdrawn_intent_leaves_no_mark_on_its_rotation(tmp_path: Path) -> None:
    """The rotation is at the step it was at: nothing was drawn, sent or pushed."""
    with RotationFixture(tmp_path) as fixture:
        hold_before_commit(fixture, 4, HOLD)
        fixture.attempt()
        rotation = fixture.rotation()

        assert rotation is not None
        assert (rotation.step, rotation.values_generated, rotation.vault_version) == (
            Step.CREATE,
            1,
            None,
        )


def test_a_freeze_outlasts_the_grace(tmp_path: Path) -> None:
    """What waits for its deletion waits for the release, too; the grace does not start anew."""
    with RotationFixture(tmp_path, grace=timedelta(hours=1)) as fixture:
        waiting = fixture.attempt()
        Holds(fixture.database).put(NAME, FREEZE)
        fixture.clock.advance(hours=2)
        frozen = fixture.resume()
        release(fixture)
        report = fixture.resume()

        assert (waiting.outcome, code(frozen)) == (Outcome.AWAITING_DELETION, "held")
        assert report.outcome is Outcome.COMPLETED
