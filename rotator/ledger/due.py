"""Which accounts there is something to do for, as far as the ledger can tell."""

from collections.abc import Collection, Sequence
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
    union,
)

from rotator.ledger import tables
from rotator.ledger.mapping import from_row
from rotator.model import LONGEST_GATE_WAIT, LONGEST_WINDOW_WAIT, MOST_LEAD, Rotation, Step
from rotator.rotation import schedule


@dataclass(frozen=True, kw_only=True)
class Due:
    """An account that there is something to do for."""

    name: str
    #: The open rotation; None where one is to be begun.
    rotation: Rotation | None


def due(connection: Connection, now: datetime) -> list[Due]:
    """Give all that is due, whoever is working on it, the longest first."""
    times = _times(now)
    names = connection.execute(_DUE_NAMES, times).scalars()
    opened = connection.execute(_READY_ROTATIONS, times).mappings()
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
    """Return, locked, the rows of `names` that are due and free, the longest due first.

    An account is free if its lease has run out by `clock`, or is held by one of the `dead`
    processes. Rows that others have locked are passed over.
    """
    known = {"of_names": [*names], "of_clock": clock, "of_dead": [*dead], "at_most": limit}
    return connection.execute(_DUE_AND_FREE, known | _times(now)).mappings().all()


def leases(connection: Connection, names: Collection[str]) -> Sequence[RowMapping]:
    """Return the leases on accounts of these names, those that have run out included."""
    return connection.execute(_LEASES, {"of_names": [*names]}).mappings().all()


def _times(now: datetime) -> dict[str, datetime]:
    """Return the times that statements compare with: nothing waits longer than can be meant.

    A later time was told by a clock that was ahead then, and has been put right.
    """
    return {
        "of_now": now,
        "of_latest": now + LONGEST_GATE_WAIT,
        "of_latest_window": now + LONGEST_WINDOW_WAIT,
        "of_latest_retry": now + schedule.LONGEST_RETRY,
        "of_latest_grace": now + MOST_LEAD,
    }


def _is_due(among: BindParameter[Sequence[str]] | None = None) -> ColumnElement[bool]:
    """Whether an account's next due time has come, or its open rotation has nothing to wait for.

    But not one that failed and is to be tried later; and one that is held only for a rotation
    that has pushed, or may have, and if it is frozen not at all. Told by two indexes: an account
    that is not due costs nothing, nor does one that is due and not `among` the names given.
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
    # The answer to a push may have been lost, and only a look tells whether it took effect.
    may_have_pushed = or_(rotation.vault_version.is_not(None), rotation.step == Step.PUSH.value)
    pushed = select(rotation.account).where(rotation.closed_at.is_(None), may_have_pushed)
    is_finished = and_(account.hold_freeze == 0, account.name.in_(pushed))
    return and_(
        account.name.in_(union(come, ready)),
        or_(account.hold_reason.is_(None), is_finished),
        or_(account.retry_at.is_(None), account.retry_at <= _NOW, account.retry_at > _LATEST_RETRY),
    )


def _is_free() -> ColumnElement[bool]:
    """Whether nobody has an account's lease, or only one who cannot use it any more."""
    account = tables.account.c
    return or_(
        account.lease_owner.is_(None),
        account.lease_expires_at <= bindparam("of_clock", type_=tables.Instant()),
        account.lease_owner.in_(bindparam("of_dead", expanding=True)),
    )


def _is_ready() -> ColumnElement[bool]:
    """Whether a rotation has no grace and no gate to wait for."""
    due_at, gate_at = tables.rotation.c.delete_due_at, tables.rotation.c.gate_retry_at
    is_out_of_grace = or_(due_at.is_(None), not_(_waits_in_grace()))
    return and_(is_out_of_grace, or_(gate_at.is_(None), not_(_waits_at_gate())))


def _waits_in_grace() -> ColumnElement[bool]:
    """Whether a grace is not over; one with a beginning that is still to come is not waited for."""
    rotation = tables.rotation.c
    return and_(rotation.delete_due_at > _NOW, rotation.verified_at <= _LATEST_GRACE)


def _waits_at_gate() -> ColumnElement[bool]:
    """Whether it is too early to ask a gate, or look for a window, again."""
    gate, retry_at = tables.rotation.c.gate, tables.rotation.c.gate_retry_at
    is_at_window = and_(gate.is_(None), retry_at <= _LATEST_WINDOW)
    return and_(retry_at > _NOW, or_(is_at_window, retry_at <= _LATEST))


# -- Statements, put together once: that takes longer than to execute them. ------------------

_NOW = bindparam("of_now", type_=tables.Instant())
#: The latest time at which a gate that was just asked is asked again; the others likewise.
_LATEST = bindparam("of_latest", type_=tables.Instant())
_LATEST_WINDOW = bindparam("of_latest_window", type_=tables.Instant())
_LATEST_RETRY = bindparam("of_latest_retry", type_=tables.Instant())
_LATEST_GRACE = bindparam("of_latest_grace", type_=tables.Instant())
_OPEN_ROTATIONS = select(tables.rotation).where(tables.rotation.c.closed_at.is_(None))
_READY_ROTATIONS = _OPEN_ROTATIONS.where(_is_ready())
_LONGEST_FIRST = tables.account.c.next_due_at, tables.account.c.name
_DUE_NAMES = select(tables.account.c.name).where(_is_due()).order_by(*_LONGEST_FIRST)
_NAMES: BindParameter[Sequence[str]] = bindparam("of_names", expanding=True)
_AMONG_NAMES = tables.account.c.name.in_(_NAMES)
_LEASES = select(
    tables.account.c.name,
    tables.account.c.lease_owner,
    tables.account.c.lease_expires_at,
    tables.account.c.lease_seconds,
).where(_AMONG_NAMES, tables.account.c.lease_owner.is_not(None))
_DUE_AND_FREE = (
    select(tables.account.c.name, tables.account.c.fencing_token)
    .where(_AMONG_NAMES, _is_due(_NAMES), _is_free())
    .order_by(*_LONGEST_FIRST)
    .limit(bindparam("at_most"))
    # On SQLite this compiles to nothing; there one transaction waits for the other.
    .with_for_update(skip_locked=True)
)
