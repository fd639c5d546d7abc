"""Which accounts there is something to do for, as far as the ledger can tell."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import ColumnElement, Connection, Select, and_, or_, select, union

from rotator.ledger import process, tables
from rotator.ledger.rows import from_row
from rotator.model import Rotation, Step

Ts = TypeVar("Ts", bound=tuple[Any, ...])


@dataclass(frozen=True, kw_only=True)
class Due:
    """An account that there is something to do for."""

    name: str
    #: The open rotation; None where one is to be begun.
    rotation: Rotation | None


def due(connection: Connection, now: datetime) -> list[Due]:
    """Give all that is due, whoever is working on it, the longest first."""
    names = connection.execute(
        longest_first(select(tables.account.c.name).where(is_due(now)))
    ).scalars()
    opened = connection.execute(_open_rotations().where(_is_ready(now))).mappings()
    rotations = {row["account"]: from_row(row) for row in opened}
    return [Due(name=name, rotation=rotations.get(name)) for name in names]


def is_due(now: datetime) -> ColumnElement[bool]:
    """Whether an account's next due time has come, or its open rotation has nothing to wait for.

    But not one that failed and is to be tried later; and one that is held only for a rotation
    that has pushed, or may have, and if it is frozen not at all. Told by two indexes: an account
    that is not due costs nothing.
    """
    account, rotation = tables.account.c, tables.rotation.c
    waiting = _open_rotations().where(
        rotation.account == account.name,
        or_(rotation.delete_due_at > now, rotation.gate_retry_at > now),
    )
    come = select(account.name).where(account.next_due_at <= now, ~waiting.exists())
    ready = select(rotation.account).where(rotation.closed_at.is_(None), _is_ready(now))
    # The answer to a push may have been lost, and only a look tells whether it took effect.
    may_have_pushed = or_(rotation.vault_version.is_not(None), rotation.step == Step.PUSH.value)
    pushed = select(rotation.account).where(rotation.closed_at.is_(None), may_have_pushed)
    is_finished = and_(account.hold_freeze == 0, account.name.in_(pushed))
    return and_(
        account.name.in_(union(come, ready)),
        or_(account.hold_reason.is_(None), is_finished),
        or_(account.retry_at.is_(None), account.retry_at <= now),
    )


def is_free(connection: Connection, clock: datetime) -> ColumnElement[bool]:
    """Whether nobody has an account's lease, or only one who cannot use it any more."""
    account = tables.account.c
    owners = select(account.lease_owner).where(account.lease_owner.is_not(None)).distinct()
    dead = [owner for owner in connection.execute(owners).scalars() if process.is_dead(owner)]
    return or_(
        account.lease_owner.is_(None),
        account.lease_expires_at <= clock,
        account.lease_owner.in_(dead),
    )


def longest_first(query: Select[Ts]) -> Select[Ts]:
    """Put what has waited longest first."""
    return query.order_by(tables.account.c.next_due_at, tables.account.c.name)


def _is_ready(now: datetime) -> ColumnElement[bool]:
    """Whether a rotation has no grace and no gate to wait for."""
    due_at, gate_at = tables.rotation.c.delete_due_at, tables.rotation.c.gate_retry_at
    is_out_of_grace = or_(due_at.is_(None), due_at <= now)
    return and_(is_out_of_grace, or_(gate_at.is_(None), gate_at <= now))


def _open_rotations() -> Select[Any]:
    return select(tables.rotation).where(tables.rotation.c.closed_at.is_(None))
