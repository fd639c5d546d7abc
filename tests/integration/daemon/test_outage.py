"""Hours in which something is away: the daemon says so, asks ever more rarely, and goes on."""

import importlib
import json
import pkgutil
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from structlog.testing import capture_logs

import rotator
from rotator.config import load
from rotator.daemon.scheduler import Scheduler
from rotator.daemon.service import Daemon
from rotator.errors import LedgerUnusable, NotSent
from rotator.ledger.daemons import Daemons
from rotator.model.retry import Backoff
from rotator.sim import Environment, Fault
from tests.support.webhook_receiver import WebhookReceiver, receiving

if TYPE_CHECKING:
    from rotator.sim.faults import FaultQueue
    from tests.conftest import PostgreSQL

#: Begins in a world, with files in a folder, and gives what ends it.
Outage = Callable[[Environment, Path], Callable[[], object]]
HOURS, POLLS = 6, 20
#: Lines for each hour of an outage, besides those at its beginning: whoever is away, a few.
AN_HOUR = 10
#: Requests to Vonage in such an hour, for five accounts: some looks, each with its repetitions.
CALLS = 100
PARTS = ("application", "daemon", "hooks", "ledger", "rotation", "vault", "vonage", "web")
OLD = timedelta(days=40)
#: What hooks hear of outages: component, event and whether a cure is told.
Heard = list[tuple[str, str, bool]]
HOOK = '[[hooks]]\non = ["outage", "recovered"]\nurl = "{url}"\naccounts = ["account-2"]\n'
DISCOVER = '[[discover]]\nparent = "account-1"\nvault_path = "vonage/{api_key}"\n'


class Clock:
    """The time of day that the daemon sees: the real one, and what was let pass."""

    def __init__(self) -> None:
        """Let nothing have passed."""
        self.passed = timedelta()

    def sleep(self, seconds: float) -> None:
        """Let seconds pass at once."""
        self.passed += timedelta(seconds=seconds)

    def now(self, zone: Any = None) -> datetime:  # noqa: ANN401  # as datetime's
        """Return the time."""
        return datetime.now(zone) + self.passed


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """Yield a clock that can be put forward, for all of rotator but the simulators."""
    made = Clock()

    class Later(datetime):
        """The time of day as the clock has it."""

        @classmethod
        def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]  # noqa: ANN401
            """Return the time."""
            return made.now(tz)

    for found in pkgutil.walk_packages(rotator.__path__, "rotator."):
        # What is imported later would have its own idea of the time.
        if found.name.split(".")[1] in PARTS:
            importlib.import_module(found.name)
    for name, module in list(sys.modules.items()):
        is_ours = name.startswith("rotator.") and not name.startswith("rotator.sim")
        if is_ours and getattr(module, "datetime", None) is datetime:
            monkeypatch.setattr(module, "datetime", Later)
    monkeypatch.setattr("rotator.vonage.retry._BACKOFF", Backoff(0.0, 0.0))
    monkeypatch.setattr("rotator.vonage.retry._LONGEST", 0.0)
    # Longer than any budget: no call to Vault is repeated.
    monkeypatch.setattr("rotator.vault.client._PAUSES", Backoff(1e9, 1e9))
    monkeypatch.setattr(Scheduler, "_sleep", lambda _poll, seconds: made.sleep(seconds))
    return made


class Watch:
    """A daemon whose jobs are done one after the other, and whose lines are counted."""

    def __init__(self, config: Path, clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
        """Make the daemon; nothing is done yet."""
        self.clock, self.caplog = clock, caplog
        self.daemon = Daemon(partial(load, config, {}), {})
        self.daemon._health.clock = self.seconds

    def seconds(self) -> float:
        """Return the seconds that pass for the daemon."""
        return time.monotonic() + self.clock.passed.total_seconds()

    def let_pass(self, hours: float) -> list[str]:
        """Let hours pass, with a poll every few minutes; give what is said in them."""
        with capture_logs() as logs, self.caplog.at_level("WARNING"):
            self.caplog.clear()
            daemon = self.daemon
            for _ in range(int(hours * POLLS)):
                self.clock.passed += timedelta(hours=1) / POLLS
                for job in (daemon._poll_once, daemon._check_once, daemon._keep_token_once):
                    job()
                assert daemon._pool.join(time.monotonic() + 60)
        ours = [str(log["event"]) for log in logs if log["log_level"] != "debug"]
        return [*ours, *self.caplog.messages]


@pytest.fixture
def world() -> Iterator[Environment]:
    """Yield accounts that are due."""
    with Environment.build(accounts=3, subaccounts=2, created_at=datetime.now(UTC) - OLD) as made:
        yield made


@pytest.fixture
def watch(
    world: Environment,
    ledger_url: str,
    tmp_path: Path,
    clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Watch]:
    """Yield a daemon in that world."""
    (tmp_path / "token").write_text(world.vault.token)
    text = world.config(ledger_url, tmp_path / "token", grace="1h", jitter="0s")
    (tmp_path / "config.toml").write_text(f"{text}\n{DISCOVER}")
    made = Watch(tmp_path / "config.toml", clock, caplog)
    yield made
    made.daemon._application.close()


def sealed(world: Environment, _folder: Path) -> Callable[[], object]:
    """Seal Vault."""
    world.vault.sealed = True
    return lambda: setattr(world.vault, "sealed", False)


def failing(server: str, **fault: Any) -> Outage:  # noqa: ANN401  # of `Fault`
    """Make a server answer with errors."""

    def begin(world: Environment, _folder: Path) -> Callable[[], object]:
        writer: FaultQueue = getattr(world, server).faults
        writer.add(Fault(**({"kind": "status", "times": None} | fault)))
        return writer.clear

    return begin


def lost(_world: Environment, folder: Path) -> Callable[[], object]:
    """Take the ledger's file away, and let nobody make another."""
    file, kept = folder / "ledger.db", folder / "kept.db"
    file.rename(kept)
    file.mkdir()

    def end() -> None:
        file.rmdir()
        kept.rename(file)

    return end


OUTAGES: dict[str, Outage] = {
    "vault is sealed": sealed,
    "the ledger is away": lost,
}
MORE: dict[str, Outage] = {
    "vonage fails": failing("vonage"),
    "vault fails": failing("vault"),
    "vault hangs up": failing("vault", kind="drop-before"),
    "vault does not read": failing("vault", method="GET", path="/data/vonage"),
    "vault denies": failing("vault", status=403),
    "vonage hangs up": failing("vonage", kind="drop-before"),
    "vonage refuses": failing("vonage", status=401),
    "vonage limits": failing("vonage", status=429),
    "vonage creates nothing": failing("vonage", method="POST"),
}


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(
    "outage", [*OUTAGES, *(pytest.param(each, marks=pytest.mark.slow) for each in MORE)]
)
def test_hours_of_an_outage_are_a_few_lines(
    watch: Watch, world: Environment, tmp_path: Path, outage: str
) -> None:
    """And a few requests; when it is over, all is done that was due, and that is said, too."""
    outlasts(watch, world, lambda: (OUTAGES | MORE)[outage](world, tmp_path))


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgresql"])
def test_hours_without_postgresql_are_a_few_lines(
    watch: Watch, world: Environment, postgresql: "PostgreSQL", ledger_url: str
) -> None:
    """The same where the ledger's server ends every connection and lets nobody in."""
    outlasts(watch, world, lambda: postgresql.shut(ledger_url))


def outlasts(watch: Watch, world: Environment, begin: Callable[[], Callable[[], object]]) -> None:
    """Run a daemon through an outage, and check what it said, asked and did."""
    end = begin()
    began = watch.let_pass(1)
    asked = len(world.vonage.exchanges)
    said = watch.let_pass(HOURS)
    asked = len(world.vonage.exchanges) - asked
    end()
    after = watch.let_pass(9)
    rotated = [len(world.vonage.history(each.api_key)) for each in world.accounts]

    assert 0 < len(began) <= 2 * AN_HOUR
    assert len(said) <= HOURS * AN_HOUR
    assert asked <= HOURS * CALLS
    assert rotated == [2] * len(rotated)
    assert {"back", "completed"} & set(after)


def heard(receiver: WebhookReceiver) -> Heard:
    """Return what a hook has heard of components since it was asked last."""
    bodies = [json.loads(taken.body) for taken in receiver.taken]
    receiver.taken.clear()
    return [
        (body["component"], body["event"], bool(body["hint"]))
        for body in bodies
        if body["account"] is None
    ]


@pytest.fixture
def receiver(watch: Watch, tmp_path: Path) -> Iterator[WebhookReceiver]:
    """Yield a hook of the daemon for outages."""
    with receiving() as made:
        config = tmp_path / "config.toml"
        config.write_text(f"{config.read_text()}\n{HOOK.format(url=made.url)}")
        watch.daemon._reload()
        yield made


def tells(
    watch: Watch,
    receiver: WebhookReceiver,
    component: str,
    begin: Callable[[], Callable[[], object]],
) -> None:
    """Let something be away for an hour, with a restart in it; check what the hook heard."""
    watch.let_pass(0.5)
    before, end = heard(receiver), begin()
    watch.let_pass(1)
    during = heard(receiver)
    end()
    watch.let_pass(1)
    after = heard(receiver)
    watch.let_pass(1)

    assert before == heard(receiver) == []
    assert during == [(component, "outage", True)]
    assert after == [(component, "recovered", False)]


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("outage", OUTAGES)
def test_hooks_hear_of_an_outage_and_of_its_end(
    watch: Watch,
    receiver: WebhookReceiver,
    world: Environment,
    tmp_path: Path,
    outage: str,
) -> None:
    """Once each, also of the ledger's, which cannot be recorded there."""
    component = "vault" if outage.startswith("vault") else "ledger"
    tells(watch, receiver, component, lambda: OUTAGES[outage](world, tmp_path))


@pytest.mark.parametrize("kind", ["sqlite"])
def test_hooks_hear_within_minutes_that_vonage_is_back(
    watch: Watch, receiver: WebhookReceiver, world: Environment, tmp_path: Path
) -> None:
    """Though the account that found it away is tried again in hours, and no other is due."""
    config = tmp_path / "config.toml"
    config.write_text(config.read_text().replace('listen = ""', 'listen = ""\ndrift_check = "30d"'))
    watch.daemon._reload()
    watch.let_pass(3)
    heard(receiver)
    end = failing("vonage")(world, tmp_path)
    watch.daemon._health.mark_down("vonage", NotSent())
    watch.let_pass(0.5)
    during = heard(receiver)
    end()
    watch.let_pass(0.5)

    assert during == [("vonage", "outage", True)]
    assert heard(receiver) == [("vonage", "recovered", False)]


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgresql"])
def test_hooks_hear_of_postgresql(
    watch: Watch, receiver: WebhookReceiver, postgresql: "PostgreSQL", ledger_url: str
) -> None:
    """The same where the ledger's server lets nobody in."""
    tells(watch, receiver, "ledger", lambda: postgresql.shut(ledger_url))


@pytest.mark.parametrize("kind", ["sqlite"])
def test_hooks_hear_of_a_ledger_that_is_read_only(
    watch: Watch, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Though it can be read: the daemon cannot record that it polls."""

    def refuse(*_arguments: object) -> None:
        raise LedgerUnusable("the ledger is read-only")

    def begin() -> Callable[[], object]:
        with_write = Daemons.write
        monkeypatch.setattr(Daemons, "write", refuse)
        return lambda: monkeypatch.setattr(Daemons, "write", with_write)

    watch.let_pass(0.5)
    end = begin()
    watch.let_pass(1)
    during = heard(receiver)
    end()
    watch.let_pass(1)

    assert [each[:2] for each in during] == [("ledger", "outage")]
    assert [each[:2] for each in heard(receiver)] == [("ledger", "recovered")]


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_refused_reload_is_told_and_recorded(
    watch: Watch, receiver: WebhookReceiver, tmp_path: Path
) -> None:
    """At once, as is the next good one; `status` and the page read it in the ledger."""
    config = tmp_path / "config.toml"
    good = config.read_text()
    watch.let_pass(0.1)
    config.write_text(good.replace("[policy]", '[policy]\ngrase = "1h"'))
    watch.daemon._reload()
    watch.let_pass(0.1)
    [taken] = receiver.taken
    told = json.loads(taken.body)
    [record] = watch.daemon._application.ledger.daemon_records()
    config.write_text(good)
    receiver.taken.clear()
    watch.daemon._reload()
    watch.let_pass(0.1)
    [now] = watch.daemon._application.ledger.daemon_records()

    assert (told["event"], told["component"]) == ("outage", "configuration")
    assert "grase" in told["reason"]
    assert record.outages["configuration"].why == told["reason"]
    assert heard(receiver) == [("configuration", "recovered", False)]
    assert now.outages == {}
