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
    accounts = connection.execute(_some(select(*COLUMNS), tables.account.c.name, names))
    known = {row["name"]: row for row in accounts.mappings()}
    rotations = connection.execute(_last_rotations(names)).mappings()
    last = {row["account"]: row for row in rotations}
    completed = _some(_last_successes(), tables.rotation.c.account, names)
    successes = {row.account: row.closed_at for row in connection.execute(completed)}
    return {
        name: _record(name, known.get(name), last.get(name), successes.get(name)) for name in names
    }


def _some(query: Select[Any], of_account: Column[Any], names: Sequence[str]) -> Select[Any]:
    return query.where(of_account.in_(names)) if len(names) <= MOST_NAMES else query


def _last_rotations(names: Sequence[str]) -> Select[Any]:
    """Find each account's newest rotation."""
    rotation = tables.rotation
    found = select(rotation.c.account, func.max(rotation.c.opened_at).label("opened_at"))
    newest = _some(found.group_by(rotation.c.account), rotation.c.account, names).subquery()
    at_once = (rotation.c.account == newest.c.account) & (
        rotation.c.opened_at == newest.c.opened_at
    )
    # Of two that were opened in the same microsecond, the one that is open comes last.
    return select(rotation).join(newest, at_once).order_by(rotation.c.closed_at.is_(None))


def _last_successes() -> Select[Any]:
    """Find when each account's newest completed rotation was closed."""
    rotation = tables.rotation.c
    closed_at = func.max(rotation.closed_at, type_=tables.Instant()).label("closed_at")
    return (
        select(rotation.account, closed_at)
        .where(rotation.outcome == "completed")
        .group_by(rotation.account)
    )


def _record(
    name: str,
    row: RowMapping | None,
    last: RowMapping | None,
    success: Any,  # noqa: ANN401
) -> AccountRecord:
    if row is None:
        return AccountRecord.blank(name)
    return AccountRecord(
        name=name,
        listed_ids=tuple(json.loads(row["listed_ids"] or "[]")),
        hold=hold_of(dict(row)),
        last_rotation=from_row(last) if last else None,
        last_success_at=success,
        **{column: row[column] for column in _SAME},
    )
