"""Deliveries: claiming one to try it, and recording the outcome.

A delivery is claimed, tried outside of any transaction, and settled. Its claim is a lease, so that
only one of many processes tries it at a time; if that one dies, the others take over. A death
between the try and its record causes another try: at least once, never lost.
"""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    RowMapping,
    Select,
    delete,
    exists,
    func,
    or_,
    select,
    update,
)

from rotator.ledger import tables
from rotator.ledger.clock import clock_of
from rotator.ledger.database import reading, run_again, writing
from rotator.ledger.leases import append_to, is_dead, this_process
from rotator.ledger.outbox import notification_in
from rotator.model import Step
from rotator.model.notification import ALERTS, RETENTION, Delivery, Event, PendingDelivery
from rotator.rotation import schedule
from rotator.rotation.ports import NewEntry

#: How much longer than one call of a hook a claim lasts.
_SPARE = timedelta(minutes=1)


class Deliveries:
    """Pending deliveries (`rotator.hooks.dispatcher.Outbox`).

    Every method may raise `LedgerError`: the ledger cannot be read or written. An outcome that was
    to be settled is then not certain to be recorded, and the delivery may be tried once more; one
    that was to be given back may stay claimed until the claim expires.
    """

    def __init__(self, engine: Engine, *, owner: str | None = None) -> None:
        """Store them in `engine`'s database; `owner` is this process's name for others."""
        self._engine = engine
        self._owner = owner or this_process()

    @run_again
    def claim(  # noqa: PLR0913  # all but one by name
        self,
        hooks: Collection[str],
        *,
        accounts: Collection[str] | None,
        longest: timedelta,
        due: datetime,
        now: datetime,
        unattempted: Event | None = None,
    ) -> Delivery | None:
        """Claim one delivery that was due by the time `due`, the longest overdue first.

        Limited to hooks of these names and to accounts of these names (None for all); with
        `unattempted` to those that `is_unattempted` counts. One call of a hook takes `longest` at
        most. None where no unclaimed delivery is due.
        """
        with writing(self._engine) as connection:
            clock = clock_of(connection, now)
            longest_lease = longest + _SPARE
            is_free = _is_free(connection, clock, longest_lease)
            query = _due(hooks, due).where(is_free).limit(1)
            if accounts is not None:
                query = query.where(_ROW.account.in_(accounts))
            if unattempted is not None:
                query = query.where(*_unattempted(unattempted))
            # On SQLite this compiles to nothing; there, transactions wait for each other.
            row = connection.execute(query.with_for_update(skip_locked=True)).mappings().first()
            if row is None:
                return None
            return self._take(connection, row, expiry=clock + longest_lease)

    @run_again
    def settle(self, delivery: Delivery, reason: str | None, *, now: datetime) -> str | None:
        """Record the outcome of a try: `reason` says why it failed; None means success.

        Returns the event that was recorded; None for a repeated failure, and where another process
        has claimed the delivery since.
        """
        with writing(self._engine) as connection:
            mine = _ROW.id == delivery.id, _ROW.lease_owner == delivery.owner
            claimed = select(tables.delivery).where(*mine, _ROW.attempts == delivery.attempts)
            row = connection.execute(claimed.with_for_update()).mappings().first()
            if row is None:
                return None
            event = _event(delivery, row, reason, now)
            if event in _OVER:
                connection.execute(delete(tables.delivery).where(*mine))
            else:
                connection.execute(
                    update(tables.delivery)
                    .where(*mine)
                    .values(
                        retry_at=schedule.delivery_retry_at(delivery.id, delivery.attempts, now),
                        reason=reason,
                        lease_owner=None,
                        lease_expires_at=None,
                    )
                )
            if event:
                append_to(
                    connection,
                    delivery.notification.account,
                    [_entry(event, delivery, reason)],
                    now,
                )
            return event

    @run_again
    def give_back(self, delivery: Delivery) -> None:
        """Release a delivery whose try was interrupted, for others to try now; records nothing."""
        mine = _ROW.id == delivery.id, _ROW.lease_owner == delivery.owner
        with writing(self._engine) as connection:
            connection.execute(
                update(tables.delivery)
                .where(*mine, _ROW.attempts == delivery.attempts)
                .values(lease_owner=None, lease_expires_at=None)
            )

    @run_again
    def drop(self, hooks: Collection[str], *, now: datetime) -> int:
        """Drop deliveries to other hooks that were not tried for a week; return how many.

        Their hooks are no longer configured, here or anywhere else: another process may have a
        hook that is unknown here, but would retry it at least every other hour. Each one dropped is
        recorded.
        """
        left = select(tables.delivery).where(
            _ROW.hook.not_in(hooks), _ROW.retry_at <= now - RETENTION
        )
        with reading(self._engine) as connection:
            if connection.execute(left.limit(1)).first() is None:
                return 0
        with writing(self._engine) as connection:
            query = left.order_by(_ROW.account, _ROW.seq).with_for_update(skip_locked=True)
            rows = connection.execute(query).mappings().all()
            for row in rows:
                connection.execute(delete(tables.delivery).where(_ROW.id == row["id"]))
                entry = _entry("dropped", _delivery(row), "the hook is no longer configured")
                append_to(connection, row["account"], [entry], now)
        return len(rows)

    def are_due(self, hooks: Collection[str], now: datetime) -> bool:
        """Return whether any delivery to hooks of these names is due, claimed or not."""
        with reading(self._engine) as connection:
            return connection.execute(_due(hooks, now).limit(1)).first() is not None

    def is_unattempted(self, hooks: Collection[str], account: str, event: Event) -> bool:
        """Return whether these hooks have a delivery of this event whose first try is not over."""
        query = select(_ROW.id).where(
            _ROW.account == account, _ROW.hook.in_(hooks), *_unattempted(event)
        )
        with reading(self._engine) as connection:
            return connection.execute(query.limit(1)).first() is not None

    def undelivered(self, hooks: Collection[str]) -> list[PendingDelivery]:
        """Return the pending deliveries of these hooks, by account, the oldest first."""
        query = select(tables.delivery).where(_ROW.hook.in_(hooks))
        with reading(self._engine) as connection:
            rows = connection.execute(query.order_by(_ROW.account, _ROW.seq)).mappings().all()
        return [
            PendingDelivery(
                account=row["account"],
                hook=row["hook"],
                event=Event(row["event"]),
                since=row["at"],
                attempts=row["attempts"],
                reason=row["reason"],
                next_try_at=row["retry_at"],
            )
            for row in rows
        ]

    def count_undelivered(self, hooks: Collection[str]) -> dict[str, tuple[int, datetime]]:
        """Return how many deliveries are pending for each of these hooks, and since when.

        Without those hooks that have none.
        """
        query = (
            select(_ROW.hook, func.count(), func.min(_ROW.at))
            .where(_ROW.hook.in_(hooks))
            .group_by(_ROW.hook)
        )
        with reading(self._engine) as connection:
            return {hook: (count, since) for hook, count, since in connection.execute(query)}

    def _take(self, connection: Connection, row: RowMapping, *, expiry: datetime) -> Delivery:
        delivery = replace(_delivery(row), attempts=row["attempts"] + 1, owner=self._owner)
        connection.execute(
            update(tables.delivery)
            .where(_ROW.id == delivery.id)
            .values(attempts=delivery.attempts, lease_owner=self._owner, lease_expires_at=expiry)
        )
        return delivery


def _delivery(row: RowMapping) -> Delivery:
    return Delivery(
        id=row["id"],
        notification=notification_in(row),
        hook=row["hook"],
        attempts=row["attempts"],
        owner=row["lease_owner"],
    )


#: Events after which nothing remains to be delivered.
_OVER = ("delivered", "given-up")
_ROW = tables.delivery.c


_OLDER = tables.delivery.alias()
#: Matches a notification that must not overtake an older one of its account to the same hook: what
#: is over would seem to be wrong, or what is wrong over.
_OVERTAKES = exists().where(
    _OLDER.c.account == _ROW.account,
    _OLDER.c.hook == _ROW.hook,
    _OLDER.c.seq < _ROW.seq,
    _OLDER.c.event.in_(ALERTS),
    _ROW.event.in_(ALERTS),
    or_(_OLDER.c.event == Event.RECOVERED.value, _ROW.event == Event.RECOVERED.value),
)


def _due(hooks: Collection[str], now: datetime) -> Select[Any]:
    # A time later than any possible retry came from a clock that was ahead.
    is_due = or_(_ROW.retry_at <= now, _ROW.retry_at > now + schedule.LONGEST_HOOK_RETRY)
    query = select(tables.delivery).where(is_due, _ROW.hook.in_(hooks), ~_OVERTAKES)
    return query.order_by(_ROW.retry_at, _ROW.account, _ROW.seq)


def _unattempted(event: Event) -> tuple[ColumnElement[bool], ...]:
    """Match deliveries of `event` whose first attempt is not over (a failed one has a reason)."""
    return _ROW.event == event.value, _ROW.reason.is_(None)


def _is_free(connection: Connection, clock: datetime, longest: timedelta) -> ColumnElement[bool]:
    """Match deliveries without a claim, or whose claim can no longer be settled.

    A claim that ends later than twice `longest` from now came from a clock that was ahead.
    """
    owners = select(_ROW.lease_owner).where(_ROW.lease_owner.is_not(None)).distinct()
    dead = [owner for owner in connection.execute(owners).scalars() if is_dead(owner)]
    return or_(
        _ROW.lease_owner.is_(None),
        _ROW.lease_expires_at <= clock,
        _ROW.lease_expires_at > clock + 2 * longest,
        _ROW.lease_owner.in_(dead),
    )


def _event(delivery: Delivery, row: RowMapping, reason: str | None, now: datetime) -> str | None:
    """Return the event that an attempt's result is recorded as; None for a repeated failure."""
    if reason is None:
        return "delivered"
    if (
        delivery.notification.event is not Event.PUSHED
        and now - delivery.notification.at >= RETENTION
    ):
        return "given-up"
    return "undelivered" if row["reason"] is None else None


def _entry(event: str, delivery: Delivery, why: str | None) -> NewEntry:
    about = delivery.notification
    detail = {"hook": delivery.hook, "event": about.event.value, "attempts": delivery.attempts}
    return NewEntry(
        event=event,
        step=Step.HOOKS,
        detail=detail if why is None else detail | {"why": why},
        rotation_id=about.rotation_id,
    )
