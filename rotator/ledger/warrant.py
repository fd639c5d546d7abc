"""What has to stand in an account's chain of entries before something is deleted on its word.

Checked in the transaction that records the intent of a deletion, so that no row that someone
changed leads to one. The entries from the opening of the rotation to the newest one have to be
whole, and to say of the rotation and the secret what the rows say. Some twenty entries are read
for the deletion of a predecessor; for an eviction, as many as there were since the rotation that
left the secret behind.

A hold is checked before every effect: the newest entry about one has to agree with the row.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import BigInteger, Connection, Integer, String, bindparam, select, text

from rotator.errors import Refused
from rotator.ledger import chain, tables
from rotator.ledger.replay import Replay, different_holds, hold_in
from rotator.ledger.rows import hold_of
from rotator.model import Rotation, Step
from rotator.ports import Draft

#: Entries that are read at first and at most at a time: a rotation without trouble has some 20.
_FIRST, _MOST = 32, 4_096


def require(
    connection: Connection, row: tables.Row, drafts: Sequence[Draft], rotation: Rotation | None
) -> None:
    """Check that what is about to be done on the word of the rows is what the entries say.

    `row` is the account's, with the end of its chain as it is now: `drafts` are in the ledger
    already, in this transaction. `rotation` is recorded with them.

    Raises:
        Refused: it is not. The transaction must not be committed.
    """
    intents = [draft for draft in drafts if draft.event == "intent" and draft.rotation_id]
    if intents:
        _require_hold(connection, row)
    for draft in intents:
        is_by_policy = draft.detail.get("is_foreign", False)
        if rotation and draft.step in (Step.EVICT, Step.DELETE) and not is_by_policy:
            deletion = _Deletion(
                rotation=rotation,
                secret_id=str(draft.detail["secret_id"]),
                is_eviction=draft.step == Step.EVICT,
            )
            if why := deletion.fault(connection, row["chain_seq"], row["chain_head"]):
                raise _tampered(f"{deletion} is not backed by the ledger's entries: {why}")


def _require_hold(connection: Connection, row: tables.Row) -> None:
    """Check that the account is held, or not, as the newest entry about a hold has it."""
    found = connection.execute(_NEWEST_HOLD, {"of_name": row["name"]}).first()
    entry = chain.Entry._make(found) if found else None
    if entry and (fault := chain.fault(entry, prev_hash=entry.prev_hash, seq=entry.seq)):
        raise _tampered(fault)
    if why := different_holds(row_has=hold_of(row), entries_have=hold_in(entry) if entry else None):
        raise _tampered(why)


def _tampered(why: str) -> Refused:
    return Refused(
        why,
        code="ledger-tampered",
        hint="nothing was deleted or changed; someone wrote to the ledger's tables: `rotator "
        "ledger verify` names what differs",
    )


@dataclass(frozen=True, kw_only=True)
class _Deletion:
    """A deletion that a rotation is about to begin."""

    rotation: Rotation
    secret_id: str
    is_eviction: bool

    def __str__(self) -> str:
        return f"the deletion of secret {self.secret_id}"

    def fault(self, connection: Connection, seq: int, head: str) -> str | None:
        """Return what the entries have against it; None for nothing.

        Follows the chain backwards from its end, `seq` and `head`, to where the secret's story
        begins.
        """
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
                    return replay.against(
                        self.rotation, self.secret_id, is_eviction=self.is_eviction
                    )
        return f"entry {seq} is missing" if seq else f"none of them tells of {self._origin}"

    def _is_told(self, replay: Replay) -> bool:
        """Whether entries were read from far enough back."""
        is_opened = self.rotation.id in replay.rotations
        return is_opened and (not self.is_eviction or replay.is_expendable(self.secret_id))

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
    """Read an account's entries from `seq` down to the first one, a few at first."""
    size = _FIRST
    while seq > 0:
        values = {"of_name": name, "of_seq": seq, "at_most": size}
        rows = connection.execute(_NEWEST, values).all()
        if not rows:
            return
        yield from map(chain.Entry._make, rows)
        seq, size = rows[-1].seq - 1, min(4 * size, _MOST)


# -- Statements, put together once: that takes longer than to execute them. ------------------

_ENTRY = tables.entry.c
_OF_NAME = bindparam("of_name", type_=String)
_NEWEST = (
    select(tables.entry)
    .where(_ENTRY.account == _OF_NAME, _ENTRY.seq <= bindparam("of_seq", type_=BigInteger))
    .order_by(_ENTRY.seq.desc())
    .limit(bindparam("at_most", type_=Integer))
)
#: In the words of the index `entry_hold`, which both databases would not use otherwise.
_NEWEST_HOLD = (
    select(tables.entry)
    .where(_ENTRY.account == _OF_NAME, text("event IN ('held', 'released')"))
    .order_by(_ENTRY.seq.desc())
    .limit(1)
)
