"""The power is cut at every instant of a command, and the next one starts on what the disk has.

What a process does to the ledger's files is recorded, together with what it sends. From that
follows each state that the disk may have at any instant, and each is looked at: is the ledger
whole, and is every commit in it that had been acknowledged? Then real commands go on from each
ledger that may be left, in the world as it was at that instant.
"""

import time
from collections.abc import Callable
from pathlib import Path
from shutil import copy

import pytest

from rotator.ledger.database import open_database
from tests.crash import power_faults
from tests.crash.killing import Ground, ground
from tests.crash.power import (
    Case,
    Examined,
    Recording,
    Shelf,
    examine,
    examine_new_file,
    read_folder,
    record,
)
from tests.crash.test_kill_matrix import (
    Abort,
    Full,
    Grace,
    Plain,
    Scenario,
    check,
    is_done,
    until_done,
)
from tests.integration.ledger.test_schema import fill, upgrade_to
from tests.support import figures
from tests.support.tracing import STRACE

pytestmark = [
    pytest.mark.crash,
    pytest.mark.slow,
    # Thousands of states are opened one by one.
    pytest.mark.timeout(600),
    pytest.mark.skipif(STRACE is None, reason="strace is not installed"),
]

#: Fewer cuts than this, and something was not recorded.
FEWEST_CUTS = 30
#: What is upgraded: migrations that add columns, tables, indexes and facts from entries follow.
OLD_REVISION = "0009"
SMALL_LOG = power_faults.with_pragmas("wal_autocheckpoint = 6")
ROLLBACK = power_faults.with_pragmas("journal_mode = DELETE")


class First(Plain):
    """The very first start: there is no ledger yet."""


#: Scenarios, the command to cut the power in, and what is set in its process.
CASES: dict[str, tuple[type[Scenario], int, Callable[[], None] | None]] = {
    "a rotation": (Plain, 0, None),
    "the first start": (First, 0, None),
    "a rotation with grace": (Grace, 0, None),
    "the deletion after the grace": (Grace, 1, None),
    "both slots taken": (Full, 0, None),
    "an aborted rotation": (Abort, 0, None),
    "the log is moved into the file meanwhile": (Plain, 0, SMALL_LOG),
    "a rollback journal instead of a log": (Plain, 0, ROLLBACK),
}


@pytest.mark.parametrize("name", CASES)
def test_power_cut_at_any_instant_is_survived(
    tmp_path: Path, sqlite_template: Path, name: str
) -> None:
    """No commit is lost or halved, and the next command completes without an extra secret."""
    began = time.monotonic()
    kind, nth, first = CASES[name]
    disk = new_disk(tmp_path, None if kind is First else sqlite_template)
    scenario = kind()
    with ground(tmp_path, url_of(disk)) as here:
        recording = recorded(here, scenario, nth, disk, first)
        propagation = here.world.vonage.propagation
        shelf = Shelf(tmp_path / "shelf")
        found = examine(recording, disk, shelf)

        assert found.faults == set()
        assert found.cuts >= FEWEST_CUTS
        for case in found.cases.values():
            here.world.vonage.propagation = propagation
            go_on(here, scenario, nth, disk, case)
    keep(name, found, shelf, began)


FAULTS: dict[str, tuple[Callable[[], None], str]] = {
    "synchronous = OFF, by the record": (
        power_faults.with_pragmas("synchronous = OFF"),
        "an acknowledged commit is gone",
    ),
    "synchronous = OFF, by the requests": (
        power_faults.with_pragmas("synchronous = OFF"),
        "sent without an intent",
    ),
    "synchronous = NORMAL": (
        power_faults.with_pragmas("synchronous = NORMAL"),
        "an acknowledged commit is gone",
    ),
    "a rollback journal, its removal not synced": (
        power_faults.with_pragmas("journal_mode = DELETE", "synchronous = FULL"),
        "an acknowledged commit is gone",
    ),
    "a journal in memory": (
        power_faults.with_pragmas("journal_mode = MEMORY"),
        "half a commit is there",
    ),
    "acts before the commit": (power_faults.acts_before_the_commit, "sent without an intent"),
    "syncs after the answer": (
        power_faults.syncs_after_the_answer,
        "an acknowledged commit is gone",
    ),
}


@pytest.mark.parametrize("name", FAULTS)
def test_seeded_faults_are_found(tmp_path: Path, sqlite_template: Path, name: str) -> None:
    """What makes a commit less durable, or an effect come before it, shows in some state."""
    first, expected = FAULTS[name]
    disk = new_disk(tmp_path, sqlite_template)
    with ground(tmp_path, url_of(disk)) as here:
        recording = recorded(here, Plain(), 0, disk, first)
    found = examine(recording, disk, Shelf(tmp_path / "shelf"), until=expected)

    assert any(fault.startswith(expected) for fault in found.faults)


def test_upgrade_that_is_cut_off_leaves_the_old_schema_or_the_new_one(tmp_path: Path) -> None:
    """Whichever it is, the ledger holds what it held, and the same command completes."""
    began = time.monotonic()
    disk = new_disk(tmp_path, None)
    old = open_database(url_of(disk))
    upgrade_to(old, OLD_REVISION)
    fill(old)
    old.dispose()
    with ground(tmp_path, url_of(disk)) as here:
        recording = run_recorded(here, disk, "db", "upgrade")
        shelf = Shelf(tmp_path / "shelf")
        found = examine(recording, disk, shelf)
        upgraded = shelf.read(read_folder(disk))

        assert (recording.code, found.faults, len(found.cases)) == (0, set(), 2)
        for case in found.cases.values():
            Shelf(disk).place(case.state)
            assert here.run("db", "upgrade") == 0
            assert shelf.read(read_folder(disk)) == upgraded
    keep("an upgrade of the schema", found, shelf, began)


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("ledger backup", ("ledger", "backup", "{target}")),
        ("db copy", ("db", "copy", "--to", "sqlite:///{target}")),
    ],
)
def test_copy_is_on_the_disk_once_it_is_reported(
    tmp_path: Path, sqlite_template: Path, name: str, command: tuple[str, ...]
) -> None:
    """Its name included; what a power cut leaves of one is never taken for a whole one."""
    began = time.monotonic()
    disk = new_disk(tmp_path, sqlite_template)
    target = disk / "copy.db"
    with ground(tmp_path, url_of(disk)) as here:
        assert here.run("rotate-now", "--all", "--grace", "0s") == 0
        here.database.dispose()
        recording = run_recorded(here, disk, *(each.format(target=target) for each in command))
    shelf = Shelf(tmp_path / "shelf", target.name)
    whole = shelf.read(read_folder(disk))
    if name == "ledger backup":
        found = examine_new_file(recording, disk, shelf, whole)
    else:
        found = examine(recording, disk, shelf)

    assert (recording.code, found.faults) == (0, set())
    assert whole.intents
    keep(name, found, shelf, began)


def new_disk(folder: Path, template: Path | None) -> Path:
    """Make the folder of a ledger, with a copy of `template` as the ledger."""
    disk = folder / "disk"
    disk.mkdir()
    if template:
        copy(template, disk / "ledger.db")
    return disk


def url_of(disk: Path, name: str = "ledger.db") -> str:
    """Return the URL of a ledger on a disk."""
    return f"sqlite:///{disk / name}"


def recorded(
    here: Ground, scenario: Scenario, nth: int, disk: Path, first: Callable[[], None] | None
) -> Recording:
    """Run a scenario's commands up to the nth, and record that one."""
    scenario.prepare(here)
    *before, command = scenario.commands()[: nth + 1]
    for each in before:
        until_done(here, scenario, each, None)
        scenario.between(here, 0)
    here.database.dispose()
    return run_recorded(here, disk, *command, first=first)


def run_recorded(
    here: Ground, disk: Path, *command: str, first: Callable[[], None] | None = None
) -> Recording:
    """Run one command, and record it."""
    arguments = ("--config", str(here.folder / "config.toml"), *command)
    return record(here.world, disk, arguments, scratch=here.folder, first=first)


def go_on(here: Ground, scenario: Scenario, nth: int, disk: Path, case: Case) -> None:
    """Start on what a power cut left, and carry on until the scenario is done."""
    here.database.dispose()
    Shelf(disk).place(case.state)
    case.world.restore(here.world)
    here.doomed = set(case.world.doomed)
    code = here.run("resume")
    for command in scenario.commands()[nth:]:
        if not is_done(here, command):
            scenario.between(here, code)
            until_done(here, scenario, command, None)
    check(here, scenario)


def keep(name: str, found: Examined, shelf: Shelf, began: float) -> None:
    """Keep the figures of one table row."""
    row = {
        "cuts": found.cuts,
        "states of the disk": shelf.count,
        "ledgers and worlds": len(found.cases),
        "seconds": round(time.monotonic() - began),
    }
    figures.keep("power loss", name, row)
