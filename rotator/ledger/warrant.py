"""What has to stand in an account's chain of entries before anything is done on the word of rows.

Of an open rotation, the entries from its opening to the newest one have to be whole, and to say
what its row says. That is checked at each look: whatever is recorded of the rotation after it is
made of the row, so that an entry would come to say what someone wrote there. Some twenty entries
are read.

Of a secret that is to be deleted, they have to say that the rotation has replaced or made it. That
is checked in the transaction that records the intent of the deletion. For an eviction, as many
entries are read as there were since the rotation that left the secret behind.

The newest entry about a hold has to agree with the account's row, at each look and before each
effect.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import (
    BigInteger,
    Connection,
    Executable,
    Integer,
    RowMapping,
    String,
    bindparam,
    column,
    select,
    text,
)

from rotator.ledger import chain, tables
from rotator.ledger.mapping import hold_of
from rotator.ledger.replay import Replay, different_holds, hold_in
from rotator.model import Rotation, Step
from rotator.rotation import refusals
from rotator.rotation.ports import NewEntry

#: Entries read in the first and in the largest batch: an undisturbed rotation has some 20.
_FIRST, _MOST = 32, 4_096
#: No entry has a greater number.
_LAST = 2**62


def require(
    connection: Connection, row: tables.Row, drafts: Sequence[NewEntry], rotation: Rotation | None
) -> None:
    """Check that the rows, which the next effect relies on, agree with the chained entries.

    `row` is the account's, including the end of its chain: `drafts` are already in the ledger, in
    this transaction. `rotation` is recorded with them.

    Raises:
        Refused: the entries disagree. The transaction must not be committed.
    """
    intents = [draft for draft in drafts if draft.event == "intent" and draft.rotation_id]
    if intents and (why := hold_fault(connection, row)):
        raise refusals.hold_altered(row["name"], why).error()
    for draft in intents:
        is_by_policy = draft.detail.get("is_foreign", False)
        if rotation and draft.step in (Step.EVICT, Step.DELETE) and not is_by_policy:
            evidence = _Evidence(
                rotation=rotation,
                secret_id=str(draft.detail["secret_id"]),
                is_eviction=draft.step == Step.EVICT,
            )
            if why := evidence.fault(connection, row):
                raise refusals.rows_altered(why).error()


def require_end(connection: Connection, name: str, seq: int, head: str) -> None:
    """Check that an account's chain ends where its row says: what is appended follows that.

    Raises:
        Refused: it does not.
    """
    values = {"of_name": name, "of_seq": _LAST, "at_most": 1}
    newest = connection.execute(_NEWEST, values).first()
    if (seq, head) != ((newest.seq, newest.hash) if newest else (0, chain.GENESIS)):
        why = f"{name}'s row has its chain end at entry {seq}, and that is not the newest one there"
        raise refusals.rows_altered(why).error()


def rotation_fault(
    connection: Connection, row: RowMapping | tables.Row, rotation: Rotation
) -> str | None:
    """Return, in words, how the row of an open rotation differs from its entries; None for not."""
    return _Evidence(rotation=rotation).fault(connection, row)


def hold_fault(connection: Connection, row: RowMapping | tables.Row) -> str | None:
    """Return, in words, how an account's row differs from its entries about a hold; None for not.

    By the newest one, which has to be whole.
    """
    entry = newest_about_hold(connection, row["name"])
    if entry and (fault := chain.fault(entry, prev_hash=entry.prev_hash, seq=entry.seq)):
        return fault
    return different_holds(row_has=hold_of(row), entries_have=hold_in(entry) if entry else None)


def newest_about_hold(connection: Connection, name: str) -> chain.Entry | None:
    """Return the newest entry of an account that tells of a hold or its end; None for none."""
    query = _NEWEST_HOLD[connection.dialect.name]
    found = connection.execute(query, {"of_name": name}).first()
    return chain.Entry._make(found) if found else None


@dataclass(frozen=True, kw_only=True)
class _Evidence:
    """What the entries have to say of an open rotation, and of what it is about to delete."""

    rotation: Rotation
    #: What it deletes on the word of the ledger; None where it deletes nothing.
    secret_id: str | None = None
    is_eviction: bool = False

    def __str__(self) -> str:
        return f"the deletion of secret {self.secret_id}" if self.secret_id else "the open rotation"

    def fault(self, connection: Connection, row: RowMapping | tables.Row) -> str | None:
        """Return, in words, what the entries have against it; None for nothing."""
        why = self._fault(connection, row["chain_seq"], row["chain_head"])
        return f"{self} is not backed by the ledger's entries: {why}" if why else None

    def _fault(self, connection: Connection, seq: int, head: str) -> str | None:
        """Follow the chain backwards from its end, `seq` and `head`, to where the story begins."""
        segment: list[chain.Entry] = []
        telling, mention = {self.rotation.id}, chain.canonical_json(self.secret_id)
        for entry in _backwards(connection, self.rotation.account, seq):
            fault = chain.fault(entry, prev_hash=entry.prev_hash, seq=seq)
            if fault or entry.hash != head:
                return fault or f"entry {seq} is not the one that was written"
            segment.append(entry)
            seq, head = seq - 1, entry.prev_hash
            if self.is_eviction and entry.rotation_id and mention in entry.detail:
                telling.add(entry.rotation_id)
            if entry.event == "opened" and entry.rotation_id in telling:
                replay = _replayed(segment)
                if self._is_told(replay):
                    return self._spoken_against(replay)
        return f"entry {seq} is missing" if seq else f"none of them tells of {self._origin}"

    def _is_told(self, replay: Replay) -> bool:
        """Return whether entries were read from far enough back."""
        is_opened = self.rotation.id in replay.rotations
        is_needed = self.is_eviction and not replay.is_expendable(str(self.secret_id))
        return is_opened and not is_needed

    def _spoken_against(self, replay: Replay) -> str | None:
        if self.secret_id:
            return replay.against(self.rotation, self.secret_id, is_eviction=self.is_eviction)
        return replay.difference(self.rotation)

    @property
    def _origin(self) -> str:
        opening = f"the opening of rotation {self.rotation.id}"
        return f"{opening} and of one that left it behind" if self.is_eviction else opening


def _replayed(backwards: Sequence[chain.Entry]) -> Replay:
    replay = Replay()
    for entry in reversed(backwards):
        replay.read(entry)
    return replay


def _backwards(connection: Connection, name: str, seq: int) -> Iterator[chain.Entry]:
    """Yield an account's entries from `seq` down to the first, in growing batches."""
    size = _FIRST
    while seq > 0:
        values = {"of_name": name, "of_seq": seq, "at_most": size}
        rows = connection.execute(_NEWEST, values).all()
        if not rows:
            return
        yield from map(chain.Entry._make, rows)
        seq, size = rows[-1].seq - 1, min(4 * size, _MOST)


# -- Statements, built once: building takes longer than executing. ---------------------------

_ENTRY = tables.entry.c
_OF_NAME = bindparam("of_name", type_=String)
_NEWEST = (
    select(tables.entry)
    .where(_ENTRY.account == _OF_NAME, _ENTRY.seq <= bindparam("of_seq", type_=BigInteger))
    .order_by(_ENTRY.seq.desc())
    .limit(bindparam("at_most", type_=Integer))
)


def _newest_hold(source: str) -> Executable:
    """Ask in the words of the index `entry_hold`: neither database would use it otherwise."""
    return (
        select(*(column(each.name) for each in _ENTRY))
        .select_from(text(source))
        .where(column("account") == _OF_NAME, text("event IN ('held', 'released')"))
        .order_by(column("seq").desc())
        .limit(1)
    )


#: By database. SQLite has to be told of the index, too: it takes that of the key for as good, and
#: by that reads every entry of an account that nobody ever held.
_NEWEST_HOLD = {
    "sqlite": _newest_hold("entry INDEXED BY entry_hold"),
    "postgresql": _newest_hold("entry"),
}
