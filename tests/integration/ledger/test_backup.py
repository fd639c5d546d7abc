"""Backups in a file, made while others write."""

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select

from rotator.errors import ConfigError, LedgerError, LedgerUnusable
from rotator.ledger import backup as backups
from rotator.ledger import schema, tables
from rotator.ledger.backup import back_up
from rotator.ledger.copy import checked, copy
from rotator.ledger.database import open_database, open_file, writing
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import Step
from rotator.rotation.ports import NewEntry
from tests.conftest import PostgreSQL
from tests.support.samples import ANN

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
ENTRY = NewEntry(event="opened", step=Step.OPEN, detail={"what": "ünïcode"})


@pytest.fixture
def ledger(database: Engine) -> Engine:
    """Return a ledger with an entry, whose account is being worked on."""
    append(database)
    LedgerWriter(database, lease_seconds=60, owner="there/boot/ns/1/100").claim("voice", NOW)
    return database


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Return the path of a file that is not there, with a name that is no part of a URL."""
    folder = tmp_path / "backups"
    folder.mkdir()
    return folder / "what?#%20 ünïcode.db"


def append(engine: Engine) -> None:
    """Commit an entry of `sms`."""
    writer = LedgerWriter(engine, lease_seconds=60)
    lease = writer.claim("sms", NOW)
    writer.commit(lease, rotation=None, entries=[ENTRY], snapshot=None, now=NOW, last=True)


def contents(engine: Engine) -> dict[str, list[tuple[object, ...]]]:
    """Read every row of the ledger's tables."""
    with engine.connect() as connection:
        return {
            table.name: sorted(map(tuple, connection.execute(select(table))), key=repr)
            for table in tables.metadata.sorted_tables
        }


@contextmanager
def opened(path: Path) -> Iterator[Engine]:
    """Yield the database in a file."""
    engine = open_file(path)
    yield engine
    engine.dispose()


def test_a_backup_is_the_whole_ledger_in_a_private_file(ledger: Engine, path: Path) -> None:
    """Every row is in it; a lease is in nobody's way, and nothing is left beside the file."""
    before = contents(ledger)
    done = back_up(ledger, path)
    with opened(path) as copied:
        after = contents(copied)

    assert after == before == contents(ledger)
    assert [(each.account, each.entries, each.fault) for each in done.verdicts or ()] == [
        ("sms", 1, None),
        ("voice", 0, None),
    ]
    assert (done.path, done.revision) == (path, schema.HEAD)
    assert done.size == path.stat().st_size
    assert path.stat().st_mode & 0o777 == 0o600
    assert [*path.parent.iterdir()] == [path]


def test_a_backup_is_consistent_while_others_write(
    ledger: Engine, ledger_url: str, path: Path
) -> None:
    """Each is a moment of the ledger between two commits, and no commit has to wait for its end."""
    is_enough = threading.Event()

    def write() -> None:
        engine = open_database(ledger_url)
        while not is_enough.is_set():
            append(engine)
        engine.dispose()

    busy = threading.Thread(target=write)
    busy.start()
    try:
        taken = [back_up(ledger, path.with_name(f"{number}.db")) for number in range(5)]
    finally:
        is_enough.set()
        busy.join()
    chains = [verdict for each in taken for verdict in each.verdicts or ()]
    counts = [chain.entries for chain in chains if chain.account == "sms"]

    assert [chain.fault for chain in chains] == [None] * 10
    assert counts == sorted(counts)
    assert counts[-1] > counts[0]
    assert LedgerReader(ledger).verify("sms").entries >= counts[-1]


def test_a_backup_can_be_copied_back(
    ledger: Engine, path: Path, postgresql: PostgreSQL, kind: str, tmp_path: Path
) -> None:
    """Into an empty database of the kind that it was taken from, once its leases have run out."""
    back_up(ledger, path)
    before = contents(ledger)
    url = postgresql.create() if kind == "postgresql" else f"sqlite:///{tmp_path / 'new.db'}"
    restored = open_database(url)
    with opened(path) as source:
        copied = copy(source, restored, actor=ANN, now=NOW + timedelta(days=3650))
    entries = LedgerReader(restored).verify("sms")
    restored.dispose()
    if kind == "postgresql":
        postgresql.drop(url)

    assert copied.rows == {name: len(rows) for name, rows in before.items()}
    assert (entries.entries, entries.fault) == (2, None)


@pytest.mark.parametrize("make", [Path.touch, Path.mkdir, lambda path: path.symlink_to("nowhere")])
def test_nothing_is_replaced(ledger: Engine, path: Path, make: Callable[[Path], None]) -> None:
    """Whatever has the name keeps it, and the ledger itself is not its own backup."""
    make(path)
    before = path.lstat()
    with pytest.raises(ConfigError, match="is already there") as caught:
        back_up(ledger, path)

    assert path.lstat() == before
    assert caught.value.exit_code == 2
    assert [*path.parent.iterdir()] == [path]


@pytest.mark.parametrize("has_links", [True, False])
def test_a_name_that_is_taken_meanwhile_is_not_replaced(
    ledger: Engine, path: Path, monkeypatch: pytest.MonkeyPatch, *, has_links: bool
) -> None:
    """Looking before is not enough: the name is only ever given to a new file."""
    if not has_links:
        monkeypatch.setattr(os, "link", refuse)

    def meanwhile(engine: Engine) -> object:
        path.write_text("somebody else's")
        return checked(engine)

    monkeypatch.setattr(backups, "checked", meanwhile)
    with pytest.raises(ConfigError, match="is already there"):
        back_up(ledger, path)

    assert path.read_text() == "somebody else's"
    assert [*path.parent.iterdir()] == [path]


def refuse(*_arguments: object) -> None:
    """Refuse a link, as a file system does that has none."""
    raise PermissionError(1, "Operation not permitted")


def test_a_file_system_needs_no_links(
    ledger: Engine, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A backup on another machine's disk, or on a stick, gets its name as well."""
    monkeypatch.setattr(os, "link", refuse)
    done = back_up(ledger, path)

    assert done.size == path.stat().st_size
    assert [*path.parent.iterdir()] == [path]


def test_a_folder_that_is_not_there(ledger: Engine, path: Path) -> None:
    """The path and the reason are named, and that the ledger is as it was."""
    with pytest.raises(LedgerError, match=r"nowhere/x\.db cannot be written: no such") as caught:
        back_up(ledger, path.parent / "nowhere" / "x.db")

    assert "the ledger is unchanged" in (caught.value.hint or "")


def test_a_broken_chain_is_kept_as_evidence(ledger: Engine, path: Path) -> None:
    """The backup has it as it is, and its verdict says so."""
    with writing(ledger) as connection:
        connection.exec_driver_sql(
            "ALTER TABLE entry DISABLE TRIGGER USER"
            if ledger.dialect.name == "postgresql"
            else "DROP TRIGGER entry_no_update"
        )
        connection.execute(tables.entry.update().values(event="refused"))
    done = back_up(ledger, path)

    assert [each.fault for each in done.verdicts or ()] == ["entry 1 was changed", None]
    assert path.exists()


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("start", [0, 100, 8192])
def test_a_damaged_ledger_is_no_backup(ledger: Engine, path: Path, start: int) -> None:
    """What SQLite finds damaged would take the place of a good backup: nothing is written."""
    ledger.dispose()
    file = Path(ledger.url.database or "")
    whole = file.read_bytes()
    file.write_bytes(whole[:start] + b"\1" * 20000 + whole[start + 20000 :])
    with pytest.raises(LedgerUnusable) as caught:
        back_up(ledger, path)

    assert "damaged" in caught.value.message or "not a SQLite database" in caught.value.message
    assert [*path.parent.iterdir()] == []


def test_a_ledger_of_another_version(ledger: Engine, path: Path, kind: str) -> None:
    """SQLite's pages are copied whatever they hold, as before an upgrade; rows are not."""
    with writing(ledger) as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '0001'")
    if kind == "sqlite":
        done = back_up(ledger, path)

        assert (done.revision, done.verdicts) == ("0001", None)
    else:
        with pytest.raises(LedgerUnusable):
            back_up(ledger, path)

        assert [*path.parent.iterdir()] == []
