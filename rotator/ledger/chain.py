"""The hash chain that makes the ledger tamper-evident: its entries, appended to and read.

An entry is hashed as canonical JSON: keys sorted, no spaces, UTF-8 unescaped. Its hash is
SHA-256 over the previous hash and that text; the first previous hash is 64 zeros.
"""

import hashlib
import json
from collections.abc import Iterator, Sequence
from datetime import datetime
from json.encoder import encode_basestring
from typing import NamedTuple

from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    Integer,
    String,
    bindparam,
    column,
    insert,
    select,
    text,
)

from rotator.ledger import tables
from rotator.ledger.database import BATCH
from rotator.model.times import rfc3339_exact
from rotator.rotation.ports import NewEntry

#: The hash before an account's first entry.
GENESIS = "0" * 64


class Entry(NamedTuple):
    """One entry of the ledger, column by column.

    A tuple, as that is the fastest type for a row, and verification reads millions of rows.
    """

    account: str
    seq: int
    rotation_id: str | None
    at: str
    event: str
    step: str | None
    #: Canonical JSON.
    detail: str
    prev_hash: str
    hash: str

    def exported(self) -> dict[str, object]:
        """Return the entry as `ledger export` prints it."""
        try:
            detail = json.loads(self.detail)
        except (ValueError, RecursionError):
            # Somebody changed it. The rest of the record is still evidence.
            detail = self.detail
        names = (*sorted(self._fields[:-2]), "prev_hash", "hash")
        return {name: getattr(self, name) for name in names} | {"detail": detail}


def canonical_json(value: object) -> str:
    """Return the canonical JSON of `value`, which is what is hashed."""
    return _ENCODER.encode(value)


#: Created once: creating it takes as long as encoding a text.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def linked(new: NewEntry, *, account: str, at: datetime, seq: int, prev_hash: str) -> Entry:
    """Build the entry of `new`: the account's `seq`th, after the one whose hash is `prev_hash`.

    Raises:
        UnicodeEncodeError: a text in it is not Unicode, such as JSON's unpaired surrogates.
    """
    entry = Entry(
        account=account,
        seq=seq,
        rotation_id=new.rotation_id,
        at=rfc3339_exact(at),
        event=new.event,
        step=new.step,
        detail=canonical_json(new.detail),
        prev_hash=prev_hash,
        hash="",
    )
    return entry._replace(hash=hash_of(entry))


def hash_of(entry: Entry) -> str:
    """Return the hash that an entry must have.

    Joins the canonical text from its parts, as `detail` is stored in canonical form: parsing and
    encoding it again would dominate the time to verify a ledger.

    Raises:
        ValueError: `prev_hash` is not hexadecimal, or a text is not Unicode.
    """
    canonical = (
        f'{{"account":{_text(entry.account)},"at":{_text(entry.at)},"detail":{entry.detail},'
        f'"event":{_text(entry.event)},"rotation_id":{_text(entry.rotation_id)},'
        f'"seq":{entry.seq},"step":{_text(entry.step)}}}'
    )
    return hashlib.sha256(bytes.fromhex(entry.prev_hash) + canonical.encode()).hexdigest()


def _text(value: str | None) -> str:
    return "null" if value is None else encode_basestring(value)


def fault(entry: Entry, *, prev_hash: str, seq: int) -> str | None:
    """Return what is wrong with `entry` as the successor of `prev_hash`; None if nothing is."""
    if entry.seq != seq:
        return f"entry {seq} is missing: {entry.seq} stands in its place"
    if entry.prev_hash != prev_hash:
        return f"entry {seq} does not follow the one before it"
    try:
        is_whole = hash_of(entry) == entry.hash
    except (TypeError, ValueError):
        # SQLite does not enforce column types.
        is_whole = False
    return None if is_whole else f"entry {seq} was changed"


def end_fault(connection: Connection, row: tables.AnyRow) -> str | None:
    """Return, in words, how an account's row differs from its newest entry; None if it agrees."""
    last = newest(connection, row["name"], at_most=1)
    return end_differs(row, *((last[0].seq, last[0].hash) if last else (0, GENESIS)))


def end_differs(row: tables.AnyRow, newest_seq: int, newest_hash: str) -> str | None:
    """Return, in words, how an account's row differs from its newest entry; None if it agrees.

    Where there is no entry, that is 0 and `GENESIS`.
    """
    if (row["chain_seq"], row["chain_head"]) == (newest_seq, newest_hash):
        return None
    return (
        f"the row of {row['name']} ends its chain at entry {row['chain_seq']}, which is not its "
        "newest entry"
    )


def append(
    connection: Connection, row: tables.AnyRow, new: Sequence[NewEntry], now: datetime
) -> tuple[list[Entry], tables.Row]:
    """Append to the chain of the account in `row`; return the entries, and the columns of its end.

    Raises:
        Refused: the chain does not end where `row` says.
    """
    name, seq, head = row["name"], row["chain_seq"], row["chain_head"]
    if not new:
        return [], {}
    if why := end_fault(connection, row):
        from rotator.rotation import refusals  # noqa: PLC0415  # the rules, which readers do without

        raise refusals.rows_altered(why).error()
    entries: list[Entry] = []
    for each in new:
        seq += 1
        entries.append(linked(each, account=name, at=now, seq=seq, prev_hash=head))
        head = entries[-1].hash
    connection.execute(_NEW_ENTRY, [entry._asdict() for entry in entries])
    return entries, {"chain_seq": seq, "chain_head": head}


def hash_at(connection: Connection, name: str, seq: int) -> str | None:
    """Return the hash of the `seq`th entry of an account; None where there is none."""
    found: str | None = connection.execute(_HASH_AT, {"of_name": name, "of_seq": seq}).scalar()
    return found


def stream(connection: Connection, name: str | None) -> Iterator[Entry]:
    """Yield the entries of one account, or of all, by account and sequence."""
    query, values = (_ENTRIES, {}) if name is None else (_ENTRIES_OF, {"of_name": name})
    with connection.execution_options(yield_per=BATCH).execute(query, values) as streamed:
        for rows in streamed.partitions():
            yield from map(Entry._make, rows)


#: No entry has a greater number.
_LAST = 2**62


def newest(connection: Connection, name: str, *, at_most: int, upto: int = _LAST) -> list[Entry]:
    """Return an account's newest entries, with sequence numbers of `upto` or less, newest first."""
    values = {"of_name": name, "of_seq": upto, "at_most": at_most}
    return [Entry._make(row) for row in connection.execute(_NEWEST, values)]


def newest_of_all(connection: Connection, *, at_most: int) -> list[Entry]:
    """Return the newest entries of all accounts, newest first."""
    query = select(tables.entry).limit(at_most)
    query = query.order_by(_ENTRY.at.desc(), _ENTRY.account.desc(), _ENTRY.seq.desc())
    return [Entry._make(row) for row in connection.execute(query)]


def backwards(connection: Connection, name: str, seq: int) -> Iterator[Entry]:
    """Yield an account's entries from `seq` down to the first, read in growing batches."""
    size = _FIRST
    while seq > 0:
        entries = newest(connection, name, at_most=size, upto=seq)
        if not entries:
            return
        yield from entries
        seq, size = entries[-1].seq - 1, min(4 * size, BATCH)


def newest_about_hold(connection: Connection, name: str) -> Entry | None:
    """Return an account's newest entry about a hold or its end; None where there is none."""
    query = _NEWEST_HOLD[connection.dialect.name]
    found = connection.execute(query, {"of_name": name}).first()
    return Entry._make(found) if found else None


#: Entries in the first batch of `backwards`: an undisturbed rotation has some 20.
_FIRST = 32

# Statements, built once: building takes longer than executing.
_ENTRY = tables.entry.c
_OF_NAME = bindparam("of_name", type_=String)
_NEW_ENTRY = insert(tables.entry)
_ENTRIES = select(tables.entry).order_by(_ENTRY.account, _ENTRY.seq)
_ENTRIES_OF = _ENTRIES.where(_ENTRY.account == _OF_NAME)
_HASH_AT = select(_ENTRY.hash).where(
    _ENTRY.account == _OF_NAME, _ENTRY.seq == bindparam("of_seq", type_=BigInteger)
)
_NEWEST = (
    select(tables.entry)
    .where(_ENTRY.account == _OF_NAME, _ENTRY.seq <= bindparam("of_seq", type_=BigInteger))
    .order_by(_ENTRY.seq.desc())
    .limit(bindparam("at_most", type_=Integer))
)


def _newest_hold(source: str) -> Executable:
    """Query in the words of the index `entry_hold`: neither database would use it otherwise."""
    return (
        select(*(column(each.name) for each in _ENTRY))
        .select_from(text(source))
        .where(column("account") == _OF_NAME, text("event IN ('held', 'released')"))
        .order_by(column("seq").desc())
        .limit(1)
    )


#: By database. SQLite needs the index named: it rates that of the key as equally good, and by that
#: reads every entry of an account that was never held.
_NEWEST_HOLD = {
    "sqlite": _newest_hold("entry INDEXED BY entry_hold"),
    "postgresql": _newest_hold("entry"),
}
