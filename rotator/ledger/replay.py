"""The rows that an account's chained entries imply.

Rows are what a pass decides by, and anyone who can write to the tables can change them; entries
are chained. Whatever in a row can lead to a deletion, or have a value removed from Vault, is said
by an entry, too, so that the rows can be checked: by `rotator.ledger.warrant` before each effect,
by `rotator ledger verify` at any time.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

from rotator.errors import SecretRejected
from rotator.ledger.chain import Entry
from rotator.ledger.identities import COLUMNS, identity_of
from rotator.model import Hold, Identity, Rotation, Step

#: How much earlier than its entry a verification may have been, if the entry has no time of its
#: own, as in older versions.
_SLACK = timedelta(hours=1)
#: What a rotation lets go of where an operator is about to adopt it.
_IDS = ("predecessor_id", "new_id")
Detail = Mapping[str, Any]


@dataclass(kw_only=True)
class RecordedRotation:
    """One rotation according to its entries."""

    id: str
    reason: str | None
    predecessor_id: str | None
    #: None where the entries do not record it.
    grace_seconds: int | None
    #: What it was opened for; None where an older version of rotator opened it.
    identity: Identity | None = None
    #: The steps that its row may be at, and those that it was at before the last intent.
    steps: frozenset[str | None] = frozenset({Step.OPEN})
    steps_before: frozenset[str | None] = frozenset()
    #: Whether its value may have been sent to Vonage; and whether it was before the last intent.
    is_sent: bool = False
    was_sent: bool = False
    #: Vonage refused its value as one that does not comply.
    is_rejected: bool = False
    #: How many values were drawn.
    draws: int = 0
    new_id: str | None = None
    vault_version: int | None = None
    #: Whether a push was begun and not seen to fail; and whether that was so before the last push.
    may_be_pushed: bool = False
    was_maybe_pushed: bool = False
    verified_at: datetime | None = None
    #: `verified_at` is the entry's time, for want of its own.
    is_rough: bool = False
    abort_code: str | None = None
    outcome: str | None = None
    error_code: str | None = None
    #: The closing entry records what was pushed; older versions did not.
    is_push_known: bool = True
    #: Secrets that an operator began to adopt meanwhile, which the row may or may not have
    #: released.
    let_go: frozenset[str | None] = frozenset()

    @property
    def is_unread(self) -> bool:
        """Return whether no consumer can have read its secret from Vault."""
        return self.vault_version is None and not self.may_be_pushed

    @property
    def orphan_id(self) -> str | None:
        """The secret that it created and left behind unread; None for none."""
        return self.new_id if self.outcome == "failed" and self.is_unread else None

    @property
    def superseded_id(self) -> str | None:
        """The secret that it replaced; None for none, or not yet."""
        is_replaced = self.outcome == "completed" and self.verified_at is not None
        return self.predecessor_id if is_replaced else None

    @property
    def doomed_id(self) -> str | None:
        """The secret that it would delete in its present state; None for none."""
        if self.abort_code:
            return self.new_id if self.is_unread else None
        return self.predecessor_id if self.verified_at else None

    def differences(self, row: Rotation) -> Iterator[str]:
        """Yield, in words, each field of `row` that differs from the entries."""
        for name in ("predecessor_id", "new_id", "reason", "abort_code", "outcome", "error_code"):
            found, recorded = getattr(row, name), getattr(self, name)
            is_let_go = name in _IDS and found is None and recorded in self.let_go
            if found != recorded and not is_let_go:
                yield _different(name, found, recorded)
        if row.vault_version != self.vault_version and self.is_push_known:
            yield _different("vault_version", row.vault_version, self.vault_version)
        grace = int(row.grace.total_seconds())
        if self.grace_seconds not in (None, grace):
            yield _different("grace_seconds", grace, self.grace_seconds)
        if (row.closed_at is None) != (self.outcome is None):
            yield f"the row has it {_state(row.closed_at)}, the entries {_state(self.outcome)}"
        if not self._is_verified_as(row.verified_at):
            yield _different("verified_at", row.verified_at, self.verified_at)
        yield from _otherwise(row.identity, self.identity)
        if self.outcome is None:
            yield from self._differences_under_way(row)

    def _differences_under_way(self, row: Rotation) -> Iterator[str]:
        """Yield the differences in what counts for an open rotation alone."""
        if row.step not in self.steps:
            yield _different("step", row.step, " or ".join(sorted(map(str, self.steps))))
        if (row.sent_at is not None) != self.is_sent:
            yield _different("sent_at", row.sent_at, "a time" if self.is_sent else None)
        if row.rejected != self.is_rejected:
            yield _different("rejected", int(row.rejected), int(self.is_rejected))
        if row.values_generated != self.draws:
            yield _different("draws", row.values_generated, self.draws)

    def _is_verified_as(self, at: datetime | None) -> bool:
        if at is None or self.verified_at is None or not self.is_rough:
            return at == self.verified_at
        return at >= self.verified_at - _SLACK


def _otherwise(found: Identity | None, recorded: Identity | None) -> Iterator[str]:
    for name in COLUMNS if recorded else ():
        told = getattr(found, name, None)
        if told != getattr(recorded, name):
            yield _different(name, told, getattr(recorded, name))


def _different(name: str, found: object, recorded: object) -> str:
    return f"its {name} is {_shown(found)}, and the entries say {_shown(recorded)}"


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)


def _state(closed: object) -> str:
    return "open" if closed is None else "closed"


@dataclass(kw_only=True)
class Replay:
    """The state according to the entries of one account, read in order."""

    #: Rotations by id, if their opening was read.
    rotations: dict[str, RecordedRotation] = field(default_factory=dict)
    #: What the account was last; None where no entry tells.
    identity: Identity | None = None
    hold: Hold | None = None
    adopted_id: str | None = None
    adopted_over: int = 0
    #: The newest version of the current entry that any entry names.
    newest_version: int = 0
    #: The newest event of each deletion that was ever begun, by the secret's id; in the order in
    #: which they came to it.
    deletions: dict[str, str] = field(default_factory=dict)

    def copy(self) -> Self:
        """Return an independent copy."""
        rotations = {name: replace(each) for name, each in self.rotations.items()}
        return replace(self, rotations=rotations, deletions=dict(self.deletions))

    def read(self, entry: Entry) -> None:
        """Apply the next entry."""
        kind = entry.event, entry.step
        is_by_hand = entry.step is None and '"operation":"delete"' in entry.detail
        if is_by_hand or entry.step in (Step.EVICT, Step.DELETE):
            _deletes(self, entry, detail_of(entry))
        if entry.rotation_id is None:
            if kind in _OF_ACCOUNT:
                _OF_ACCOUNT[kind](self, entry, detail_of(entry))
            return
        readers = [_OF_ROTATION.get(entry.event), _OF_STEP.get(kind)]
        if any(readers):
            self._read(entry, [reader for reader in readers if reader])

    def _read(self, entry: Entry, readers: "Sequence[_Reader]") -> None:
        detail = detail_of(entry)
        rotation = self.rotations.get(entry.rotation_id or "")
        if entry.event == "opened" and entry.rotation_id:
            rotation = self.rotations[entry.rotation_id] = _opened(entry.rotation_id, detail)
            self.identity = rotation.identity or self.identity
        self.newest_version = max(self.newest_version, _number(detail, "vault_version") or 0)
        if rotation is not None:
            for reader in readers:
                reader(self, rotation, entry, detail)

    def against(self, rotation: Rotation, secret_id: str, *, is_eviction: bool) -> str | None:
        """Return why the entries forbid deleting a secret of an open rotation, or None.

        `rotation` is the row's state; its opening was read.
        """
        if difference := self.difference(rotation):
            return difference
        recorded = self.rotations[rotation.id]
        if secret_id == self.adopted_id:
            return "an operator adopted it"
        is_known = self.is_expendable(secret_id) if is_eviction else secret_id == recorded.doomed_id
        return None if is_known else f"rotation {rotation.id} neither replaced nor made it"

    def difference(self, rotation: Rotation) -> str | None:
        """Return, in words, the first thing in which a rotation's row differs; None for nothing."""
        for difference in self.rotations[rotation.id].differences(rotation):
            return f"of rotation {rotation.id}, {difference}"
        return None

    def is_expendable(self, secret_id: str) -> bool:
        """Return whether a rotation replaced this secret, or created it and was undone unread."""
        found = self.rotations.values()
        is_known = any(secret_id in (each.superseded_id, each.orphan_id) for each in found)
        return is_known and secret_id != self.adopted_id


def detail_of(entry: Entry) -> Detail:
    """Return an entry's facts; empty where another program wrote an entry without facts."""
    try:
        detail = json.loads(entry.detail)
    except (TypeError, ValueError, RecursionError):
        return {}
    return detail if isinstance(detail, dict) else {}


def hold_in(entry: Entry) -> Hold | None:
    """Return the hold that an entry records; None where it ended one."""
    at, detail = _time(entry.at), detail_of(entry)
    if entry.event != "held" or at is None:
        return None
    reason, by = str(detail.get("reason")), str(detail.get("by"))
    return Hold(reason=reason, by=by, at=at, freeze=bool(detail.get("freeze")))


def different_holds(*, row_has: Hold | None, entries_have: Hold | None) -> str | None:
    """Return, in words, how row and entries disagree on a hold; None where they agree."""
    if _facts(row_has) == _facts(entries_have):
        return None
    return f"the account's row says {_told(row_has)}, and the entries say {_told(entries_have)}"


def _facts(hold: Hold | None) -> tuple[str, str, bool] | None:
    return (hold.reason, hold.by, hold.freeze) if hold else None


def _told(hold: Hold | None) -> str:
    return f"that it is held: {hold}" if hold else "that nobody holds it"


# -- Readers for each kind of entry. ---------------------------------------------------------


def _opened(rotation_id: str, detail: Detail) -> RecordedRotation:
    return RecordedRotation(
        id=rotation_id,
        reason=_text(detail, "reason"),
        predecessor_id=_text(detail, "predecessor_id"),
        grace_seconds=_number(detail, "grace_seconds"),
        identity=identity_in(detail),
        # What is recovered may have been sent.
        is_sent=detail.get("reason") == "recovered",
    )


def identity_in(detail: Detail) -> Identity | None:
    """Return what an entry says that the account is; None where it does not tell."""
    told = {name: _text(detail, name) for name in COLUMNS}
    return identity_of(told) if all(told.values()) else None


def _asks(_: Replay, rotation: RecordedRotation, _entry: Entry, detail: Detail) -> None:
    rotation.reason = _text(detail, "reason")
    rotation.grace_seconds = _number(detail, "grace_seconds")


def _intends(_: Replay, rotation: RecordedRotation, entry: Entry, _detail: Detail) -> None:
    rotation.steps_before, rotation.steps = rotation.steps, frozenset({entry.step})
    rotation.was_sent = rotation.is_sent
    rotation.is_sent |= entry.step == Step.CREATE
    rotation.draws += entry.step == Step.STAGE


def _takes_back(_: Replay, rotation: RecordedRotation, entry: Entry, detail: Detail) -> None:
    """Read that an effect certainly did not take place: all is as it was before its intent."""
    rotation.steps, rotation.is_sent = rotation.steps_before, rotation.was_sent
    rotation.is_rejected |= detail.get("code") == SecretRejected.code
    # What was drawn and refused counts as drawn.
    rotation.draws -= (entry.event, entry.step) == ("withdrawn", Step.STAGE)


def _turns(_: Replay, rotation: RecordedRotation, entry: Entry, _detail: Detail) -> None:
    rotation.steps = frozenset({entry.step})


def _waits(_: Replay, rotation: RecordedRotation, _entry: Entry, _detail: Detail) -> None:
    rotation.steps = frozenset({Step.WAIT})


def _clears(_: Replay, rotation: RecordedRotation, _entry: Entry, _detail: Detail) -> None:
    if rotation.verified_at:
        # Whether there is anyone to tell is configured, and not recorded.
        rotation.steps = frozenset({Step.HOOKS, Step.WAIT})


def _stages(_: Replay, rotation: RecordedRotation, _entry: Entry, _detail: Detail) -> None:
    rotation.is_sent = rotation.is_rejected = False


def _creates(_: Replay, rotation: RecordedRotation, _entry: Entry, detail: Detail) -> None:
    rotation.new_id = _text(detail, "secret_id")


def _learns(_: Replay, rotation: RecordedRotation, _entry: Entry, detail: Detail) -> None:
    if "secret_id" in detail:
        rotation.new_id = _text(detail, "secret_id")
    if rotation.new_id == rotation.predecessor_id:
        rotation.predecessor_id = None
    if "vault_version" in detail:
        rotation.vault_version = _number(detail, "vault_version")
    if "verified_at" in detail:
        rotation.verified_at, rotation.is_rough = _time(detail["verified_at"]), False


def _replaces(_: Replay, rotation: RecordedRotation, _entry: Entry, detail: Detail) -> None:
    rotation.predecessor_id = _text(detail, "predecessor_id")


def _pushes(_: Replay, rotation: RecordedRotation, _entry: Entry, _detail: Detail) -> None:
    rotation.was_maybe_pushed, rotation.may_be_pushed = rotation.may_be_pushed, True


def _pushes_not(_: Replay, rotation: RecordedRotation, _entry: Entry, _detail: Detail) -> None:
    rotation.may_be_pushed = rotation.was_maybe_pushed


def _pushed(_: Replay, rotation: RecordedRotation, _entry: Entry, detail: Detail) -> None:
    rotation.vault_version = _number(detail, "vault_version")


def _verified(replay: Replay, rotation: RecordedRotation, entry: Entry, detail: Detail) -> None:
    rotation.steps = frozenset({Step.VERIFY})
    rotation.is_rough = "verified_at" not in detail
    rotation.verified_at = _time(detail.get("verified_at", entry.at))
    rotation.grace_seconds = _number(detail, "grace_seconds")
    # The pushed version may have rolled off; a later version has the value and the note.
    rotation.vault_version = _number(detail, "vault_version")
    is_newer = (rotation.vault_version or 0) > replay.adopted_over
    if is_newer and rotation.new_id != replay.adopted_id:
        replay.adopted_id = None


def _aborts(_: Replay, rotation: RecordedRotation, entry: Entry, detail: Detail) -> None:
    rotation.steps = frozenset({entry.step})
    rotation.abort_code = _text(detail, "code")


def _closed(_: Replay, rotation: RecordedRotation, _entry: Entry, detail: Detail) -> None:
    rotation.outcome, rotation.error_code = _text(detail, "outcome"), _text(detail, "code")
    if "vault_version" in detail:
        rotation.vault_version = _number(detail, "vault_version")
    elif rotation.outcome == "failed":
        rotation.is_push_known = rotation.vault_version is not None


def _adopts(replay: Replay, entry: Entry, detail: Detail) -> None:
    over = _number(detail, "over")
    if detail.get("operation") != "adopt" or over is None:
        # Older versions did not record what was adopted.
        return
    replay.adopted_over, replay.adopted_id = over, None
    if entry.event == "intent":
        replay.adopted_id = _text(detail, "secret_id")
        for rotation in replay.rotations.values():
            if rotation.outcome is None:
                rotation.let_go |= {replay.adopted_id}


def _is_adopted(replay: Replay, _entry: Entry, detail: Detail) -> None:
    replay.newest_version = max(replay.newest_version, _number(detail, "vault_version") or 0)


def _deletes(replay: Replay, entry: Entry, detail: Detail) -> None:
    secret_id = _text(detail, "secret_id")
    if secret_id is not None:
        replay.deletions.pop(secret_id, None)
        replay.deletions[secret_id] = entry.event


def _holds(replay: Replay, entry: Entry, _detail: Detail) -> None:
    replay.hold = hold_in(entry)


def _is_registered(replay: Replay, _entry: Entry, detail: Detail) -> None:
    replay.identity = identity_in(detail)


def _text(detail: Detail, name: str) -> str | None:
    value = detail.get(name)
    return value if isinstance(value, str) else None


def _number(detail: Detail, name: str) -> int | None:
    value = detail.get(name)
    return value if isinstance(value, int) else None


def _time(text: object) -> datetime | None:
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else None


_Reader = Callable[[Replay, RecordedRotation, Entry, Detail], None]
#: Readers of entries about a rotation, by event alone or by event and step.
_OF_ROTATION: Mapping[str, _Reader] = {
    "opened": lambda *_: None,
    "asked": _asks,
    "intent": _intends,
    "rejected": _takes_back,
    "withdrawn": _takes_back,
    "gate-shut": _turns,
    "aborting": _aborts,
    "closed": _closed,
}
_OF_STEP: Mapping[tuple[str, str | None], _Reader] = {
    ("done", Step.STAGE): _stages,
    ("done", Step.CREATE): _creates,
    ("done", Step.CLEAR): _clears,
    ("learned", Step.CLEAR): _waits,
    ("done", Step.HOOKS): _waits,
    ("learned", Step.CREATE): _learns,
    ("learned", Step.PUSH): _learns,
    ("learned", Step.VERIFY): _learns,
    ("learned", Step.OPEN): _replaces,
    ("intent", Step.PUSH): _pushes,
    ("rejected", Step.PUSH): _pushes_not,
    ("withdrawn", Step.PUSH): _pushes_not,
    ("done", Step.PUSH): _pushed,
    ("done", Step.VERIFY): _verified,
}
#: Readers of entries about an account; those of an adoption belong to no rotation.
_OF_ACCOUNT: Mapping[tuple[str, str | None], Callable[[Replay, Entry, Detail], None]] = {
    ("held", None): _holds,
    ("released", None): _holds,
    ("registered", None): _is_registered,
    ("forgotten", None): _is_registered,
    ("intent", Step.PUSH): _adopts,
    ("rejected", Step.PUSH): _adopts,
    ("withdrawn", Step.PUSH): _adopts,
    ("done", Step.PUSH): _is_adopted,
}
