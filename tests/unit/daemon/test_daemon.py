import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest
from structlog.testing import capture_logs

from rotator.daemon.health import Health
from rotator.daemon.scheduler import ClockWatch
from rotator.daemon.systemd import SystemdNotifier
from rotator.daemon.workers import PassWorkers, WorkerPool
from rotator.errors import LedgerUnusable, NotSent, StoreForbidden, StoreSealed, StoreUnavailable
from rotator.model import Outcome, PassResult, Problem
from rotator.rotation.result import result_of
from tests.support.samples import account

if TYPE_CHECKING:
    from rotator.application import Application


# -- What is away. -------------------------------------------------------------------------


def test_what_is_away_is_told_once() -> None:
    """A change of state or of reason is news, a repetition is not."""
    health = Health()
    with capture_logs() as logs:
        for _ in range(3):
            assert health.note_failure(StoreUnavailable())
        health.note_failure(StoreSealed())
        health.note_failure(NotSent())
        away = health.down
        for _ in range(3):
            health.mark_up("vault")

    told = [(log["event"], log["component"], log.get("code")) for log in logs]
    assert logs[1]["hint"] == f"{StoreSealed.default_hint}; the daemon tries again by itself"
    assert away == ["vault", "vonage"]
    assert told == [
        ("away", "vault", "vault-unavailable"),
        ("away", "vault", "vault-sealed"),
        ("away", "vonage", "vonage-unreachable"),
        ("back", "vault", None),
    ]


def test_whether_a_component_can_be_used_is_known_once_it_was_tried() -> None:
    """What was not tried is neither up nor down."""
    health = Health()
    untried = health.components
    health.mark_up("ledger", "vault")
    health.note_failure(StoreUnavailable())

    assert untried == {}
    assert health.components == {"ledger": True, "vault": False}


def test_what_comes_and_goes_all_the_time_is_told_now_and_then() -> None:
    """An hour of it is some lines, and in the end it is told how things are."""
    seconds = [0.0]
    health = Health(clock=lambda: seconds[0])
    with capture_logs() as logs:
        for _ in range(240):
            seconds[0] += 15
            health.note_failure(StoreUnavailable())
            health.mark_up("vault")
        seconds[0] += 3600
        health.note_failure(StoreSealed())

    assert 2 <= len(logs) <= 20
    assert logs[0]["event"] == "away"
    assert logs[-1]["code"] == "vault-sealed"


def test_an_error_that_nobody_foresaw_is_told_now_and_then() -> None:
    """By its kind; a job that fails at each poll does not fill the disk."""
    seconds = [0.0]
    health = Health(clock=lambda: seconds[0])
    with capture_logs() as logs:
        for _ in range(240):
            seconds[0] += 15
            health.log_unexpected("poll", ZeroDivisionError())

    assert 6 <= len(logs) <= 12


def test_an_account_s_own_error_is_no_component_s() -> None:
    """A path that Vault forbids says nothing of Vault; a ledger of another version does."""
    health = Health()

    assert not health.note_failure(StoreForbidden())
    assert health.note_failure(LedgerUnusable())
    assert health.down == ["ledger"]


# -- Workers. ------------------------------------------------------------------------------


def report(outcome: Outcome, code: str = "") -> PassResult:
    """Return the result of a pass over account "a"."""
    bare = result_of(account("a"), outcome, None)
    return replace(bare, error=Problem(code=code, message="why", hint=None) if code else None)


def made() -> PassWorkers:
    """Return workers that have nothing to do yet."""
    return PassWorkers(pool=WorkerPool(), health=Health())


def test_a_worker_s_error_is_survived_and_put_off() -> None:
    """What nobody foresaw is named without its text; the account waits, the daemon goes on."""
    workers, application = (
        made(),
        cast("Application", object()),
    )

    def fail() -> PassResult:
        raise ValueError("s3cret")

    with capture_logs() as logs:
        workers.start(account("a"), application, fail)
        assert workers.pool.join(float("inf"))

    assert [log["event"] for log in logs] == ["unexpected error"]
    assert workers.must_wait("a")
    assert not workers.must_wait("b")
    assert workers.busy_with == []
    assert not workers.pool.uses(application)


def test_the_same_failure_again_is_not_news() -> None:
    """An account that is refused for days is told of once."""
    workers, application = (
        made(),
        cast("Application", object()),
    )
    ends = [
        report(Outcome.REFUSED, "drift"),
        report(Outcome.REFUSED, "drift"),
        report(Outcome.FAILED, "vonage-unreachable"),
        report(Outcome.BUSY, "busy"),
        report(Outcome.COMPLETED),
    ]
    with capture_logs() as logs:
        for end in ends:
            workers.start(account("a"), application, lambda end=end: end)  # type: ignore[misc]
            assert workers.pool.join(float("inf"))

    assert [log["event"] for log in logs] == ["refused", "away", "back", "completed"]


def test_passes_that_hang_are_not_waited_for_for_ever() -> None:
    """The process can end all the same; what hangs is known, and named by its account."""
    workers, application, gate = (
        made(),
        cast("Application", object()),
        threading.Event(),
    )

    def hang() -> PassResult:
        gate.wait()
        return report(Outcome.IDLE)

    workers.start(account("a"), application, hang)
    assert not workers.pool.join(0.0)
    assert workers.busy_with == ["a"]
    assert workers.pool.uses(application)
    gate.set()

    assert workers.pool.join(float("inf"))


def test_a_pass_that_no_thread_can_be_had_for_is_not_running(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The account would never be worked on again."""
    workers, application = made(), cast("Application", object())

    def refuse(_thread: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with pytest.raises(RuntimeError):
        workers.start(account("a"), application, lambda: report(Outcome.IDLE))

    assert workers.busy_with == []
    assert workers.pool.join(float("inf"))


def test_a_worker_that_is_done_may_start_another() -> None:
    """It no longer counts as running by then, and the end waits for what it started."""
    workers, application, seen = (
        made(),
        cast("Application", object()),
        list[list[str]](),
    )

    def then() -> None:
        seen.append(workers.busy_with)
        if len(seen) < 3:
            workers.start(account("a"), application, lambda: report(Outcome.IDLE), then)

    workers.start(account("a"), application, lambda: report(Outcome.IDLE), then)
    assert workers.pool.join(float("inf"))

    assert seen == [[], [], []]


# -- systemd. ------------------------------------------------------------------------------


@contextmanager
def listening(address: str) -> Iterator[socket.socket]:
    """Listen where systemd would."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.bind(address)
        channel.settimeout(60)
        yield channel


@pytest.mark.parametrize("place", ["file", "abstract"])
def test_messages_go_to_the_socket_that_systemd_names(tmp_path: Path, place: str) -> None:
    """A path, or a name in the abstract namespace, which begins with @."""
    name = str(tmp_path / "notify") if place == "file" else f"@rotator-test-{os.getpid()}"
    with listening(name.replace("@", "\0", 1)) as channel:
        notifier = SystemdNotifier({"NOTIFY_SOCKET": name})
        notifier.ready()
        notifier.status("well")
        notifier.status("well")
        notifier.watchdog()
        notifier.stopping()

        messages = [channel.recv(100) for _ in range(3)]

    assert messages == [b"READY=1", b"STATUS=well", b"STOPPING=1"]


def test_without_systemd_nothing_is_said(tmp_path: Path) -> None:
    """Neither where no socket is named nor where nobody listens."""
    SystemdNotifier({}).ready()
    SystemdNotifier({"NOTIFY_SOCKET": str(tmp_path / "nobody")}).ready()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({}, None),
        ({"WATCHDOG_USEC": "3000000"}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": str(os.getpid())}, 1.5),
        ({"WATCHDOG_USEC": "3000000", "WATCHDOG_PID": "1"}, None),
    ],
)
def test_the_watchdog_is_fed_twice_in_its_time(
    environ: dict[str, str], seconds: float | None
) -> None:
    """If it is this process that it watches."""
    assert SystemdNotifier(environ).watchdog_seconds == seconds


# -- The clock. ----------------------------------------------------------------------------


def test_only_a_clock_that_is_put_back_is_noticed() -> None:
    """Once each time; a clock that is steered, put forward, or that stood still, does no harm."""
    wall, monotonic = [1000.0], [10.0]
    watch = ClockWatch(wall=lambda: wall[0], monotonic=lambda: monotonic[0])
    found = []
    for later, counted in ((1, 1), (-5, 1), (3600, 1), (-3600, 1), (1, 1), (86_400, 0), (0, 0)):
        wall[0] += later
        monotonic[0] += counted
        found.append(watch.went_back())

    assert found == [False, False, False, True, False, False, False]
