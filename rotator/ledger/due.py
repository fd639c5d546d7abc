"""Due accounts, as far as the ledger knows."""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    Connection,
    RowMapping,
    and_,
    bindparam,
    not_,
    or_,
    select,
    union_all,
)

from rotator.ledger import tables
from rotator.ledger.mapping import from_row
from rotator.model import LONGEST_GATE_WAIT, LONGEST_WINDOW_WAIT, MOST_OFFSET, Rotation, Step
from rotator.rotation import schedule


@dataclass(frozen=True, kw_only=True)
class Due:
    """An account with work to do."""

    name: str
    #: When a rotation came, or comes, due; None for one on request.
    due_at: datetime | None
    #: The open rotation; None where a new one is due.
    rotation: Rotation | None


def due(connection: Connection, now: datetime) -> list[Due]:
    """Return all that is due, including what is being worked on, the longest due first."""
    times = _times(now)
    found = connection.execute(_DUE_ACCOUNTS, times).all()
    opened = connection.execute(_READY_ROTATIONS, times).mappings()
    rotations = {row["account"]: from_row(row) for row in opened}
    return [Due(name=name, due_at=at, rotation=rotations.get(name)) for name, at in found]


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

    An account is free if its lease has expired by `clock`, or belongs to one of the `dead`
    processes. Rows that others have locked are skipped.
    """
    known = {"of_names": [*names], "of_clock": clock, "of_dead": [*dead], "at_most": limit}
    return connection.execute(_DUE_AND_FREE, known | _times(now)).mappings().all()


def changed_times(
    connection: Connection,
    next_due: Callable[[str, datetime], datetime | None],
    on_request: Collection[str],
) -> list[tables.Row]:
    """Return the changes of due times that `LedgerWriter.reschedule` makes."""
    return [
        {"of_name": name, "of_since": since, "next_due_at": due_at}
        for name, since, known in connection.execute(_DUE_TIMES)
        if (due_at := since and next_due(name, since)) != known and (due_at or name in on_request)
    ]


def _times(now: datetime) -> dict[str, datetime]:
    """Return the times that statements compare with, which bound every wait.

    A recorded time beyond them came from a clock that was ahead and has been corrected.
    """
    return {
        "of_now": now,
        "of_latest": now + LONGEST_GATE_WAIT,
        "of_latest_window": now + LONGEST_WINDOW_WAIT,
        "of_latest_retry": now + schedule.LONGEST_RETRY,
        "of_latest_grace": now + MOST_OFFSET,
    }


def _is_due(among: BindParameter[Sequence[str]] | None = None) -> ColumnElement[bool]:
    """Return the condition for a due account: its time has come, or its rotation can continue.

    Excluded are accounts that failed and wait for a retry. An account with a hold is only due for a
    rotation that has pushed, or may have; with a freeze, not at all. Two indexes answer this: an
    account that is not due, or not `among` the names given, costs nothing.
    """
    account, rotation = tables.account.c, tables.rotation.c
    waiting = _OPEN_ROTATIONS.where(
        rotation.account == account.name, or_(_waits_in_grace(), _waits_at_gate())
    )
    come = select(account.name).where(account.next_due_at <= _NOW, ~waiting.exists())
    ready = select(rotation.account).where(rotation.closed_at.is_(None), _is_ready())
    if among is not None:
        come = come.where(account.name.in_(among))
        ready = ready.where(rotation.account.in_(among))
    # The answer to a push may have been lost; only an observation shows whether it took effect.
    may_have_pushed = or_(rotation.vault_version.is_not(None), rotation.step == Step.PUSH.value)
    pushed = select(rotation.account).where(rotation.closed_at.is_(None), may_have_pushed)
    is_finished = and_(account.hold_freeze == 0, account.name.in_(pushed))
    # Not `union`: to merge both in order, SQLite 3.53 would read every account.
    return and_(
        account.name.in_(union_all(come, ready)),
        or_(account.hold_reason.is_(None), is_finished),
        or_(account.retry_at.is_(None), account.retry_at <= _NOW, account.retry_at > _LATEST_RETRY),
    )


def _is_free() -> ColumnElement[bool]:
    """Match accounts without a lease, or whose lease has expired or belongs to a dead process."""
    account = tables.account.c
    return or_(
        account.lease_owner.is_(None),
        account.lease_expires_at <= bindparam("of_clock", type_=tables.Instant()),
        account.lease_owner.in_(bindparam("of_dead", expanding=True)),
    )


def _is_ready() -> ColumnElement[bool]:
    """Return the condition for a rotation that waits for no grace and no gate."""
    due_at, gate_at = tables.rotation.c.delete_due_at, tables.rotation.c.gate_retry_at
    is_out_of_grace = or_(due_at.is_(None), not_(_waits_in_grace()))
    return and_(is_out_of_grace, or_(gate_at.is_(None), not_(_waits_at_gate())))


def _waits_in_grace() -> ColumnElement[bool]:
    """Return the condition for a grace that is not over; one with a future start does not count.

    Nor does one that an operator ended, so that the deletion was begun.
    """
    rotation = tables.rotation.c
    is_begun = rotation.step.in_((Step.DELETE.value, Step.PROVE.value))
    return and_(rotation.delete_due_at > _NOW, rotation.verified_at <= _LATEST_GRACE, ~is_begun)


def _waits_at_gate() -> ColumnElement[bool]:
    """Return the condition for a gate, or a window, that is not to be checked again yet."""
    gate, retry_at = tables.rotation.c.gate, tables.rotation.c.gate_retry_at
    is_at_window = and_(gate.is_(None), retry_at <= _LATEST_WINDOW)
    return and_(retry_at > _NOW, or_(is_at_window, retry_at <= _LATEST))


# Statements, built once: building takes longer than executing, and each pass begins with a claim.
_NOW = bindparam("of_now", type_=tables.Instant())
#: Upper bound of the next check of a gate that was asked just now; likewise for the others.
_LATEST = bindparam("of_latest", type_=tables.Instant())
_LATEST_WINDOW = bindparam("of_latest_window", type_=tables.Instant())
_LATEST_RETRY = bindparam("of_latest_retry", type_=tables.Instant())
_LATEST_GRACE = bindparam("of_latest_grace", type_=tables.Instant())
#: In this order, so that two daemons that update the same rows cannot deadlock.
_DUE_TIMES = (
    select(tables.account.c.name, tables.account.c.current_since, tables.account.c.next_due_at)
    .where(
        or_(tables.account.c.current_since.is_not(None), tables.account.c.next_due_at.is_not(None))
    )
    .order_by(tables.account.c.name)
)
_OPEN_ROTATIONS = select(tables.rotation).where(tables.rotation.c.closed_at.is_(None))
_READY_ROTATIONS = _OPEN_ROTATIONS.where(_is_ready())
_LONGEST_FIRST = tables.account.c.next_due_at, tables.account.c.name
_DUE_ACCOUNTS = (
    select(tables.account.c.name, tables.account.c.next_due_at)
    .where(_is_due())
    .order_by(*_LONGEST_FIRST)
)
_NAMES: BindParameter[Sequence[str]] = bindparam("of_names", expanding=True)
_AMONG_NAMES = tables.account.c.name.in_(_NAMES)
_DUE_AND_FREE = (
    select(tables.account.c.name, tables.account.c.fencing_token)
    .where(_AMONG_NAMES, _is_due(_NAMES), _is_free())
    .order_by(*_LONGEST_FIRST)
    .limit(bindparam("at_most"))
    # On SQLite this compiles to nothing; there, transactions wait for each other.
    .with_for_update(skip_locked=True)
)
