"""Ledgers in SQLite files, made and opened without waiting for the disk."""

import shutil
import sqlite3
import uuid
from contextlib import closing
from functools import cache
from pathlib import Path
from tempfile import mkdtemp

from sqlalchemy import Dialect, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from rotator.ledger import schema
from rotator.ledger.database import open_database


def new_ledger(folder: Path) -> Path:
    """Make an empty ledger beside those that are in the folder."""
    file = folder / f"ledger-{len(list(folder.glob('ledger-*.db'))) + 1}.db"
    file.write_bytes(_empty())
    return file


def another_ledger(folder: Path) -> Path:
    """Make an empty ledger that is another one: what `new_ledger` makes all have one id."""
    file = new_ledger(folder)
    with closing(sqlite3.connect(file)) as connection, connection:
        connection.execute("UPDATE ledger SET id = ?", (str(uuid.uuid4()),))
    return file


def backup(ledger: Path) -> Path:
    """Make a backup of a ledger, beside it."""
    kept = ledger.with_name(f"backup-{len(list(ledger.parent.glob('backup-*')))}.db")
    with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(kept)) as target:
        source.backup(target)
    return kept


def open_ledger(url: str) -> Engine:
    """Open a ledger of any kind."""
    database = open_database(url)
    if database.dialect.name == "sqlite":
        event.listen(database, "connect", _without_sync)
    compile_once(database)
    return database


#: By kind of database: a dialect that knows its server, and what was compiled for it.
_COMPILED: dict[str, tuple[Dialect, dict[object, object]]] = {}


def compile_once(database: Engine) -> None:
    """Compile each statement once for all databases of a kind that a test process opens.

    SQLAlchemy compiles it for each of them anew, which is a third of the time of a rotation.
    """
    name = database.dialect.name
    if name not in _COMPILED:
        database.connect().close()
        _COMPILED[name] = database.dialect, {}
    database.dialect, compiled = _COMPILED[name]
    database.update_execution_options(compiled_cache=compiled)


def _without_sync(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
    """Do not wait for the disk: it is half of a test's time, and no test cuts the power."""
    connection.cursor().execute("PRAGMA synchronous = OFF")


@cache
def _empty() -> bytes:
    """Return the file of a ledger with its schema and nothing in it."""
    folder = Path(mkdtemp())
    try:
        database = open_database(f"sqlite:///{folder / 'ledger.db'}")
        schema.ensure(database, auto_upgrade=True)
        # The last connection's end moves everything from the write-ahead log into the file.
        database.dispose()
        return (folder / "ledger.db").read_bytes()
    finally:
        shutil.rmtree(folder)
