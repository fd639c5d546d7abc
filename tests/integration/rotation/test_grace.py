"""Graces: waiting them out, ending them, and what is asked for meanwhile."""

from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from rotator.model import Outcome, Request, Step
from rotator.rotation.steps.retire import Wait
from rotator.sim import Fault
from tests.support.clock import START
from tests.support.rotation_fixture import LEASE, NAME, RotationFixture, code

GRACE = timedelta(hours=24)
NONE = timedelta()
HOUR = timedelta(hours=1)


def test_the_predecessor_outlives_the_grace(tmp_path: Path) -> None:
    """After the push both secrets work, and the report says when the old one goes."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        report = fixture.attempt()

        assert report.outcome is Outcome.AWAITING_DELETION
        assert report.delete_due_at == START + GRACE
        assert [secret.id for secret in fixture.secrets()] == [
            report.old_secret_id,
            report.new_secret_id,
        ]
        assert fixture.look().value == fixture.secrets()[1].value


def test_resume_respects_the_grace_to_the_second(tmp_path: Path) -> None:
    """One second before its end nothing happens, at its end the predecessor is deleted."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        fixture.clock.advance(hours=24, seconds=-1)
        early = fixture.resume()
        fixture.clock.advance(seconds=1)
        late = fixture.resume()

        assert (early.outcome, late.outcome) == (Outcome.AWAITING_DELETION, Outcome.COMPLETED)
        assert [secret.id for secret in fixture.secrets()] == [late.new_secret_id]


def test_a_clock_that_is_ahead_does_not_end_a_grace(tmp_path: Path) -> None:
    """By Vonage's clock it is not over: the deletion waits, says why, and is tried again."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        fixture.clock.advance(hours=21, minutes=1)
        fixture.clock_offset = 3 * HOUR
        early = fixture.resume()
        rotation, seen = fixture.rotation(), fixture.look()
        asked_again = fixture.resume()
        fixture.clock.advance(hours=2, minutes=59)
        late = fixture.resume()

        assert (early.outcome, asked_again.outcome) == (Outcome.AWAITING_DELETION,) * 2
        assert len(seen.ids) == 2
        assert rotation is not None
        assert rotation.waiting is not None
        assert rotation.waiting.gate == "clock"
        assert "this machine's clock is ahead" in (rotation.waiting.reason or "")
        assert fixture.events().count("gate-shut wait") == 1
        assert late.outcome is Outcome.COMPLETED


def test_a_clock_that_was_behind_does_not_end_a_grace(tmp_path: Path) -> None:
    """It began at a time that was told too early; put right, the clock does not shorten it."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.clock_offset = -3 * HOUR
        fixture.attempt()
        fixture.clock_offset = NONE
        fixture.clock.advance(hours=23, minutes=59)
        early = fixture.resume()
        fixture.clock.advance(minutes=1)
        late = fixture.resume()

        assert (early.outcome, late.outcome) == (Outcome.AWAITING_DELETION, Outcome.COMPLETED)


def test_nor_does_one_that_is_put_back_at_the_last_moment(tmp_path: Path) -> None:
    """After Vonage's last answer, and before the new value is verified in Vault."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        put_back = partial(setattr, fixture, "clock_offset", -3 * HOUR)
        fixture.calls.plan("before", "store.read_version", 1, put_back)
        fixture.attempt()
        fixture.clock_offset = NONE
        fixture.clock.advance(hours=23, minutes=59)
        early = fixture.resume()

        assert early.outcome is Outcome.AWAITING_DELETION


@pytest.mark.parametrize("waits", [True, False])
def test_nor_does_it_end_a_shorter_one_that_is_asked_for(tmp_path: Path, *, waits: bool) -> None:
    """Be it by the pass that rotates and waits, or by one that comes later."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.clock_offset = -3 * HOUR
        put_right = partial(setattr, fixture, "clock_offset", NONE)
        fixture.clock.wakers.append(put_right)
        begun = fixture.clock.elapsed
        first = fixture.attempt(grace=HOUR if waits else None, wait=waits)
        put_right()
        fixture.clock.advance(minutes=0 if waits else 59)
        early = fixture.resume() if waits else fixture.attempt(grace=HOUR)
        fixture.clock.advance(minutes=0 if waits else 1)
        late = first if waits else fixture.attempt(grace=HOUR)

        assert early.outcome is (Outcome.IDLE if waits else Outcome.REFUSED)
        assert late.outcome is Outcome.COMPLETED
        assert fixture.clock.elapsed - begun >= HOUR.total_seconds()


def test_a_grace_that_begins_anew_is_not_ended_either(tmp_path: Path) -> None:
    """What was pushed is put back by a clock that is behind."""
    with RotationFixture(tmp_path, grace=GRACE, rotated_before=True) as fixture:
        fixture.attempt()
        new = fixture.secrets()[1]
        fixture.roll_back()
        fixture.clock_offset = -3 * HOUR
        fixture.adopt(new.value)
        fixture.clock_offset = NONE
        fixture.clock.advance(hours=23, minutes=59)
        early = fixture.resume()
        fixture.clock.advance(minutes=1)
        late = fixture.resume()

        assert (early.outcome, late.outcome) == (Outcome.AWAITING_DELETION, Outcome.COMPLETED)


def test_what_a_wrong_clock_told_is_not_waited_for(tmp_path: Path) -> None:
    """It is put right while `--wait` waits for it: the grace ends when it would have."""
    with RotationFixture(tmp_path, grace=2 * HOUR) as fixture:

        def is_ahead() -> bool:
            return HOUR < timedelta(seconds=fixture.clock.elapsed) < 1.5 * HOUR

        fixture.clock.wakers.append(
            lambda: setattr(fixture, "clock_offset", timedelta(days=60) if is_ahead() else NONE)
        )
        report = fixture.attempt(wait=True)

        assert report.outcome is Outcome.COMPLETED
        assert fixture.events().count("gate-shut wait") == 1
        assert 2 * HOUR <= timedelta(seconds=fixture.clock.elapsed) < 2.1 * HOUR


def test_a_clock_that_is_put_right_lets_the_daemon_go_on(tmp_path: Path) -> None:
    """Though by the wrong one the deletion was to be tried again in two months."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        fixture.clock_offset = timedelta(days=60)
        fixture.clock.advance(hours=1)
        fixture.resume()
        fixture.clock_offset = NONE
        early = fixture.writer.due(fixture.clock.now())
        fixture.clock.advance(hours=23)
        late = fixture.writer.due(fixture.clock.now())

        assert (early, [each.name for each in late]) == ([], [NAME])


@pytest.mark.parametrize(("begun", "ended"), [(0, 72), (-72, -72), (-72, 0)])
def test_no_grace_asks_no_clock(tmp_path: Path, begun: int, ended: int) -> None:
    """`--grace 0s` means now, whatever any clock says."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.clock_offset = begun * HOUR
        fixture.attempt()
        fixture.clock_offset = ended * HOUR
        report = fixture.attempt(grace=NONE)

        assert report.outcome is Outcome.COMPLETED


def test_wait_sits_the_grace_out(tmp_path: Path) -> None:
    """With `--wait` one pass takes as long as the grace, and keeps its lease all the while."""
    with RotationFixture(tmp_path, grace=2 * HOUR) as fixture:
        report = fixture.attempt(wait=True)

        assert report.outcome is Outcome.COMPLETED
        assert fixture.clock.now() >= START + 2 * HOUR
        assert max(fixture.clock.sleeps) < LEASE / 2
        assert len(fixture.secrets()) == 1


def test_a_grace_asked_for_is_kept_by_whoever_resumes(tmp_path: Path) -> None:
    """`--grace` counts for the rotation, not for the pass: a later process goes by it."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        report = fixture.attempt(grace=HOUR)
        fixture.clock.advance(hours=1)
        fixture.restart()
        resumed = fixture.resume()

        assert report.delete_due_at == START + HOUR
        assert resumed.outcome is Outcome.COMPLETED


def test_asking_again_within_the_grace_is_refused(tmp_path: Path) -> None:
    """A second rotation cannot start while the first waits; the refusal says until when."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        first = fixture.attempt()
        again = fixture.attempt()

        assert (again.outcome, again.exit_code) == (Outcome.REFUSED, 3)
        assert again.error is not None
        assert again.error.code == "in-grace"
        assert "2026-11-24 07:28:00 UTC" in again.error.message
        assert again.rotation_id == first.rotation_id
        assert len(fixture.history()) == 2


def test_a_clock_that_is_ahead_is_named_before_the_first_try(tmp_path: Path) -> None:
    """A dry run says the same as the pass that finds it, and what to do about it."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        fixture.clock_offset = 3 * HOUR
        fixture.clock.advance(hours=22)
        foreseen, *_ = fixture.reconciler.dry_run(fixture.accounts[NAME], Request(reason="asked"))
        found = fixture.attempt()

        assert foreseen.error is not None
        assert foreseen.error == found.error
        assert foreseen.error.code == "gate-shut"
        assert "ahead of Vonage's" in foreseen.error.message
        assert "timedatectl" in (foreseen.error.hint or "")


def test_a_dry_run_within_the_grace_is_refused_likewise(tmp_path: Path) -> None:
    """The plan says what the command would: in-grace, exit 3."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        report, actions, _ = fixture.reconciler.dry_run(
            fixture.accounts[NAME], Request(reason="asked")
        )

        assert report.error is not None
        assert (report.error.code, report.exit_code) == ("in-grace", 3)
        assert isinstance(actions[-1], Wait)


def test_waiting_is_not_joined(tmp_path: Path) -> None:
    """`--wait` on an account that is in its grace already is refused, too, without a wait."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        again = fixture.attempt(wait=True)

        assert again.outcome is Outcome.REFUSED
        assert fixture.clock.now() == START


def test_grace_of_zero_ends_the_wait(tmp_path: Path) -> None:
    """`rotate-now --grace 0s` within a grace completes that rotation and opens no other."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        first = fixture.attempt()
        again = fixture.attempt(grace=NONE)

        assert again.outcome is Outcome.COMPLETED
        assert again.rotation_id == first.rotation_id
        assert len(fixture.history()) == 2
        assert len(fixture.secrets()) == 1


def test_a_longer_grace_does_not_prolong_the_wait(tmp_path: Path) -> None:
    """What was promised to be deleted is: a grace given later can only shorten."""
    with RotationFixture(tmp_path, grace=HOUR) as fixture:
        fixture.attempt()
        fixture.clock.advance(hours=1)
        again = fixture.attempt(grace=timedelta(hours=48))

        assert again.outcome is Outcome.COMPLETED


def test_asking_once_the_grace_is_over_completes_the_open_rotation(tmp_path: Path) -> None:
    """An overdue deletion is made up for; the rotation that was verified is the one reported."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        first = fixture.attempt()
        fixture.clock.advance(hours=30)
        again = fixture.attempt()

        assert again.outcome is Outcome.COMPLETED
        assert again.rotation_id == first.rotation_id
        assert len(fixture.history()) == 2


@pytest.mark.parametrize("rotated_before", [False, True])
def test_compromised_leaves_no_grace(tmp_path: Path, *, rotated_before: bool) -> None:
    """A leaked secret is replaced and deleted in one pass, whatever the policy's grace."""
    with RotationFixture(tmp_path, grace=GRACE, rotated_before=rotated_before) as fixture:
        leaked = fixture.look().value
        report = fixture.attempt(reason="compromised", grace=NONE)

        assert report.outcome is Outcome.COMPLETED
        assert leaked not in fixture.look().live
        assert fixture.entries()[-1].event == "closed"


def test_compromised_within_a_grace_replaces_both_secrets(tmp_path: Path) -> None:
    """The open rotation is ended at once and another one run: neither old value is left."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        first = fixture.attempt()
        both = fixture.look().live
        report = fixture.attempt(reason="compromised", grace=NONE)

        assert report.outcome is Outcome.COMPLETED
        assert report.rotation_id != first.rotation_id
        assert not both & fixture.look().live
        assert len(fixture.history()) == 3


def test_an_unverified_rotation_is_the_one_asked_for(tmp_path: Path) -> None:
    """Asking again after a failure carries on what is open, and generates no second value."""
    with RotationFixture(tmp_path) as fixture:
        fixture.world.vonage.faults.add(Fault("drop-after", method="POST", times=None))
        fixture.world.vonage.faults.add(Fault("status", status=500, method="GET", nth=2, times=8))
        first = fixture.attempt()
        fixture.world.vonage.faults.clear()
        again = fixture.attempt()

        assert (first.outcome, again.outcome) == (Outcome.FAILED, Outcome.COMPLETED)
        assert first.rotation_id == again.rotation_id
        assert len(fixture.history()) == 2


def test_a_lost_answer_to_the_clean_up_does_not_make_waiting_costly(tmp_path: Path) -> None:
    """Once the pending entry is seen to be gone, waiting passes ask nobody any more."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.world.vault.faults.add(Fault("drop-after", method="DELETE"))
        first = fixture.attempt()
        before = len(fixture.requests())
        fixture.restart()
        again = fixture.resume()
        rotation = fixture.rotation()

        assert (first.outcome, again.outcome) == (Outcome.AWAITING_DELETION,) * 2
        assert rotation is not None
        assert rotation.step is Step.WAIT
        assert len(fixture.requests()) == before


def test_a_wait_that_could_not_be_ended_goes_on(tmp_path: Path) -> None:
    """A deletion ordered early that failed is due when it was before, and waiting stays cheap."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.attempt()
        fixture.world.vonage.faults.add(Fault("drop-before", method="DELETE", times=None))
        failed = fixture.attempt(grace=NONE)
        fixture.world.vonage.faults.clear()
        first = fixture.resume()
        before = len(fixture.requests())
        second = fixture.resume()

        assert failed.outcome is Outcome.FAILED
        assert (first.outcome, second.outcome) == (Outcome.AWAITING_DELETION,) * 2
        assert len(fixture.requests()) == before
        assert len(fixture.secrets()) == 2


def test_a_clock_that_was_ahead_lengthens_no_grace_by_that(tmp_path: Path) -> None:
    """Once it is right, the grace begins anew: nothing is deleted early, nor months later."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.clock_offset = timedelta(days=60)
        ahead = fixture.attempt()
        fixture.clock_offset = NONE
        fixture.restart()
        due = [each.name for each in fixture.writer.due(fixture.clock.now())]
        right = fixture.resume()
        begun = fixture.rotation()
        not_due = fixture.writer.due(fixture.clock.now() + GRACE / 2)
        fixture.clock.advance(seconds=GRACE.total_seconds())
        ended = fixture.resume()

        assert (ahead.outcome, right.outcome) == (Outcome.AWAITING_DELETION,) * 2
        assert due == [NAME]
        assert begun is not None
        assert begun.verified_at == fixture.clock.now() - GRACE
        assert not_due == []
        assert ended.outcome is Outcome.COMPLETED


def test_by_a_clock_far_behind_no_rotation_with_a_grace_begins(tmp_path: Path) -> None:
    """Put right, it would end the grace early; without a grace there is nothing to count."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.clock_offset = timedelta(days=-2)
        refused = fixture.attempt()
        hurried = fixture.attempt(grace=NONE)

        assert code(refused) == "clock-behind"
        assert hurried.outcome is Outcome.COMPLETED


def test_a_clock_that_is_put_back_while_a_grace_begins_is_looked_at_again(tmp_path: Path) -> None:
    """The grace does not begin by it, and does once it is right."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        put_back = partial(setattr, fixture, "clock_offset", timedelta(days=-3))
        fixture.calls.plan("before", "store.read_version", 1, put_back)
        refused = fixture.attempt()
        rotation = fixture.rotation()
        fixture.clock_offset = NONE
        right = fixture.resume()

        assert code(refused) == "clock-behind"
        assert rotation is not None
        assert rotation.verified_at is None
        assert right.outcome is Outcome.AWAITING_DELETION


@pytest.mark.parametrize("wait", [False, True])
def test_a_pending_entry_of_somebody_elses_is_not_cleared(tmp_path: Path, *, wait: bool) -> None:
    """What another rotation staged is its own; this one waits, and asks nobody meanwhile."""
    other: dict[str, Any] = {"value": "SomebodyElses1", "rotation_id": "other", "listed": []}
    with RotationFixture(tmp_path, grace=HOUR) as fixture:
        fixture.calls.plan(
            "before", "store.clear_pending", 1, lambda: fixture.spoil_pending(**other)
        )
        fixture.world.vault.faults.add(Fault("drop-before", method="DELETE"))
        report = fixture.attempt(wait=wait)
        before = len(fixture.requests())
        again = None if wait else fixture.resume()

        assert report.outcome is (Outcome.COMPLETED if wait else Outcome.AWAITING_DELETION)
        assert again is None or again.outcome is Outcome.AWAITING_DELETION
        assert fixture.look().pending == other
        assert len(fixture.requests()) == before


def test_a_grace_asked_for_outlives_the_process_that_was_asked(tmp_path: Path) -> None:
    """Also where the rotation was open already, and the kill comes before it is verified."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.calls.plan("before", "issuer.create_secret", 1, fixture.calls.kill)
        assert fixture.run_until_killed(reason="due") is None
        fixture.calls.plan("before", "store.write_current", 1, fixture.calls.kill)
        assert fixture.run_until_killed(grace=NONE) is None

        assert fixture.resume().outcome is Outcome.COMPLETED
        assert len(fixture.secrets()) == 1


@pytest.mark.parametrize("grace", [None, HOUR])
def test_a_value_that_leaked_has_leaked_whatever_is_asked_next(
    tmp_path: Path, grace: timedelta | None
) -> None:
    """Neither reason nor end of the grace is taken back by another `rotate-now`."""
    with RotationFixture(tmp_path, grace=GRACE) as fixture:
        fixture.calls.plan("before", "issuer.delete_secret", 1, fixture.calls.kill)
        assert fixture.run_until_killed(reason="compromised", grace=NONE) is None
        report = fixture.attempt(reason="asked", grace=grace)

        assert report.outcome is Outcome.COMPLETED
        assert fixture.rotation().reason == "compromised"  # type: ignore[union-attr]  # there is one
