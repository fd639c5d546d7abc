"""Due accounts, as far as the ledger knows."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, RowMapping, and_, not_, or_, select, union

from rotator.ledger import tables
from rotator.ledger.mapping import from_row
from rotator.model import LONGEST_GATE_WAIT, LONGEST_WINDOW_WAIT, MOST_OFFSET, Rotation, Step
from rotator.rotation import schedule


@dataclass(frozen=True, kw_only=True)
class Due:
    """An account with work to do."""

    name: str
    #: The open rotation; None where a new one is due.
    rotation: Rotation | None


def due(connection: Connection, now: datetime) -> list[Due]:
    """Return all that is due, including what is being worked on, the longest due first."""
    due_names = select(_ACCOUNT.name).where(_is_due(now)).order_by(*_LONGEST_FIRST)
    names = connection.execute(due_names).scalars().all()
    ready = select(tables.rotation).where(_ROTATION.closed_at.is_(None), _is_ready(now))
    opened = connection.execute(ready).mappings()
    rotations = {row["account"]: from_row(row) for row in opened}
    return [Due(name=name, rotation=rotations.get(name)) for name in names]


def lock_due(  # noqa: PLR0913  # all but two by name
    connection: Connection,
    names: Collection[str],
    *,
    limit: int,
    now: datetime,
    clock: datetime,
    dead: Collection[str],
) -> Sequence[RowMapping]:
    """Return, locked, the rows of `names` that are due and free, the longest overdue first.

    An account is free if it has no lease, or if that has expired by `clock` or belongs to one of
    the `dead` processes. Rows that others have locked are skipped.
    """
    is_free = or_(
        _ACCOUNT.lease_owner.is_(None),
        _ACCOUNT.lease_expires_at <= clock,
        _ACCOUNT.lease_owner.in_(dead),
    )
    query = (
        select(_ACCOUNT.name, _ACCOUNT.fencing_token)
        .where(_ACCOUNT.name.in_(names), _is_due(now, names), is_free)
        .order_by(*_LONGEST_FIRST)
        .limit(limit)
        # On SQLite this compiles to nothing; there, transactions wait for each other.
        .with_for_update(skip_locked=True)
    )
    return connection.execute(query).mappings().all()


_ACCOUNT, _ROTATION = tables.account.c, tables.rotation.c
_LONGEST_FIRST = _ACCOUNT.next_due_at, _ACCOUNT.name


def _is_due(now: datetime, among: Collection[str] | None = None) -> ColumnElement[bool]:
    """Return the condition for a due account: its time has come, or its rotation can continue.

    Excluded are accounts that failed and wait for a retry. An account with a hold is only due for a
    rotation that has pushed, or may have; with a freeze, not at all. Two indexes answer this: an
    account that is not due, or not `among` the names given, costs nothing.

    Every wait is bounded here and below: a recorded time beyond the longest possible wait came from
    a clock that was ahead and has been corrected.
    """
    is_open = _ROTATION.closed_at.is_(None)
    waits = or_(_waits_in_grace(now), _waits_at_gate(now))
    waiting = select(tables.rotation).where(is_open, _ROTATION.account == _ACCOUNT.name, waits)
    come = select(_ACCOUNT.name).where(_ACCOUNT.next_due_at <= now, ~waiting.exists())
    ready = select(_ROTATION.account).where(is_open, _is_ready(now))
    if among is not None:
        come = come.where(_ACCOUNT.name.in_(among))
        ready = ready.where(_ROTATION.account.in_(among))
    # The answer to a push may have been lost; only an observation shows whether it took effect.
    may_have_pushed = or_(_ROTATION.vault_version.is_not(None), _ROTATION.step == Step.PUSH.value)
    pushed = select(_ROTATION.account).where(is_open, may_have_pushed)
    is_finished = and_(_ACCOUNT.hold_freeze == 0, _ACCOUNT.name.in_(pushed))
    retry_at = _ACCOUNT.retry_at
    return and_(
        _ACCOUNT.name.in_(union(come, ready)),
        or_(_ACCOUNT.hold_reason.is_(None), is_finished),
        or_(retry_at.is_(None), retry_at <= now, retry_at > now + schedule.LONGEST_RETRY),
    )


def _is_ready(now: datetime) -> ColumnElement[bool]:
    """Return the condition for a rotation that waits for no grace and no gate."""
    due_at, gate_at = _ROTATION.delete_due_at, _ROTATION.gate_retry_at
    is_out_of_grace = or_(due_at.is_(None), not_(_waits_in_grace(now)))
    return and_(is_out_of_grace, or_(gate_at.is_(None), not_(_waits_at_gate(now))))


def _waits_in_grace(now: datetime) -> ColumnElement[bool]:
    """Return the condition for a grace that is not over; one with a future start does not count."""
    return and_(_ROTATION.delete_due_at > now, _ROTATION.verified_at <= now + MOST_OFFSET)


def _waits_at_gate(now: datetime) -> ColumnElement[bool]:
    """Return the condition for a gate, or a window, that is not to be checked again yet."""
    gate, retry_at = _ROTATION.gate, _ROTATION.gate_retry_at
    is_at_window = and_(gate.is_(None), retry_at <= now + LONGEST_WINDOW_WAIT)
    return and_(retry_at > now, or_(is_at_window, retry_at <= now + LONGEST_GATE_WAIT))
