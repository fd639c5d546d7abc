import json
import signal
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url

from rotator.sim import Fault, World
from tests.acceptance.service import Service, service, until
from tests.conftest import PostgreSQL

Build = Callable[..., Service]
#: Older than a policy of 30 days allows.
OLD = timedelta(days=40)


@pytest.fixture
def build(ledger_url: str, tmp_path: Path) -> Iterator[Build]:
    """Give what builds a world with accounts that are due, and a service in it."""
    managers: list[Any] = []

    def make(*, age: timedelta = OLD, **world: Any) -> Service:  # noqa: ANN401  # of `World.build`
        arguments = {"accounts": 1, "subaccounts": 0, **world}
        built = World.build(**arguments, created_at=datetime.now(UTC) - age)
        manager = service(built, tmp_path, ledger_url)
        managers.append(manager)
        made: Service = manager.__enter__()
        return made

    yield make
    for manager in managers:
        manager.__exit__(None, None, None)


def test_due_accounts_are_rotated_once(build: Build) -> None:
    """What is older than its policy is rotated at the first start, and not again at the next."""
    run = build(accounts=3, subaccounts=2)
    process = run.start()
    until(run.are_done)
    assert run.stop(process) == 0
    again = run.start()
    until(lambda: run.logged("started") == 2)

    assert run.stop(again) == 0
    assert set(run.made().values()) == {1}
    assert all(record.next_due_at > datetime.now(UTC) for record in run.records())  # type: ignore[operator]


def test_children_are_rotated_before_their_parent(build: Build) -> None:
    """The parent's secret is younger than those of the accounts that it manages."""
    run = build(accounts=1, subaccounts=3)
    process = run.start()
    until(run.are_done)
    assert run.stop(process) == 0

    closed = {
        record.name: record.last_rotation.closed_at
        for record in run.records()
        if record.last_rotation and record.last_rotation.closed_at
    }
    opened = next(record.last_rotation for record in run.records() if record.name == "account-1")
    assert opened
    assert all(at <= opened.opened_at for name, at in closed.items() if name != "account-1")


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_young_account_is_not_due(build: Build) -> None:
    """The first look settles the due time, from the secret's age; a start makes nothing due."""
    run = build(age=timedelta(days=1))
    process = run.start()
    until(lambda: run.records()[0].next_due_at)
    assert run.stop(process) == 0

    due = run.records()[0].next_due_at
    assert due
    assert timedelta(days=28) < due - datetime.now(UTC) < timedelta(days=29)
    assert run.made() == {"account-1": 0}


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_grace_is_waited_out(build: Build) -> None:
    """The predecessor is deleted by the daemon once its grace is over, and not before."""
    run = build()
    run.configure(grace="3s", jitter="0s")
    process = run.start()
    until(run.are_done)
    assert run.stop(process) == 0

    rotation = run.records()[0].last_rotation
    assert rotation
    assert rotation.closed_at
    assert rotation.delete_due_at
    assert rotation.closed_at >= rotation.delete_due_at
    assert len(run.world.vonage.secrets(run.world.accounts[0].api_key)) == 1


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_window_is_waited_for(build: Build) -> None:
    """What is due outside of its window is not even asked about, until the window is changed."""
    run = build()
    closed = datetime.now(UTC) + timedelta(hours=3)
    run.configure(grace="0s", jitter="0s", window=f"{closed:%H}:00-{closed:%H}:30")
    process = run.start()
    until(lambda: run.records()[0].seen_at)
    calls = len(run.world.vonage.exchanges)
    # Takes as long as the daemon needs to poll twice, and itself finds nothing to do.
    assert [run.run("resume").returncode for _ in range(2)] == [0, 0]
    assert len(run.world.vonage.exchanges) == calls
    run.configure(grace="0s", jitter="0s")
    process.send_signal(signal.SIGHUP)
    until(run.are_done)

    assert run.stop(process) == 0
    assert run.made() == {"account-1": 1}


@pytest.mark.parametrize("kind", ["sqlite"])
def test_rotate_now_works_beside_the_daemon(build: Build) -> None:
    """Both write one SQLite file; the daemon does not rotate again what was just rotated."""
    run = build(accounts=4, age=timedelta(days=1))
    process = run.start()
    until(lambda: all(record.seen_at for record in run.records()))
    done = run.run("rotate-now", "--all", "--json")
    assert run.stop(process) == 0

    assert done.returncode == 0, done
    assert {report["outcome"] for report in json.loads(done.stdout)} == {"completed"}
    assert set(run.made().values()) == {1}


@pytest.mark.parametrize("kind", ["sqlite"])
def test_sealed_vault_is_survived(build: Build) -> None:
    """With Vault sealed nothing is begun and little is said; unsealed, it goes on by itself."""
    run = build()
    run.world.vault.sealed = True
    process = run.start()
    until(lambda: run.logged('"away"'))
    assert process.poll() is None
    run.world.vault.sealed = False
    until(run.are_done)
    assert run.stop(process) == 0

    assert run.logged('"away"') == 1
    assert run.logged('"back"') == 1


@pytest.mark.parametrize("kind", ["sqlite"])
def test_reload(build: Build) -> None:
    """A bad configuration is refused with its reason and the old one kept; a good one is taken."""
    run = build(age=timedelta(days=1))
    process = run.start()
    until(lambda: run.records()[0].seen_at)
    good = run.config.read_text()
    run.config.write_text(good.replace("[policy]", '[policy]\ngrase = "1h"'))
    process.send_signal(signal.SIGHUP)
    until(lambda: run.logged("configuration refused"))
    run.config.write_text(good.replace('name = "account-1"', 'name = "renamed"'))
    process.send_signal(signal.SIGHUP)
    until(lambda: "renamed" in run.queries.last_seen())
    assert run.stop(process) == 0

    assert run.logged("grase") == 1
    assert run.logged('"reloaded"') == 1


@pytest.mark.parametrize("kind", ["sqlite"])
def test_unusable_configuration_is_bad_usage(build: Build) -> None:
    """At the start there is no old configuration to keep."""
    run = build()
    run.config.write_text("[vault]\n")

    assert run.start().wait(30) == 2


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_database_that_comes_later_is_waited_for(
    ledger_url: str, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """Started before its database, the daemon says so once, and makes its ledger when it can."""
    later = make_url(ledger_url).set(database="later").render_as_string(hide_password=False)
    world = World.build(accounts=1, subaccounts=0, created_at=datetime.now(UTC) - OLD)
    with service(world, tmp_path, later) as run:
        process = run.start()
        until(lambda: run.logged('"ledger"'))
        assert process.poll() is None
        postgresql._run("CREATE DATABASE later")
        until(lambda: run.logged('"back"'))
        until(run.are_done)

        assert run.stop(process) == 0
        assert run.logged('"away"') == 1
        run.database.dispose()
        postgresql.drop(later)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_vonage_away_is_survived(build: Build) -> None:
    """Where Vonage fails at every call, that is said once; what was begun is tried again later."""
    run = build(accounts=3)
    run.world.vonage.faults.add(Fault("status", times=None))
    process = run.start()
    until(lambda: run.logged('"away"'))
    until(lambda: len(run.world.vonage.exchanges) > 6)
    run.world.vonage.faults.clear()
    until(lambda: all(record.seen_at for record in run.records()))

    assert run.stop(process) == 0
    assert run.logged('"away"') == 1
