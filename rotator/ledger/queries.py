"""Reading the ledger: what `status`, `history`, `ledger export` and `ledger verify` show."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, Select, func, select

from rotator.ledger import chain, tables
from rotator.ledger.database import reading
from rotator.ledger.rows import from_row, hold_text
from rotator.model import Rotation
from rotator.ports import AccountRecord

#: Entries fetched from the database at a time, so that a long ledger takes little memory.
BATCH = 5_000


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether an account's chain is whole."""

    account: str
    entries: int
    head: str
    #: What is wrong, naming the first bad entry; None where nothing is.
    fault: str | None
    #: Whether the hash asked for is that of one of the entries; None if none was asked for, or
    #: the chain breaks before it was found.
    has_anchor: bool | None


class Queries:
    """Read-only views of the ledger."""

    def __init__(self, engine: Engine) -> None:
        """Read from `engine`'s database."""
        self._engine = engine

    def accounts(self, names: Sequence[str]) -> list[AccountRecord]:
        """Give what is known of each of `names`, in that order.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with reading(self._engine) as connection:
            accounts = connection.execute(select(tables.account)).mappings()
            known = {row["name"]: row for row in accounts}
            rotations = connection.execute(_last_rotations()).mappings()
            last = {row["account"]: from_row(row) for row in rotations}
        return [_account_record(name, known.get(name), last.get(name)) for name in names]

    def last_seen(self) -> dict[str, datetime | None]:
        """Tell of each account in the ledger when it was last seen; None for never.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        query = select(tables.account.c.name, tables.account.c.seen_at)
        with reading(self._engine) as connection:
            return {row.name: row.seen_at for row in connection.execute(query)}

    def open_accounts(self) -> list[str]:
        """Name the accounts that have an open rotation.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        query = select(tables.rotation.c.account).where(tables.rotation.c.closed_at.is_(None))
        with reading(self._engine) as connection:
            return sorted(connection.execute(query).scalars())

    def recorded_accounts(self) -> list[str]:
        """Name every account that the ledger has entries or a row of, sorted.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        query = select(tables.account.c.name).union(select(tables.entry.c.account))
        with reading(self._engine) as connection:
            return sorted(connection.execute(query).scalars())

    def history(self, name: str | None, *, limit: int) -> list[chain.Entry]:
        """Give the newest `limit` entries, of one account or all, oldest first.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        entry = tables.entry.c
        query = select(tables.entry).limit(limit)
        if name is None:
            query = query.order_by(entry.at.desc(), entry.account.desc(), entry.seq.desc())
        else:
            query = query.where(entry.account == name).order_by(entry.seq.desc())
        with reading(self._engine) as connection:
            rows = connection.execute(query).all()
        return [chain.Entry._make(row) for row in reversed(rows)]

    def entries(self, name: str | None = None) -> Iterator[chain.Entry]:
        """Give every entry, by account and sequence.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with reading(self._engine) as connection:
            yield from _entries(connection, name)

    def verify(self, name: str, *, anchor: str | None = None) -> Verdict:
        """Check an account's chain from its first entry to its recorded head.

        `anchor` is a hash that has to be in the chain: the one in Vault's note.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        query = select(tables.account.c.chain_seq, tables.account.c.chain_head)
        head, count, has_anchor, fault = chain.GENESIS, 0, anchor == chain.GENESIS, None
        with reading(self._engine) as connection:
            row = connection.execute(query.where(tables.account.c.name == name)).first()
            for entry in _entries(connection, name):
                fault = chain.fault(entry, prev_hash=head, seq=count + 1)
                if fault:
                    break
                head, count = entry.hash, count + 1
                has_anchor = has_anchor or head == anchor
        return Verdict(
            account=name,
            entries=count,
            head=head,
            fault=fault or _end_fault(count, head, *(row or (0, chain.GENESIS))),
            has_anchor=None if anchor is None or (fault and not has_anchor) else has_anchor,
        )


def _entries(connection: Connection, name: str | None) -> Iterator[chain.Entry]:
    query = select(tables.entry).order_by(tables.entry.c.account, tables.entry.c.seq)
    if name is not None:
        query = query.where(tables.entry.c.account == name)
    with connection.execution_options(yield_per=BATCH).execute(query) as streamed:
        for rows in streamed.partitions():
            yield from map(chain.Entry._make, rows)


def _end_fault(count: int, head: str, recorded_count: int, recorded_head: str) -> str | None:
    """Say what is wrong with a chain's end, by what the account's row says of it."""
    if count != recorded_count:
        return f"{recorded_count} entries were written, {count} are there"
    if head != recorded_head:
        return f"entry {count} is not the one that was written last"
    return None


def _last_rotations() -> Select[tuple[object, ...]]:
    """Find each account's newest rotation."""
    rotation = tables.rotation
    newest = (
        select(rotation.c.account, func.max(rotation.c.opened_at).label("opened_at"))
        .group_by(rotation.c.account)
        .subquery()
    )
    at_once = (rotation.c.account == newest.c.account) & (
        rotation.c.opened_at == newest.c.opened_at
    )
    # Of two that were opened in the same microsecond, the one that is open comes last.
    return select(rotation).join(newest, at_once).order_by(rotation.c.closed_at.is_(None))


def _account_record(
    name: str, row: RowMapping | None, last_rotation: Rotation | None
) -> AccountRecord:
    known: dict[str, Any] = dict(row or dict.fromkeys(tables.account.c.keys()))
    same = ("current_id", "current_since", "seen_at", "drift", "next_due_at")
    return AccountRecord(
        name=name,
        listed_ids=tuple(json.loads(known["listed_ids"] or "[]")),
        hold=hold_text(known),
        last_rotation=last_rotation,
        **{column: known[column] for column in same},
    )
