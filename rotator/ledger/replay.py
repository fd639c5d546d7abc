"""What an account's chained entries say that its rows should hold.

Rows are what a pass decides by, and anyone who can write to the tables can change them; entries
are chained. Whatever in a row can lead to a deletion is said by an entry, too, so that the rows
can be checked: by `rotator.ledger.warrant` before a deletion, by `rotator ledger verify` at any
time.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Self

from rotator.ledger.chain import Entry
from rotator.model import Hold, Rotation, Step

#: How much earlier than its entry a verification may have been, where the entry has no time of
#: its own, as those of older versions.
_SLACK = timedelta(hours=1)
Detail = Mapping[str, Any]


@dataclass(kw_only=True)
class RecordedRotation:
    """One rotation as its entries have it."""

    id: str
    reason: str | None
    predecessor_id: str | None
    #: None where the entries do not tell.
    grace_seconds: int | None
    new_id: str | None = None
    vault_version: int | None = None
    #: Whether a push was begun and not seen to have failed; and whether one was before the last.
    may_be_pushed: bool = False
    was_maybe_pushed: bool = False
    verified_at: datetime | None = None
    #: `verified_at` is the time of the entry alone.
    is_rough: bool = False
    abort_code: str | None = None
    outcome: str | None = None
    error_code: str | None = None
    #: The entry that closed it tells what it had pushed; older ones do not.
    is_push_known: bool = True
    #: What an operator began to adopt meanwhile: the row may have let go of it, or not.
    let_go: frozenset[str | None] = frozenset()

    @property
    def is_unread(self) -> bool:
        """Whether no consumer can have read its secret from Vault."""
        return self.vault_version is None and not self.may_be_pushed

    @property
    def orphan_id(self) -> str | None:
        """The secret that it made and left behind unread; None for none."""
        return self.new_id if self.outcome == "failed" and self.is_unread else None

    @property
    def superseded_id(self) -> str | None:
        """The secret that it replaced; None for none, or not yet."""
        is_replaced = self.outcome == "completed" and self.verified_at is not None
        return self.predecessor_id if is_replaced else None

    @property
    def doomed_id(self) -> str | None:
        """The secret that it deletes as it is now; None for none."""
        if self.abort_code:
            return self.new_id if self.is_unread else None
        return self.predecessor_id if self.verified_at else None

    def differences(self, row: Rotation) -> Iterator[str]:
        """Yield, in words, each field of `row` that is not as the entries have it."""
        for name in ("predecessor_id", "new_id"):
            found, recorded = getattr(row, name), getattr(self, name)
            if found != recorded and not (found is None and recorded in self.let_go):
                yield _different(name, found, recorded)
        for name in ("reason", "abort_code", "outcome", "error_code"):
            found, recorded = getattr(row, name), getattr(self, name)
            if found != recorded:
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

    def _is_verified_as(self, at: datetime | None) -> bool:
        if at is None or self.verified_at is None or not self.is_rough:
            return at == self.verified_at
        return at >= self.verified_at - _SLACK


def _different(name: str, found: object, recorded: object) -> str:
    return f"its {name} is {_shown(found)}, and the entries say {_shown(recorded)}"


def _shown(value: object) -> str:
    return "nothing" if value is None else str(value)


def _state(closed: object) -> str:
    return "open" if closed is None else "closed"


@dataclass(kw_only=True)
class Replay:
    """What the entries of one account say, read one after the other."""

    #: By id, those whose opening was read.
    rotations: dict[str, RecordedRotation] = field(default_factory=dict)
    hold: Hold | None = None
    adopted_id: str | None = None
    adopted_over: int = 0

    def copy(self) -> Self:
        """Return a copy that is independent of this one."""
        rotations = {name: replace(each) for name, each in self.rotations.items()}
        return replace(self, rotations=rotations)

    def read(self, entry: Entry) -> None:
        """Take in the next entry."""
        kind = entry.event, entry.step
        if kind in _OF_ACCOUNT and entry.rotation_id is None:
            _OF_ACCOUNT[kind](self, entry, detail_of(entry))
        elif entry.event in _OF_ROTATION or kind in _OF_STEP:
            self._read(entry, _OF_ROTATION.get(entry.event) or _OF_STEP[kind])

    def _read(self, entry: Entry, reader: "_Reader") -> None:
        detail = detail_of(entry)
        rotation = self.rotations.get(entry.rotation_id or "")
        if entry.event == "opened" and entry.rotation_id:
            rotation = self.rotations[entry.rotation_id] = _opened(entry.rotation_id, detail)
        if rotation is not None:
            reader(self, rotation, entry, detail)

    def against(self, rotation: Rotation, secret_id: str, *, is_eviction: bool) -> str | None:
        """Return what speaks against deleting a secret in an open rotation; None for nothing.

        `rotation` is as its row has it; its opening was read.
        """
        recorded = self.rotations[rotation.id]
        for difference in recorded.differences(rotation):
            return f"of rotation {rotation.id}, {difference}"
        if secret_id == self.adopted_id:
            return "an operator adopted it"
        is_known = self.is_expendable(secret_id) if is_eviction else secret_id == recorded.doomed_id
        return None if is_known else f"rotation {rotation.id} neither replaced nor made it"

    def is_expendable(self, secret_id: str) -> bool:
        """Whether some rotation has replaced this secret, or made it and was undone unseen."""
        found = self.rotations.values()
        is_known = any(secret_id in (each.superseded_id, each.orphan_id) for each in found)
        return is_known and secret_id != self.adopted_id


def detail_of(entry: Entry) -> Detail:
    """Return an entry's facts; none where someone wrote what holds none."""
    try:
        detail = json.loads(entry.detail)
    except (TypeError, ValueError, RecursionError):
        return {}
    return detail if isinstance(detail, dict) else {}


def hold_in(entry: Entry) -> Hold | None:
    """Return the hold that an entry tells of; None where it ended one."""
    at, detail = _time(entry.at), detail_of(entry)
    if entry.event != "held" or at is None:
        return None
    reason, by = str(detail.get("reason")), str(detail.get("by"))
    return Hold(reason=reason, by=by, at=at, freeze=bool(detail.get("freeze")))


def different_holds(*, row_has: Hold | None, entries_have: Hold | None) -> str | None:
    """Return, in words, how row and entries differ about a hold; None where they agree."""
    if _facts(row_has) == _facts(entries_have):
        return None
    return f"the account's row says {_told(row_has)}, and the entries say {_told(entries_have)}"


def _facts(hold: Hold | None) -> tuple[str, str, bool] | None:
    return (hold.reason, hold.by, hold.freeze) if hold else None


def _told(hold: Hold | None) -> str:
    return f"that it is held: {hold}" if hold else "that nobody holds it"


# -- How each kind of entry is read. ---------------------------------------------------------


def _opened(rotation_id: str, detail: Detail) -> RecordedRotation:
    return RecordedRotation(
        id=rotation_id,
        reason=_text(detail, "reason"),
        predecessor_id=_text(detail, "predecessor_id"),
        grace_seconds=_number(detail, "grace_seconds"),
    )


def _asks(_: Replay, rotation: RecordedRotation, _entry: Entry, detail: Detail) -> None:
    rotation.reason = _text(detail, "reason")
    rotation.grace_seconds = _number(detail, "grace_seconds")


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
    rotation.is_rough = "verified_at" not in detail
    rotation.verified_at = _time(detail.get("verified_at", entry.at))
    rotation.grace_seconds = _number(detail, "grace_seconds")
    # What was pushed may have rolled off; a later version has the value and the note.
    rotation.vault_version = _number(detail, "vault_version")
    is_newer = (rotation.vault_version or 0) > replay.adopted_over
    if is_newer and rotation.new_id != replay.adopted_id:
        replay.adopted_id = None


def _aborts(_: Replay, rotation: RecordedRotation, _entry: Entry, detail: Detail) -> None:
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
        # Older versions did not keep what was adopted.
        return
    replay.adopted_over, replay.adopted_id = over, None
    if entry.event == "intent":
        replay.adopted_id = _text(detail, "secret_id")
        for rotation in replay.rotations.values():
            if rotation.outcome is None:
                rotation.let_go |= {replay.adopted_id}


def _holds(replay: Replay, entry: Entry, _detail: Detail) -> None:
    replay.hold = hold_in(entry)


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
#: What an entry says of its rotation, by its event alone, or by event and step.
_OF_ROTATION: Mapping[str, _Reader] = {
    "opened": lambda *_: None,
    "asked": _asks,
    "aborting": _aborts,
    "closed": _closed,
}
_OF_STEP: Mapping[tuple[str, str | None], _Reader] = {
    ("done", Step.CREATE): _creates,
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
#: What an entry says of its account; those of an adoption belong to no rotation.
_OF_ACCOUNT: Mapping[tuple[str, str | None], Callable[[Replay, Entry, Detail], None]] = {
    ("held", None): _holds,
    ("released", None): _holds,
    ("intent", Step.PUSH): _adopts,
    ("rejected", Step.PUSH): _adopts,
    ("withdrawn", Step.PUSH): _adopts,
}
