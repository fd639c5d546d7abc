"""Change freezes: what waits for their end, what is refused, and what goes on all the same."""

from datetime import timedelta
from pathlib import Path

import pytest

from rotator.model import Freeze, Outcome, PassResult, Request, Step
from rotator.sim import Fault
from tests.support.clock import START
from tests.support.rotation_fixture import NAME, RotationFixture, code
from tests.support.samples import ANN

HOUR = timedelta(hours=1)
GRACE = 2 * HOUR
#: It begins an hour after START and lasts for a week.
FREEZE = Freeze(since=START + HOUR, until=START + timedelta(days=7), reason="holidays")
FROZEN = {"freezes": (FREEZE,)}


def begin(fixture: RotationFixture) -> None:
    """Let the freeze begin."""
    fixture.clock.advance(hours=2)


def end(fixture: RotationFixture) -> None:
    """Let the freeze end."""
    fixture.clock.advance(seconds=(FREEZE.until - fixture.clock.now()).total_seconds())


def outcome(report: PassResult) -> tuple[Outcome, str | None]:
    """Return how a pass ended, and its error's code."""
    return report.outcome, code(report)


def test_what_is_due_waits_for_the_end(tmp_path: Path) -> None:
    """Meanwhile nobody is asked for anything, and nothing counts as tried."""
    with RotationFixture(tmp_path, **FROZEN) as fixture:
        begin(fixture)
        early = fixture.attempt(reason="due")
        asked, events = len(fixture.requests()), fixture.events()
        end(fixture)
        late = fixture.attempt(reason="due")

        assert outcome(early) == (Outcome.IDLE, None)
        assert (asked, events) == (0, [])
        assert late.outcome is Outcome.COMPLETED


def test_what_an_operator_asks_for_is_refused(tmp_path: Path) -> None:
    """With when it ends and why; that somebody asked is recorded, and that nothing was begun."""
    with RotationFixture(tmp_path, **FROZEN) as fixture:
        begin(fixture)
        planned = fixture.reconciler.dry_run(fixture.accounts[NAME], Request(reason="asked"))[0]
        before = len(fixture.requests())
        refused = fixture.attempt(actor=ANN)
        asked = len(fixture.requests()) - before
        state = fixture.writer.load(NAME)
        end(fixture)
        due = fixture.attempt(reason="due")

        assert outcome(refused) == outcome(planned) == (Outcome.REFUSED, "frozen")
        assert refused.exit_code == 3
        assert refused.error is not None
        assert refused.error.message == (
            f"a change freeze is on until {FREEZE.until:%Y-%m-%d %H:%M} UTC: holidays"
        )
        assert asked == 0
        assert (state.trouble, state.failures) == (None, 0)
        assert fixture.events()[:3] == ["requested", "registered", "not-begun"]
        assert due.outcome is Outcome.COMPLETED


def test_a_leaked_secret_goes_through(tmp_path: Path) -> None:
    """The old one is deleted at once, and the log says so."""
    with RotationFixture(tmp_path, grace=GRACE, **FROZEN) as fixture:
        begin(fixture)
        report = fixture.attempt(reason="compromised", grace=timedelta())

        assert report.outcome is Outcome.COMPLETED
        assert len(fixture.secrets()) == 1
        assert "change freeze passed" in "".join(fixture.ear.lines)


@pytest.mark.parametrize("reason", ["due", "asked"])
def test_what_was_not_sent_waits(tmp_path: Path, reason: str) -> None:
    """Also a rotation that an operator asked for before it; asking again is refused."""
    with RotationFixture(tmp_path, **FROZEN) as fixture:
        fixture.world.vault.faults.add(Fault("status", method="POST", times=None))
        failed = fixture.attempt(reason=reason)
        fixture.world.vault.faults.clear()
        begin(fixture)
        put_off = [fixture.attempt(reason="due"), fixture.resume()]
        rotation, asked = fixture.rotation(), fixture.attempt()
        unchanged = fixture.rotation()
        end(fixture)
        late = fixture.attempt(reason="due")

        assert failed.outcome is Outcome.FAILED
        assert [outcome(each) for each in put_off] == [(Outcome.IDLE, None)] * 2
        assert outcome(asked) == (Outcome.REFUSED, "frozen")
        assert rotation is not None
        assert rotation.step in {Step.OPEN, Step.STAGE}
        assert rotation == unchanged
        assert late.outcome is Outcome.COMPLETED


def test_a_value_that_is_pending_is_not_sent(tmp_path: Path) -> None:
    """Nobody but Vault has it, where it can wait for the end of the freeze."""
    with RotationFixture(tmp_path, **FROZEN) as fixture:
        fixture.calls.plan("after", "store.write_pending", 1, fixture.calls.kill)
        fixture.run_until_killed()
        begin(fixture)
        put_off, kept = fixture.attempt(reason="due"), len(fixture.secrets())
        end(fixture)
        late = fixture.attempt(reason="due")

        assert (outcome(put_off), kept) == ((Outcome.IDLE, None), 1)
        assert late.outcome is Outcome.COMPLETED
        assert len(fixture.generated) == 1


@pytest.mark.parametrize("reason", ["due", "asked"])
def test_what_was_sent_is_brought_to_vault(tmp_path: Path, reason: str) -> None:
    """A secret that is in use nowhere is worse than a change; only the deletion waits."""
    with RotationFixture(tmp_path, **FROZEN) as fixture:
        fixture.calls.plan("after", "issuer.create_secret", 1, fixture.calls.kill)
        killed = fixture.run_until_killed(reason=reason)
        begin(fixture)
        report, kept = fixture.attempt(reason=reason), len(fixture.secrets())
        end(fixture)
        late = fixture.attempt(reason="due")

        assert killed is None
        assert outcome(report) == (Outcome.AWAITING_DELETION, None)
        assert report.delete_due_at == FREEZE.until
        assert kept == 2
        assert late.outcome is Outcome.COMPLETED


@pytest.mark.parametrize("grace", [None, timedelta()])
def test_no_deletion_takes_place(tmp_path: Path, grace: timedelta | None) -> None:
    """A grace that is over, or that an operator ends, does not end before the freeze does."""
    with RotationFixture(tmp_path, grace=GRACE, **FROZEN) as fixture:
        fixture.attempt(reason="due")
        fixture.clock.advance(hours=5)
        waiting, planned = (
            fixture.resume(),
            fixture.reconciler.dry_run(
                fixture.accounts[NAME], Request(reason="asked", grace=grace)
            )[0],
        )
        refused = fixture.attempt(grace=grace, actor=ANN)
        kept = len(fixture.secrets())
        end(fixture)
        late = fixture.resume()

        assert outcome(waiting) == (Outcome.AWAITING_DELETION, None)
        assert waiting.delete_due_at == FREEZE.until
        assert outcome(refused) == outcome(planned) == (Outcome.REFUSED, "frozen")
        assert kept == 2
        assert late.outcome is Outcome.COMPLETED


def test_a_deletion_without_grace_waits_as_well(tmp_path: Path) -> None:
    """The freeze began after the push of what was asked for with no grace."""
    with RotationFixture(tmp_path, **FROZEN) as fixture:
        fixture.calls.plan("after", "store.clear_pending", 1, fixture.calls.kill)
        killed = fixture.run_until_killed()
        begin(fixture)
        carried_on = fixture.attempt(grace=timedelta())
        kept = len(fixture.secrets())
        end(fixture)

        assert killed is None
        assert outcome(carried_on) == (Outcome.REFUSED, "frozen")
        assert kept == 2
        assert fixture.resume().outcome is Outcome.COMPLETED


def test_what_waited_in_its_grace_and_leaked_waits_no_more(tmp_path: Path) -> None:
    """Both old secrets go, though the change freeze is on."""
    with RotationFixture(tmp_path, grace=GRACE, **FROZEN) as fixture:
        fixture.attempt(reason="due")
        begin(fixture)
        report = fixture.attempt(reason="compromised", grace=timedelta())

        assert report.outcome is Outcome.COMPLETED
        assert len(fixture.secrets()) == 1


def test_what_is_wrong_is_found_all_the_same(tmp_path: Path) -> None:
    """To look is no change, and what only a freeze puts off is nothing wrong."""
    with RotationFixture(tmp_path, **FROZEN) as fixture:
        begin(fixture)
        well = fixture.reconciler.refresh(fixture.accounts[NAME])
        fixture.make_foreign()
        found = fixture.reconciler.refresh(fixture.accounts[NAME])

        assert well is None
        assert found is not None
        assert found.code == "unknown-current"
