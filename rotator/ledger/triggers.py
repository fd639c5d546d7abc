"""Requests through the trigger: accepted once each, and kept until their rotation is verified.

Accepting one commits its row together with an entry of the account's chain, which records who asks.
What carried it out is derived from the entries after that one: a rotation whose new secret was
verified since. So a request is carried out once, wherever the process that works on it is killed.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Engine,
    Select,
    and_,
    func,
    or_,
    select,
    update,
)

from rotator.ledger import tables
from rotator.ledger.database import reading, run_again, writing
from rotator.ledger.leases import added, append_to, locked
from rotator.ledger.mapping import TRIGGER_REQUESTS, trigger_requests
from rotator.model import Outcome, Step
from rotator.model.trigger import TriggerRequest
from rotator.rotation import schedule
from rotator.rotation.ports import NewEntry

#: Event of the entry that names the rotation by which a request was carried out.
CARRIED_OUT = "carried-out"
#: The time to which the bound on requests applies.
PERIOD = timedelta(hours=1)


class IdTaken(Exception):
    """The id is that of another request."""


class TooMany(Exception):
    """No more requests are accepted for now."""

    def __init__(self, wait: timedelta) -> None:
        """Refuse for as long as `wait`."""
        super().__init__(wait)
        self.wait = wait


class Triggers:
    """The requests through the trigger.

    Every method may raise `LedgerError`: the ledger cannot be read or written. Then nothing is
    certain to be recorded.
    """

    def __init__(self, engine: Engine) -> None:
        """Keep them in `engine`'s database."""
        self._engine = engine

    @run_again
    def accept(self, request: TriggerRequest, *, at_most: int) -> TriggerRequest:
        """Record a request and who asks, durably; return it as it is recorded.

        One with the same id and the same content is returned as it was recorded first, and nothing
        is begun by it. In an hour, `at_most` are accepted.

        Raises:
            IdTaken: another account, or another reason, was asked for by this id.
            TooMany: there have been enough of them in the last hour.
        """
        name = request.account
        with writing(self._engine) as connection:
            row = locked(connection, name) or added(connection, name)
            if known := _known(connection, request):
                return known
            _refuse_too_many(connection, request.at, at_most)
            accepted = replace(request, seq=row["chain_seq"] + 1)
            tables.upsert(connection, tables.trigger_request, _columns(accepted), {})
            entry = NewEntry.requested(
                request.actor, "rotate", reason=request.reason, trigger=request.id
            )
            append_to(connection, name, [entry], request.at)
            # Another account may have been asked for by the same id at the same time.
            if _known(connection, request) is None:
                raise IdTaken
        return accepted

    def pending(self, now: datetime) -> list[TriggerRequest]:
        """Return the requests that may be tried now, those because of a leak first."""
        retry_at = _ROW.retry_at
        # A time later than any possible retry came from a clock that was ahead.
        is_due = or_(
            retry_at.is_(None), retry_at <= now, retry_at > now + schedule.LONGEST_HOOK_RETRY
        )
        query = TRIGGER_REQUESTS.where(_ROW.settled_at.is_(None), is_due)
        with reading(self._engine) as connection:
            found = list(trigger_requests(connection.execute(query).mappings()))
        return sorted(found, key=lambda each: (not each.is_compromised, each.at, each.id))

    @run_again
    def settle(
        self, request: TriggerRequest, *, refusal: str | None, has_failed: bool, now: datetime
    ) -> bool:
        """Record what became of a request, if anything did; return whether it is over.

        It is carried out once a rotation that is as it asks was verified since. Otherwise it ends
        with `refusal`, a code for which an operator must decide; if its try `has_failed`, it is
        tried again later.
        """
        with writing(self._engine) as connection:
            locked(connection, request.account)
            row = connection.execute(_of(request.id)).mappings().one()
            if row["settled_at"] is not None:
                return True
            rotation_id = connection.execute(_carrying_out(request)).scalar()
            if rotation_id is None and refusal is None:
                if has_failed:
                    tries = row["tries"] + 1
                    retry_at = schedule.delivery_retry_at(request.id, tries, now)
                    _change(connection, request, tries=tries, retry_at=retry_at)
                return False
            entry = (
                _carried_out(request, rotation_id) if rotation_id else _refused(request, refusal)
            )
            append_to(connection, request.account, [entry], now)
            _change(connection, request, settled_at=now)
        return True


def _columns(request: TriggerRequest) -> tables.Row:
    return {
        "id": request.id,
        "account": request.account,
        "seq": request.seq,
        "asked_at": request.at,
    }


def _known(connection: Connection, request: TriggerRequest) -> TriggerRequest | None:
    """Return the request of the same id, if there is one.

    Raises:
        IdTaken: it asks for something else.
    """
    rows = connection.execute(_of(request.id)).mappings()
    known = next(trigger_requests(rows), None)
    if known is None or (
        (known.account, known.is_compromised) == (request.account, request.is_compromised)
    ):
        return known
    raise IdTaken


def _refuse_too_many(connection: Connection, now: datetime, at_most: int) -> None:
    """Refuse if the last hour has had enough; later times came from a clock that was ahead."""
    recent = and_(_ROW.asked_at > now - PERIOD, _ROW.asked_at <= now)
    count = connection.execute(select(func.count()).where(recent)).scalar_one()
    if count < at_most:
        return
    query = select(_ROW.asked_at).where(recent).order_by(_ROW.asked_at.desc())
    frees = connection.execute(query.offset(at_most - 1).limit(1)).scalar_one()
    raise TooMany(frees + PERIOD - now)


def _change(connection: Connection, request: TriggerRequest, **values: object) -> None:
    table = tables.trigger_request
    connection.execute(update(table).where(_ROW.id == request.id).values(**values))


def _carrying_out(request: TriggerRequest) -> Select[str]:
    """Select the rotation by which a request was carried out."""
    entry, rotation = tables.entry.c, tables.rotation.c
    query = (
        select(rotation.id)
        .join(
            tables.entry, and_(entry.account == rotation.account, entry.rotation_id == rotation.id)
        )
        .where(entry.account == request.account, entry.seq > request.seq)
        .where(entry.event == "done", entry.step == Step.VERIFY.value)
        .where(rotation.outcome.is_distinct_from("failed"))
        .order_by(entry.seq)
        .limit(1)
    )
    # Any other would leave the leaked secret alive for its grace.
    return query.where(rotation.reason == "compromised") if request.is_compromised else query


def _carried_out(request: TriggerRequest, rotation_id: str) -> NewEntry:
    detail = {"trigger": request.id}
    return NewEntry(event=CARRIED_OUT, step=None, detail=detail, rotation_id=rotation_id)


def _refused(request: TriggerRequest, code: str | None) -> NewEntry:
    known = {"trigger": request.id, "code": code}
    detail = {"operation": "rotate", "outcome": Outcome.REFUSED.value, **known}
    return NewEntry(event="not-begun", step=None, detail=detail)


_ROW = tables.trigger_request.c


def _of(message_id: str) -> Select[Any]:
    return TRIGGER_REQUESTS.where(_ROW.id == message_id)
