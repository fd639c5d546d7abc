"""Reading the ledger: what `status`, `history`, `ledger export` and `ledger verify` show."""

import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    String,
    bindparam,
    func,
    select,
    text,
    type_coerce,
)
from sqlalchemy.types import NullType

from rotator.ledger import chain, tables
from rotator.ledger.database import reading
from rotator.ledger.mapping import EXPENDABLE_IDS, NEWEST_ENTRY, SUMMARY, summaries
from rotator.ledger.replay import Replay
from rotator.model import Account, Rotation
from rotator.rotation.ports import AccountSummary

#: Follows the entries of an account while they are checked.
Watch = Callable[[chain.Entry, Replay], object]


@dataclass(frozen=True, kw_only=True)
class ChainCheck:
    """The result of checking an account's chain."""

    account: str
    #: Number of entries, up to the first bad one.
    entries: int
    head: str
    #: What is wrong with the first bad entry; None where nothing is.
    fault: str | None
    #: Whether the anchor is the hash of one of the entries; None if none was given, or the chain
    #: breaks before it was found.
    has_anchor: bool | None
    #: Where the account's rows differ from its entries; not searched for if the chain is broken.
    differences: tuple[str, ...] = ()
    #: The newest version of Vault's current entry that the entries say was written, and its path;
    #: 0 for none, and None for a path that they do not record.
    written_version: int = 0
    written_path: str | None = None

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that is wrong."""
        return (self.fault,) if self.fault else self.differences


class LedgerReader:
    """Reads the ledger for `status`, `history`, `export` and `verify`.

    Every method may raise `LedgerError`: the ledger cannot be read.
    """

    def __init__(self, engine: Engine) -> None:
        """Read from `engine`'s database."""
        self._engine = engine

    def check(self) -> None:
        """Check that the ledger can be read."""
        with reading(self._engine) as connection:
            connection.execute(select(tables.account.c.name).limit(1)).all()

    def accounts(self, names: Sequence[str]) -> list[AccountSummary]:
        """Return the summary of each account in `names`, in that order."""
        with reading(self._engine) as connection:
            return list(map(summaries(connection, names).__getitem__, names))

    def implausible_delays(
        self, name: str, account: Account | None, now: datetime
    ) -> tuple[str, ...]:
        """Return, in words, the times until which an account is put off implausibly long.

        `account` is as configured; None where it is not configured.
        """
        from rotator.ledger.comparison import implausible_delays  # noqa: PLC0415  # `status` needs no rules

        (summary,) = self.accounts([name])
        return tuple(implausible_delays(summary, account, now))

    def last_seen(self, names: Sequence[str] | None = None) -> dict[str, datetime | None]:
        """Return when each account in the ledger was last seen; None for never.

        With `names`, only of these; not too many, as each one is a parameter of the query.
        """
        query = select(tables.account.c.name, tables.account.c.seen_at)
        if names is not None:
            query = query.where(tables.account.c.name.in_(names))
        with reading(self._engine) as connection:
            return {row.name: row.seen_at for row in connection.execute(query)}

    def open_accounts(self) -> list[str]:
        """Return the names of the accounts that have an open rotation."""
        query = select(tables.rotation.c.account).where(tables.rotation.c.closed_at.is_(None))
        with reading(self._engine) as connection:
            return sorted(connection.execute(query).scalars())

    def recorded_accounts(self) -> list[str]:
        """Return the name of every account with entries or a row in the ledger, sorted."""
        query = select(tables.account.c.name).union(select(tables.entry.c.account))
        with reading(self._engine) as connection:
            return sorted(connection.execute(query).scalars())

    def closed_by_day(
        self, since: datetime, name: str | None = None
    ) -> dict[date, Mapping[str, int]]:
        """Count the rotations closed since then, by day (UTC) and outcome."""
        rotation = tables.rotation.c
        day = _DAY[self._engine.dialect.name]
        query = (
            select(day, rotation.outcome, func.count())
            .where(rotation.closed_at >= since)
            .group_by(day, rotation.outcome)
        )
        if name is not None:
            query = query.where(rotation.account == name)
        found: dict[date, dict[str, int]] = {}
        with reading(self._engine) as connection:
            for at, outcome, count in connection.execute(query):
                found.setdefault(date.fromisoformat(str(at)), {})[outcome] = count
        return dict(found)

    def entries(self, name: str | None = None) -> Iterator[chain.Entry]:
        """Yield every entry, by account and sequence."""
        with reading(self._engine) as connection:
            yield from chain.stream(connection, name)

    def history(
        self, name: str | None, *, limit: int, before: int | None = None
    ) -> list[chain.Entry]:
        """Return the newest `limit` entries, of one account or all, oldest first.

        For one account, only entries with a sequence number below `before`.
        """
        with reading(self._engine) as connection:
            if name is None:
                newest = chain.newest_of_all(connection, at_most=limit)
            elif before is None:
                newest = chain.newest(connection, name, at_most=limit)
            else:
                newest = chain.newest(connection, name, at_most=limit, upto=before - 1)
        return newest[::-1]

    def progress(self, rotations: Collection[Rotation]) -> dict[str, list[chain.Entry]]:
        """Return the entries of these rotations, one to an account, by account, oldest first."""
        entry = tables.entry.c
        query = (
            select(tables.entry)
            .where(entry.account.in_([rotation.account for rotation in rotations]))
            .where(entry.rotation_id.in_([rotation.id for rotation in rotations]))
            .order_by(entry.account, entry.seq)
        )
        found: dict[str, list[chain.Entry]] = {each.account: [] for each in rotations}
        with reading(self._engine) as connection:
            for row in connection.execute(query):
                found[row.account].append(chain.Entry._make(row))
        return found

    def expendable_ids(self, name: str) -> frozenset[str]:
        """Return the ids of an account's superseded predecessors and orphans."""
        with reading(self._engine) as connection:
            found = connection.execute(EXPENDABLE_IDS, {"of_name": name})
            return frozenset(found.scalars())

    def missing_triggers(self) -> list[str]:
        """Return the names of the triggers that are missing, which keep entries and checkpoints."""
        kind = self._engine.dialect.name
        with reading(self._engine) as connection:
            present = connection.execute(_PRESENT_TRIGGERS[kind]).scalars().all()
        return sorted(TRIGGERS[kind] - set(present))

    def unsafe_settings(self) -> list[str]:
        """Return the server's settings that are off, and whose crash may then damage the ledger.

        A client can see them, and not override them. SQLite has no server.
        """
        if self._engine.dialect.name == "sqlite":
            return []
        with reading(self._engine) as connection:
            return list(connection.execute(_UNSAFE_SETTINGS).scalars())

    def verify(
        self, name: str, *, anchor: str | None = None, watch: Watch | None = None
    ) -> ChainCheck:
        """Check an account's chain from first entry to recorded head, and its rows against it.

        `anchor` is a hash that must be in the chain: the one in Vault's note. `watch` is called
        with each whole entry, and the state according to those before it.
        """
        with reading(self._engine) as connection:
            end = connection.execute(_END, {"of_name": name}).first() or (0, chain.GENESIS)
            entries = chain.stream(connection, name)
            return _checked(connection, name, entries, *end, anchor=anchor, watch=watch)

    def verify_end(self, name: str, *, limit: int) -> ChainCheck:
        """Check the newest `limit` entries of an account's chain, up to its recorded head.

        Rows are compared with what these entries record. A page with many readers must not follow
        the chain of years each time.
        """
        with reading(self._engine) as connection:
            end = connection.execute(_END, {"of_name": name}).first()
            entries = chain.newest(connection, name, at_most=limit)[::-1]
            if end is not None and len(entries) == limit:
                return _checked(connection, name, entries, *end, skipped=end[0] - limit)
        return self.verify(name)


def _checked(  # noqa: PLR0913  # all but five by name
    connection: Connection,
    name: str,
    entries: Iterable[chain.Entry],
    recorded_count: int,
    recorded_head: str,
    *,
    anchor: str | None = None,
    skipped: int = 0,
    watch: Watch | None = None,
) -> ChainCheck:
    """Check entries that are the last of an account's chain, all but the `skipped` first ones."""
    from rotator.ledger.comparison import differences  # noqa: PLC0415  # see above

    count, head, fault, replay = skipped, chain.GENESIS, None, Replay()
    has_anchor = anchor == chain.GENESIS
    for entry in entries:
        is_first_read = skipped and count == skipped
        prev_hash = entry.prev_hash if is_first_read else head
        if fault := chain.fault(entry, prev_hash=prev_hash, seq=count + 1):
            break
        head, count = entry.hash, count + 1
        has_anchor = has_anchor or head == anchor
        if watch:
            watch(entry, replay)
        replay.read(entry)
    is_unknown = anchor is None or (fault and not has_anchor)
    if not fault and count != recorded_count:
        fault = f"{recorded_count} entries were written, {count} are there"
    elif not fault and head != recorded_head:
        fault = f"entry {count} is not the one that was written last"
    found = () if fault else differences(connection, name, replay, is_complete=not skipped)
    return ChainCheck(
        account=name,
        entries=count,
        head=head,
        fault=fault,
        has_anchor=None if is_unknown else has_anchor,
        differences=tuple(found),
        written_version=replay.newest_version,
        written_path=replay.written_path,
    )


#: By database: the triggers that keep entries and checkpoints from being changed, as migrations
#: create them.
TRIGGERS = {
    "sqlite": frozenset(
        f"{table}_no_{change}"
        for table in ("entry", "checkpoint")
        for change in ("replace", "update", "delete")
    ),
    "postgresql": frozenset(
        f"{table}_{rule}"
        for table in ("entry", "checkpoint")
        for rule in ("append_only", "no_truncate")
    ),
}
#: Those that exist and are not disabled (pg_trigger.tgenabled).
_PRESENT_TRIGGERS = {
    "sqlite": text("SELECT name FROM sqlite_master WHERE type = 'trigger'"),
    "postgresql": text(
        "SELECT tgname FROM pg_trigger WHERE tgenabled <> 'D' "
        "AND tgrelid IN ('entry'::regclass, 'checkpoint'::regclass)"
    ),
}
_UNSAFE_SETTINGS = text(
    "SELECT name FROM pg_settings WHERE name IN ('fsync', 'full_page_writes') "
    "AND setting = 'off' ORDER BY name"
)
#: By database: the UTC day on which a rotation was closed.
_DAY: dict[str, ColumnElement[Any]] = {
    "sqlite": func.date(tables.rotation.c.closed_at),
    "postgresql": func.date(func.timezone("UTC", tables.rotation.c.closed_at)),
}
_END = select(tables.account.c.chain_seq, tables.account.c.chain_head).where(
    tables.account.c.name == bindparam("of_name", type_=String)
)


class SummaryCache:
    """Cache of all account summaries; re-reads only rows that changed.

    Each read gets the shown columns of all account rows, unconverted, and compares them. Only an
    account that differs is read again with its rotations: a change of a rotation requires its
    account's lease, and each commit renews or releases that.
    """

    def __init__(self, engine: Engine) -> None:
        """Read from `engine`'s database; nothing is read yet."""
        self._engine = engine
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[Any, ...]] = {}
        self._summaries: dict[str, AccountSummary] = {}

    def read(self) -> Mapping[str, AccountSummary]:
        """Return the summary of each account in the ledger.

        An account that did not change keeps the identical summary object.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with self._lock:
            with reading(self._engine) as connection:
                rows = {row.name: tuple(row) for row in connection.execute(_ROWS)}
                changed = [name for name, row in rows.items() if self._rows.get(name) != row]
                fresh = summaries(connection, changed) if changed else {}
            # If the ledger was replaced, some accounts may be missing.
            self._summaries = {name: fresh.get(name) or self._summaries[name] for name in rows}
            self._rows = rows
            return self._summaries


#: Not converted into times and texts, which would take most of the time.
_ROWS = select(
    *(type_coerce(column, NullType).label(column.name) for column in SUMMARY),
    NEWEST_ENTRY,
    tables.account.c.fencing_token,
    type_coerce(tables.account.c.lease_expires_at, NullType).label("lease_expires_at"),
)
