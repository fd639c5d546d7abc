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
from rotator.rotation.steps import Open, Wait
from rotator.sim import Fault
from tests.support.clock import START
from tests.support.rotation_fixture import NAME, RotationFixture
from tests.support.samples import rotation

#: START is outside of it by five hours.
OPENS = (START + timedelta(hours=5)).replace(minute=0, second=0, microsecond=0)
WINDOW = (f"{OPENS:%H:%M}-{OPENS + timedelta(hours=1):%H:%M}",)
GRACE = timedelta(hours=2)


def go_to(scene: RotationFixture, at: datetime) -> None:
    """Let the time pass until `at`."""
    scene.clock.advance(seconds=(at - scene.clock.now()).total_seconds())


def test_what_is_due_waits_for_its_window(tmp_path: Path) -> None:
    """Outside nothing is asked of anybody; inside it is rotated."""
    with RotationFixture(tmp_path, window=WINDOW) as scene:
        early = scene.attempt(reason="due")
        asked = len(scene.requests())
        go_to(scene, OPENS)
        late = scene.attempt(reason="due")

        assert early.outcome is Outcome.IDLE
        assert asked == 0
        assert late.outcome is Outcome.COMPLETED


def test_who_asks_means_now_but_the_deletion_waits(tmp_path: Path) -> None:
    """The new secret is made at once; the old one goes in the first window after the grace."""
    with RotationFixture(tmp_path, window=WINDOW, grace=GRACE) as scene:
        report = scene.attempt()
        go_to(scene, OPENS - timedelta(seconds=1))
        early = scene.resume()
        again = scene.attempt()
        go_to(scene, OPENS)
        late = scene.resume()

        assert report.outcome is Outcome.AWAITING_DELETION
        assert report.delete_due_at == OPENS
        assert early.outcome is Outcome.AWAITING_DELETION
        assert again.error is not None
        assert f"until {OPENS:%Y-%m-%d %H:%M}" in again.error.message
        assert late.outcome is Outcome.COMPLETED


@pytest.mark.parametrize("reason", ["asked", "compromised"])
def test_no_grace_means_no_window(tmp_path: Path, reason: str) -> None:
    """`--grace 0s` and `--compromised` delete at once."""
    with RotationFixture(tmp_path, window=WINDOW, grace=GRACE) as scene:
        report = scene.attempt(reason=reason, grace=timedelta())

        assert report.outcome is Outcome.COMPLETED


def test_no_grace_ends_the_wait_for_a_window(tmp_path: Path) -> None:
    """Also where the rotation only waits for its window."""
    with RotationFixture(tmp_path, window=WINDOW, grace=timedelta(minutes=1)) as scene:
        scene.attempt()
        scene.clock.advance(hours=1)
        waiting = scene.resume()
        ended = scene.attempt(grace=timedelta())

        assert waiting.outcome is Outcome.AWAITING_DELETION
        assert ended.outcome is Outcome.COMPLETED


def test_what_was_asked_for_is_carried_on_outside(tmp_path: Path) -> None:
    """A process that dies does not make the next one wait for a window."""
    with RotationFixture(tmp_path, window=WINDOW) as scene:
        scene.calls.plan("before", "ledger.commit", 2, scene.calls.kill)
        killed = scene.run_until_killed()
        report = scene.attempt(reason="due")

        assert killed is None
        assert report.outcome is Outcome.COMPLETED


def test_what_was_sent_is_finished_outside(tmp_path: Path) -> None:
    """A value that Vonage may know is brought home; only the deletion waits for the next day."""
    with RotationFixture(tmp_path, window=WINDOW) as scene:
        go_to(scene, OPENS)
        scene.calls.plan("after", "issuer.create_secret", 1, scene.calls.kill)
        killed = scene.run_until_killed(reason="due")
        scene.clock.advance(hours=3)
        report = scene.attempt(reason="due")
        next_day = OPENS + timedelta(days=1)

        assert killed is None
        assert report.outcome is Outcome.AWAITING_DELETION
        assert report.delete_due_at is not None
        assert scene.engine.dry_run(scene.accounts[NAME], Request(reason=None))[1] == [
            Wait(until=next_day)
        ]


def test_what_was_not_sent_waits(tmp_path: Path) -> None:
    """A rotation that was opened while Vault failed does not begin on a Monday morning."""
    with RotationFixture(tmp_path, window=WINDOW) as scene:
        go_to(scene, OPENS)
        scene.world.vault.faults.add(Fault("status", method="POST", times=None))
        failed = scene.attempt(reason="due")
        scene.world.vault.faults.clear()
        scene.clock.advance(hours=3)
        early = scene.attempt(reason="due")
        rotation = scene.rotation()
        go_to(scene, OPENS + timedelta(days=1))
        late = scene.attempt(reason="due")

        assert failed.outcome is Outcome.FAILED
        assert early.outcome is Outcome.IDLE
        assert rotation is not None
        assert rotation.step in {Step.OPEN, Step.STAGE}
        assert late.outcome is Outcome.COMPLETED


def know_orphan(scene: RotationFixture, secret_id: str) -> None:
    """Let the ledger know a secret as one that a rotation which was undone has left behind."""
    scene.witness.foreign.discard(secret_id)
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
    drafts = [
        NewEntry(event="opened", step=Step.OPEN, detail=facts, rotation_id="undone"),
        NewEntry(
            event="done", step=Step.CREATE, detail={"secret_id": secret_id}, rotation_id="undone"
        ),
        NewEntry(
            event="closed", step=Step.ABORT, detail={"outcome": "failed"}, rotation_id="undone"
        ),
    ]
    with scene.database.begin() as connection:
        connection.execute(insert(tables.rotation).values(to_row(undone)))
        append_to(connection, NAME, drafts, START)


def test_no_slot_is_freed_outside(tmp_path: Path) -> None:
    """Also where the value was sent, did not arrive, and an orphan has come up since."""
    with RotationFixture(tmp_path, window=WINDOW, rotated_before=True) as scene:
        opens = window.opens_at(scene.accounts[NAME].policy, scene.clock.now())
        go_to(scene, opens)
        scene.world.vonage.faults.add(Fault("drop-before", method="POST", times=None))
        lost = scene.attempt(reason="due")
        scene.world.vonage.faults.clear()
        know_orphan(scene, scene.make_foreign())
        scene.clock.advance(hours=3)
        early = scene.attempt(reason="due")
        kept, due = len(scene.secrets()), scene.book.due(scene.clock.now())
        go_to(scene, opens + timedelta(days=1))
        again = scene.book.due(scene.clock.now())
        late = scene.attempt(reason="due")

        assert lost.outcome is Outcome.FAILED
        assert early.outcome is Outcome.IDLE
        assert (kept, due) == (2, [])
        assert [each.name for each in again] == [NAME]
        assert late.outcome is Outcome.COMPLETED


def test_what_waited_for_a_slot_and_was_asked_for_waits_no_more(tmp_path: Path) -> None:
    """If whoever was asked dies, any daemon carries it on, and not only in the window."""
    with RotationFixture(tmp_path, window=WINDOW, rotated_before=True) as scene:
        go_to(scene, window.opens_at(scene.accounts[NAME].policy, scene.clock.now()))
        scene.world.vonage.faults.add(Fault("drop-before", method="POST", times=None))
        scene.attempt(reason="due")
        scene.world.vonage.faults.clear()
        know_orphan(scene, scene.make_foreign())
        scene.clock.advance(hours=3)
        put_off = scene.attempt(reason="due")
        scene.calls.plan("after", "store.write_current", 1, scene.calls.kill)
        killed = scene.run_until_killed(reason="compromised")
        due = scene.book.due(scene.clock.now())

        assert put_off.outcome is Outcome.IDLE
        assert killed is None
        assert [each.name for each in due] == [NAME]


def test_who_asks_has_a_slot_freed_outside(tmp_path: Path) -> None:
    """A person means now."""
    with RotationFixture(tmp_path, window=WINDOW, rotated_before=True) as scene:
        know_orphan(scene, scene.make_foreign())
        report = scene.attempt(grace=timedelta())

        assert report.outcome is Outcome.COMPLETED


def test_a_window_that_closes_meanwhile_is_respected(tmp_path: Path) -> None:
    """What was seen took until after its end: nothing is begun."""
    with RotationFixture(tmp_path, window=WINDOW) as scene:
        go_to(scene, OPENS + timedelta(minutes=59, seconds=59))
        scene.calls.plan("after", "issuer.list_secrets", 1, lambda: scene.clock.advance(seconds=9))
        report = scene.attempt(reason="due")

        assert report.outcome is Outcome.IDLE
        assert scene.rotation() is None
        assert scene.events() == []


def test_drift_is_found_outside(tmp_path: Path) -> None:
    """To look is no rotation: what would keep one from starting is told at any time."""
    with RotationFixture(tmp_path, window=WINDOW) as scene:
        scene.make_foreign()
        scene.engine.refresh(scene.accounts[NAME])

        assert scene.book.load(NAME).drift is not None


def test_a_dry_run_shows_both(tmp_path: Path) -> None:
    """Asked by hand, it would open now and delete in the window."""
    with RotationFixture(tmp_path, window=WINDOW, grace=GRACE) as scene:
        _, actions, _ = scene.engine.dry_run(scene.accounts[NAME], Request(reason="asked"))

        assert isinstance(actions[0], Open)
        assert actions[-1] == Wait(until=OPENS.astimezone(UTC))
