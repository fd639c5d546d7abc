"""Connections for readers of the status page, so that they never delay a rotation."""

import time
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from rotator.ledger.database import open_database

#: Time limit of each read, in seconds; a longer one is aborted.
LONGEST = 10.0
#: SQLite instructions between two checks of the clock.
_INSTRUCTIONS = 100_000


def open_for_readers(url: str) -> Engine:
    """Prepare the database at `url`, with separate connections and a time limit on each statement.

    Raises:
        LedgerUnusable: as `open_database`.
    """
    engine = open_database(url)
    _BOUNDS[engine.dialect.name](engine)
    return engine


def _bound_sqlite(engine: Engine) -> None:
    deadlines: dict[int, float] = {}

    @event.listens_for(engine, "connect")
    def _watch(connection: Any, _record: ConnectionPoolEntry) -> None:  # noqa: ANN401  # sqlite3's
        key = id(connection)
        connection.set_progress_handler(
            lambda: time.monotonic() > deadlines.get(key, float("inf")), _INSTRUCTIONS
        )

    @event.listens_for(engine, "checkout")
    def _begin(
        connection: DBAPIConnection, _record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
    ) -> None:
        deadlines[id(connection)] = time.monotonic() + LONGEST

    @event.listens_for(engine, "close")
    def _forget(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        deadlines.pop(id(connection), None)


def _bound_postgresql(engine: Engine) -> None:
    @event.listens_for(engine, "begin")
    def _limit(connection: Connection) -> None:
        # For the transaction alone: afterwards the session may serve another client.
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{LONGEST:.0f}s'")


_BOUNDS = {"sqlite": _bound_sqlite, "postgresql": _bound_postgresql}
