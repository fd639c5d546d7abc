"""Operators' holds. They need no lease: a process sees them at its next step on the account.

A hold and each commit of a pass lock the account's row. So a hold is either in the ledger before an
intent, and that intent's commit returns it to the pass, or it comes after the intent.
"""

from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import Connection, Engine

from rotator.ledger import chain
from rotator.ledger.database import run_again, writing
from rotator.ledger.facts import hold_in
from rotator.ledger.leases import added, append_to, change, locked
from rotator.ledger.mapping import hold_of
from rotator.model import Actor, Hold
from rotator.rotation.ports import NewEntry


class Holds:
    """Places and lifts operators' holds."""

    def __init__(self, engine: Engine) -> None:
        """Write to `engine`'s database."""
        self._engine = engine

    @run_again
    def put(self, name: str, hold: Hold, *, host: str | None = None) -> Hold | None:
        """Hold account `name`, from `host`; return the hold that was replaced.

        Raises:
            LedgerError: it is not certain to be recorded.
        """
        with writing(self._engine) as connection:
            row = locked(connection, name) or added(connection, name)
            put(connection, name, hold, host)
        return hold_of(row)

    @run_again
    def lift(self, name: str, *, actor: Actor, now: datetime) -> Hold | None:
        """Lift the hold of account `name`; return it, or None where there was none.

        The back-off after refusals caused by the hold is cleared, so that the account is due at
        once if its time has come. A hold in the account's row alone or in its entries alone,
        as somebody wrote to the tables, ends as well.

        Raises:
            LedgerError: it is not certain to be recorded.
        """
        with writing(self._engine) as connection:
            row = locked(connection, name)
            entry = chain.newest_about_hold(connection, name) if row else None
            hold = hold_of(row) or (hold_in(entry) if entry else None)
            if hold:
                lift(connection, name, hold, actor.facts(), now)
        return hold


def put(connection: Connection, name: str, hold: Hold, host: str | None = None) -> NewEntry:
    """Hold an account whose row is locked; return the entry that was recorded."""
    origin = {"from": host} if host else {}
    entry = NewEntry(
        event="held",
        step=None,
        detail={"reason": hold.reason, "by": hold.by, "freeze": hold.freeze, **origin},
    )
    append_to(connection, name, [entry], hold.at)
    change(
        connection,
        name,
        hold_reason=hold.reason,
        held_by=hold.by,
        held_at=hold.at,
        hold_freeze=int(hold.freeze),
    )
    return entry


def lift(
    connection: Connection, name: str, hold: Hold, facts: Mapping[str, str], now: datetime
) -> NewEntry:
    """Lift the hold of an account whose row is locked; return the entry that was recorded.

    `facts` are those about who lifts it.
    """
    detail = {"reason": hold.reason, "held_by": hold.by, **facts}
    entry = NewEntry(event="released", step=None, detail=detail)
    append_to(connection, name, [entry], now)
    cleared = dict.fromkeys(("hold_reason", "held_by", "held_at", "retry_at"))
    change(connection, name, **cleared, hold_freeze=0, failures=0)
    return entry
