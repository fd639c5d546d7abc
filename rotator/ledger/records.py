"""What the ledger knows of accounts: put together from their rows and their rotations'."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Column, Connection, RowMapping, Select, func, select

from rotator.ledger import tables
from rotator.ledger.rows import from_row, hold_of
from rotator.ports import AccountRecord

#: Columns of an account that its record has, as they are or put in other words.
COLUMNS: tuple[Column[Any], ...] = tuple(
    tables.account.c[name]
    for name in (
        "name",
        "listed_ids",
        "current_id",
        "current_since",
        "seen_at",
        "drift",
        "next_due_at",
        "failures",
        "retry_at",
        "hold_reason",
        "held_by",
        "held_at",
        "hold_freeze",
    )
)
#: Those that it has as they are.
_SAME = ("current_id", "current_since", "seen_at", "drift", "next_due_at", "failures", "retry_at")
#: More names than that are not listed in a statement: all accounts are read instead.
MOST_NAMES = 500


def records_of(connection: Connection, names: Sequence[str]) -> dict[str, AccountRecord]:
    """Give what is known of each of `names`, in that order."""
    accounts = connection.execute(_some(select(*COLUMNS, _LAST_SUCCESS_AT), names))
    known = {row["name"]: row for row in accounts.mappings()}
    rotations = connection.execute(_some(_LAST_ROTATIONS, names)).mappings()
    last = {row["account"]: row for row in rotations}
    # The open one comes last, even if a clock that was ahead dated another one later.
    opened = connection.execute(_some(_OPEN_ROTATIONS, names)).mappings()
    last |= {row["account"]: row for row in opened}
    return {name: _record(name, known.get(name), last.get(name)) for name in names}


def _some(query: Select[Any], names: Sequence[str]) -> Select[Any]:
    return query.where(tables.account.c.name.in_(names)) if len(names) <= MOST_NAMES else query


# An account's newest rotations are looked up at the end of an index, one account after the other:
# to group all rotations by account would read those of many years.
_ROTATION = tables.rotation.c
_OTHER = tables.rotation.alias("other").c
_LAST_SUCCESS_AT = (
    select(_ROTATION.closed_at)
    .where(_ROTATION.account == tables.account.c.name)
    .where(_ROTATION.outcome == "completed", _ROTATION.closed_at.is_not(None))
    .order_by(_ROTATION.closed_at.desc())
    .limit(1)
    .scalar_subquery()
    .label("last_success_at")
)
_LAST_OPENED_AT = (
    select(func.max(_OTHER.opened_at)).where(_OTHER.account == tables.account.c.name)
).scalar_subquery()
_LAST_ROTATIONS = (
    select(tables.rotation)
    .join(tables.account, _ROTATION.account == tables.account.c.name)
    .where(_ROTATION.opened_at == _LAST_OPENED_AT)
)
_OPEN_ROTATIONS = (
    select(tables.rotation)
    .join(tables.account, _ROTATION.account == tables.account.c.name)
    .where(_ROTATION.closed_at.is_(None))
)


def _record(name: str, row: RowMapping | None, last: RowMapping | None) -> AccountRecord:
    if row is None:
        return AccountRecord.blank(name)
    return AccountRecord(
        name=name,
        listed_ids=tuple(json.loads(row["listed_ids"] or "[]")),
        hold=hold_of(dict(row)),
        last_rotation=from_row(last) if last else None,
        last_success_at=row["last_success_at"],
        **{column: row[column] for column in _SAME},
    )
