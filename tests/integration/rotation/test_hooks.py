"""Hooks: who is told what, and that it does not stop a rotation."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.errors import Stopping
from rotator.hooks.answer import Answer
from rotator.hooks.runner import HookRunner
from rotator.ledger.deliveries import Deliveries
from rotator.model import Outcome, Request
from rotator.model.notification import Delivery, Event
from rotator.rotation.steps.retire import AskGates, Delete, Notify, Wait
from tests.support.hook_scripts import HookScript, fixture_with_hooks
from tests.support.rotation_fixture import NAME, RotationFixture

DAY = timedelta(days=1)


@pytest.fixture
def told(tmp_path: Path) -> HookScript:
    """A hook that is told of a new secret."""
    return HookScript(tmp_path, "told", Event.PUSHED)


# -- Being told of a new secret. -----------------------------------------------------------


def test_consumers_are_told_before_the_old_secret_goes(tmp_path: Path, told: HookScript) -> None:
    """Also where there is no grace."""
    with fixture_with_hooks(tmp_path, told) as fixture:
        old, alive = fixture.secrets()[0].id, list[int]()
        fixture.calls.plan(
            "before", "issuer.delete_secret", 1, lambda: alive.append(len(told.calls))
        )
        report = fixture.attempt()

        assert report.outcome is Outcome.COMPLETED
        assert alive == [1]
        assert told.calls == [f"pushed {report.new_secret_id} {old}"]
        assert fixture.events().count("delivered hooks") == 1


@pytest.mark.parametrize("is_over", [False, True])
def test_who_is_being_told_elsewhere_is_waited_for(
    tmp_path: Path, told: HookScript, *, is_over: bool
) -> None:
    """A call that another process has begun ends before the old secret goes, or is made again."""
    with fixture_with_hooks(tmp_path, told) as fixture:
        other, taken = Deliveries(fixture.database, owner="elsewhere/x/y/1/2"), list[Delivery]()
        late, kept = timedelta(minutes=1), list[int]()

        def take() -> None:
            now = fixture.clock.now()
            delivery = other.claim(["told"], accounts=None, longest=late, due=now, now=now)
            taken.extend(filter(None, [delivery]))

        def end() -> None:
            kept.append(len(fixture.secrets()))
            if is_over:
                other.settle(taken[0], None, now=fixture.clock.now())

        fixture.calls.plan("before", "hooks.notify", 1, take)
        fixture.calls.plan("before", "hooks.is_notifying", 3, end)
        began = fixture.clock.now()
        report = fixture.attempt()

        assert (len(taken), kept) == (1, [2])
        assert report.outcome is Outcome.COMPLETED
        assert len(told.calls) == (0 if is_over else 1)
        assert (fixture.clock.now() - began > late) is not is_over


def test_a_hook_that_fails_does_not_stop_a_rotation(tmp_path: Path, told: HookScript) -> None:
    """It is tried again until it succeeds; its first failure and its success are recorded."""
    told.shut("no route")
    with fixture_with_hooks(tmp_path, told) as fixture:
        assert fixture.attempt().outcome is Outcome.COMPLETED
        [undelivered] = fixture.deliveries.undelivered(["told"])
        for _ in range(3):
            fixture.clock.advance(hours=2)
            assert len(list(fixture.dispatcher.deliver(None))) == 1
        told.open()
        fixture.clock.advance(hours=2)
        [attempt] = fixture.dispatcher.deliver(None)

        assert undelivered.reason == "exit status 1: no route"
        assert attempt.reason is None
        assert fixture.deliveries.undelivered(["told"]) == []
        assert len(told.calls) == 5
        assert [e for e in fixture.events() if "hooks" in e] == [
            "undelivered hooks",
            "done hooks",
            "delivered hooks",
        ]


def test_a_deletion_does_not_wait_for_what_older_rotations_left(
    tmp_path: Path, told: HookScript
) -> None:
    """A hook that has long been dead is called once for the leaked secret, and not for each."""
    told.shut("no route")
    with fixture_with_hooks(tmp_path, told) as fixture:
        for _ in range(3):
            fixture.attempt()
            fixture.clock.advance(hours=2)
        calls, alive = len(told.calls), list[int]()
        fixture.calls.plan(
            "before", "issuer.delete_secret", 1, lambda: alive.append(len(told.calls))
        )
        report = fixture.attempt(reason="compromised", grace=timedelta())
        fixture.clock.advance(hours=2)

        assert report.outcome is Outcome.COMPLETED
        assert [number - calls for number in alive] == [1]
        assert len(list(fixture.dispatcher.deliver([NAME]))) == 4


def test_who_is_killed_before_telling_is_followed_by_one_who_tells(
    tmp_path: Path, told: HookScript
) -> None:
    """The delivery was recorded with the event itself."""
    with fixture_with_hooks(tmp_path, told, grace=DAY) as fixture:
        fixture.calls.plan("before", "hooks.notify", 1, fixture.calls.kill)
        assert fixture.run_until_killed() is None
        before = list(told.calls)
        fixture.resume()

        assert before == []
        assert len(told.calls) == 1


def test_who_is_killed_after_telling_tells_again(
    tmp_path: Path, told: HookScript, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between the call and its record: once too often, rather than never."""
    with fixture_with_hooks(tmp_path, told, grace=DAY) as fixture:
        monkeypatch.setattr(
            type(fixture.deliveries), "settle", lambda *_args, **_named: fixture.calls.kill()
        )
        assert fixture.run_until_killed() is None
        monkeypatch.undo()
        fixture.resume()

        assert len(told.calls) == 2
        assert len(set(told.calls)) == 1
        assert fixture.events().count("delivered hooks") == 1


def test_no_value_is_told(tmp_path: Path, told: HookScript) -> None:
    """Whatever a hook was given is searched for every value that ever was."""
    gate = HookScript(tmp_path, "gate", Event.GATE)
    with fixture_with_hooks(tmp_path, told, gate) as fixture:
        fixture.attempt()
        given = (tmp_path / "environments").read_text()

        assert "ROTATOR_SECRET_ID" in given
        assert not [value for value in fixture._values() if value in given]


def test_a_dry_run_shows_hooks_and_gates(tmp_path: Path, told: HookScript) -> None:
    """And calls none of them."""
    gate = HookScript(tmp_path, "gate", Event.GATE)
    with fixture_with_hooks(tmp_path, told, gate) as fixture:
        _, actions, _ = fixture.reconciler.dry_run(fixture.accounts[NAME], Request(reason="asked"))
        kinds = [type(action) for action in actions]

        assert kinds.index(Notify) < kinds.index(AskGates) < kinds.index(Delete)
        assert Wait not in kinds
        assert told.calls == gate.calls == []


def test_without_hooks_nothing_is_different(tmp_path: Path) -> None:
    """No step and no entry more."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt()

        assert not [event for event in fixture.events() if "hooks" in event or "gate" in event]
        assert fixture.calls.count("hooks.notify") == fixture.calls.count("hooks.ask") == 0


# -- What else is told. --------------------------------------------------------------------


def test_an_abandoned_delivery_is_recorded(tmp_path: Path) -> None:
    """After a week, what only informs is given up; what consumers depend on is not."""
    news = HookScript(tmp_path, "news", Event.COMPLETED, Event.PUSHED)
    news.shut()
    with fixture_with_hooks(tmp_path, news) as fixture:
        fixture.attempt()
        list(fixture.dispatcher.deliver(None))
        fixture.clock.advance(days=7)
        list(fixture.dispatcher.deliver(None))

        assert [each.event for each in fixture.deliveries.undelivered(["news"])] == [Event.PUSHED]
        assert fixture.events().count("given-up hooks") == 1


def test_what_a_process_was_telling_when_it_ended_is_told_by_the_next(
    tmp_path: Path, told: HookScript
) -> None:
    """At once, as nobody is at it any more."""

    class Ending(HookRunner):
        """Calls for a process that is to end."""

        def run(self, *_arguments: object, **_named: object) -> Answer:
            """Break off."""
            raise Stopping

    with fixture_with_hooks(tmp_path, told, grace=DAY) as fixture:
        ending = replace(fixture.dispatcher, runner=Ending(environ={}))
        fixture.reconciler = replace(fixture.reconciler, hooks=ending)
        report = fixture.attempt()
        fixture.restart()

        assert report.outcome is Outcome.BUSY
        assert fixture.resume().outcome is Outcome.AWAITING_DELETION
        assert len(told.calls) == 1
        assert fixture.clock.now() - fixture.begun_at < timedelta(minutes=1)


def test_the_same_failure_is_told_once(tmp_path: Path) -> None:
    """A refusal that stays is one message; when it is over and comes back, that is another."""
    news = HookScript(tmp_path, "news", Event.REFUSED, Event.DRIFT, Event.FAILED, Event.COMPLETED)
    with fixture_with_hooks(tmp_path, news, rotated_before=True) as fixture:
        foreign = fixture.make_foreign()
        for _ in range(3):
            assert fixture.attempt().outcome is Outcome.REFUSED
            fixture.clock.advance(hours=1)
            fixture.reconciler.refresh(fixture.accounts[NAME])
        fixture.revoke(foreign)
        fixture.reconciler.refresh(fixture.accounts[NAME])
        fixture.make_foreign(value="MadeByHand2")
        fixture.reconciler.refresh(fixture.accounts[NAME])
        list(fixture.dispatcher.deliver(None))

        assert [call.split()[0] for call in news.calls][1:] == ["refused", "drift"]
