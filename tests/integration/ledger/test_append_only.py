import sqlite3
from contextlib import closing
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import Engine, Executable, delete, insert, make_url, update
from sqlalchemy.exc import DBAPIError

from rotator.ledger import tables
from rotator.ledger.database import writing
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.rotation.ports import NewEntry

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
COLUMNS = "account, seq, rotation_id, at, event, step, detail, prev_hash, hash"
#: An entry once more, with another event and another hash.
FORGED = (
    "SELECT account, seq, rotation_id, at, 'forged', step, detail, prev_hash,"
    " 'ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff' FROM entry WHERE seq = 2"
)


@pytest.fixture(autouse=True)
def written(database: Engine) -> None:
    """Write three entries."""
    writer = LedgerWriter(database, lease_seconds=60)
    entries = [NewEntry(event="done", step=None, detail={"n": number}) for number in range(3)]
    writer.commit(writer.claim("a", NOW), rotation=None, entries=entries, snapshot=None, now=NOW)


def raw(url: str, *statements: str) -> None:
    """Run SQL as an outsider would, without rotator and SQLAlchemy."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        with closing(sqlite3.connect(str(parsed.database))) as file, file:
            for statement in statements:
                file.execute(statement)
        return
    info = parsed.set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(info) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.mark.parametrize(
    "statement",
    [
        update(tables.entry).values(event="forged"),
        update(tables.entry).where(tables.entry.c.seq == 2).values(hash="0" * 64),
        delete(tables.entry),
        delete(tables.entry).where(tables.entry.c.seq == 3),
    ],
    ids=str,
)
def test_rotators_own_connection_cannot_change_entries(
    database: Engine, statement: Executable
) -> None:
    """Not even a mistake in rotator itself can change what was recorded."""
    before = list(LedgerReader(database).entries())
    with pytest.raises(DBAPIError, match="never"), database.begin() as connection:
        connection.execute(statement)

    assert list(LedgerReader(database).entries()) == before


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET event = 'forged'",
        "UPDATE entry SET detail = '{}' WHERE seq = 2",
        "UPDATE entry SET seq = 9 WHERE seq = 3",
        "DELETE FROM entry",
        "DELETE FROM entry WHERE seq = 3",
    ],
)
def test_raw_sql_cannot_change_entries(database: Engine, ledger_url: str, statement: str) -> None:
    """The database refuses whoever asks."""
    before = list(LedgerReader(database).entries())
    with pytest.raises((sqlite3.IntegrityError, psycopg.errors.RaiseException), match="never"):
        raw(ledger_url, statement)

    assert list(LedgerReader(database).entries()) == before


def test_an_entry_is_not_written_twice(database: Engine) -> None:
    """A second entry of the same number is refused."""
    [first, *_] = LedgerReader(database).entries()
    with pytest.raises(DBAPIError), database.begin() as connection:
        connection.execute(insert(tables.entry).values(**first._asdict()))


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize(
    "statement",
    [
        f"REPLACE INTO entry ({COLUMNS}) {FORGED}",
        f"INSERT OR REPLACE INTO entry ({COLUMNS}) {FORGED}",
        f"INSERT INTO entry ({COLUMNS}) {FORGED} ON CONFLICT DO UPDATE SET event = 'forged'",
        "UPDATE OR REPLACE entry SET seq = 2 WHERE seq = 3",
    ],
)
@pytest.mark.parametrize("recursive", ["ON", "OFF"])
def test_sqlite_cannot_replace_entries(
    database: Engine, ledger_url: str, statement: str, recursive: str
) -> None:
    """REPLACE deletes the row in its way, and asks triggers against deletion only if told to."""
    before = list(LedgerReader(database).entries())
    with pytest.raises(sqlite3.IntegrityError, match="never"):
        raw(ledger_url, f"PRAGMA recursive_triggers = {recursive}", statement)

    assert list(LedgerReader(database).entries()) == before


@pytest.mark.parametrize("kind", ["sqlite"])
def test_sqlite_has_no_second_key_to_replace_by(database: Engine, ledger_url: str) -> None:
    """A row that collides by rowid alone would delete the other one unseen."""
    before = list(LedgerReader(database).entries())
    forged = FORGED.replace("account, seq", "1, account, 9")
    with pytest.raises(sqlite3.OperationalError, match="rowid"):
        raw(ledger_url, f"REPLACE INTO entry (rowid, {COLUMNS}) {forged}")

    assert list(LedgerReader(database).entries()) == before


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.parametrize(
    "statement",
    [
        "TRUNCATE entry",
        "TRUNCATE account CASCADE",
        f"INSERT INTO entry ({COLUMNS}) {FORGED} ON CONFLICT (account, seq) DO UPDATE SET seq = 9",
        "MERGE INTO entry USING (SELECT 2 AS n) AS it ON seq = n WHEN MATCHED THEN DELETE",
    ],
)
def test_postgresql_has_no_other_way_either(
    database: Engine, ledger_url: str, statement: str
) -> None:
    """What empties, replaces or merges rows is refused as well."""
    version = database.dialect.server_version_info or ()
    if statement.startswith("MERGE") and version < (15,):
        pytest.skip("this server has no MERGE yet")
    before = list(LedgerReader(database).entries())
    with pytest.raises(psycopg.errors.RaiseException, match="never"):
        raw(ledger_url, statement)

    assert list(LedgerReader(database).entries()) == before


def test_an_account_with_entries_is_not_deleted(database: Engine) -> None:
    """The row that an account's entries hang on stays."""
    with pytest.raises(DBAPIError, match=r"(?i)foreign key"), database.begin() as connection:
        connection.execute(delete(tables.account))


def test_what_triggers_let_through_the_chain_shows(database: Engine, ledger_url: str) -> None:
    """Who owns the database can take the triggers away; the chain then tells of it."""
    drop = {
        "sqlite": "DROP TRIGGER entry_no_update",
        "postgresql": "ALTER TABLE entry DISABLE TRIGGER ALL",
    }[database.dialect.name]
    raw(ledger_url, drop, "UPDATE entry SET event = 'forged' WHERE seq = 2")

    assert LedgerReader(database).verify("a").fault == "entry 2 was changed"


def test_a_trigger_that_is_gone_is_missed(database: Engine) -> None:
    """Whoever may change the schema can take a trigger away, and that is seen."""
    queries = LedgerReader(database)
    whole = queries.missing_triggers()
    is_sqlite = database.dialect.name == "sqlite"
    gone = "entry_no_update" if is_sqlite else "entry_no_truncate"
    with writing(database) as connection:
        connection.exec_driver_sql(f"DROP TRIGGER {gone}{'' if is_sqlite else ' ON entry'}")

    assert whole == []
    assert queries.missing_triggers() == [gone]
