"""Discovered subaccounts, and the holds that begin and end with their state at Vonage.

They are in the ledger so that status, other daemons and restarts know them without asking Vonage.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, Engine, RowMapping, func, insert, select, update

from rotator.ledger import holds, tables
from rotator.ledger.database import inserting, reading, run_again, writing
from rotator.ledger.mapping import hold_of
from rotator.ledger.writer import added, append_to, locked
from rotator.model import DiscoveredSubaccount, Hold, SubaccountState
from rotator.rotation.ports import NewEntry

#: Holder for accounts that Vonage suspended or no longer lists: only such a hold ends on its own.
HOLDER = "discovery"
_HOLDS = {
    SubaccountState.SUSPENDED: "Vonage has suspended this subaccount",
    SubaccountState.GONE: "Vonage no longer lists this subaccount",
}
#: Entries to report to listeners: account names and entries.
Told = list[tuple[str, NewEntry]]


class DiscoveredSubaccounts:
    """Discovered subaccounts, and when each parent was last listed."""

    def __init__(self, engine: Engine) -> None:
        """Store them in `engine`'s database."""
        self._engine = engine

    def all(self) -> list[DiscoveredSubaccount]:
        """Return every subaccount that was ever found, as it was last listed.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with reading(self._engine) as connection:
            return list(_found(connection, None).values())

    def version(self) -> tuple[int, datetime | None]:
        """Return a value that changes whenever anything in `all` does.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        changed_at = tables.subaccount.c.changed_at
        with reading(self._engine) as connection:
            row = connection.execute(select(func.count(), func.max(changed_at))).one()
        return row[0], row[1]

    def listed_at(self, parent: str) -> datetime | None:
        """Return when the subaccounts of `parent` were last listed; None for never.

        Raises:
            LedgerError: the ledger cannot be read.
        """
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
    ) -> Told:
        """Record all that Vonage lists below `parent`.

        `names` maps api keys to the names that subaccounts are managed under. An account that is
        suspended or no longer listed is held, and released when it is back, unless an operator
        holds it. Returns the entries that were recorded, by account.

        Raises:
            LedgerError: the ledger cannot be written.
        """
        with writing(self._engine) as connection:
            # First: if two daemons list the same parent at once, the second one waits here.
            _mark(connection, parent, now)
            known = _found(connection, parent)
            present = {each.api_key: each for each in listed}
            gone = {key: _gone(each) for key, each in known.items() if key not in present}
            now_found = present | gone
            for key, each in now_found.items():
                if known.get(key) != each:
                    _keep(connection, each, is_new=key not in known, now=now)
            managed = names([*_found(connection, None).values()])
            named = {managed[key]: each for key, each in now_found.items() if key in managed}
            return _settle(connection, named, known, now)


def _gone(found: DiscoveredSubaccount) -> DiscoveredSubaccount:
    return DiscoveredSubaccount(
        parent=found.parent,
        api_key=found.api_key,
        title=found.title,
        state=SubaccountState.GONE,
    )


def _found(connection: Connection, parent: str | None) -> dict[str, DiscoveredSubaccount]:
    """Return the known subaccounts by api key: below one parent, or below all."""
    query = select(tables.subaccount).order_by(tables.subaccount.c.api_key)
    if parent is not None:
        query = query.where(tables.subaccount.c.parent == parent)
    return {
        row["api_key"]: DiscoveredSubaccount(
            parent=row["parent"],
            api_key=row["api_key"],
            title=row["title"],
            state=SubaccountState(row["state"]),
        )
        for row in connection.execute(query).mappings()
    }


def _keep(
    connection: Connection, found: DiscoveredSubaccount, *, is_new: bool, now: datetime
) -> None:
    subaccount = tables.subaccount
    values = {"title": found.title, "state": found.state.value, "changed_at": now}
    ours = {"parent": found.parent, "api_key": found.api_key}
    if is_new:
        connection.execute(insert(subaccount).values(**ours, **values))
    else:
        connection.execute(update(subaccount).filter_by(**ours).values(values))


def _mark(connection: Connection, parent: str, now: datetime) -> None:
    """Record that `parent` was listed; its row is locked until the transaction ends."""
    listed = inserting(connection, tables.listing).values(parent=parent, listed_at=now)
    connection.execute(
        listed.on_conflict_do_update(index_elements=["parent"], set_={"listed_at": now})
    )


def _settle(
    connection: Connection,
    named: Mapping[str, DiscoveredSubaccount],
    known: Mapping[str, DiscoveredSubaccount],
    now: datetime,
) -> Told:
    """Record what is new, and hold exactly the accounts that must be held."""
    rows = connection.execute(select(tables.account)).mappings()
    there = {row["name"]: row for row in rows}
    told: Told = []
    # In order of name, so that two daemons cannot deadlock.
    for name, found in sorted(named.items()):
        before = there.get(name)
        is_new = before is None or found.api_key not in known
        if not is_new and not _must_change(before, found):
            continue
        # An operator may have held it in between.
        row = locked(connection, name) or added(connection, name)
        drafts = []
        if is_new:
            detail = {"parent": found.parent, "api_key": found.api_key}
            drafts.append(NewEntry(event="discovered", step=None, detail=detail))
            append_to(connection, name, drafts, now)
        if _must_change(row, found):
            drafts.append(_change_hold(connection, row, found, now))
        told += [(name, draft) for draft in drafts]
    return told


def _must_change(row: RowMapping | None, found: DiscoveredSubaccount) -> bool:
    """Return whether a hold must begin, change or end. An operator's hold stays."""
    hold, reason = hold_of(row) if row else None, _HOLDS.get(found.state)
    is_others = hold is not None and hold.by != HOLDER
    return not is_others and reason != (hold.reason if hold else None)


def _change_hold(
    connection: Connection, row: RowMapping, found: DiscoveredSubaccount, now: datetime
) -> NewEntry:
    name, hold, reason = row["name"], hold_of(row), _HOLDS.get(found.state)
    if hold and not reason:
        return holds.lift(connection, name, hold, by=HOLDER, now=now)
    return holds.put(connection, name, Hold(reason=reason or "", by=HOLDER, at=now))
