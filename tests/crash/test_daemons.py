"""Several daemons on one ledger, killed, stopped and paused at any moment."""

import random
import re
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update
from sqlalchemy.exc import OperationalError

from rotator.ledger import tables
from rotator.sim import Environment, Exchange, Phase
from tests.acceptance.service import PATIENCE, Service, service, until
from tests.crash.killing import broken_rules
from tests.support.commands import Command

OLD = timedelta(days=40)
PUSH = re.compile(r"/data/vonage/")

pytestmark = pytest.mark.crash


@pytest.fixture
def run(ledger_url: str, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Service]:
    """Yield a world of due accounts; as many as the test's parameter says, else one."""
    accounts = getattr(request, "param", 1)
    world = Environment.build(accounts=accounts, subaccounts=0, created_at=datetime.now(UTC) - OLD)
    with service(world, tmp_path, ledger_url) as made:
        yield made


def opened(run: Service) -> dict[str, int]:
    """Count the rotations that were opened for each account."""
    counts = dict.fromkeys((account.name for account in run.world.accounts), 0)
    for entry in run.queries.entries():
        counts[entry.account] += entry.event == "opened"
    return counts


@pytest.mark.postgres
@pytest.mark.timeout(900)
@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.parametrize("run", [12, pytest.param(300, marks=pytest.mark.slow)], indirect=True)
def test_three_daemons_share_the_work_though_they_are_killed(run: Service) -> None:
    """Each due account is rotated exactly once, whoever dies over it; no rule is ever broken."""
    chance, requests, broken = random.Random(20261123), count(1), list[str]()
    daemons = [run.start() for _ in range(3)]
    next_kill, last_kill = [40], 12 * len(run.world.accounts)

    def watch(phase: Phase, _exchange: Exchange) -> None:
        if phase != "after":
            return
        number = next(requests)
        if number % 10 == 0:
            broken.extend(run.world.violations())
        if number >= next_kill[0] and next_kill[0] < last_kill:
            next_kill[0] = number + chance.randrange(60, 160)
            chance.choice(daemons).kill()

    for server in (run.world.vonage, run.world.vault):
        server.observers.append(watch)

    def is_done() -> bool:
        for index, daemon in enumerate(daemons):
            if daemon.poll() is not None:
                daemons[index] = run.start()
        return run.are_done()

    until(is_done, seconds=800)
    codes = [run.stop(daemon) for daemon in daemons]

    assert broken == []
    assert set(opened(run).values()) == {1}
    assert set(run.made().values()) == {1}
    assert -signal.SIGKILL in {process.returncode for process in run.processes}
    # Stopped while it was still starting: rotator itself, or Python before it.
    assert set(codes) <= {0, 143, -signal.SIGTERM, -signal.SIGKILL}
    verdicts = [run.queries.verify(account.name) for account in run.world.accounts]
    assert [verdict.fault for verdict in verdicts if verdict.fault] == []
    assert broken_rules(run.queries) == []


def test_the_accounts_of_a_killed_daemon_go_to_another_at_once(run: Service) -> None:
    """On the same machine nobody waits for a dead process's lease, which lasts for minutes."""
    first = run.start()

    def kill(phase: Phase, exchange: Exchange) -> None:
        if phase == "after" and exchange.method != "GET" and first.poll() is None:
            first.kill()

    run.world.vault.observers.append(kill)
    assert first.wait(PATIENCE) == -signal.SIGKILL
    second = run.start()
    until(run.are_done)

    assert run.stop(second) == 0
    assert opened(run) == {"account-1": 1}
    assert run.made() == {"account-1": 1}


def is_locked(database: Engine) -> bool:
    """Whether nobody can write to the ledger at present, or not to an account's row."""
    try:
        with database.begin() as connection:
            connection.execute(select(tables.account.c.name).with_for_update(nowait=True)).all()
            return False
    except OperationalError:
        return True


def stand_still(process: Command) -> None:
    """Pause a process, and return when all of its threads stand still."""
    process.send_signal(signal.SIGSTOP)
    tasks = Path(f"/proc/{process.pid}/task")
    until(
        lambda: all(
            (task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
            for task in tasks.iterdir()
        ),
        pause=0.001,
    )


def test_a_daemon_that_stood_still_past_its_lease_does_nothing_more(run: Service) -> None:
    """Woken after another took its account over, it neither creates nor deletes anything."""
    first = run.start()
    paused: list[str] = []

    def pause(phase: Phase, exchange: Exchange) -> None:
        if phase == "before" and exchange.method == "POST" and not paused:
            stand_still(first)
            while is_locked(run.database):
                # Another thread of it was about to write, and nobody else could.
                first.send_signal(signal.SIGCONT)
                until(lambda: not is_locked(run.database))
                stand_still(first)
            paused.append(exchange.path)

    run.world.vonage.observers.append(pause)
    until(lambda: paused)
    with run.database.begin() as connection:
        ended = datetime.now(UTC) - timedelta(seconds=1)
        connection.execute(update(tables.account).values(lease_expires_at=ended))
    second = run.start()
    until(run.are_done)
    seen = len(run.world.vonage.exchanges)
    first.send_signal(signal.SIGCONT)

    assert run.stop(first) == 0
    assert run.stop(second) == 0
    changes = [each.method for each in run.world.vonage.exchanges[seen:] if each.method != "GET"]
    assert changes == []
    assert opened(run) == {"account-1": 1}
    assert run.made() == {"account-1": 1}


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_daemon_that_is_told_to_stop_leaves_a_rotation_to_the_next(run: Service) -> None:
    """It ends after the step that it is at, with 0; the lease is free and the rotation goes on."""
    first = run.start()

    def stop(phase: Phase, exchange: Exchange) -> None:
        if phase == "before" and exchange.method == "POST" and first.poll() is None:
            first.send_signal(signal.SIGTERM)
            # Else it might be done before the thread that hears the signal comes to run.
            until(lambda: run.logged('"stopping"'))

    run.world.vonage.observers.append(stop)
    assert first.wait(PATIENCE) == 0
    record = run.records()[0]
    with run.database.connect() as connection:
        owner = connection.execute(tables.account.select()).mappings().one()["lease_owner"]
    run.world.vonage.observers.remove(stop)
    second = run.start()
    until(run.are_done)

    assert run.stop(second) == 0
    assert owner is None
    assert record.last_rotation
    assert record.last_rotation.outcome is None
    assert opened(run) == {"account-1": 1}
