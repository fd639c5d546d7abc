"""Requests through the trigger, carried out by passes that may be killed at any instant."""

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest
from structlog.testing import capture_logs

from rotator.daemon.health import Health
from rotator.daemon.triggered import TriggeredPasses
from rotator.daemon.workers import PassWorkers, WorkerPool
from rotator.ledger.holds import Holds
from rotator.ledger.triggers import Triggers
from rotator.model import Actor, Freeze, Hold, Outcome, PassResult
from rotator.model.trigger import TriggerRequest
from tests.support.port_interceptor import MOMENTS, Killed, Moment, PortInterceptor
from tests.support.rotation_fixture import LEASE, NAME, RotationFixture

if TYPE_CHECKING:
    from rotator.application import Application

GRACE = timedelta(hours=24)
SCANNER = Actor(by="trigger", host="192.0.2.7")


class Daemon(RotationFixture):
    """A daemon's passes for the trigger, one process after the other."""

    def __init__(self, folder: Path, **setting: Any) -> None:  # noqa: ANN401  # of `FixtureOptions`
        """Begin without requests."""
        super().__init__(folder, **{"grace": GRACE, "rotated_before": True, **setting})
        self.stopping = threading.Event()

    def ask(self, message_id: str = "msg_1", *, compromised: bool = True) -> TriggerRequest:
        """Accept a request."""
        request = TriggerRequest(
            id=message_id,
            account=NAME,
            is_compromised=compromised,
            actor=SCANNER,
            at=self.clock.now(),
            seq=0,
        )
        return Triggers(self.database).accept(request, at_most=60)

    def passes(self) -> TriggeredPasses:
        """Return the present process's passes."""
        triggers = PortInterceptor("triggers", Triggers(self.database), self.calls)
        ledger = SimpleNamespace(writer=self.reconciler.ledger, triggers=triggers)
        application = SimpleNamespace(accounts=self.accounts, ledger=ledger)
        return TriggeredPasses(
            application=cast("Application", application),
            workers=PassWorkers(pool=WorkerPool(), health=Health()),
            stopping=self.stopping,
            now=self.clock.now,
        )

    def poll(self) -> list[PassResult]:
        """Carry out what waits, as a daemon does at a poll."""
        passes = self.passes()
        return [
            passes.attempt(self.reconciler, self.accounts[request.account], request)
            for request in passes.waiting()
        ]

    def poll_until_over(self) -> None:
        """Poll again and again, each time a process of its own if the one before was killed."""
        for _ in range(9):
            try:
                if not self.poll() and not self.waits():
                    return
            except Killed:
                self.clock.advance(seconds=2 * LEASE)
                self.restart()
        pytest.fail("it is not over")

    def waits(self) -> bool:
        """Return whether a request is not settled, whether or not it is its time."""
        return self.queries.accounts([NAME])[0].asked_for is not None

    def opened(self) -> list[str]:
        """Return the reasons of the rotations that were opened since the first."""
        details = [json.loads(each.detail) for each in self.entries() if each.event == "opened"]
        return [detail["reason"] for detail in details[1:]]


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    """Yield a daemon, and an account that is not due."""
    with Daemon(tmp_path) as daemon:
        # Its secret is a month old, and its rotation of then over.
        yield daemon


def last(daemon: Daemon) -> tuple[str, dict[str, Any]]:
    """Return the newest entry."""
    entry = daemon.entries()[-1]
    return entry.event, json.loads(entry.detail)


def test_a_leaked_secret_is_dead_after_one_poll(daemon: Daemon) -> None:
    """As by `rotate-now --compromised`: without the grace, and whether or not it is due."""
    daemon.ask()
    [result] = daemon.poll()

    assert result.outcome is Outcome.COMPLETED
    assert daemon.opened() == ["compromised"]
    assert last(daemon) == ("carried-out", {"trigger": "msg_1"})
    assert daemon.poll() == []


def test_what_did_not_leak_keeps_its_grace(daemon: Daemon) -> None:
    """As by `rotate-now`."""
    daemon.ask(compromised=False)
    [result] = daemon.poll()

    assert result.outcome is Outcome.AWAITING_DELETION
    assert daemon.opened() == ["asked"]
    assert not daemon.waits()


@pytest.mark.parametrize("compromised", [True, False])
def test_two_reports_of_one_leak_are_one_rotation(daemon: Daemon, *, compromised: bool) -> None:
    """What had been asked for before the new secret was verified is carried out by it, at once."""
    for number in range(3):
        daemon.ask(f"msg_{number}", compromised=compromised)
    daemon.poll()

    assert not daemon.waits()
    assert daemon.poll() == []
    assert len(daemon.opened()) == 1
    assert daemon.events().count("carried-out") == 3


def test_what_another_process_has_done_is_not_done_again(daemon: Daemon) -> None:
    """It may end between this one's look at what waits and its claim of the account."""
    daemon.ask()
    passes = daemon.passes()
    [request] = passes.waiting()
    daemon.poll()
    result = passes.attempt(daemon.reconciler, daemon.accounts[NAME], request)

    assert result.outcome is Outcome.BUSY
    assert len(daemon.opened()) == 1
    # The lease was given back.
    daemon.writer.claim(NAME, daemon.clock.now())


def test_what_another_process_is_at_is_left_to_it(daemon: Daemon) -> None:
    """And tried at the next poll, if that has not carried it out."""
    daemon.ask()
    lease = daemon.writer.claim(NAME, daemon.clock.now())
    [result] = daemon.poll()
    daemon.writer.release(lease)

    assert result.outcome is Outcome.BUSY
    assert [each.outcome for each in daemon.poll()] == [Outcome.COMPLETED]


def test_a_held_account_is_refused_and_that_is_told(daemon: Daemon) -> None:
    """An operator must decide; the request is over, and who asked is in the record."""
    Holds(daemon.database).put(NAME, Hold(reason="audit", by="ann", at=daemon.clock.now()))
    daemon.ask(compromised=False)
    with capture_logs() as logs:
        [result] = daemon.poll()
    known = {"trigger": "msg_1", "code": "held"}

    assert result.outcome is Outcome.REFUSED
    assert last(daemon) == ("not-begun", {"operation": "rotate", "outcome": "refused", **known})
    assert daemon.poll() == []
    assert [(log["event"], log["by"], log["code"]) for log in logs if "trigger" in log] == [
        ("request refused", "192.0.2.7", "held")
    ]


def test_a_leak_of_a_held_account_waits_for_its_release(daemon: Daemon) -> None:
    """Whoever reported it was told that it is dealt with."""
    holds, ann = Holds(daemon.database), Actor(by="ann", host="desk", because=None)
    holds.put(NAME, Hold(reason="audit", by="ann", at=daemon.clock.now()))
    daemon.ask()
    [put_off] = daemon.poll()
    holds.lift(NAME, actor=ann, now=daemon.clock.now())
    daemon.clock.sleep(3600)
    [result] = daemon.poll()

    assert (put_off.outcome, result.outcome) == (Outcome.REFUSED, Outcome.COMPLETED)
    assert (daemon.opened(), last(daemon)[0]) == (["compromised"], "carried-out")


def test_a_change_freeze_stops_all_but_a_leak(daemon: Daemon) -> None:
    """As by `rotate-now`."""
    now, plain = daemon.clock.now(), daemon.accounts[NAME]
    freeze = Freeze(since=now, until=now + timedelta(days=9), reason="sales")
    daemon.accounts[NAME] = replace(plain, policy=replace(plain.policy, freezes=(freeze,)))
    daemon.ask("msg_1", compromised=False)
    [refused] = daemon.poll()
    daemon.ask("msg_2")
    [result] = daemon.poll()
    [declined] = [json.loads(each.detail) for each in daemon.entries() if each.event == "not-begun"]

    assert (refused.outcome, declined["code"]) == (Outcome.REFUSED, "frozen")
    assert result.outcome is Outcome.COMPLETED
    assert daemon.opened() == ["compromised"]


def test_a_grace_is_not_begun_anew(daemon: Daemon) -> None:
    """What waits in its grace has a young secret; only a leak ends that."""
    daemon.ask("msg_1", compromised=False)
    daemon.poll()
    daemon.ask("msg_2", compromised=False)
    [refused] = daemon.poll()
    daemon.ask("msg_3")
    [result] = daemon.poll()

    assert (refused.outcome, last(daemon)[0]) == (Outcome.REFUSED, "carried-out")
    assert result.outcome is Outcome.COMPLETED
    assert daemon.opened() == ["asked", "compromised"]


def test_a_failure_is_tried_again_until_it_is_done(daemon: Daemon) -> None:
    """Not at each poll."""
    daemon.ask()
    daemon.expire_token()
    [failed] = daemon.poll()
    at_once = daemon.poll()
    daemon.new_token()
    daemon.clock.advance(minutes=1)
    [result] = daemon.poll()

    assert failed.outcome is Outcome.FAILED
    assert at_once == []
    assert result.outcome is Outcome.COMPLETED
    assert not daemon.waits()


def test_an_unexpected_error_is_tried_again_later(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a failure is, and the error goes on to who reports it."""
    daemon.ask()

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    with monkeypatch.context() as patched:
        patched.setattr(type(daemon.reconciler), "attempt", fail)
        with pytest.raises(ZeroDivisionError):
            daemon.poll()
    daemon.writer.release(replace(daemon.rival(), token=2))

    assert daemon.poll() == []
    assert daemon.waits()


def test_a_daemon_that_ends_leaves_the_request_to_the_next(daemon: Daemon) -> None:
    """At once, as nothing has failed."""
    daemon.ask()
    daemon.stopping.set()
    daemon.expire_token()
    daemon.poll()
    daemon.stopping.clear()
    daemon.new_token()

    assert [each.outcome for each in daemon.poll()] == [Outcome.COMPLETED]


def test_a_request_for_an_unknown_account_waits(daemon: Daemon) -> None:
    """Another daemon on the ledger may have it."""
    daemon.ask()
    daemon.accounts = {}

    assert daemon.poll() == []


#: More calls of each kind than a process makes for one request; "" for those to Vonage and Vault.
CALLS = {"ledger.": 24, "triggers.": 4, "": 19}


def test_every_call_is_one_to_be_killed_at(daemon: Daemon) -> None:
    """Of the process that carries out a request for an account in its grace."""
    daemon.attempt()
    daemon.ask()
    daemon.calls.names.clear()
    daemon.poll()

    assert all(0 < daemon.calls.count(port) <= most for port, most in CALLS.items())


@pytest.mark.parametrize("moment", MOMENTS)
@pytest.mark.parametrize(
    ("port", "number"), [(port, 1 + at) for port, most in CALLS.items() for at in range(most)]
)
def test_killed_anywhere_a_leak_is_dealt_with_once(
    tmp_path: Path, moment: Moment, port: str, number: int
) -> None:
    """Where the account waits in a grace, too: that ends, and one rotation follows."""
    with Daemon(tmp_path) as daemon:
        daemon.attempt()
        daemon.ask()
        daemon.calls.plan(moment, port, number, daemon.calls.kill)
        daemon.poll_until_over()

        assert daemon.opened() == ["asked", "compromised"]
        assert [event for event in daemon.events() if "carried-out" in event] == ["carried-out"]
        # One that is verified goes on as any other, at a poll of its own.
        daemon.run_until_killed(reason=None)
        daemon.run_until_killed(reason=None)
        assert daemon.resume().outcome is Outcome.IDLE
        assert len(daemon.opened()) == 2
