"""Checkpoints of the ledger: which entries each covers, and the tree of all entries.

The leaves of the tree are the hashes of entries, in the order in which checkpoints took them in:
checkpoint by checkpoint, within one by account and sequence number. So the tree only grows, and
each checkpoint's tree is the beginning of every later one, whatever account an entry belongs to.

The tree is built from the entries each time, and never from what was built before: an entry that
was changed since shows as another root.
"""

import json
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Engine, Row, func, insert, select

from rotator.errors import WitnessConflict
from rotator.ledger import tables
from rotator.ledger.database import BATCH, reading, run_again, writing
from rotator.model.checkpoint import Checkpoint, History, Note, SignedCheckpoint
from rotator.model.merkle import WIDTH, MerkleTree

#: First and last sequence number by account.
Reach = Mapping[str, tuple[int, int]]
#: Signs the text of a checkpoint.
Sign = Callable[[str], str]
#: Stands for an entry that is missing, or has no usable hash: nothing hashes to it.
_MISSING = bytes(WIDTH)
#: No account has that many entries.
_MOST = 2**31
#: So many entries more than there are may be covered: a tree of more leaves than that takes minutes
#: to build, and memory without end.
_MOST_MISSING = 1_000_000
_ROW, _ENTRY = tables.checkpoint.c, tables.entry.c
_ENTRIES = select(_ENTRY.account, _ENTRY.seq, _ENTRY.hash).order_by(_ENTRY.account, _ENTRY.seq)
_COUNT = select(func.count()).select_from(tables.entry)
_CHECKPOINTS = select(tables.checkpoint).order_by(_ROW.number)
_NEWEST = _CHECKPOINTS.order_by(None).order_by(_ROW.number.desc()).limit(1)


@dataclass(frozen=True, kw_only=True)
class WitnessedLedger:
    """The checkpoints of the ledger, and its entries as they are now."""

    #: Every checkpoint, under whatever name, oldest first.
    signed: tuple[SignedCheckpoint, ...]
    #: Of all entries; those that no checkpoint covers yet come last.
    tree: MerkleTree
    #: Number of entries that checkpoints cover.
    covered: int
    #: The entries that none covers yet.
    rest: Reach
    #: An account whose newest entries cannot be taken in: one is missing, or has no usable hash.
    broken: str | None

    def history(self, origin: str) -> History:
        """Return the checkpoints under one name."""
        signed = tuple(each for each in self.signed if each.checkpoint.origin == origin)
        return History(origin=origin, signed=signed, tree=self.tree)

    def changed(self) -> Checkpoint | None:
        """Return the first checkpoint that the entries do not have any more; None for none."""
        for each in self.signed:
            if self.tree.root(each.checkpoint.size) != each.checkpoint.root:
                return each.checkpoint
        return None


class Checkpoints:
    """The ledger's checkpoints. Every method may raise `LedgerError`."""

    def __init__(self, engine: Engine) -> None:
        """Keep them in `engine`'s database."""
        self._engine = engine

    def default_origin(self) -> str:
        """Return the name of the ledger's log unless another is configured.

        It has the ledger's id, which a copy or a restored backup has as well, and a new ledger has
        not.
        """
        with reading(self._engine) as connection:
            found: str = connection.execute(select(tables.ledger.c.id)).scalar_one()
        return f"rotator/{found}"

    def newest(self) -> SignedCheckpoint | None:
        """Return the newest checkpoint; None where there is none.

        Raises:
            WitnessConflict: somebody changed it.
        """
        with reading(self._engine) as connection:
            row = connection.execute(_NEWEST).first()
        return _signed(row.number, row.note) if row else None

    def read(self) -> WitnessedLedger:
        """Return all checkpoints, and the tree of the entries as they are now.

        Raises:
            WitnessConflict: somebody changed the table of checkpoints.
        """
        with reading(self._engine) as connection:
            rows = connection.execute(_CHECKPOINTS).all()
            layout = _Layout(most=connection.execute(_COUNT).scalar_one() + _MOST_MISSING)
            signed = tuple(
                _checked(row, number, layout) for number, row in enumerate(rows, start=1)
            )
            tree = MerkleTree(layout.leaves(_hashes(connection)))
        return WitnessedLedger(
            signed=signed, tree=tree, covered=layout.size, rest=layout.rest, broken=layout.broken
        )

    @run_again
    def add(self, known: WitnessedLedger, *, origin: str, at: datetime, sign: Sign) -> bool:
        """Sign and record a checkpoint of the entries in `known`; return false if it is not next.

        Another process has then recorded one meanwhile, which serves as well.
        """
        number, size = len(known.signed) + 1, known.tree.size
        checkpoint = Checkpoint(origin=origin, size=size, root=known.tree.root(size), at=at)
        return self._insert(known, [_row(number, known.rest, sign(checkpoint.text))])

    @run_again
    def take_up(self, known: WitnessedLedger, notes: Sequence[str]) -> bool:
        """Record signed notes that were published, and are not in the ledger; return whether any.

        Up to the first that is not of exactly the first entries in `known`: what the ledger has
        signed once, it may have signed then. So after a restore from a backup that has all of the
        entries, and not the newest checkpoints.
        """
        rows = list(_continuation(known, notes))
        return bool(rows) and self._insert(known, rows)

    def _insert(self, known: WitnessedLedger, rows: list[dict[str, Any]]) -> bool:
        """Add rows after those in `known`; return false if another process has added some."""
        with writing(self._engine) as connection:
            # Others wait here for their turn.
            connection.execute(select(tables.ledger).with_for_update()).all()
            last = connection.execute(_NEWEST).first()
            if (last.number if last else 0) != len(known.signed):
                return False
            connection.execute(insert(tables.checkpoint), rows)
        return True


class _Layout:
    """The place of each entry's leaf."""

    def __init__(self, *, most: int) -> None:
        self._most = most
        #: By account, in order: the first and the last sequence number, and the first one's place.
        self._spans: dict[str, list[tuple[int, int, int]]] = {}
        #: Number of entries that checkpoints cover.
        self.size = 0
        self.rest: dict[str, tuple[int, int]] = {}
        self.broken: str | None = None

    def take_in(self, reach: Reach) -> None:
        """Lay out the entries that the next checkpoint covers.

        Raises:
            ValueError: far more than there are.
        """
        for account, (first, last) in sorted(reach.items()):
            self._spans.setdefault(account, []).append((first, last, self.size))
            self.size += last - first + 1
        if self.size > self._most:
            raise ValueError

    def leaves(self, entries: Iterator[tuple[str, int, str]]) -> list[bytes]:
        """Return the data of all leaves, those last that no checkpoint covers.

        Those are in the order of `take_in`. The database's may be another one: its collation's.
        """
        leaves = [_MISSING] * self.size
        later: dict[str, list[bytes]] = {}
        for account, seq, text in entries:
            leaf = _raw(text)
            place = self._place(account, seq)
            if place is None:
                self._add(account, seq, is_usable=leaf is not _MISSING)
                later.setdefault(account, []).append(leaf)
            else:
                leaves[place] = leaf
        for _account, added in sorted(later.items()):
            leaves += added
        return leaves

    def _place(self, account: str, seq: int) -> int | None:
        """Return the place of an entry that a checkpoint covers; None for one that none does."""
        spans = self._spans.get(account, [])
        at = bisect_right(spans, seq, key=lambda span: span[0]) - 1
        if at < 0 or seq > spans[at][1]:
            return None
        return spans[at][2] + seq - spans[at][0]

    def _add(self, account: str, seq: int, *, is_usable: bool) -> None:
        spans = self._spans.get(account)
        covered = spans[-1][1] if spans else 0
        first, last = self.rest.get(account, (seq, covered))
        if seq != last + 1 or not is_usable:
            self.broken = self.broken or account
        self.rest[account] = first, seq


def _row(number: int, reach: Reach, note: str) -> dict[str, Any]:
    text = json.dumps(reach, sort_keys=True, separators=(",", ":"))
    return {"number": number, "reach": text, "note": note}


def _continuation(known: WitnessedLedger, notes: Sequence[str]) -> Iterator[dict[str, Any]]:
    """Yield the rows of those notes that continue the ledger's checkpoints.

    Each is of no fewer entries than the one before, and has the root of as many first entries. A
    note that the ledger has already is no other checkpoint.
    """
    present = {each.note for each in known.signed}
    covered, rest = known.covered, known.rest
    for number, note in enumerate(notes, start=len(known.signed) + 1):
        seen = _signed(number, note).checkpoint
        is_next = note not in present and covered <= seen.size <= known.tree.size
        if not is_next or known.tree.root(seen.size) != seen.root:
            return
        reach, rest = _cut(rest, seen.size - covered)
        yield _row(number, reach, note)
        present.add(note)
        covered = seen.size


def _cut(rest: Reach, count: int) -> tuple[Reach, Reach]:
    """Return the first `count` entries of `rest`, in the order of leaves, and the others."""
    taken, left = dict[str, tuple[int, int]](), dict[str, tuple[int, int]]()
    for account, (first, last) in sorted(rest.items()):
        middle = min(first + count, last + 1)
        count -= middle - first
        if first < middle:
            taken[account] = first, middle - 1
        if middle <= last:
            left[account] = middle, last
    return taken, left


def _hashes(connection: Connection) -> Iterator[tuple[str, int, str]]:
    with connection.execution_options(yield_per=BATCH).execute(_ENTRIES) as streamed:
        for rows in streamed.partitions():
            yield from map(tuple, rows)


def _raw(text: object) -> bytes:
    """Return the bytes of an entry's hash."""
    try:
        raw = bytes.fromhex(str(text))
    except ValueError:
        return _MISSING
    return raw if len(raw) == WIDTH else _MISSING


def _signed(number: int, note: str) -> SignedCheckpoint:
    try:
        checkpoint = Checkpoint.parse(Note.parse(note).text)
    except (TypeError, ValueError):
        raise _altered(number) from None
    return SignedCheckpoint(number=number, checkpoint=checkpoint, note=note)


def _checked(row: Row[Any], number: int, layout: _Layout) -> SignedCheckpoint:
    """Return the checkpoint in a row, once its entries are in `layout`."""
    signed = _signed(row.number, row.note)
    try:
        layout.take_in(
            {
                str(account): (_sequence(first), _sequence(last, first))
                for account, (first, last) in json.loads(row.reach).items()
            }
        )
    except (AttributeError, TypeError, ValueError, RecursionError):
        raise _altered(number) from None
    if (row.number, signed.checkpoint.size) != (number, layout.size):
        raise _altered(number)
    return signed


def _sequence(found: object, least: object = 1) -> int:
    if not isinstance(found, int) or not isinstance(least, int) or not least <= found < _MOST:
        raise ValueError
    return found


def _altered(number: int) -> WitnessConflict:
    return WitnessConflict(
        f"somebody changed checkpoint {number} in the ledger",
        hint="compare the ledger with a backup: `rotator ledger verify --witness PATH`",
    )
