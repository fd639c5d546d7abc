"""What the entries before one say, as far as the rules ask for it.

The state of each rotation is a replay's; here is the rest: the process that works on the account,
the effect that has no outcome yet, who asked for what, what is pending, and which gates opened.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Self

from rotator.ledger.chain import Entry
from rotator.ledger.facts import Detail, number_in, text_in, time_of
from rotator.ledger.replay import RecordedRotation, Replay
from rotator.model import Step
from rotator.rotation.ports import REQUESTED

#: Steps that change something at Vonage or in Vault, each with an intent and an outcome.
EFFECTS = frozenset(
    {Step.EVICT, Step.STAGE, Step.CREATE, Step.PUSH, Step.WITHDRAW, Step.CLEAR, Step.DELETE}
)
OUTCOMES = ("done", "unknown", "rejected", "withdrawn")
#: How much later than what it is about an entry may be committed, if the process is paused there.
LATE = timedelta(hours=1)


@dataclass(frozen=True, kw_only=True)
class Seen:
    """The next entry, and what those before it say."""

    entry: Entry
    detail: Detail
    past: "Past"
    replay: Replay

    @property
    def at(self) -> datetime | None:
        """When it was recorded; None where that cannot be read."""
        return time_of(self.entry.at)

    @property
    def token(self) -> int | None:
        """The fencing token of the process that recorded it; None where it has none."""
        return number_in(self.detail, "fencing_token")

    @property
    def is_full(self) -> bool:
        """Whether the process that recorded it also recorded what its effects were decided on.

        Older versions did not.
        """
        return self.past.token is not None

    @property
    def rotation(self) -> RecordedRotation | None:
        """Its rotation, if that was opened."""
        return self.replay.rotations.get(self.entry.rotation_id or "")

    @property
    def operation(self) -> str | None:
        """What a person does by hand: `adopt`, `create`, `delete`; None for a rotation."""
        return text_in(self.detail, "operation") if self.entry.rotation_id is None else None

    @property
    def is_effect(self) -> bool:
        """Whether it is about something that is changed at Vonage or in Vault."""
        return self.entry.step in EFFECTS or self.operation is not None

    def asked(self, name: str, *values: object) -> bool:
        """Return whether somebody asked for a rotation with one of these values of a fact."""
        asked = (*self.past.requested(self.token), *self.past.triggers.values())
        return any(each.get("operation") == "rotate" and each.get(name) in values for each in asked)

    def asked_by_hand(self, operation: str | None, secret_id: str | None) -> bool:
        """Return whether somebody asked for an operation, on this secret if either names one."""
        return any(
            each.get("operation") == operation
            and (secret_id is None or each.get("secret_id") in (None, secret_id))
            for each in self.past.requested(self.token)
        )

    @property
    def secret_id(self) -> str | None:
        """The secret that it names."""
        return text_in(self.detail, "secret_id")


@dataclass(frozen=True, kw_only=True)
class Intent:
    """The newest intent, which has no outcome yet."""

    seq: int
    rotation_id: str | None
    step: str | None
    detail: Detail
    #: Entries about a rotation have followed: its process had ended, and no outcome can come.
    is_over: bool = False

    def differs(self, seen: Seen) -> bool:
        """Return whether an outcome is that of another effect."""
        entry, detail = seen.entry, seen.detail
        if (entry.rotation_id, entry.step) != (self.rotation_id, self.step):
            return True
        facts = _DONE_FACTS if entry.event == "done" else _FACTS
        is_creation = Step.CREATE in (self.step, self.detail.get("operation"))
        return any(
            self.detail.get(name) != detail.get(name)
            for name in facts
            # Only the outcome of a creation names a secret.
            if not (is_creation and name == "secret_id")
        )


#: Facts of an effect that its outcome repeats; of a push, so does one that took place.
_FACTS = ("secret_id", "field", "operation", "by")
_DONE_FACTS = (*_FACTS, "predecessor_version")


@dataclass(kw_only=True)
class Past:
    """What the entries so far say; see above."""

    #: The newest fencing token, and the least that the next may have; None before the first.
    token: int | None = None
    least_token: int = 0
    intent: Intent | None = None
    #: What was asked for in the session that the newest token began.
    requests: tuple[Detail, ...] = ()
    #: Requests through the trigger that are not settled, by their id.
    triggers: Mapping[str, Detail] = field(default_factory=dict)
    #: The open rotation.
    open_id: str | None = None
    #: The newest version of the pending entry that it is known to have written; 1 for any.
    staged_version: int = 1
    #: The gates of its predecessor that were open, or skipped, when, and by which token.
    gates: str | None = None
    gates_at: datetime | None = None
    gates_token: int | None = None
    #: The newest version that rotator wrote to the current entry, as far as it counts.
    written: int = 0
    #: The secret that rotator put there last.
    current_id: str | None = None

    def copy(self) -> Self:
        """Return an independent copy."""
        return replace(self)

    def requested(self, token: int | None) -> tuple[Detail, ...]:
        """Return what was asked for before an entry with this token; None where it has none."""
        return self.requests if token in (None, self.token) else ()

    def read(self, seen: Seen) -> None:
        """Apply an entry."""
        entry, detail = seen.entry, seen.detail
        self._take_token(seen)
        match entry.event:
            case "intent":
                self._intend(seen)
            case "lease-ended":
                self.least_token = (self.token or 0) + 2
            case "registered" | "forgotten":
                self.written = 0
            case "carried-out" | "not-begun" if trigger := text_in(detail, "trigger"):
                self.triggers = {id_: each for id_, each in self.triggers.items() if id_ != trigger}
            case _ if entry.event in OUTCOMES and seen.is_effect:
                self._end(seen)
            case _ if entry.rotation_id and entry.event != REQUESTED:
                self._go_on(seen)

    def _take_token(self, seen: Seen) -> None:
        if seen.token is not None and seen.token != self.token:
            self.token, self.requests = seen.token, ()
            self.least_token = max(self.least_token, seen.token)
        if seen.entry.event != REQUESTED:
            return
        if trigger := text_in(seen.detail, "trigger"):
            self.triggers = {**self.triggers, trigger: seen.detail}
        else:
            self.requests = (*self.requests, seen.detail)

    def _intend(self, seen: Seen) -> None:
        entry = seen.entry
        self.intent = Intent(
            seq=entry.seq, rotation_id=entry.rotation_id, step=entry.step, detail=seen.detail
        )

    def _end(self, seen: Seen) -> None:
        entry, self.intent = seen.entry, None
        if entry.event != "done":
            return
        if entry.step == Step.STAGE:
            self.staged_version = number_in(seen.detail, "pending_version") or 1
        if version := number_in(seen.detail, "vault_version"):
            self.written = version
        if entry.step == Step.PUSH:
            rotation = seen.rotation
            self.current_id = rotation.new_id if rotation else seen.secret_id

    def _go_on(self, seen: Seen) -> None:
        """Apply an entry of a rotation that is no effect's."""
        entry = seen.entry
        if self.intent:
            self.intent = replace(self.intent, is_over=True)
        match entry.event, entry.step:
            case "opened", _:
                self.open_id = entry.rotation_id
                self.staged_version = 1
                self.gates = self.gates_at = None
            case "closed", _ if entry.rotation_id == self.open_id:
                self.open_id = None
            case "learned", Step.PUSH:
                self.current_id = seen.secret_id or self.current_id
                self.written = number_in(seen.detail, "vault_version") or self.written
            case (("gates-open" | "gates-skipped"), _):
                self.gates, self.gates_at = text_in(seen.detail, "gates"), seen.at
                self.gates_token = seen.token
            case "gate-shut", _ if text_in(seen.detail, "gate") in (self.gates or "").split(", "):
                self.gates = self.gates_at = None
