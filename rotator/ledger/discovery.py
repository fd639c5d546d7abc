"""Discovered subaccounts, and the holds that begin and end with their state at Vonage.

They are in the ledger so that status, other daemons and restarts know them without asking Vonage.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, Engine, func, select

from rotator.ledger import holds, tables
from rotator.ledger.database import reading, run_again, writing
from rotator.ledger.leases import added, append_to, locked
from rotator.ledger.mapping import hold_of, subaccount_of
from rotator.model import DiscoveredSubaccount, Hold, SubaccountState
from rotator.rotation.ports import NewEntry

#: Holder for accounts that Vonage suspended or no longer lists: only such a hold ends on its own.
HOLDER = "discovery"
_HOLDS = {
    SubaccountState.SUSPENDED: "Vonage has suspended this subaccount",
    SubaccountState.GONE: "Vonage does not list this subaccount any more",
}
#: Entries that were recorded, each with its account's name.
Recorded = list[tuple[str, NewEntry]]


class DiscoveredSubaccounts:
    """Discovered subaccounts, and when each parent was last listed.

    Every method may raise `LedgerError`: the ledger cannot be read or written.
    """

    def __init__(self, engine: Engine) -> None:
        """Store them in `engine`'s database."""
        self._engine = engine

    def all(self) -> list[DiscoveredSubaccount]:
        """Return every subaccount that was ever found, as it was last listed."""
        with reading(self._engine) as connection:
            return list(_found(connection, None).values())

    def version(self) -> tuple[int, datetime | None]:
        """Return a value that changes whenever anything in `all` does."""
        changed_at = tables.subaccount.c.changed_at
        with reading(self._engine) as connection:
            row = connection.execute(select(func.count(), func.max(changed_at))).one()
        return row[0], row[1]

    def listed_at(self, parent: str) -> datetime | None:
        """Return when the subaccounts of `parent` were last listed; None for never."""
        query = select(tables.listing.c.listed_at).where(tables.listing.c.parent == parent)
        with reading(self._engine) as connection:
            return connection.execute(query).scalar()

    @run_again
    def record(
        self,
        parent: str,
        listed: Sequence[DiscoveredSubaccount],
        *,
        names: Callable[[Iterable[DiscoveredSubaccount]], Mapping[str, str]],
        now: datetime,
    ) -> Recorded:
        """Record all that Vonage lists below `parent`.

        `names` maps api keys to the names that subaccounts are managed under. An account that is
        suspended or no longer listed is held, and released when it is back, unless an operator
        holds it. Returns the entries that were recorded, by account.
        """
        with writing(self._engine) as connection:
            # First: if two daemons list the same parent at once, the second one waits here.
            tables.upsert(connection, tables.listing, {"parent": parent}, {"listed_at": now})
            known = _found(connection, parent)
            present = {each.api_key: each for each in listed}
            gone = {
                key: replace(each, state=SubaccountState.GONE)
                for key, each in known.items()
                if key not in present
            }
            now_found = present | gone
            for key, each in now_found.items():
                if known.get(key) != each:
                    values = {"title": each.title, "state": each.state.value, "changed_at": now}
                    primary_key = {"parent": parent, "api_key": key}
                    tables.upsert(connection, tables.subaccount, primary_key, values)
            managed = names([*_found(connection, None).values()])
            named = {managed[key]: each for key, each in now_found.items() if key in managed}
            return _settle(connection, named, known, now)


def _found(connection: Connection, parent: str | None) -> dict[str, DiscoveredSubaccount]:
    """Return the known subaccounts by api key: below one parent, or below all."""
    query = select(tables.subaccount).order_by(tables.subaccount.c.api_key)
    if parent is not None:
        query = query.where(tables.subaccount.c.parent == parent)
    return {row["api_key"]: subaccount_of(row) for row in connection.execute(query).mappings()}


def _settle(
    connection: Connection,
    named: Mapping[str, DiscoveredSubaccount],
    known: Mapping[str, DiscoveredSubaccount],
    now: datetime,
) -> Recorded:
    """Record what is new, and hold exactly the accounts that must be held."""
    rows = connection.execute(select(tables.account)).mappings()
    there = {row["name"]: row for row in rows}
    recorded: Recorded = []
    # In order of name, so that two daemons cannot deadlock.
    for name, found in sorted(named.items()):
        before = there.get(name)
        is_new = before is None or found.api_key not in known
        if not is_new and not _must_change(hold_of(before), found):
            continue
        # An operator may have held it in between.
        hold = hold_of(locked(connection, name) or added(connection, name))
        if is_new:
            detail = {"parent": found.parent, "api_key": found.api_key}
            entry = NewEntry(event="discovered", step=None, detail=detail)
            append_to(connection, name, [entry], now)
            recorded.append((name, entry))
        if _must_change(hold, found):
            recorded.append((name, _change_hold(connection, name, hold, found, now)))
    return recorded


def _must_change(hold: Hold | None, found: DiscoveredSubaccount) -> bool:
    """Return whether a hold must begin, change or end. An operator's hold stays."""
    is_others = hold is not None and hold.by != HOLDER
    return not is_others and _HOLDS.get(found.state) != (hold.reason if hold else None)


def _change_hold(
    connection: Connection,
    name: str,
    hold: Hold | None,
    found: DiscoveredSubaccount,
    now: datetime,
) -> NewEntry:
    reason = _HOLDS.get(found.state)
    if hold and not reason:
        return holds.lift(connection, name, hold, {"by": HOLDER}, now)
    return holds.put(connection, name, Hold(reason=reason or "", by=HOLDER, at=now))
