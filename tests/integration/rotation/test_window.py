"""Windows: what waits for one, what does not, and what goes on though it is closed."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import insert

from rotator.ledger import tables
from rotator.ledger.leases import append_to
from rotator.ledger.mapping import to_row
from rotator.model import Outcome, Request, Step
from rotator.rotation import window
from rotator.rotation.ports import NewEntry
from rotator.rotation.steps.prepare import Open
from rotator.rotation.steps.retire import Wait
from rotator.sim import Fault
from tests.support.clock import START
from tests.support.rotation_fixture import NAME, RotationFixture
from tests.support.samples import rotation

#: START is outside of it by five hours.
OPENS = (START + timedelta(hours=5)).replace(minute=0, second=0, microsecond=0)
WINDOW = (f"{OPENS:%H:%M}-{OPENS + timedelta(hours=1):%H:%M}",)
GRACE = timedelta(hours=2)


def go_to(fixture: RotationFixture, at: datetime) -> None:
    """Let the time pass until `at`."""
    fixture.clock.advance(seconds=(at - fixture.clock.now()).total_seconds())


def test_what_is_due_waits_for_its_window(tmp_path: Path) -> None:
    """Outside nothing is asked of anybody; inside it is rotated."""
    with RotationFixture(tmp_path, window=WINDOW) as fixture:
        early = fixture.attempt(reason="due")
        asked = len(fixture.requests())
        go_to(fixture, OPENS)
        late = fixture.attempt(reason="due")

        assert early.outcome is Outcome.IDLE
        assert asked == 0
        assert late.outcome is Outcome.COMPLETED


def test_who_asks_means_now_but_the_deletion_waits(tmp_path: Path) -> None:
    """The new secret is made at once; the old one goes in the first window after the grace."""
    with RotationFixture(tmp_path, window=WINDOW, grace=GRACE) as fixture:
        report = fixture.attempt()
        go_to(fixture, OPENS - timedelta(seconds=1))
        early = fixture.resume()
        again = fixture.attempt()
        go_to(fixture, OPENS)
        late = fixture.resume()

        assert report.outcome is Outcome.AWAITING_DELETION
        assert report.delete_due_at == OPENS
        assert early.outcome is Outcome.AWAITING_DELETION
        assert again.error is not None
        assert f"until {OPENS:%Y-%m-%d %H:%M}" in again.error.message
        assert late.outcome is Outcome.COMPLETED


@pytest.mark.parametrize("reason", ["asked", "compromised"])
def test_no_grace_means_no_window(tmp_path: Path, reason: str) -> None:
    """`--grace 0s` and `--compromised` delete at once."""
    with RotationFixture(tmp_path, window=WINDOW, grace=GRACE) as fixture:
        report = fixture.attempt(reason=reason, grace=timedelta())

        assert report.outcome is Outcome.COMPLETED


def test_no_grace_ends_the_wait_for_a_window(tmp_path: Path) -> None:
    """Also where the rotation only waits for its window."""
    with RotationFixture(tmp_path, window=WINDOW, grace=timedelta(minutes=1)) as fixture:
        fixture.attempt()
        fixture.clock.advance(hours=1)
        waiting = fixture.resume()
        ended = fixture.attempt(grace=timedelta())

        assert waiting.outcome is Outcome.AWAITING_DELETION
        assert ended.outcome is Outcome.COMPLETED


def test_what_was_asked_for_is_carried_on_outside(tmp_path: Path) -> None:
    """A process that dies does not make the next one wait for a window."""
    with RotationFixture(tmp_path, window=WINDOW) as fixture:
        fixture.calls.plan("before", "ledger.commit", 2, fixture.calls.kill)
        killed = fixture.run_until_killed()
        report = fixture.attempt(reason="due")

        assert killed is None
        assert report.outcome is Outcome.COMPLETED


def test_what_was_sent_is_finished_outside(tmp_path: Path) -> None:
    """A value that Vonage may know is brought home; only the deletion waits for the next day."""
    with RotationFixture(tmp_path, window=WINDOW) as fixture:
        go_to(fixture, OPENS)
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        killed = fixture.run_until_killed(reason="due")
        fixture.clock.advance(hours=3)
        report = fixture.attempt(reason="due")
        next_day = OPENS + timedelta(days=1)

        assert killed is None
        assert report.outcome is Outcome.AWAITING_DELETION
        assert report.delete_due_at is not None
        assert fixture.reconciler.dry_run(fixture.accounts[NAME], Request(reason=None))[1] == [
            Wait(until=next_day)
        ]


def test_what_was_not_sent_waits(tmp_path: Path) -> None:
    """A rotation that was opened while Vault failed does not begin on a Monday morning."""
    with RotationFixture(tmp_path, window=WINDOW) as fixture:
        go_to(fixture, OPENS)
        fixture.world.vault.faults.add(Fault("status", method="POST", times=None))
        failed = fixture.attempt(reason="due")
        fixture.world.vault.faults.clear()
        fixture.clock.advance(hours=3)
        early = fixture.attempt(reason="due")
        rotation = fixture.rotation()
        go_to(fixture, OPENS + timedelta(days=1))
        late = fixture.attempt(reason="due")

        assert failed.outcome is Outcome.FAILED
        assert early.outcome is Outcome.IDLE
        assert rotation is not None
        assert rotation.step in {Step.OPEN, Step.STAGE}
        assert late.outcome is Outcome.COMPLETED


def know_orphan(fixture: RotationFixture, secret_id: str) -> None:
    """Let the ledger know a secret as one that a rotation which was undone has left behind."""
    fixture.monitor.foreign.discard(secret_id)
    fixture.has_made_up_entries = True
    undone = rotation(
        id="undone",
        account=NAME,
        step=Step.ABORT,
        predecessor_id=None,
        opened_at=START,
        closed_at=START,
        new_id=secret_id,
        outcome="failed",
    )
    facts = {"reason": undone.reason, "predecessor_id": None}
    entries = [
        NewEntry(event="opened", step=Step.OPEN, detail=facts, rotation_id="undone"),
        NewEntry(
            event="done", step=Step.CREATE, detail={"secret_id": secret_id}, rotation_id="undone"
        ),
        NewEntry(
            event="closed", step=Step.ABORT, detail={"outcome": "failed"}, rotation_id="undone"
        ),
    ]
    with fixture.database.begin() as connection:
        connection.execute(insert(tables.rotation).values(to_row(undone)))
        append_to(connection, NAME, entries, START)


def test_no_slot_is_freed_outside(tmp_path: Path) -> None:
    """Also where the value was sent, did not arrive, and an orphan has come up since."""
    with RotationFixture(tmp_path, window=WINDOW, rotated_before=True) as fixture:
        opens = window.opens_at(fixture.accounts[NAME].policy, fixture.clock.now())
        go_to(fixture, opens)
        fixture.world.vonage.faults.add(Fault("drop-before", method="POST", times=None))
        lost = fixture.attempt(reason="due")
        fixture.world.vonage.faults.clear()
        know_orphan(fixture, fixture.make_foreign())
        fixture.clock.advance(hours=3)
        early = fixture.attempt(reason="due")
        kept, due = len(fixture.secrets()), fixture.writer.due(fixture.clock.now())
        go_to(fixture, opens + timedelta(days=1))
        again = fixture.writer.due(fixture.clock.now())
        late = fixture.attempt(reason="due")

        assert lost.outcome is Outcome.FAILED
        assert early.outcome is Outcome.IDLE
        assert (kept, due) == (2, [])
        assert [each.name for each in again] == [NAME]
        assert late.outcome is Outcome.COMPLETED


def test_what_waited_for_a_slot_and_was_asked_for_waits_no_more(tmp_path: Path) -> None:
    """If whoever was asked dies, any daemon carries it on, and not only in the window."""
    with RotationFixture(tmp_path, window=WINDOW, rotated_before=True) as fixture:
        go_to(fixture, window.opens_at(fixture.accounts[NAME].policy, fixture.clock.now()))
        fixture.world.vonage.faults.add(Fault("drop-before", method="POST", times=None))
        fixture.attempt(reason="due")
        fixture.world.vonage.faults.clear()
        know_orphan(fixture, fixture.make_foreign())
        fixture.clock.advance(hours=3)
        put_off = fixture.attempt(reason="due")
        fixture.calls.plan("after", "store.write_current", 1, fixture.calls.kill)
        killed = fixture.run_until_killed(reason="compromised")
        due = fixture.writer.due(fixture.clock.now())

        assert put_off.outcome is Outcome.IDLE
        assert killed is None
        assert [each.name for each in due] == [NAME]


def test_who_asks_has_a_slot_freed_outside(tmp_path: Path) -> None:
    """A person means now."""
    with RotationFixture(tmp_path, window=WINDOW, rotated_before=True) as fixture:
        know_orphan(fixture, fixture.make_foreign())
        report = fixture.attempt(grace=timedelta())

        assert report.outcome is Outcome.COMPLETED


def test_a_window_that_closes_meanwhile_is_respected(tmp_path: Path) -> None:
    """What was seen took until after its end: nothing is begun."""
    with RotationFixture(tmp_path, window=WINDOW) as fixture:
        go_to(fixture, OPENS + timedelta(minutes=59, seconds=59))
        fixture.calls.plan(
            "after", "issuer.list_secrets", 1, lambda: fixture.clock.advance(seconds=9)
        )
        report = fixture.attempt(reason="due")

        assert report.outcome is Outcome.IDLE
        assert fixture.rotation() is None
        assert fixture.events() == []


def test_drift_is_found_outside(tmp_path: Path) -> None:
    """To look is no rotation: what would keep one from starting is told at any time."""
    with RotationFixture(tmp_path, window=WINDOW) as fixture:
        fixture.make_foreign()
        fixture.reconciler.refresh(fixture.accounts[NAME])

        assert fixture.writer.load(NAME).trouble is not None


def test_a_dry_run_shows_both(tmp_path: Path) -> None:
    """Asked by hand, it would open now and delete in the window."""
    with RotationFixture(tmp_path, window=WINDOW, grace=GRACE) as fixture:
        _, actions, _ = fixture.reconciler.dry_run(fixture.accounts[NAME], Request(reason="asked"))

        assert isinstance(actions[0], Open)
        assert actions[-1] == Wait(until=OPENS.astimezone(UTC))
