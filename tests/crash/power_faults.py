"""Faults to seed into a command's process: what a power cut must show."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

from sqlalchemy import event
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry, Pool, PoolProxiedConnection

from rotator.rotation.passes import Pass


def _set(*pragmas: str) -> None:
    """Set what rotator set otherwise, on each connection before it is used."""

    def override(
        connection: DBAPIConnection, _record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
    ) -> None:
        cursor = connection.cursor()
        for pragma in pragmas:
            cursor.execute(f"PRAGMA {pragma}")
        cursor.close()

    event.listen(Pool, "checkout", override)


def with_pragmas(*pragmas: str) -> Callable[[], None]:
    """Return what sets pragmas in a command's process."""
    return partial(_set, *pragmas)


def acts_before_the_commit() -> None:
    """Let each effect happen before its intent is committed: with its outcome."""
    Pass._commit_intent = lambda *_arguments: None  # type: ignore[method-assign]


def syncs_after_the_answer() -> None:
    """Sync each commit only when the next one comes."""
    _set("synchronous = OFF")
    commit = DefaultDialect.do_commit

    def late(dialect: DefaultDialect, connection: Any) -> None:  # noqa: ANN401  # any driver's
        path = connection.cursor().execute("PRAGMA database_list").fetchone()[2]
        descriptor = os.open(f"{path}-wal", os.O_RDWR)
        os.fsync(descriptor)
        os.close(descriptor)
        commit(dialect, connection)  # type: ignore[no-untyped-call]

    DefaultDialect.do_commit = late  # type: ignore[method-assign]
