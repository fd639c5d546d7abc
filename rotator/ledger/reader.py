"""Reading the ledger: what `status`, `history`, `ledger export` and `ledger verify` show."""

import threading
from collections.abc import Collection, Iterator, Mapping, Sequence
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
from rotator.ledger.differences import differences, differences_told, put_off
from rotator.ledger.mapping import COLUMNS, records_of
from rotator.ledger.replay import Replay
from rotator.ledger.writer import EXPENDABLE_IDS
from rotator.model import Account, Rotation
from rotator.rotation.ports import AccountSummary

#: Entries fetched from the database at a time, to bound the memory.
BATCH = 5_000


@dataclass(frozen=True, kw_only=True)
class ChainCheck:
    """The result of checking an account's chain."""

    account: str
    entries: int
    head: str
    #: What is wrong with the first bad entry; None where nothing is.
    fault: str | None
    #: Whether the anchor is the hash of one of the entries; None if none was given, or the chain
    #: breaks before it was found.
    has_anchor: bool | None
    #: Where the account's rows differ from its entries; not searched for if the chain is broken.
    differences: tuple[str, ...] = ()

    @property
    def faults(self) -> tuple[str, ...]:
        """Everything that is wrong."""
        return (self.fault,) if self.fault else self.differences


class LedgerReader:
    """Reads the ledger for `status`, `history`, `export` and `verify`."""

    def __init__(self, engine: Engine) -> None:
        """Read from `engine`'s database."""
        self._engine = engine

    def check(self) -> None:
        """Check that the ledger can be read.

        Raises:
            LedgerError: it cannot.
        """
        with reading(self._engine) as connection:
            connection.execute(select(tables.account.c.name).limit(1)).all()

    def accounts(self, names: Sequence[str]) -> list[AccountSummary]:
        """Return the summary of each account in `names`, in that order.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with reading(self._engine) as connection:
            known = records_of(connection, names)
        return [known[name] for name in names]

    def last_seen(self, names: Sequence[str] | None = None) -> dict[str, datetime | None]:
        """Return when each account in the ledger was last seen; None for never.

        With `names`, only of these; not too many, as each one is a parameter of the query.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        query = select(tables.account.c.name, tables.account.c.seen_at)
        if names is not None:
            query = query.where(tables.account.c.name.in_(names))
        with reading(self._engine) as connection:
            return {row.name: row.seen_at for row in connection.execute(query)}

    def open_accounts(self) -> list[str]:
        """Return the names of the accounts that have an open rotation.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        query = select(tables.rotation.c.account).where(tables.rotation.c.closed_at.is_(None))
        with reading(self._engine) as connection:
            return sorted(connection.execute(query).scalars())

    def recorded_accounts(self) -> list[str]:
        """Return the name of every account with entries or a row in the ledger, sorted.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        query = select(tables.account.c.name).union(select(tables.entry.c.account))
        with reading(self._engine) as connection:
            return sorted(connection.execute(query).scalars())

    def history(
        self, name: str | None, *, limit: int, before: int | None = None
    ) -> list[chain.Entry]:
        """Return the newest `limit` entries, of one account or all, oldest first.

        For one account, only entries with a sequence number below `before`.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        entry = tables.entry.c
        query = select(tables.entry).limit(limit)
        if before is not None:
            query = query.where(entry.seq < before)
        if name is None:
            query = query.order_by(entry.at.desc(), entry.account.desc(), entry.seq.desc())
        else:
            query = query.where(entry.account == name).order_by(entry.seq.desc())
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [chain.Entry._make(row) for row in reversed(rows)]

    def progress(self, rotations: Collection[Rotation]) -> dict[str, list[chain.Entry]]:
        """Return the entries of these rotations, one to an account, by account, oldest first.

        Raises:
            LedgerError: the ledger cannot be read.
        """
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
        """Return the ids of an account's superseded predecessors and orphans.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with reading(self._engine) as connection:
            found = connection.execute(EXPENDABLE_IDS, {"of_name": name})
            return frozenset(found.scalars())

    def closed_by_day(
        self, since: datetime, name: str | None = None
    ) -> dict[date, Mapping[str, int]]:
        """Count the rotations closed since then, by day (UTC) and outcome.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        rotation = tables.rotation.c
        with reading(self._engine) as connection:
            day = _day(connection.dialect.name)
            query = (
                select(day, rotation.outcome, func.count())
                .where(rotation.closed_at >= since)
                .group_by(day, rotation.outcome)
            )
            if name is not None:
                query = query.where(rotation.account == name)
            rows = connection.execute(query).all()
        found: dict[date, dict[str, int]] = {}
        for at, outcome, count in rows:
            found.setdefault(date.fromisoformat(str(at)), {})[outcome] = count
        return dict(found)

    def entries(self, name: str | None = None) -> Iterator[chain.Entry]:
        """Yield every entry, by account and sequence.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with reading(self._engine) as connection:
            yield from _entries(connection, name)

    def missing_triggers(self) -> list[str]:
        """Return the names of the missing triggers that keep entries from being changed.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with reading(self._engine) as connection:
            present = connection.execute(_TRIGGERS[connection.dialect.name]).scalars().all()
        return sorted(TRIGGERS[self._engine.dialect.name] - set(present))

    def verify(self, name: str, *, anchor: str | None = None) -> ChainCheck:
        """Check an account's chain from first entry to recorded head, and its rows against it.

        `anchor` is a hash that must be in the chain: the one in Vault's note.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        head, count, has_anchor, fault = chain.GENESIS, 0, anchor == chain.GENESIS, None
        replay = Replay()
        with reading(self._engine) as connection:
            row = connection.execute(_END, {"of_name": name}).first()
            for entry in _entries(connection, name):
                fault = chain.fault(entry, prev_hash=head, seq=count + 1)
                if fault:
                    break
                head, count = entry.hash, count + 1
                has_anchor = has_anchor or head == anchor
                replay.read(entry)
            is_unknown = anchor is None or (fault and not has_anchor)
            fault = fault or _end_fault(count, head, *(row or (0, chain.GENESIS)))
            found = () if fault else tuple(differences(connection, name, replay))
        return ChainCheck(
            account=name,
            entries=count,
            head=head,
            fault=fault,
            has_anchor=None if is_unknown else has_anchor,
            differences=found,
        )

    def put_off(self, name: str, account: Account | None, now: datetime) -> tuple[str, ...]:
        """Return, in words, the times until which an account is put off implausibly long.

        `account` is as configured; None where it is not configured.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        (record,) = self.accounts([name])
        return tuple(put_off(record, account, now))

    def verify_end(self, name: str, *, limit: int) -> ChainCheck:
        """Check the newest `limit` entries of an account's chain, up to its recorded head.

        Rows are compared with what these entries tell. A page with many readers must not follow the
        chain of years each time.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        query = _ENTRIES_OF.order_by(None).order_by(tables.entry.c.seq.desc()).limit(limit)
        with reading(self._engine) as connection:
            row = connection.execute(_END, {"of_name": name}).first()
            rows = connection.execute(query, {"of_name": name}).all()
            entries = [chain.Entry._make(each) for each in reversed(rows)]
            if row is not None and len(entries) == limit:
                return _verified_end(connection, name, entries, *row)
        return self.verify(name)


#: By database: the triggers that keep entries from being changed, as migrations create them.
TRIGGERS = {
    "sqlite": frozenset({"entry_no_replace", "entry_no_update", "entry_no_delete"}),
    "postgresql": frozenset({"entry_append_only", "entry_no_truncate"}),
}

#: Those that exist and are not disabled (pg_trigger.tgenabled).
_TRIGGERS = {
    "sqlite": text("SELECT name FROM sqlite_master WHERE type = 'trigger'"),
    "postgresql": text(
        "SELECT tgname FROM pg_trigger WHERE tgrelid = 'entry'::regclass AND tgenabled <> 'D'"
    ),
}


def _entries(connection: Connection, name: str | None) -> Iterator[chain.Entry]:
    query = _ENTRIES if name is None else _ENTRIES_OF
    streaming = connection.execution_options(yield_per=BATCH)
    with streaming.execute(query, {"of_name": name} if name is not None else {}) as streamed:
        for rows in streamed.partitions():
            yield from map(chain.Entry._make, rows)


# Built once: for an account with a short chain, building takes longer than checking.
_OF_NAME = bindparam("of_name", type_=String)

_END = select(tables.account.c.chain_seq, tables.account.c.chain_head).where(
    tables.account.c.name == _OF_NAME
)

_ENTRIES = select(tables.entry).order_by(tables.entry.c.account, tables.entry.c.seq)

_ENTRIES_OF = _ENTRIES.where(tables.entry.c.account == _OF_NAME)


def _day(dialect: str) -> ColumnElement[Any]:
    """Return the UTC day on which a rotation was closed, as a column."""
    closed_at = tables.rotation.c.closed_at
    return func.date(func.timezone("UTC", closed_at) if dialect == "postgresql" else closed_at)


def _verified_end(
    connection: Connection, name: str, entries: Sequence[chain.Entry], count: int, recorded: str
) -> ChainCheck:
    """Check entries that are the last of `count`, and what they tell of rows."""
    head, fault, replay = entries[0].prev_hash, None, Replay()
    for seq, entry in enumerate(entries, start=count - len(entries) + 1):
        fault = fault or chain.fault(entry, prev_hash=head, seq=seq)
        head = entry.hash
        replay.read(entry)
    fault = fault or _end_fault(count, head, count, recorded)
    found = () if fault else tuple(differences_told(connection, name, replay))
    return ChainCheck(
        account=name, entries=count, head=head, fault=fault, has_anchor=None, differences=found
    )


def _end_fault(count: int, head: str, recorded_count: int, recorded_head: str) -> str | None:
    """Return how a chain's end differs from the account's row; None where it does not."""
    if count != recorded_count:
        return f"{recorded_count} entries were written, {count} are there"
    if head != recorded_head:
        return f"entry {count} is not the one that was written last"
    return None


class SummaryCache:
    """Cache of all account summaries; re-reads only rows that changed.

    Each look reads the shown columns of all account rows, unconverted, and compares them. Only an
    account that differs is read again with its rotations: a change of a rotation requires its
    account's lease, and each commit renews or releases that.
    """

    def __init__(self, engine: Engine) -> None:
        """Read from `engine`'s database; nothing is read yet."""
        self._engine = engine
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[Any, ...]] = {}
        self._records: dict[str, AccountSummary] = {}

    def records(self) -> Mapping[str, AccountSummary]:
        """Return the summary of each account in the ledger.

        An account that did not change keeps the identical summary object.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with self._lock:
            with reading(self._engine) as connection:
                rows = {row.name: tuple(row) for row in connection.execute(_ROWS)}
                changed = [name for name, row in rows.items() if self._rows.get(name) != row]
                records = records_of(connection, changed) if changed else {}
            # If the ledger was replaced, some accounts may be missing.
            self._records = {name: records.get(name) or self._records[name] for name in rows}
            self._rows = rows
            return self._records


#: Not converted into times and texts, which would take most of the time.
_ROWS = select(
    *(type_coerce(column, NullType).label(column.name) for column in COLUMNS),
    tables.account.c.chain_seq,
    tables.account.c.fencing_token,
    type_coerce(tables.account.c.lease_expires_at, NullType).label("lease_expires_at"),
)
