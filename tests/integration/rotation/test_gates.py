"""Gates: what keeps the predecessor until consumers have let go of it."""

from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from rotator.model import Outcome
from rotator.model.notification import Event
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
    with fixture_with_hooks(tmp_path, gate, grace=DAY) as scene:
        [old] = scene.secrets()
        assert scene.attempt().outcome is Outcome.AWAITING_DELETION
        assert gate.calls == []
        scene.clock.advance(days=1)
        report = scene.resume()
        [new] = scene.secrets()

        assert report.outcome is Outcome.COMPLETED
        assert gate.calls == [f"gate {new.id} {old.id}"]
        assert scene.events()[-4:] == [
            "gates-open wait",
            "intent delete",
            "done delete",
            "closed complete",
        ]


def test_a_shut_gate_keeps_the_predecessor(tmp_path: Path, gate: HookScript) -> None:
    """However often it is asked, that is one event, and it is known what is waited for and why."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate) as scene:
        assert scene.attempt().outcome is Outcome.AWAITING_DELETION
        since = scene.clock.now()
        for _ in range(3):
            scene.clock.advance(hours=1)
            assert scene.resume().outcome is Outcome.AWAITING_DELETION
        rotation = scene.rotation()
        kept = len(scene.secrets())
        gate.open()
        report = scene.resume()

        assert rotation
        waiting = rotation.waiting
        assert waiting is not None
        assert (waiting.gate, waiting.reason) == ("gate", "exit status 1: still in use")
        assert waiting.shut_since == since
        assert kept == 2
        assert len(gate.calls) == 5
        assert scene.events().count("gate-shut wait") == 1
        assert report.outcome is Outcome.COMPLETED
        assert scene.rotation().waiting is None  # type: ignore[union-attr]  # there is one
        assert len(scene.secrets()) == 1


def test_all_gates_must_be_open_at_once(tmp_path: Path) -> None:
    """One that was open before is asked again with the other."""
    one, two = HookScript(tmp_path, "one", Event.GATE), HookScript(tmp_path, "two", Event.GATE)
    two.shut()
    with fixture_with_hooks(tmp_path, one, two) as scene:
        scene.attempt()
        one.shut()
        two.open()
        assert scene.resume().outcome is Outcome.AWAITING_DELETION
        waiting = scene.rotation().waiting  # type: ignore[union-attr]  # there is one
        one.open()

        assert waiting is not None
        assert waiting.gate == "one"
        assert scene.resume().outcome is Outcome.COMPLETED
        assert scene.events().count("gate-shut wait") == 2


def test_a_gate_of_other_accounts_is_not_asked(tmp_path: Path, gate: HookScript) -> None:
    """A hook may be for some accounts only."""
    gate.shut()
    other = replace(gate.hook, accounts=frozenset({"other"}))
    with RotationFixture(tmp_path, hooks=(other,)) as scene:
        assert scene.attempt().outcome is Outcome.COMPLETED
        assert gate.calls == []


def test_a_gate_that_is_not_configured_any_more_does_not_block(
    tmp_path: Path, gate: HookScript
) -> None:
    """The rotation that waited for it goes on."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate) as scene:
        scene.attempt()
        scene.setting = replace(scene.setting, hooks=())
        scene.restart()

        assert scene.resume().outcome is Outcome.COMPLETED
        assert len(gate.calls) == 1


def test_a_leaked_secret_waits_for_no_gate(tmp_path: Path, gate: HookScript) -> None:
    """Both the predecessor that waited and the leaked secret go, and the record says so."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate) as scene:
        scene.attempt()
        calls = len(gate.calls)
        report = scene.attempt(reason="compromised", grace=timedelta())

        assert report.outcome is Outcome.COMPLETED
        assert len(scene.secrets()) == 1
        assert len(gate.calls) == calls
        assert scene.events().count("gates-skipped wait") == 2


def test_a_leaked_secret_waits_for_no_gate_after_a_kill(tmp_path: Path, gate: HookScript) -> None:
    """Whoever carries the rotation on knows from the record why it was begun."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate) as scene:
        scene.calls.plan("before", "issuer.delete_secret", 1, scene.calls.kill)
        assert scene.run_until_killed(reason="compromised", grace=timedelta()) is None

        assert scene.resume().outcome is Outcome.COMPLETED
        assert gate.calls == []


def test_what_a_person_took_over_waits_for_no_gate_after_a_kill(
    tmp_path: Path, gate: HookScript
) -> None:
    """That a secret leaked is recorded also where the rotation was open before that was said."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate, grace=DAY) as scene:
        scene.calls.plan("before", "issuer.create_secret", 1, scene.calls.kill)
        assert scene.run_until_killed(reason="due") is None
        scene.calls.plan("before", "issuer.delete_secret", 1, scene.calls.kill)
        assert scene.run_until_killed(reason="compromised", grace=timedelta()) is None

        assert scene.attempt(reason="due").outcome is Outcome.COMPLETED
        assert gate.calls == []
        assert scene.events().count("asked create") == 1


def test_an_account_at_a_gate_is_not_rotated_again(tmp_path: Path, gate: HookScript) -> None:
    """Who asks is told which gate is shut, and why."""
    gate.shut("3 of 7 consumers")
    with fixture_with_hooks(tmp_path, gate) as scene:
        scene.attempt()
        report = scene.attempt()

        assert report.outcome is Outcome.REFUSED
        assert report.error
        assert report.error.code == "gate-shut"
        assert report.error.message == (
            "the last rotation waits for gate gate: exit status 1: 3 of 7 consumers"
        )


def test_a_pass_that_waits_asks_again_ever_more_rarely(tmp_path: Path, gate: HookScript) -> None:
    """After one minute at first, after a quarter of an hour in the end, until it is open."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate) as scene:
        asked: list[float] = []

        def look() -> None:
            if len(gate.calls) > len(asked):
                asked.append(scene.clock.elapsed)
            if len(asked) == 8 and gate.shut_file.exists():
                gate.open()

        scene.clock.wakers.append(look)
        report = scene.attempt(wait=True)
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
    with fixture_with_hooks(tmp_path, gate) as scene:
        scene.attempt()
        at_once = scene.book.due(scene.clock.now())
        scene.clock.advance(seconds=60)

        assert at_once == []
        assert [due.name for due in scene.book.due(scene.clock.now())] == [NAME]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("place", ["hooks.ask", "ledger.commit"])
def test_a_kill_at_a_gate_loses_nothing(
    tmp_path: Path, gate: HookScript, moment: Moment, place: str
) -> None:
    """Around the question or the record of its answer: the next process asks again."""
    gate.shut()
    with fixture_with_hooks(tmp_path, gate) as scene:

        def kill_at_commit() -> None:
            scene.calls.plan(moment, place, 1, scene.calls.kill)

        is_question = place == "hooks.ask"
        at = moment if is_question else "after"
        scene.calls.plan(at, "hooks.ask", 1, scene.calls.kill if is_question else kill_at_commit)
        assert scene.run_until_killed() is None
        asked = len(gate.calls)
        assert scene.resume().outcome is Outcome.AWAITING_DELETION
        kept = len(scene.secrets())
        gate.open()
        report = scene.resume()

        assert kept == 2
        assert asked == (0 if (moment, place) == ("before", "hooks.ask") else 1)
        assert report.outcome is Outcome.COMPLETED
        assert scene.events().count("gate-shut wait") == 1


def test_a_gate_may_take_longer_than_a_look_is_good_for(tmp_path: Path, gate: HookScript) -> None:
    """Then Vonage is looked at again before the deletion, and the gate is not asked again."""
    with fixture_with_hooks(tmp_path, gate) as scene:
        scene.calls.plan("after", "hooks.ask", 1, lambda: scene.clock.advance(seconds=100))
        report = scene.attempt()
        requests = scene.requests("vonage")

        assert report.outcome is Outcome.COMPLETED
        assert len(gate.calls) == 1
        assert [request.split()[0] for request in requests[-2:]] == ["GET", "DELETE"]


def test_what_a_gate_says_is_masked(tmp_path: Path, gate: HookScript) -> None:
    """One that tried the secret, and is as talkative as `sh -x`, does not write it down."""
    with fixture_with_hooks(tmp_path, gate) as scene:
        scene.calls.plan(
            "before", "hooks.ask", 1, lambda: gate.shut(f"+ curl -u key:{scene.look().value}")
        )
        scene.attempt()
        rotation = scene.rotation()
        gate.open()

        assert rotation
        assert rotation.waiting is not None
        assert rotation.waiting.reason == "exit status 1: + curl -u key:***"
