"""Maps rows of accounts and rotations to the values that the rest of rotator uses."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import fields
from datetime import timedelta
from typing import Any

from sqlalchemy import Column, Connection, RowMapping, Select, func, select

from rotator.ledger import tables
from rotator.ledger.identities import columns_of, identity_of
from rotator.ledger.tables import Row
from rotator.model import GateWait, Hold, Rotation, Step
from rotator.rotation.ports import AccountSummary

#: Fields that a row has unchanged under the same name.
_OF_ROTATION = {field.name for field in fields(Rotation)} - {
    "grace",
    "identity",
    "rejected",
    "step",
    "values_generated",
    "waiting",
}

#: Fields of what a rotation waits for, and their columns.
_OF_WAITING = {
    "gate": "gate",
    "reason": "gate_reason",
    "shut_since": "gate_since",
    "retry_at": "gate_retry_at",
}


def to_row(rotation: Rotation) -> Row:
    """Return the row of `rotation`."""
    waiting = rotation.waiting or GateWait()
    return {name: getattr(rotation, name) for name in _OF_ROTATION} | {
        "step": rotation.step.value,
        "grace_seconds": rotation.grace.total_seconds(),
        "rejected": int(rotation.rejected),
        "draws": rotation.values_generated,
        "delete_due_at": rotation.delete_due_at,
        **columns_of(rotation.identity),
        **{column: getattr(waiting, name) for name, column in _OF_WAITING.items()},
    }


def from_row(row: RowMapping) -> Rotation:
    """Return the rotation in `row`."""
    waiting = GateWait(**{name: row[column] for name, column in _OF_WAITING.items()})
    return Rotation(
        step=Step(row["step"]),
        grace=timedelta(seconds=row["grace_seconds"]),
        rejected=bool(row["rejected"]),
        identity=identity_of(row),
        values_generated=row["draws"],
        waiting=waiting if waiting != GateWait() else None,
        **{name: row[name] for name in _OF_ROTATION},
    )


def hold_of(row: RowMapping | Mapping[str, Any]) -> Hold | None:
    """Return the hold on the account in `row`; None where there is none."""
    if not row["hold_reason"]:
        return None
    return Hold(
        reason=row["hold_reason"],
        by=row["held_by"],
        at=row["held_at"],
        freeze=bool(row["hold_freeze"]),
    )


#: Columns of an account that are in its record, unchanged or converted.
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

#: Those that are unchanged.
_OF_ACCOUNT = (
    "current_id",
    "current_since",
    "seen_at",
    "drift",
    "next_due_at",
    "failures",
    "retry_at",
)

#: With more names, all accounts are read instead of listing them in a statement.
MOST_NAMES = 500


def records_of(connection: Connection, names: Sequence[str]) -> dict[str, AccountSummary]:
    """Return the summary of each account in `names`, in that order."""
    accounts = connection.execute(_some(select(*COLUMNS, _LAST_SUCCESS_AT), names))
    known = {row["name"]: row for row in accounts.mappings()}
    rotations = connection.execute(_some(_LAST_ROTATIONS, names)).mappings()
    last = {row["account"]: row for row in rotations}
    # The open rotation comes last, even if a clock that was ahead dated another one later.
    opened = connection.execute(_some(_OPEN_ROTATIONS, names)).mappings()
    last |= {row["account"]: row for row in opened}
    return {name: _record(name, known.get(name), last.get(name)) for name in names}


def _some(query: Select[Any], names: Sequence[str]) -> Select[Any]:
    return query.where(tables.account.c.name.in_(names)) if len(names) <= MOST_NAMES else query


# An account's newest rotations are read from the end of an index, one account at a time: grouping
# all rotations by account would read many years of them.
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


def _record(name: str, row: RowMapping | None, last: RowMapping | None) -> AccountSummary:
    if row is None:
        return AccountSummary.blank(name)
    return AccountSummary(
        name=name,
        listed_ids=tuple(json.loads(row["listed_ids"] or "[]")),
        hold=hold_of(dict(row)),
        last_rotation=from_row(last) if last else None,
        last_success_at=row["last_success_at"],
        **{column: row[column] for column in _OF_ACCOUNT},
    )
