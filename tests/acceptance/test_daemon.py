import json
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import make_url

from rotator.daemon.service import LONGEST_PATIENCE
from rotator.sim import Environment, Fault
from tests.acceptance.service import OLD, PATIENCE, Build, Service, building, service, until
from tests.conftest import PostgreSQL
from tests.support.commands import ENVIRONMENT
from tests.support.webhook_receiver import receiving, status

#: Lines that the end of an outage costs at most: a job may come late with what it met before.
AGAIN = 2
#: What makes a process believe another time of day; None where it is not installed.
FAKETIME = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)


@pytest.fixture
def build(ledger_url: str, tmp_path: Path) -> Iterator[Build]:
    """Yield a builder of a world with due accounts, and of a service in it."""
    with building(tmp_path, ledger_url) as build:
        yield build


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


def test_the_ledger_is_backed_up_while_the_daemon_writes(build: Build) -> None:
    """Backups amid rotations are whole, and the daemon goes on as if there were none."""
    run = build(accounts=8, subaccounts=0)
    process = run.start()
    until(lambda: "completed" in run.outcomes())
    files = [run.folder / f"backup-{number}.db" for number in range(3)]
    done = [run.run("ledger", "backup", str(file)) for file in files]
    again = run.run("ledger", "backup", str(files[0]))
    until(run.are_done)
    assert run.stop(process) == 0
    text = run.config.read_text()
    run.config.write_text(text.replace(run.ledger_url, f"sqlite:///{files[0]}"))
    verified = run.run("ledger", "verify", "--offline")

    assert [(each.returncode, each.stderr) for each in done] == [(0, "")] * 3
    assert all("verified chains: 8" in each.stdout for each in done)
    assert (again.returncode, verified.returncode) == (2, 0)
    assert set(run.made().values()) == {1}
    assert run.logged('"ledger"') == 0


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
def test_a_worker_that_is_done_does_not_wait_for_the_next_poll(build: Build) -> None:
    """However long the daemon waits between polls, one finds all that is due."""
    run = build(accounts=6)
    # There is one poll in the time that is waited for them, and one worker.
    text = run.config.read_text().replace('poll = "1s"', 'poll = "1h"\nconcurrency = 1')
    run.config.write_text(text)
    # The first look settles what that poll then finds to be due.
    assert run.run("status", "--refresh").returncode == 0
    process = run.start()
    until(run.are_done)

    assert run.stop(process) == 0
    assert set(run.made().values()) == {1}


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
    asked = len(run.world.vault.exchanges)
    until(lambda: len(run.world.vault.exchanges) > asked + 3)
    said = run.logged('"away"')
    assert process.poll() is None
    run.world.vault.sealed = False
    until(run.are_done)
    assert run.stop(process) == 0

    assert said == 1
    assert 1 <= run.logged('"back"') <= AGAIN
    assert run.logged('"away"') <= AGAIN


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
    # The new name would be seen, if anything of it were taken.
    impossible = good.replace('name = "account-1"', 'name = "hasty"')
    run.config.write_text(impossible.replace("[policy]", '[policy]\ncron = "0 3 1 1 *"'))
    process.send_signal(signal.SIGHUP)
    until(lambda: run.logged("configuration refused") == 2)
    run.config.write_text(good.replace('name = "account-1"', 'name = "renamed"'))
    process.send_signal(signal.SIGHUP)
    until(lambda: "renamed" in run.queries.last_seen())
    assert run.stop(process) == 0

    assert run.logged("grase") == 1
    assert run.logged("more than max_age (45d)") == 1
    assert "hasty" not in run.queries.last_seen()
    assert run.logged('"reloaded"') == 1


@pytest.mark.parametrize("kind", ["sqlite"])
def test_unusable_configuration_is_bad_usage(build: Build) -> None:
    """At the start there is no old configuration to keep."""
    run = build()
    run.config.write_text("[vault]\n")

    assert run.start().wait(PATIENCE) == 2


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgresql"])
def test_a_database_that_comes_later_is_waited_for(
    ledger_url: str, postgresql: PostgreSQL, tmp_path: Path
) -> None:
    """Started before its database, the daemon says so once, and makes its ledger when it can."""
    later = make_url(ledger_url).set(database="later").render_as_string(hide_password=False)
    world = Environment.build(accounts=1, subaccounts=0, created_at=datetime.now(UTC) - OLD)
    with service(world, tmp_path, later) as run:
        process = run.start()
        until(lambda: run.logged('"ledger"'))
        said = run.logged('"away"')
        assert process.poll() is None
        postgresql._run("CREATE DATABASE later")
        until(lambda: run.logged('"back"'))
        until(run.are_done)

        assert run.stop(process) == 0
        assert said == 1
        assert run.logged('"away"') <= AGAIN
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


# -- Hooks. --------------------------------------------------------------------------------


def hook(run: Service, text: str) -> None:
    """Add hooks to the configuration."""
    run.config.write_text(f"{run.config.read_text()}\n{text}\n")


def delivered(run: Service) -> int:
    """Count what the ledger knows to be delivered."""
    return [entry.event for entry in run.queries.entries()].count("delivered")


def test_two_daemons_tell_everything_once(build: Build) -> None:
    """What either of them brings about reaches the hook, whichever of them calls it."""
    with receiving() as receiver:
        run = build(accounts=4)
        hook(run, f'[[hooks]]\non = ["pushed", "completed"]\nurl = "{receiver.url}"')
        processes = [run.start(), run.start()]
        until(run.are_done)
        # Until all is recorded: what a daemon that ends had not heard an answer to is told again.
        until(lambda: delivered(run) >= 8)
        assert [run.stop(process) for process in processes] == [0, 0]
        told = [json.loads(taken.body) for taken in receiver.taken]

    assert sorted((body["account"], body["event"]) for body in told) == [
        (f"account-{number}", event) for number in range(1, 5) for event in ("completed", "pushed")
    ]
    assert [body for body in told if not body["secret_id"]] == []


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.crash
def test_a_daemon_killed_while_it_tells_is_followed_by_one_that_tells_again(
    build: Build,
) -> None:
    """The receiver had it and the daemon did not record that: at least once, with the same id."""
    with receiving() as receiver:
        run = build()
        hook(run, f'[[hooks]]\non = ["completed"]\nurl = "{receiver.url}"\ntimeout = "5m"')
        receiver.answer = receiver.hang
        process = run.start()
        until(lambda: receiver.taken)
        process.kill()
        process.wait()
        receiver.answer = status(200)
        again = run.start()
        until(lambda: run.logged('"delivered"'))
        assert run.stop(again) == 0
        ids = [json.loads(taken.body)["id"] for taken in receiver.taken]

    assert len(ids) == 2
    assert len(set(ids)) == 1


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("event", ["completed", "pushed", "gate"])
def test_a_daemon_that_ends_waits_for_no_hook(build: Build, tmp_path: Path, event: str) -> None:
    """A hook that takes its time is ended with all it started, and called again by the next."""
    run, program = build(), tmp_path / "hook"
    program.write_text(
        f"#!/bin/sh\ncd {tmp_path}\nsleep 600 &\necho $! > part\nmv part child\nwait\n"
    )
    program.chmod(0o700)
    hook(run, f'[[hooks]]\non = ["{event}"]\ncommand = ["{program}"]\ntimeout = "5m"')
    # What does take its time is waited for by this much.
    run.config.write_text(run.config.read_text().replace("[vonage]", '[vonage]\ntimeout = "5m"'))
    process = run.start()
    until((tmp_path / "child").exists)
    began = time.monotonic()
    code = run.stop(process)
    took = time.monotonic() - began
    child = Path("/proc", (tmp_path / "child").read_text().strip())
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/called\n")
    again = run.start()
    until((tmp_path / "called").exists)
    until(run.are_done)

    assert run.stop(again) == 0
    assert code == 0
    assert took < LONGEST_PATIENCE / 2
    until(lambda: not child.exists() or "Z (zombie)" in (child / "status").read_text())
    assert run.logged("leaving passes behind") == 0
    assert run.logged('"undelivered"') == 0


@pytest.mark.parametrize("kind", ["sqlite"])
def test_the_daemon_waits_for_a_gate(build: Build, tmp_path: Path) -> None:
    """And deletes when it is open, though it waits a minute before it asks again."""
    run, gate = build(), tmp_path / "gate"
    gate.write_text(f"#!/bin/sh\n[ -e {tmp_path}/open ]\n")
    gate.chmod(0o700)
    hook(run, f'[[hooks]]\non = ["gate"]\ncommand = ["{gate}"]')
    process = run.start()
    until(lambda: (rotation := run.records()[0].last_rotation) and rotation.waiting)
    kept = len(run.world.vonage.secrets(run.world.accounts[0].api_key))
    (tmp_path / "open").touch()
    with run.database.begin() as connection:
        connection.exec_driver_sql("UPDATE rotation SET gate_retry_at = NULL")
    until(run.are_done)

    assert run.stop(process) == 0
    assert kept == 2


@pytest.mark.parametrize("kind", ["sqlite"])
def test_an_overdue_account_is_told_of(build: Build) -> None:
    """Also one that waits for its window."""
    with receiving() as receiver:
        run = build(age=timedelta(days=50))
        run.configure(window=closed_window())
        hook(run, f'[[hooks]]\non = ["overdue"]\nurl = "{receiver.url}"')
        # The first look settles what the daemon then finds to be late.
        assert run.run("status", "--refresh").returncode == 0
        process = run.start()
        until(lambda: receiver.taken)
        assert run.stop(process) == 0
        [taken] = receiver.taken

    body = json.loads(taken.body)
    assert (body["event"], body["account"]) == ("overdue", "account-1")
    assert "older than max_age" in body["reason"]


def closed_window() -> str:
    """Return a window that is not open now, nor soon."""
    closed = datetime.now(UTC) + timedelta(hours=3)
    return f"{closed:%H}:00-{closed:%H}:30"


def test_started_whole_it_ends_without_a_word_too_many(build: Build) -> None:
    """With nothing imported before it, the daemon rotates, and its interpreter ends in quiet."""
    run = build()
    with run.log.open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "rotator", "--config", str(run.config), "run"],
            env=ENVIRONMENT,
            stdout=log,
            stderr=log,
        )
    try:
        until(run.are_done)
        process.terminate()
        assert process.wait(PATIENCE) == 0
    finally:
        process.kill()
        process.wait()

    assert all(line.startswith("{") for line in run.log.read_text().splitlines())


class Clock:
    """The clock of one daemon, which is started with it and may be set while it runs."""

    def __init__(self, run: Service, offset: str) -> None:
        """Be `offset` away from the right time, as libfaketime has it: `+60d`."""
        self._run = run
        self._file = run.folder / "offset"
        self.set(offset)

    def set(self, offset: str) -> None:
        """Be another `offset` away."""
        self._file.write_text(offset)

    @contextmanager
    def daemon(self) -> Iterator[subprocess.Popen[bytes]]:
        """Start a daemon that goes by this clock; it has to end by itself once told to."""
        faked = {
            "LD_PRELOAD": str(FAKETIME),
            "FAKETIME_TIMESTAMP_FILE": str(self._file),
            "FAKETIME_NO_CACHE": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        }
        with self._run.log.open("a") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "rotator", "--config", str(self._run.config), "run"],
                env={**ENVIRONMENT, **faked},
                stdout=log,
                stderr=log,
            )
        try:
            yield process
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE) == 0
        finally:
            process.kill()
            process.wait()


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed")
@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_clock_that_is_put_back_is_said_and_stops_nothing(build: Build) -> None:
    """What was to run in a second, by a clock two months ahead, does not wait for two months."""
    run = build(accounts=2)
    clock = Clock(run, "+60d")
    run.run("hold", "account-1", "--reason", "until the clock is right")
    with clock.daemon():
        until(lambda: run.outcomes() == {"completed": 1, "None": 1})
        until(lambda: all(record.seen_at for record in run.records()))
        seen = [record.seen_at for record in run.records() if record.seen_at]
        clock.set("+0")
        until(lambda: run.logged('"clock put back"'))
        released = run.run("release", "account-1")
        until(run.are_done)

    [told] = [line for line in run.log.read_text().splitlines() if '"clock put back"' in line]
    now, dues = datetime.now(UTC), [record.next_due_at for record in run.records()]
    assert (json.loads(told)["level"], released.returncode) == ("warning", 0)
    assert max(seen) > now + timedelta(days=50)
    assert all(due and due < now + timedelta(days=31) for due in dues)
    assert set(run.made().values()) == {1}


@pytest.mark.skipif(not FAKETIME, reason="libfaketime is not installed")
@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_clock_that_is_behind_is_said_with_its_cure(build: Build) -> None:
    """No rotation with a grace begins by it; put right, one is made by itself."""
    run = build()
    run.configure(grace="1h", jitter="0s")
    clock = Clock(run, "-3d")
    with clock.daemon():
        until(lambda: run.logged('"event": "refused"'))
        refused = run.made()
        clock.set("+0")
        until(lambda: run.logged('"awaiting-deletion"'))

    told = [line for line in run.log.read_text().splitlines() if '"clock-behind"' in line]
    # A look may find it before the pass does.
    [line] = [line for line in map(json.loads, told) if line["event"] == "refused"]
    assert refused == {"account-1": 0}
    assert "behind Vonage's" in line["reason"]
    assert "`timedatectl set-ntp true`" in line["hint"]
    assert run.logged('"clock put back"') == 0
    assert run.made() == {"account-1": 1}
