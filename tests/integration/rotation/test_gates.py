"""Gates: what keeps the predecessor until consumers have let go of it."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from rotator.model import Outcome
from rotator.model.notification import Event, Hook
from tests.support.hook_scripts import HookScript, fixture_with_hooks
from tests.support.port_interceptor import MOMENTS, Moment
from tests.support.rotation_fixture import NAME, RotationFixture

DAY = timedelta(days=1)


@pytest.fixture
def gate(tmp_path: Path) -> HookScript:
    """A gate."""
    return HookScript(tmp_path, "gate", Event.GATE)


def test_an_open_gate_is_asked_before_the_deletion(tmp_path: Path, gate: HookScript) -> None:
    """Once the grace is over, about this very secret; that it was open is recorded."""
    with fixture_with_hooks(tmp_path, gate, grace=DAY) as fixture:
        [old] = fixture.secrets()
        assert fixture.attempt().outcome is Outcome.AWAITING_DELETION
        assert gate.calls == []
        fixture.clock.advance(days=1)
        report = fixture.resume()
        [new] = fixture.secrets()

        assert report.outcome is Outcome.COMPLETED
        assert gate.calls == [f"gate {new.id} {old.id}"]
        assert fixture.events()[-4:] == [
            "gates-open wait",
            "intent delete",
            "done delete",
            "closed complete",
        ]


def test_a_shut_gate_keeps_the_predecessor(tmp_path: Path, gate: HookScript) -> None:
    """However often it is asked, that is one event, and it is known what is waited for and why."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate) as fixture:
        assert fixture.attempt().outcome is Outcome.AWAITING_DELETION
        since = fixture.clock.now()
        for _ in range(3):
            fixture.clock.advance(hours=1)
            assert fixture.resume().outcome is Outcome.AWAITING_DELETION
        rotation = fixture.rotation()
        kept = len(fixture.secrets())
        gate.open()
        report = fixture.resume()

        assert rotation
        waiting = rotation.waiting
        assert waiting is not None
        assert (waiting.gate, waiting.reason) == ("gate", "exit status 1: still in use")
        assert waiting.shut_since == since
        assert kept == 2
        assert len(gate.calls) == 5
        assert fixture.events().count("gate-shut wait") == 1
        assert report.outcome is Outcome.COMPLETED
        assert fixture.rotation().waiting is None  # type: ignore[union-attr]  # there is one
        assert len(fixture.secrets()) == 1


def test_a_gate_that_does_not_answer_in_time_is_shut(tmp_path: Path) -> None:
    """Nobody has said that consumers have let go of the old secret."""
    gate = Hook(
        name="gate",
        on=frozenset({Event.GATE}),
        command=("/bin/sleep", "3600"),
        timeout=timedelta(milliseconds=100),
    )
    with RotationFixture(tmp_path, hooks=(gate,)) as fixture:
        report = fixture.attempt()
        waiting = fixture.rotation().waiting  # type: ignore[union-attr]  # there is one

        assert report.outcome is Outcome.AWAITING_DELETION
        assert waiting is not None
        assert waiting.gate == "gate"
        assert (waiting.reason or "").startswith("timed out")
        assert len(fixture.secrets()) == 2


def test_all_gates_must_be_open_at_once(tmp_path: Path) -> None:
    """One that was open before is asked again with the other."""
    one, two = HookScript(tmp_path, "one", Event.GATE), HookScript(tmp_path, "two", Event.GATE)
    two.shut()
    with fixture_with_hooks(tmp_path, one, two) as fixture:
        fixture.attempt()
        one.shut()
        two.open()
        assert fixture.resume().outcome is Outcome.AWAITING_DELETION
        waiting = fixture.rotation().waiting  # type: ignore[union-attr]  # there is one
        one.open()

        assert waiting is not None
        assert waiting.gate == "one"
        assert fixture.resume().outcome is Outcome.COMPLETED
        assert fixture.events().count("gate-shut wait") == 2


def test_a_gate_of_other_accounts_is_not_asked(tmp_path: Path, gate: HookScript) -> None:
    """A hook may be for some accounts only."""
    gate.shut()
    other = replace(gate.hook, accounts=frozenset({"other"}))
    with RotationFixture(tmp_path, hooks=(other,)) as fixture:
        assert fixture.attempt().outcome is Outcome.COMPLETED
        assert gate.calls == []


def test_a_gate_that_is_not_configured_any_more_does_not_block(
    tmp_path: Path, gate: HookScript
) -> None:
    """The rotation that waited for it goes on."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate) as fixture:
        fixture.attempt()
        fixture.setting = replace(fixture.setting, hooks=())
        fixture.restart()

        assert fixture.resume().outcome is Outcome.COMPLETED
        assert len(gate.calls) == 1


def test_a_leaked_secret_waits_for_no_gate(tmp_path: Path, gate: HookScript) -> None:
    """Both the predecessor that waited and the leaked secret go, and the record says so."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate) as fixture:
        fixture.attempt()
        calls = len(gate.calls)
        report = fixture.attempt(reason="compromised", grace=timedelta())

        assert report.outcome is Outcome.COMPLETED
        assert len(fixture.secrets()) == 1
        assert len(gate.calls) == calls
        assert fixture.events().count("gates-skipped wait") == 2


def test_a_leaked_secret_waits_for_no_gate_after_a_kill(tmp_path: Path, gate: HookScript) -> None:
    """Whoever carries the rotation on knows from the record why it was begun."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate) as fixture:
        fixture.calls.plan("before", "issuer.delete_secret", 1, fixture.calls.kill)
        assert fixture.run_until_killed(reason="compromised", grace=timedelta()) is None

        assert fixture.resume().outcome is Outcome.COMPLETED
        assert gate.calls == []


def test_what_a_person_took_over_waits_for_no_gate_after_a_kill(
    tmp_path: Path, gate: HookScript
) -> None:
    """That a secret leaked is recorded also where the rotation was open before that was said."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate, grace=DAY) as fixture:
        fixture.calls.plan("before", "issuer.create_secret", 1, fixture.calls.kill)
        assert fixture.run_until_killed(reason="due") is None
        fixture.calls.plan("before", "issuer.delete_secret", 1, fixture.calls.kill)
        assert fixture.run_until_killed(reason="compromised", grace=timedelta()) is None

        assert fixture.attempt(reason="due").outcome is Outcome.COMPLETED
        assert gate.calls == []
        assert fixture.events().count("asked create") == 1


def test_an_account_at_a_gate_is_not_rotated_again(tmp_path: Path, gate: HookScript) -> None:
    """Who asks is told which gate is shut, and why."""
    gate.shut("3 of 7 consumers")
    with fixture_with_hooks(tmp_path, gate) as fixture:
        fixture.attempt()
        report = fixture.attempt()

        assert report.outcome is Outcome.REFUSED
        assert report.error
        assert report.error.code == "gate-shut"
        assert report.error.message == (
            "the last rotation waits for gate gate: exit status 1: 3 of 7 consumers"
        )


def test_a_pass_that_waits_asks_again_ever_more_rarely(tmp_path: Path, gate: HookScript) -> None:
    """After one minute at first, after a quarter of an hour in the end, until it is open."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate) as fixture:
        asked: list[float] = []

        def look() -> None:
            if len(gate.calls) > len(asked):
                asked.append(fixture.clock.elapsed)
            if len(asked) == 8 and gate.shut_file.exists():
                gate.open()

        fixture.clock.wakers.append(look)
        report = fixture.attempt(wait=True)
        waits = [b - a for a, b in pairwise(asked)]

        assert report.outcome is Outcome.COMPLETED
        assert waits == sorted(waits)
        assert waits[0] == pytest.approx(60, abs=30)
        assert waits[-1] == pytest.approx(900, abs=60)


def test_the_daemon_comes_back_when_it_is_time_to_ask_again(
    tmp_path: Path, gate: HookScript
) -> None:
    """Not before, though nothing else is waited for."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate) as fixture:
        fixture.attempt()
        at_once = fixture.writer.due(fixture.clock.now())
        fixture.clock.advance(seconds=60)

        assert at_once == []
        assert [due.name for due in fixture.writer.due(fixture.clock.now())] == [NAME]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("place", ["hooks.ask", "ledger.commit"])
def test_a_kill_at_a_gate_loses_nothing(
    tmp_path: Path, gate: HookScript, moment: Moment, place: str
) -> None:
    """Around the question or the record of its answer: the next process asks again."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate) as fixture:

        def kill_at_commit() -> None:
            fixture.calls.plan(moment, place, 1, fixture.calls.kill)

        is_question = place == "hooks.ask"
        at = moment if is_question else "after"
        fixture.calls.plan(
            at, "hooks.ask", 1, fixture.calls.kill if is_question else kill_at_commit
        )
        assert fixture.run_until_killed() is None
        asked = len(gate.calls)
        assert fixture.resume().outcome is Outcome.AWAITING_DELETION
        kept = len(fixture.secrets())
        gate.open()
        report = fixture.resume()

        assert kept == 2
        assert asked == (0 if (moment, place) == ("before", "hooks.ask") else 1)
        assert report.outcome is Outcome.COMPLETED
        assert fixture.events().count("gate-shut wait") == 1


def test_a_gate_may_take_longer_than_a_look_is_good_for(tmp_path: Path, gate: HookScript) -> None:
    """Then Vonage is looked at again before the deletion, and the gate is not asked again."""
    with fixture_with_hooks(tmp_path, gate) as fixture:
        fixture.calls.plan("after", "hooks.ask", 1, lambda: fixture.clock.advance(seconds=100))
        report = fixture.attempt()
        requests = fixture.requests("vonage")

        assert report.outcome is Outcome.COMPLETED
        assert len(gate.calls) == 1
        assert [request.split()[0] for request in requests[-2:]] == ["GET", "DELETE"]


def test_what_a_gate_says_is_masked(tmp_path: Path, gate: HookScript) -> None:
    """One that tried the secret, and is as talkative as `sh -x`, does not write it down."""
    with fixture_with_hooks(tmp_path, gate) as fixture:
        fixture.calls.plan(
            "before", "hooks.ask", 1, lambda: gate.shut(f"+ curl -u key:{fixture.look().value}")
        )
        fixture.attempt()
        rotation = fixture.rotation()
        gate.open()

        assert rotation
        assert rotation.waiting is not None
        assert rotation.waiting.reason == "exit status 1: + curl -u key:***"
