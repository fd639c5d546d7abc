"""A ledger with a long past, made quickly: accounts, their rotations, and chained entries."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import Connection, Engine, insert

from rotator.ledger import chain, tables
from rotator.ledger.database import writing
from rotator.ledger.mapping import to_row
from rotator.model import Rotation, Step
from rotator.rotation.ports import NewEntry

#: Entries of one rotation, as the reconciler writes them.
STEPS = (
    ("opened", Step.OPEN),
    ("intent", Step.STAGE),
    ("done", Step.STAGE),
    ("intent", Step.CREATE),
    ("done", Step.CREATE),
    ("done", Step.PROBE),
    ("intent", Step.PUSH),
    ("done", Step.PUSH),
    ("done", Step.VERIFY),
    ("intent", Step.CLEAR),
    ("done", Step.CLEAR),
    ("intent", Step.DELETE),
    ("done", Step.DELETE),
    ("closed", Step.COMPLETE),
)
#: From one rotation of an account to the next, and until the one after the last is due.
APART, DUE_IN = timedelta(days=1), timedelta(days=30)
ROWS_AT_ONCE = 20_000
#: Entries in one transaction, at least.
COMMITTED_AT_ONCE = 100_000


def drafts(count: int) -> Iterator[NewEntry]:
    """Make the entries of rotations that follow each other."""
    for number in range(count):
        event, step = STEPS[number % len(STEPS)]
        yield NewEntry(
            event=event,
            step=step,
            rotation_id=f"0b8e7a5c-6f0e-4d7b-9c55-{number // len(STEPS):012}",
            detail={"secret_id": f"ad6dc56f-07b5-46e1-a527-{number:012}", "vault_version": number},
        )


def rotations(account: str, entries: int, now: datetime) -> Iterator[Rotation]:
    """Make the rotations that so many entries belong to, the last one a day before `now`."""
    count = entries // len(STEPS)
    for number in range(count):
        at = now - (count - number) * APART
        yield Rotation(
            id=f"0b8e7a5c-6f0e-4d7b-9c55-{number:012}",
            account=account,
            reason="due",
            step=Step.COMPLETE,
            predecessor_id=f"old-{number}",
            new_id=f"new-{number}",
            grace=timedelta(days=1),
            opened_at=at,
            verified_at=at,
            closed_at=at,
            outcome="completed",
        )


def chained(account: str, count: int, now: datetime) -> Iterator[chain.Entry]:
    """Chain an account's entries, which end a day before `now`."""
    head, pace = chain.GENESIS, APART / len(STEPS)
    for seq, draft in enumerate(drafts(count), start=1):
        at = now - APART - (count - seq) * pace
        entry = chain.linked(draft, account=account, at=at, seq=seq, prev_hash=head)
        yield entry
        head = entry.hash


def fill(engine: Engine, names: Sequence[str], each: int, now: datetime) -> None:
    """Fill in so many entries for every account, with their rotations; none is due yet."""
    together = max(1, COMMITTED_AT_ONCE // each)
    with hurried(engine):
        for first in range(0, len(names), together):
            with writing(engine) as connection:
                for name in names[first : first + together]:
                    add(connection, name, each, now)


def add(connection: Connection, name: str, each: int, now: datetime) -> None:
    """Add an account with its past."""
    account = {
        "name": name,
        "listed_ids": json.dumps([f"{name}-new"]),
        "current_id": f"{name}-new",
        "current_since": now - APART,
        "seen_at": now,
        "next_due_at": now + DUE_IN,
        "chain_seq": each,
    }
    connection.execute(insert(tables.account), account)
    if rows := [to_row(rotation) for rotation in rotations(name, each, now)]:
        connection.execute(insert(tables.rotation), rows)
    mark = "?" if connection.dialect.name == "sqlite" else "%s"
    # As the driver takes them: SQLAlchemy would take longer for each than to chain it.
    marks = ", ".join([mark] * len(chain.Entry._fields))
    statement = f"INSERT INTO entry VALUES ({marks})"  # noqa: S608  # marks alone
    entries, head = chained(name, each, now), chain.GENESIS
    while part := list(islice(entries, ROWS_AT_ONCE)):
        head = part[-1].hash
        connection.exec_driver_sql(statement, part)
    row = tables.account.update().where(tables.account.c.name == name)
    connection.execute(row.values(chain_head=head))


@contextmanager
def hurried(engine: Engine) -> Iterator[None]:
    """Do at the end what SQLite would do for each entry: an index; and ask no trigger."""
    if engine.dialect.name != "sqlite":
        yield
        return
    found = (
        "SELECT type, name, sql FROM sqlite_master "
        "WHERE tbl_name = 'entry' AND type IN ('index', 'trigger') AND sql IS NOT NULL"
    )
    with writing(engine) as connection:
        made = connection.exec_driver_sql(found).all()
        for kind, name, _ in made:
            connection.exec_driver_sql(f"DROP {kind} {name}")
    yield
    with writing(engine) as connection:
        for _, _, statement in made:
            connection.exec_driver_sql(statement)
