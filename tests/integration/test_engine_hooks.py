from dataclasses import replace
from datetime import timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from rotator.actions import (
    Ask,
    Delete,
    Notify,
    Wait,
)
from rotator.errors import Stopping
from rotator.hooks.call import Caller
from rotator.ledger.deliveries import Deliveries
from rotator.model import Outcome, Request
from rotator.notice import Delivery, Event, Hook
from tests.harness.scene import NAME, Scene
from tests.harness.tap import MOMENTS, Moment

DAY = timedelta(days=1)


class Script:
    """A hook's program: it writes down that it was called, and fails as long as a file is there."""

    def __init__(self, folder: Path, name: str, *events: Event) -> None:
        """Write it; it succeeds."""
        self.calls_file, self.shut_file = folder / f"{name}-calls", folder / f"{name}-shut"
        program = folder / name
        program.write_text(
            "#!/bin/sh\n"
            'echo "$ROTATOR_EVENT $ROTATOR_SECRET_ID $ROTATOR_OLD_SECRET_ID"'
            f" >> {self.calls_file}\n"
            f"env >> {folder / 'environments'}\n"
            f"[ ! -e {self.shut_file} ] || {{ cat {self.shut_file} >&2; exit 1; }}\n"
        )
        program.chmod(0o700)
        self.hook = Hook(name=name, on=frozenset(events), command=(str(program),))

    def shut(self, why: str = "still in use") -> None:
        """Let it fail from now on."""
        self.shut_file.write_text(f"{why}\n")

    def open(self) -> None:
        """Let it succeed from now on."""
        self.shut_file.unlink()

    @property
    def calls(self) -> list[str]:
        """What it was called for."""
        return self.calls_file.read_text().splitlines() if self.calls_file.exists() else []


@pytest.fixture
def gate(tmp_path: Path) -> Script:
    """A gate."""
    return Script(tmp_path, "gate", Event.GATE)


@pytest.fixture
def told(tmp_path: Path) -> Script:
    """A hook that is told of a new secret."""
    return Script(tmp_path, "told", Event.PUSHED)


def scene_of(folder: Path, *scripts: Script, **setting: Any) -> Scene:  # noqa: ANN401  # of `Setting`
    """Give a scene with these hooks."""
    return Scene(folder, hooks=tuple(script.hook for script in scripts), **setting)


# -- Gates. --------------------------------------------------------------------------------


def test_an_open_gate_is_asked_before_the_deletion(tmp_path: Path, gate: Script) -> None:
    """Once the grace is over, about this very secret; that it was open is recorded."""
    with scene_of(tmp_path, gate, grace=DAY) as scene:
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


def test_a_shut_gate_keeps_the_predecessor(tmp_path: Path, gate: Script) -> None:
    """However often it is asked, that is one event, and it is known what is waited for and why."""
    gate.shut()
    with scene_of(tmp_path, gate) as scene:
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
        assert (rotation.gate, rotation.gate_reason) == ("gate", "exit status 1: still in use")
        assert rotation.gate_since == since
        assert kept == 2
        assert len(gate.calls) == 5
        assert scene.events().count("gate-shut wait") == 1
        assert report.outcome is Outcome.COMPLETED
        assert scene.rotation().gate is None  # type: ignore[union-attr]  # there is one
        assert len(scene.secrets()) == 1


def test_all_gates_must_be_open_at_once(tmp_path: Path) -> None:
    """One that was open before is asked again with the other."""
    one, two = Script(tmp_path, "one", Event.GATE), Script(tmp_path, "two", Event.GATE)
    two.shut()
    with scene_of(tmp_path, one, two) as scene:
        scene.attempt()
        one.shut()
        two.open()
        assert scene.resume().outcome is Outcome.AWAITING_DELETION
        waits_for = scene.rotation().gate  # type: ignore[union-attr]  # there is one
        one.open()

        assert waits_for == "one"
        assert scene.resume().outcome is Outcome.COMPLETED
        assert scene.events().count("gate-shut wait") == 2


def test_a_gate_of_other_accounts_is_not_asked(tmp_path: Path, gate: Script) -> None:
    """A hook may be for some accounts only."""
    gate.shut()
    other = replace(gate.hook, accounts=frozenset({"other"}))
    with Scene(tmp_path, hooks=(other,)) as scene:
        assert scene.attempt().outcome is Outcome.COMPLETED
        assert gate.calls == []


def test_a_gate_that_is_not_configured_any_more_does_not_block(
    tmp_path: Path, gate: Script
) -> None:
    """The rotation that waited for it goes on."""
    gate.shut()
    with scene_of(tmp_path, gate) as scene:
        scene.attempt()
        scene.setting = replace(scene.setting, hooks=())
        scene.restart()

        assert scene.resume().outcome is Outcome.COMPLETED
        assert len(gate.calls) == 1


def test_a_leaked_secret_waits_for_no_gate(tmp_path: Path, gate: Script) -> None:
    """Both the predecessor that waited and the leaked secret go, and the record says so."""
    gate.shut()
    with scene_of(tmp_path, gate) as scene:
        scene.attempt()
        calls = len(gate.calls)
        report = scene.attempt(reason="compromised", grace=timedelta())

        assert report.outcome is Outcome.COMPLETED
        assert len(scene.secrets()) == 1
        assert len(gate.calls) == calls
        assert scene.events().count("gates-skipped wait") == 2


def test_a_leaked_secret_waits_for_no_gate_after_a_kill(tmp_path: Path, gate: Script) -> None:
    """Whoever carries the rotation on knows from the record why it was begun."""
    gate.shut()
    with scene_of(tmp_path, gate) as scene:
        scene.calls.plan("before", "issuer.delete_secret", 1, scene.calls.kill)
        assert scene.run_until_killed(reason="compromised", grace=timedelta()) is None

        assert scene.resume().outcome is Outcome.COMPLETED
        assert gate.calls == []


def test_what_a_person_took_over_waits_for_no_gate_after_a_kill(
    tmp_path: Path, gate: Script
) -> None:
    """That a secret leaked is recorded also where the rotation was open before that was said."""
    gate.shut()
    with scene_of(tmp_path, gate, grace=DAY) as scene:
        scene.calls.plan("before", "issuer.create_secret", 1, scene.calls.kill)
        assert scene.run_until_killed(reason="due") is None
        scene.calls.plan("before", "issuer.delete_secret", 1, scene.calls.kill)
        assert scene.run_until_killed(reason="compromised", grace=timedelta()) is None

        assert scene.attempt(reason="due").outcome is Outcome.COMPLETED
        assert gate.calls == []
        assert scene.events().count("asked create") == 1


def test_an_account_at_a_gate_is_not_rotated_again(tmp_path: Path, gate: Script) -> None:
    """Who asks is told which gate is shut, and why."""
    gate.shut("3 of 7 consumers")
    with scene_of(tmp_path, gate) as scene:
        scene.attempt()
        report = scene.attempt()

        assert report.outcome is Outcome.REFUSED
        assert report.error
        assert report.error.code == "gate-shut"
        assert report.error.message == (
            "the last rotation waits for gate gate: exit status 1: 3 of 7 consumers"
        )


def test_a_pass_that_waits_asks_again_ever_more_rarely(tmp_path: Path, gate: Script) -> None:
    """After one minute at first, after a quarter of an hour in the end, until it is open."""
    gate.shut()
    with scene_of(tmp_path, gate) as scene:
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


def test_the_daemon_comes_back_when_it_is_time_to_ask_again(tmp_path: Path, gate: Script) -> None:
    """Not before, though nothing else is waited for."""
    gate.shut()
    with scene_of(tmp_path, gate) as scene:
        scene.attempt()
        at_once = scene.book.due(scene.clock.now())
        scene.clock.advance(seconds=60)

        assert at_once == []
        assert [due.name for due in scene.book.due(scene.clock.now())] == [NAME]


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize("place", ["hooks.ask", "ledger.commit"])
def test_a_kill_at_a_gate_loses_nothing(
    tmp_path: Path, gate: Script, moment: Moment, place: str
) -> None:
    """Around the question or the record of its answer: the next process asks again."""
    gate.shut()
    with scene_of(tmp_path, gate) as scene:

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


def test_a_gate_may_take_longer_than_a_look_is_good_for(tmp_path: Path, gate: Script) -> None:
    """Then Vonage is looked at again before the deletion, and the gate is not asked again."""
    with scene_of(tmp_path, gate) as scene:
        scene.calls.plan("after", "hooks.ask", 1, lambda: scene.clock.advance(seconds=100))
        report = scene.attempt()
        requests = scene.requests("vonage")

        assert report.outcome is Outcome.COMPLETED
        assert len(gate.calls) == 1
        assert [request.split()[0] for request in requests[-2:]] == ["GET", "DELETE"]


def test_what_a_gate_says_is_masked(tmp_path: Path, gate: Script) -> None:
    """One that tried the secret, and is as talkative as `sh -x`, does not write it down."""
    with scene_of(tmp_path, gate) as scene:
        scene.calls.plan(
            "before", "hooks.ask", 1, lambda: gate.shut(f"+ curl -u key:{scene.look().value}")
        )
        scene.attempt()
        rotation = scene.rotation()
        gate.open()

        assert rotation
        assert rotation.gate_reason == "exit status 1: + curl -u key:***"


# -- Being told of a new secret. -----------------------------------------------------------


def test_consumers_are_told_before_the_old_secret_goes(tmp_path: Path, told: Script) -> None:
    """Also where there is no grace."""
    with scene_of(tmp_path, told) as scene:
        old, alive = scene.secrets()[0].id, list[int]()
        scene.calls.plan("before", "issuer.delete_secret", 1, lambda: alive.append(len(told.calls)))
        report = scene.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert alive == [1]
        assert told.calls == [f"pushed {report.new_secret_id} {old}"]
        assert scene.events().count("delivered hooks") == 1


@pytest.mark.parametrize("is_over", [False, True])
def test_who_is_being_told_elsewhere_is_waited_for(
    tmp_path: Path, told: Script, *, is_over: bool
) -> None:
    """A call that another process has begun ends before the old secret goes, or is made again."""
    with scene_of(tmp_path, told) as scene:
        other, taken = Deliveries(scene.database, owner="elsewhere/x/y/1/2"), list[Delivery]()
        late, kept = timedelta(minutes=1), list[int]()

        def take() -> None:
            now = scene.clock.now()
            delivery = other.claim(["told"], accounts=None, longest=late, due=now, now=now)
            taken.extend(filter(None, [delivery]))

        def end() -> None:
            kept.append(len(scene.secrets()))
            if is_over:
                other.settle(taken[0], None, now=scene.clock.now())

        scene.calls.plan("before", "hooks.tell", 1, take)
        scene.calls.plan("before", "hooks.is_telling", 3, end)
        began = scene.clock.now()
        report = scene.attempt()

        assert (len(taken), kept) == (1, [2])
        assert report.outcome is Outcome.COMPLETED
        assert len(told.calls) == (0 if is_over else 1)
        assert (scene.clock.now() - began > late) is not is_over


def test_a_hook_that_fails_does_not_stop_a_rotation(tmp_path: Path, told: Script) -> None:
    """It is tried again until it succeeds; its first failure and its success are recorded."""
    told.shut("no route")
    with scene_of(tmp_path, told) as scene:
        assert scene.attempt().outcome is Outcome.COMPLETED
        [undelivered] = scene.deliveries.undelivered(["told"])
        for _ in range(3):
            scene.clock.advance(hours=2)
            assert len(list(scene.courier.deliver(None))) == 1
        told.open()
        scene.clock.advance(hours=2)
        [attempt] = scene.courier.deliver(None)

        assert undelivered.reason == "exit status 1: no route"
        assert attempt.reason is None
        assert scene.deliveries.undelivered(["told"]) == []
        assert len(told.calls) == 5
        assert [e for e in scene.events() if "hooks" in e] == [
            "undelivered hooks",
            "done hooks",
            "delivered hooks",
        ]


def test_a_deletion_does_not_wait_for_what_older_rotations_left(
    tmp_path: Path, told: Script
) -> None:
    """A hook that has long been dead is called once for the leaked secret, and not for each."""
    told.shut("no route")
    with scene_of(tmp_path, told) as scene:
        for _ in range(3):
            scene.attempt()
            scene.clock.advance(hours=2)
        calls, alive = len(told.calls), list[int]()
        scene.calls.plan("before", "issuer.delete_secret", 1, lambda: alive.append(len(told.calls)))
        report = scene.attempt(reason="compromised", grace=timedelta())
        scene.clock.advance(hours=2)

        assert report.outcome is Outcome.COMPLETED
        assert [number - calls for number in alive] == [1]
        assert len(list(scene.courier.deliver([NAME]))) == 4


def test_who_is_killed_before_telling_is_followed_by_one_who_tells(
    tmp_path: Path, told: Script
) -> None:
    """The delivery was recorded with the event itself."""
    with scene_of(tmp_path, told, grace=DAY) as scene:
        scene.calls.plan("before", "hooks.tell", 1, scene.calls.kill)
        assert scene.run_until_killed() is None
        before = list(told.calls)
        scene.resume()

        assert before == []
        assert len(told.calls) == 1


def test_who_is_killed_after_telling_tells_again(
    tmp_path: Path, told: Script, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the call and its record: once too often, rather than never."""
    with scene_of(tmp_path, told, grace=DAY) as scene:
        monkeypatch.setattr(
            type(scene.deliveries), "settle", lambda *_args, **_named: scene.calls.kill()
        )
        assert scene.run_until_killed() is None
        monkeypatch.undo()
        scene.resume()

        assert len(told.calls) == 2
        assert len(set(told.calls)) == 1
        assert scene.events().count("delivered hooks") == 1


def test_no_value_is_told(tmp_path: Path, told: Script, gate: Script) -> None:
    """Whatever a hook was given is searched for every value that ever was."""
    with scene_of(tmp_path, told, gate) as scene:
        scene.attempt()
        given = (tmp_path / "environments").read_text()

        assert "ROTATOR_SECRET_ID" in given
        assert not [value for value in scene._values() if value in given]


def test_a_dry_run_shows_hooks_and_gates(tmp_path: Path, told: Script, gate: Script) -> None:
    """And calls none of them."""
    with scene_of(tmp_path, told, gate) as scene:
        _, actions, _ = scene.engine.plan(scene.accounts[NAME], Request(reason="asked"))
        kinds = [type(action) for action in actions]

        assert kinds.index(Notify) < kinds.index(Ask) < kinds.index(Delete)
        assert Wait not in kinds
        assert told.calls == gate.calls == []


def test_without_hooks_nothing_is_different(tmp_path: Path) -> None:
    """No step and no entry more."""
    with Scene(tmp_path) as scene:
        scene.attempt()

        assert not [event for event in scene.events() if "hooks" in event or "gate" in event]
        assert scene.calls.count("hooks.tell") == scene.calls.count("hooks.ask") == 0


# -- What else is told. --------------------------------------------------------------------


def test_an_abandoned_delivery_is_recorded(tmp_path: Path) -> None:
    """After a week, what only informs is given up; what consumers depend on is not."""
    news = Script(tmp_path, "news", Event.COMPLETED, Event.PUSHED)
    news.shut()
    with scene_of(tmp_path, news) as scene:
        scene.attempt()
        list(scene.courier.deliver(None))
        scene.clock.advance(days=7)
        list(scene.courier.deliver(None))

        assert [each.event for each in scene.deliveries.undelivered(["news"])] == [Event.PUSHED]
        assert scene.events().count("given-up hooks") == 1


def test_what_a_process_was_telling_when_it_ended_is_told_by_the_next(
    tmp_path: Path, told: Script
) -> None:
    """At once, as nobody is at it any more."""

    class Ending(Caller):
        """Calls for a process that is to end."""

        def call(self, *_arguments: object, **_named: object) -> str | None:
            """Break off."""
            raise Stopping

    with scene_of(tmp_path, told, grace=DAY) as scene:
        ending = replace(scene.courier, caller=Ending(environ={}))
        scene.engine = replace(scene.engine, hooks=ending)
        report = scene.attempt()
        scene.restart()

        assert report.outcome is Outcome.BUSY
        assert scene.resume().outcome is Outcome.AWAITING_DELETION
        assert len(told.calls) == 1
        assert scene.clock.now() - scene.begun_at < timedelta(minutes=1)


def test_the_same_failure_is_told_once(tmp_path: Path) -> None:
    """A refusal that stays is one message; when it is over and comes back, that is another."""
    news = Script(tmp_path, "news", Event.REFUSED, Event.DRIFT, Event.FAILED, Event.COMPLETED)
    with scene_of(tmp_path, news) as scene:
        foreign = scene.make_foreign()
        for _ in range(3):
            assert scene.attempt().outcome is Outcome.REFUSED
            scene.clock.advance(hours=1)
            scene.engine.refresh(scene.accounts[NAME])
        scene.revoke(foreign)
        scene.engine.refresh(scene.accounts[NAME])
        scene.make_foreign(value="MadeByHand2")
        scene.engine.refresh(scene.accounts[NAME])
        list(scene.courier.deliver(None))

        assert [call.split()[0] for call in news.calls] == ["refused", "drift"]
