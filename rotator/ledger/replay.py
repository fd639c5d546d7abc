"""The rows that an account's chained entries imply.

A pass decides by rows, which anyone who can write to the tables can change; entries are chained.
Whatever in a row can lead to a deletion, or have a value removed from Vault, an entry records as
well, so that `rotator.ledger.comparison` can check the rows.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from rotator.errors import SecretRejected
from rotator.ledger.chain import Entry
from rotator.ledger.facts import (
    Detail,
    detail_of,
    hold_in,
    identity_in,
    number_in,
    text_in,
    time_of,
)
from rotator.ledger.mapping import IDENTITY
from rotator.model import Hold, Identity, Rotation, Step
from rotator.rotation.ports import REQUESTED

#: How much earlier than its entry a verification may have been, if the entry has no time of its
#: own, as in older versions.
_SLACK = timedelta(hours=1)
#: Ids that a rotation drops, so as not to delete a secret that an operator is about to adopt.
_IDS = ("predecessor_id", "new_id")
#: Fields that a row has as the entries do.
_COMPARED = (
    *(*_IDS, "reason", "predecessor_version", "dead_at", "dead_after"),
    *("abort_code", "outcome", "error_code"),
)


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
    #: How many values were generated.
    values_generated: int = 0
    new_id: str | None = None
    vault_version: int | None = None
    predecessor_version: int | None = None
    #: Whether a push was begun and not seen to fail; and whether that was so before the last push.
    may_be_pushed: bool = False
    was_maybe_pushed: bool = False
    verified_at: datetime | None = None
    #: `verified_at` is the entry's time, for want of its own.
    is_rough: bool = False
    #: When Vonage refused the value of the predecessor, and how long after its deletion.
    dead_at: datetime | None = None
    dead_after: int | None = None
    abort_code: str | None = None
    outcome: str | None = None
    error_code: str | None = None
    #: The closing entry records what was pushed; older versions did not.
    is_push_known: bool = True
    #: Secrets that an operator began to adopt meanwhile; the row may no longer have their ids.
    spared: frozenset[str | None] = frozenset()

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

    @classmethod
    def opened(cls, rotation_id: str, detail: Detail) -> Self:
        """Return the rotation that an entry with `detail` opens."""
        return cls(
            id=rotation_id,
            reason=text_in(detail, "reason"),
            predecessor_id=text_in(detail, "predecessor_id"),
            grace_seconds=number_in(detail, "grace_seconds"),
            identity=identity_in(detail),
            # What is recovered may have been sent.
            is_sent=detail.get("reason") == "recovered",
        )

    def apply(self, entry: Entry, detail: Detail) -> None:
        """Apply the next entry about this rotation."""
        if entry.step == Step.WITHDRAW:
            # Whatever becomes of it, nothing of the row changes.
            return
        match entry.event:
            case "asked":
                self.reason = text_in(detail, "reason")
                self.grace_seconds = number_in(detail, "grace_seconds")
            case "intent":
                self._intend(entry.step, detail)
            case "rejected" | "withdrawn":
                self._take_back(entry, detail)
            case "done":
                self._do(entry, detail)
            case "learned":
                self._learn(entry.step, detail)
            case "gate-shut" | "still-accepted" | "not-proven" | "dead-after":
                self._stay(entry.step, detail)
            case "aborting":
                self.steps = frozenset({entry.step})
                self.abort_code = text_in(detail, "code")
            case "closed":
                self._close(detail)

    def _stay(self, step: str | None, detail: Detail) -> None:
        """Apply what became of waiting for a gate, or of proving the deletion."""
        self.steps = frozenset({step})
        if "dead_at" in detail:
            self.dead_at, self.dead_after = time_of(detail["dead_at"]), number_in(detail, "seconds")

    def _intend(self, step: str | None, detail: Detail) -> None:
        self.steps_before, self.steps = self.steps, frozenset({step})
        self.was_sent = self.is_sent
        self.is_sent |= step == Step.CREATE
        self.values_generated += step == Step.STAGE
        if step == Step.PUSH:
            self.was_maybe_pushed, self.may_be_pushed = self.may_be_pushed, True
            self.predecessor_version = number_in(detail, "predecessor_version")

    def _take_back(self, entry: Entry, detail: Detail) -> None:
        """Apply that an effect certainly did not take place: all is as it was before its intent."""
        self.steps, self.is_sent = self.steps_before, self.was_sent
        self.is_rejected |= detail.get("code") == SecretRejected.code
        # What was generated and refused counts as generated.
        self.values_generated -= (entry.event, entry.step) == ("withdrawn", Step.STAGE)
        if entry.step == Step.PUSH:
            self.may_be_pushed = self.was_maybe_pushed
            self.predecessor_version = number_in(detail, "predecessor_version")

    def _do(self, entry: Entry, detail: Detail) -> None:
        match entry.step:
            case Step.STAGE:
                self.is_sent = self.is_rejected = False
            case Step.CREATE:
                self.new_id = text_in(detail, "secret_id")
            case Step.PUSH:
                self.vault_version = number_in(detail, "vault_version")
            case Step.VERIFY:
                self.steps = frozenset({Step.VERIFY})
                self.is_rough = "verified_at" not in detail
                self.verified_at = time_of(detail.get("verified_at", entry.at))
                self.grace_seconds = number_in(detail, "grace_seconds")
                # The pushed version may have rolled off; a later version has the value and the
                # note.
                self.vault_version = number_in(detail, "vault_version")
            case Step.CLEAR if self.verified_at:
                # Whether any hook subscribes is configured, and not recorded.
                self.steps = frozenset({Step.HOOKS, Step.WAIT})
            case Step.HOOKS:
                self.steps = frozenset({Step.WAIT})

    def _learn(self, step: str | None, detail: Detail) -> None:
        match step:
            case Step.OPEN:
                self.predecessor_id = text_in(detail, "predecessor_id")
            case Step.CLEAR:
                self.steps = frozenset({Step.WAIT})
            case Step.CREATE | Step.PUSH | Step.VERIFY:
                if "secret_id" in detail:
                    self.new_id = text_in(detail, "secret_id")
                if self.new_id == self.predecessor_id:
                    self.predecessor_id = None
                if "vault_version" in detail:
                    self.vault_version = number_in(detail, "vault_version")
                if "verified_at" in detail:
                    self.verified_at, self.is_rough = time_of(detail["verified_at"]), False

    def _close(self, detail: Detail) -> None:
        self.outcome, self.error_code = text_in(detail, "outcome"), text_in(detail, "code")
        if "vault_version" in detail:
            self.vault_version = number_in(detail, "vault_version")
        elif self.outcome == "failed":
            self.is_push_known = self.vault_version is not None

    def differences(self, row: Rotation) -> Iterator[str]:
        """Yield, in words, each field of `row` that differs from the entries."""
        for name in _COMPARED:
            found, recorded = getattr(row, name), getattr(self, name)
            is_spared = name in _IDS and found is None and recorded in self.spared
            if found != recorded and not is_spared:
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
        for name in IDENTITY if self.identity else ():
            found, recorded = getattr(row.identity, name, None), getattr(self.identity, name)
            if found != recorded:
                yield _different(name, found, recorded)
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
        if row.values_generated != self.values_generated:
            yield _different("draws", row.values_generated, self.values_generated)

    def _is_verified_as(self, at: datetime | None) -> bool:
        if at is None or self.verified_at is None or not self.is_rough:
            return at == self.verified_at
        # A difference, as a forged time may be too near the end of all times to add to it.
        return self.verified_at - at <= _SLACK


@dataclass(kw_only=True)
class Replay:
    """The state according to the entries of one account, read in order."""

    #: Rotations by id, if their opening was read.
    rotations: dict[str, RecordedRotation] = field(default_factory=dict)
    #: What the account was last; None where no entry records it.
    identity: Identity | None = None
    hold: Hold | None = None
    adopted_id: str | None = None
    adopted_base_version: int = 0
    #: The newest version of the current entry that any entry names.
    newest_version: int = 0
    #: Path in Vault, as in `Identity`, of the version that an entry named last; None where no entry
    #: recorded what the account was then.
    written_path: str | None = None
    #: The newest event of each deletion that was ever begun, by the secret's id; in the order in
    #: which they came to it.
    deletions: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, entries: Iterable[Entry]) -> Self:
        """Return the state according to `entries`, in order."""
        replay = cls()
        for entry in entries:
            replay.read(entry)
        return replay

    def copy(self) -> Self:
        """Return an independent copy."""
        rotations = {name: replace(each) for name, each in self.rotations.items()}
        return replace(self, rotations=rotations, deletions=dict(self.deletions))

    def read(self, entry: Entry) -> None:
        """Apply the next entry."""
        if entry.event == REQUESTED:
            # What becomes of it, its other entries say.
            return
        detail = detail_of(entry)
        if version := number_in(detail, "vault_version"):
            self._write(entry.rotation_id, version)
        is_manual = entry.step is None and detail.get("operation") == "delete"
        if is_manual or entry.step in (Step.EVICT, Step.DELETE):
            self._delete(entry.event, text_in(detail, "secret_id"))
        if entry.rotation_id is None:
            self._apply(entry, detail)
            return
        if entry.event == "opened":
            opened = RecordedRotation.opened(entry.rotation_id, detail)
            self.rotations[entry.rotation_id] = opened
            self.identity = opened.identity or self.identity
        if rotation := self.rotations.get(entry.rotation_id):
            rotation.apply(entry, detail)
            if (entry.event, entry.step) == ("done", Step.VERIFY):
                is_newer = (rotation.vault_version or 0) > self.adopted_base_version
                if is_newer and rotation.new_id != self.adopted_id:
                    self.adopted_id = None

    def _write(self, rotation_id: str | None, version: int) -> None:
        rotation = self.rotations.get(rotation_id or "")
        identity = (rotation.identity if rotation else None) or self.identity
        self.newest_version = max(self.newest_version, version)
        self.written_path = identity.vault_path if identity else None

    def _apply(self, entry: Entry, detail: Detail) -> None:
        """Apply an entry about the account; those of an adoption belong to no rotation."""
        match entry.event, entry.step:
            case (("held" | "released"), None):
                self.hold = hold_in(entry)
            case (("registered" | "forgotten"), None):
                self.identity = identity_in(detail)
            case (("intent" | "rejected" | "withdrawn"), Step.PUSH):
                self._adopt(entry.event, detail)

    def _adopt(self, event: str, detail: Detail) -> None:
        over = number_in(detail, "over")
        if detail.get("operation") != "adopt" or over is None:
            # Older versions did not record what was adopted.
            return
        self.adopted_base_version, self.adopted_id = over, None
        if event == "intent":
            self.adopted_id = text_in(detail, "secret_id")
            for rotation in self.rotations.values():
                if rotation.outcome is None:
                    rotation.spared |= {self.adopted_id}

    def _delete(self, event: str, secret_id: str | None) -> None:
        if secret_id is not None:
            self.deletions.pop(secret_id, None)
            self.deletions[secret_id] = event

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


def _different(name: str, found: object, recorded: object) -> str:
    return f"its {name} is {_shown(found)}, and the entries say {_shown(recorded)}"


def _shown(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    return "nothing" if value is None else str(value)


def _state(closed: object) -> str:
    return "open" if closed is None else "closed"
