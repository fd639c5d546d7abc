"""Whose the ledger's SQLite file is: its folder's owner's, though root made or restored it."""

import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest.mock import Mock

import pytest

from rotator.application import Application
from rotator.config import load
from rotator.doctor import files
from rotator.doctor.check import Verdict
from rotator.errors import LedgerUnusable
from rotator.ledger import schema
from rotator.ledger.database import open_database
from rotator.ledger.reader import LedgerReader
from tests.support.ledgers import another_ledger

#: Somebody who is not root; nobody has to have the number.
USER, GROUP = 61_234, 61_235
CONFIG = """
[vault]
address = "https://vault.example.com"
[ledger]
url = "sqlite:///{file}"
[[accounts]]
name = "sms"
api_key = "abcd1234"
vault_path = "vonage/sms"
"""
NAMES = ("ledger.db", "ledger.db-wal", "ledger.db-shm")
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Return a folder of somebody else's, as a service's state is."""
    folder = tmp_path / "private" / "rotator"
    folder.mkdir(parents=True, mode=0o700)
    os.chown(folder, USER, GROUP)
    return folder


def use(file: Path) -> dict[str, tuple[int, int, int]]:
    """Make or open the ledger as root; give owner, group and mode of its files meanwhile."""
    database = open_database(f"sqlite:///{file}")
    schema.ensure(database, auto_upgrade=True)
    LedgerReader(database).check()
    found = {
        path.name: (path.stat().st_uid, path.stat().st_gid, path.stat().st_mode & 0o777)
        for path in file.parent.iterdir()
    }
    database.dispose()
    return found


def test_what_root_makes_is_the_folders_owners(folder: Path) -> None:
    """The ledger and the files that SQLite puts beside it."""
    assert use(folder / "ledger.db") == dict.fromkeys(NAMES, (USER, GROUP, 0o600))


def test_so_is_what_root_has_restored(folder: Path, tmp_path: Path) -> None:
    """With the next command of root's, whatever it does."""
    backup = tmp_path / "backup.db"
    use(backup)
    shutil.copy(backup, folder / "ledger.db")

    assert use(folder / "ledger.db") == dict.fromkeys(NAMES, (USER, GROUP, 0o600))


def test_the_folder_may_be_reached_by_a_link(folder: Path) -> None:
    """As a service's state is, whose user comes and goes."""
    link = folder.parent.parent / "rotator"
    link.symlink_to(folder)

    assert use(link / "ledger.db") == dict.fromkeys(NAMES, (USER, GROUP, 0o600))


@contextmanager
def somebody() -> Iterator[None]:
    """Be somebody else in a `with` block."""
    os.setegid(GROUP)
    os.seteuid(USER)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def test_the_owner_can_work_with_it() -> None:
    """While root has it open, too."""
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, USER, GROUP)
        file = Path(name) / "ledger.db"
        roots = open_database(f"sqlite:///{file}")
        schema.ensure(roots, auto_upgrade=True)
        with somebody(), closing(sqlite3.connect(file)) as own, own:
            own.execute("INSERT INTO account (name) VALUES ('sms')")
        found = LedgerReader(roots).recorded_accounts()
        roots.dispose()

    assert found == ["sms"]


def test_what_root_left_to_others_is_refused_with_a_cure() -> None:
    """Whoever cannot open it hears how it becomes theirs."""
    with tempfile.TemporaryDirectory() as name:
        os.chown(name, USER, GROUP)
        file = Path(name) / "ledger.db"
        file.touch(0o600)
        theirs = open_database(f"sqlite:///{file}")
        with somebody(), pytest.raises(LedgerUnusable) as caught:
            schema.ensure(theirs, auto_upgrade=True)

    assert caught.value.exit_code == 2
    assert f"chown --reference={name} {file}" in str(caught.value.hint)


def make_link(path: Path) -> None:
    """Make the ledger's name a link to elsewhere."""
    path.symlink_to(path.parent.parent / "others")


def make_hard_link(path: Path) -> None:
    """Make the ledger's file a hard link to another one."""
    os.link(path.parent.parent / "others", path)


def make_other(path: Path) -> None:
    """Put another file of root's in the ledger's place."""
    path.write_text("root's own")


def make_someones(path: Path) -> None:
    """Make the ledger's file belong to a third user."""
    path.touch()
    os.chown(path, USER + 7, GROUP)


@pytest.mark.parametrize("put", [make_link, make_hard_link, make_other, make_someones])
def test_nothing_else_is_given_away(folder: Path, put: Callable[[Path], None]) -> None:
    """Whoever owns the folder cannot have root give them what is root's."""
    others = folder.parent / "others"
    others.write_text("root's own")
    put(folder / "ledger.db")
    before = (folder / "ledger.db").stat().st_uid
    database = open_database(f"sqlite:///{folder / 'ledger.db'}")
    with pytest.raises(Exception, match=r"ledger|database"):
        schema.ensure(database, auto_upgrade=False)
    database.dispose()

    assert (folder / "ledger.db").stat().st_uid == before
    assert others.stat().st_uid == 0


def test_a_folder_of_roots_keeps_its_files(tmp_path: Path) -> None:
    """There is nobody to give them to."""
    assert use(tmp_path / "ledger.db") == dict.fromkeys(NAMES, (0, 0, 0o600))


@pytest.mark.parametrize("is_given", [True, False])
def test_another_connection_keeps_the_locks(
    folder: Path, monkeypatch: pytest.MonkeyPatch, *, is_given: bool
) -> None:
    """Another process that ends does not take itself for the last: the log stays for commits."""
    if not is_given:
        monkeypatch.setattr(os, "fchown", Mock(side_effect=PermissionError))
    ledger = folder / "ledger.db"
    shutil.copy(another_ledger(folder.parent), ledger)
    database = open_database(f"sqlite:///{ledger}")
    with database.connect() as first, database.connect() as second:
        os.chown(ledger, 0, 0)
        with database.connect():
            others_end(ledger)
        found = (folder / "ledger.db-wal").exists()
        first.close()
        second.close()
    database.dispose()

    assert found


def test_locks_are_kept_in_a_folder_of_roots(tmp_path: Path) -> None:
    """Where nothing is given away, nothing is opened."""
    ledger = another_ledger(tmp_path)
    database = open_database(f"sqlite:///{ledger}")
    with database.connect(), database.connect():
        others_end(ledger)
        found = Path(f"{ledger}-wal").exists()
    database.dispose()

    assert found


def others_end(ledger: Path) -> None:
    """Write to the ledger from another process that ends, as every command does."""
    write = (
        "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute(sys.argv[2]); c.close()"
    )
    statement = "PRAGMA user_version = 0"
    subprocess.run([sys.executable, "-c", write, ledger, statement], check=True)


def test_doctor_sees_whose_it_is(folder: Path, tmp_path: Path) -> None:
    """A file that is not its folder's owner's keeps the service from its ledger."""
    file = folder / "ledger.db"
    use(file)
    whole = checked(tmp_path, file)
    os.chown(file, 0, 0)
    broken = checked(tmp_path, file)

    assert whole == [(Verdict.OK, f"its files and their folder belong to user {USER}", None)]
    assert broken == [
        (
            Verdict.FAILED,
            f"{file} belongs to root, its folder to user {USER}",
            f"`chown --reference={folder} {file}`",
        )
    ]


def test_doctor_takes_a_folder_of_roots_for_nobody_s(tmp_path: Path) -> None:
    """As the root of a volume in Kubernetes, where rotator writes through the folder's group."""
    volume = tmp_path / "volume"
    volume.mkdir()
    use(volume / "ledger.db")
    os.chown(volume / "ledger.db", USER, USER)

    assert checked(tmp_path, volume / "ledger.db") == [
        (Verdict.OK, f"its files and their folder belong to root and user {USER}", None)
    ]


def checked(tmp_path: Path, file: Path) -> list[tuple[Verdict, str, str | None]]:
    """Return doctor's findings on the ledger's owner."""
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(file=file))
    with Application(load(config, {}), {}) as application:
        return [
            (each.verdict, each.finding, each.hint)
            for each in files.checks(application)
            if each.name == "ledger owner"
        ]
