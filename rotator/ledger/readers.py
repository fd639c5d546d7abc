"""The ledger for those who look at it all day: they never keep a rotation from its connection."""

import time
from typing import Any

from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from rotator.ledger.database import open_database

#: How long one look may take, in seconds; what takes longer is given up.
LONGEST = 10.0
#: How many instructions SQLite carries out between two looks at the clock.
_INSTRUCTIONS = 100_000


def open_for_readers(url: str) -> Engine:
    """Prepare the database at `url`, with connections of its own and a bound on each statement.

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
        # For the transaction alone: the session may be another's afterwards.
        connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{LONGEST:.0f}s'")


_BOUNDS = {"sqlite": _bound_sqlite, "postgresql": _bound_postgresql}
