"""A backup of the ledger in a new SQLite file, while others go on writing to the ledger.

From SQLite, the pages are copied by SQLite's own backup, whatever the version of the schema; from
PostgreSQL the rows of one snapshot, into a file that can be copied back. The file gets its name
once it is checked and on the disk, and never replaces another one.
"""

import os
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkstemp
from typing import Any

from sqlalchemy import Engine

from rotator.errors import ConfigError, LedgerError, LedgerUnusable, reason_of
from rotator.ledger import schema
from rotator.ledger.copy import checked, copy_snapshot
from rotator.ledger.database import open_file, reading, translated
from rotator.ledger.reader import ChainCheck


@dataclass(frozen=True, kw_only=True)
class Backup:
    """A backup that was written."""

    path: Path
    size: int
    #: Of its schema; None if it has none.
    revision: str | None
    #: The checks of its chains, one for each account; None where its schema is another version's.
    verdicts: tuple[ChainCheck, ...] | None


def back_up(source: Engine, path: Path) -> Backup:
    """Write a backup of the ledger in `source` to `path`, and check it. A broken chain is copied.

    Raises:
        ConfigError: there is something at `path`, which stays as it is.
        LedgerUnusable: the ledger is damaged; or, on PostgreSQL, its schema is another version's.
        LedgerError: the ledger cannot be read, or the file not be written. There is no new file.
    """
    path = path.absolute()
    if os.path.lexists(path):
        raise _taken(path)
    try:
        descriptor, name = mkstemp(prefix=f".{path.name}.", dir=path.parent)
        os.close(descriptor)
        try:
            revision, verdicts = _written(source, Path(name))
            size = _placed(Path(name), path)
        finally:
            for each in (name, f"{name}-wal", f"{name}-shm"):
                Path(each).unlink(missing_ok=True)
    except OSError as error:
        raise LedgerError(
            f"{path} cannot be written: {reason_of(error)}",
            hint=f"the ledger is unchanged; see that this user may write to {path.parent}, and "
            "that it has room",
        ) from None
    return Backup(path=path, size=size, revision=revision, verdicts=verdicts)


def _taken(path: Path) -> ConfigError:
    return ConfigError(f"{path} is already there", hint="name a new file: none is replaced")


def _written(source: Engine, file: Path) -> tuple[str | None, tuple[ChainCheck, ...] | None]:
    target = open_file(file)
    try:
        if source.dialect.name == "sqlite":
            _copy_pages(source, target, file)
        else:
            copy_snapshot(source, target)
        if damage := _damage(target):
            raise LedgerUnusable(
                f"the ledger is damaged: {damage}",
                hint="no backup was written; restore an earlier one",
            )
        revision = schema.revision(target)
        return revision, checked(target) if revision == schema.HEAD else None
    finally:
        target.dispose()


def _copy_pages(source: Engine, target: Engine, file: Path) -> None:
    with (
        reading(source) as connection,
        translated(target),
        closing(sqlite3.connect(file)) as pages,
    ):
        driver: Any = connection.connection.driver_connection
        driver.backup(pages)


def _damage(target: Engine) -> str | None:
    try:
        with reading(target) as connection:
            found = connection.exec_driver_sql("PRAGMA integrity_check").scalars().first()
    except LedgerUnusable:
        return "SQLite cannot read it"
    return None if found == "ok" else f"{found}"


def _placed(file: Path, path: Path) -> int:
    """Rename the file once it is on the disk, unless the name has been taken; return its size."""
    _sync(file)
    try:
        # A rename would replace what somebody else has put there meanwhile.
        os.link(file, path)
    except OSError:
        if os.path.lexists(path):
            raise _taken(path) from None
        # Not every file system has links.
        file.rename(path)
    _sync(path.parent)
    return path.stat().st_size


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
