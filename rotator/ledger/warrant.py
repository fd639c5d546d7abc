"""What has to stand in an account's chain of entries before something is done on its word.

Checked in the transaction that records the intent of an effect, so that no row that someone
changed leads to one. The entries from the opening of the rotation to the newest one have to be
whole, and to say of the rotation, and of a secret that is to be deleted, what the rows say. Some
twenty entries are read; for an eviction, as many as there were since the rotation that left the
secret behind.

Not only deletions are checked: a rotation that a row has undone would clear what is pending, the
only copy of a value that Vonage may know.

The newest entry about a hold has to agree with the row, too.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

from sqlalchemy import (
    BigInteger,
    Connection,
    Integer,
    RowMapping,
    String,
    bindparam,
    select,
    text,
)

from rotator import refusals
from rotator.actions import Refuse
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
    if intents and (why := hold_fault(connection, row)):
        raise _refused(refusals.hold_altered(row["name"], why))
    for draft in intents:
        effect = _Effect.of(draft, rotation) if rotation else None
        if effect and (why := effect.fault(connection, row["chain_seq"], row["chain_head"])):
            raise _refused(refusals.rows_altered(f"{effect} is not backed by {_ENTRIES}: {why}"))


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
    found = connection.execute(_NEWEST_HOLD, {"of_name": name}).first()
    return chain.Entry._make(found) if found else None


def _refused(refusal: Refuse) -> Refused:
    return Refused(refusal.why, code=refusal.code, hint=refusal.hint)


_ENTRIES = "the ledger's entries"


@dataclass(frozen=True, kw_only=True)
class _Effect:
    """What a rotation is about to do."""

    rotation: Rotation
    step: Step
    #: What it deletes on the word of the ledger; None where it deletes nothing, or by policy.
    secret_id: str | None

    @classmethod
    def of(cls, intent: Draft, rotation: Rotation) -> Self:
        """Return what `intent` is the intent of."""
        is_by_policy = intent.detail.get("is_foreign", False)
        secret_id = None if is_by_policy else intent.detail.get("secret_id")
        return cls(
            rotation=rotation,
            step=intent.step or rotation.step,
            secret_id=str(secret_id) if secret_id else None,
        )

    def __str__(self) -> str:
        return f"the deletion of secret {self.secret_id}" if self.secret_id else f"step {self.step}"

    @property
    def is_eviction(self) -> bool:
        """Whether it deletes what another rotation left behind."""
        return self.step is Step.EVICT and self.secret_id is not None

    def fault(self, connection: Connection, seq: int, head: str) -> str | None:
        """Return what the entries have against it; None for nothing.

        Follows the chain backwards from its end, `seq` and `head`, to where the story of the
        rotation, or of the secret, begins.
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
                    return self._spoken_against(replay)
        return f"entry {seq} is missing" if seq else f"none of them tells of {self._origin}"

    def _is_told(self, replay: Replay) -> bool:
        """Whether entries were read from far enough back."""
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
