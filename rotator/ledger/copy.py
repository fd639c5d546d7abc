"""Copying a ledger into another database: from SQLite to PostgreSQL, or back.

Both ends are locked meanwhile: nothing else writes to the source, and everything written to the
target is one transaction. The tables and columns come from `tables.metadata`, so that one added by
a later migration is copied as well.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    Connection,
    Engine,
    Table,
    delete,
    exists,
    func,
    insert,
    inspect,
    select,
    text,
)
from sqlalchemy import table as table_named

from rotator.errors import Busy, LedgerError, LedgerUnusable
from rotator.ledger import schema, tables
from rotator.ledger.database import BATCH, reading, writing
from rotator.ledger.leases import append_to, is_dead
from rotator.ledger.reader import ChainCheck, LedgerReader
from rotator.model import Actor
from rotator.rotation.ports import NewEntry


@dataclass(frozen=True, kw_only=True)
class CopyResult:
    """Result of a copy: the rows and chains that the target now shares with the source."""

    #: Number of rows by table.
    rows: dict[str, int]
    #: One for each account: the check of its chain as read back from the target.
    verdicts: tuple[ChainCheck, ...]


def copy(source: Engine, target: Engine, *, actor: Actor, now: datetime) -> CopyResult:
    """Copy the ledger in `source` into `target`, which is empty, and verify what was written.

    `source` is not changed, neither here nor by others meanwhile. In an empty database, the schema
    is created first; all rows follow in one transaction. Once they are verified, each chain of the
    target records who made the copy.

    Raises:
        Busy: the source has a lease that has not expired.
        LedgerUnusable: the source has another schema version, one of its chains is broken, or the
            target is not empty. Nothing was copied.
        LedgerError: a database failed. The target has everything or nothing, but for the last part:
            who made the copy.
    """
    if schema.revision(source) != schema.HEAD:
        schema.ensure(source, auto_upgrade=False)
    with _locked(source) as rows:
        _refuse_leases(rows, now)
        verdicts = _whole(source)
        with _about_target():
            # Checked before any change: it may be another ledger, of an older version.
            with reading(target) as connection:
                _refuse_contents(connection)
            schema.ensure(target, auto_upgrade=True)
            counts = _written(rows, target)
            if verdicts != checked(target):
                raise LedgerError(
                    "what was written there does not read back as it is in the source",
                    hint="do not use the copy; the old ledger is whole and unchanged",
                )
            _sign(target, [verdict.account for verdict in verdicts], actor, now)
    return CopyResult(rows=counts, verdicts=verdicts)


def copy_snapshot(source: Engine, target: Engine) -> None:
    """Copy the ledger in `source`, as it is now, into `target`, which is empty.

    Others may write to `source` meanwhile, and hold leases. Nothing is verified.

    Raises:
        LedgerUnusable: the source has another schema version.
        LedgerError: a database failed.
    """
    schema.ensure(source, auto_upgrade=False)
    schema.upgrade(target)
    with reading(source) as rows:
        _written(rows, target)


@contextmanager
def _locked(source: Engine) -> Iterator[Connection]:
    """Yield a transaction on the source that keeps all others from writing to it."""
    with writing(source, is_long=True) as connection:
        if connection.dialect.name == "postgresql":
            # On SQLite the transaction itself excludes other writers. This mode allows readers.
            names = ", ".join(f'"{table.name}"' for table in tables.metadata.sorted_tables)
            connection.execute(text(f"LOCK TABLE {names} IN EXCLUSIVE MODE"))
        yield connection


def _refuse_leases(connection: Connection, now: datetime) -> None:
    """Refuse while a lease is held: what its process does next would be missing in the copy."""
    if connection.dialect.name == "postgresql":
        now = connection.execute(select(func.clock_timestamp())).scalar_one()
    for table in tables.metadata.sorted_tables:
        if "lease_owner" not in table.c:
            continue
        query = select(table.c.lease_owner).where(table.c.lease_expires_at > now).distinct()
        owners = connection.execute(query.where(table.c.lease_owner.is_not(None))).scalars()
        if any(not is_dead(owner) for owner in owners):
            raise Busy(
                "the ledger is in use: a process holds a lease in it",
                hint="stop the daemon and let commands end, then copy",
            )


def _whole(source: Engine) -> tuple[ChainCheck, ...]:
    """Verify the source's chains: a copy of a broken record would seem to be the cause."""
    verdicts = checked(source)
    for verdict in verdicts:
        if verdict.fault:
            raise LedgerUnusable(
                f"{verdict.account}: {verdict.fault}",
                hint="nothing was copied; see `rotator ledger verify`, and keep the ledger as "
                "evidence",
            )
    return verdicts


def checked(engine: Engine) -> tuple[ChainCheck, ...]:
    """Verify the chains of the ledger in `engine`."""
    reader = LedgerReader(engine)
    return tuple(reader.verify(name) for name in reader.recorded_accounts())


def _written(rows: Connection, target: Engine) -> dict[str, int]:
    with writing(target, is_long=True) as connection:
        # Repeated within the transaction, so that no other process writes in between.
        _refuse_contents(connection)
        connection.execute(delete(tables.ledger))
        return {
            table.name: _copied(table, rows, connection) for table in tables.metadata.sorted_tables
        }


def _sign(target: Engine, names: list[str], actor: Actor, now: datetime) -> None:
    with writing(target, is_long=True) as connection:
        for name in names:
            append_to(connection, name, [NewEntry.requested(actor, "copy")], now)


def _refuse_contents(connection: Connection) -> None:
    # Even an empty ledger has an id; the copied one replaces it.
    made = {"alembic_version", tables.ledger.name}
    for name in sorted(set(inspect(connection).get_table_names()) - made):
        rows = exists().select_from(table_named(name))
        if connection.execute(select(rows)).scalar():
            raise LedgerUnusable(
                f"it is not empty: there are rows in its table {name}",
                hint="nothing was copied; give an empty database",
            )


def _copied(table: Table, rows: Connection, target: Connection) -> int:
    """Copy one table in batches of some thousand rows; return the number of rows."""
    count = 0
    with rows.execution_options(yield_per=BATCH).execute(select(table)) as streamed:
        for batch in streamed.mappings().partitions():
            target.execute(insert(table), [dict(row) for row in batch])
            count += len(batch)
    if target.dialect.name == "postgresql":
        _skip_numbers(table, target)
    return count


def _skip_numbers(table: Table, target: Connection) -> None:
    """Set PostgreSQL's sequence for a column to go on after the copied rows."""
    column = table.autoincrement_column
    if column is None:
        return
    sequence = func.pg_get_serial_sequence(table.name, column.name)
    newest = select(func.max(column)).scalar_subquery()
    target.execute(select(func.setval(sequence, newest)))


@contextmanager
def _about_target() -> Iterator[None]:
    """Translate an error so that it shows which of the two ledgers it is about."""
    try:
        yield
    except (LedgerError, LedgerUnusable) as error:
        hint = error.hint if error.hint != error.default_hint else "the old ledger is as it was"
        raise type(error)(f"the target: {error.message}", hint=hint) from None
