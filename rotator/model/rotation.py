"""Rotations: steps, gates, holds, requests, results."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rotator.model.account import Identity
from rotator.model.actor import Actor
from rotator.model.convergence import Convergence


class Step(StrEnum):
    """The steps of a rotation, in order; before `push`, `abort` ends it instead."""

    OPEN = "open"
    EVICT = "evict"
    STAGE = "stage"
    CREATE = "create"
    PROBE = "probe"
    PUSH = "push"
    VERIFY = "verify"
    CLEAR = "clear"
    HOOKS = "hooks"
    WAIT = "wait"
    WITHDRAW = "withdraw"
    DELETE = "delete"
    PROVE = "prove"
    COMPLETE = "complete"
    ABORT = "abort"


#: Error code of a rotation that an operator ended by adopting another secret.
SUPERSEDED = "superseded"

#: Error code of a rotation that an operator ended as it stood; its pending entry stays.
ABANDONED = "abandoned"


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """One rotation as the ledger knows it."""

    id: str
    account: str
    #: Why it was opened, or requested again: `asked`, `due`, `compromised` or `recovered`.
    reason: str
    #: The last step whose intent or outcome was recorded.
    step: Step
    #: Id of the secret to be replaced; None where no listed secret could be it.
    predecessor_id: str | None
    #: How long the predecessor outlives `verified_at`. Stored here, so that a rotation that is
    #: resumed later keeps the grace that was asked for.
    grace: timedelta
    opened_at: datetime
    #: The identity it was opened for; None where an older version of rotator opened it.
    identity: Identity | None = None
    #: When the pending value was last sent to Vonage without a definite refusal, or accepted by
    #: it, so that Vonage may have it; None if it certainly does not.
    sent_at: datetime | None = None
    #: Vonage answered 400 to the pending value.
    rejected: bool = False
    #: How many values were generated, the pending one included.
    values_generated: int = 0
    #: Vonage's id of the new secret, once known.
    new_id: str | None = None
    #: Version of the current entry that this rotation wrote.
    vault_version: int | None = None
    #: Version of the pending entry that was pushed; 0 before the push.
    pending_version: int = 0
    #: When Vault was seen to have the new value; the grace starts here. By Vonage's clock if this
    #: machine's was behind and there is a grace.
    verified_at: datetime | None = None
    #: Version of the current entry that the push replaced, if it certainly held the predecessor's
    #: value; None where that is not certain, or an older version of rotator pushed.
    predecessor_version: int | None = None
    #: When rotator deleted the predecessor, or tried to and the answer was lost; None where it did
    #: not.
    deleted_at: datetime | None = None
    #: When Vonage first refused the predecessor's value; None where that was not seen.
    dead_at: datetime | None = None
    #: How long after `deleted_at` that was, in seconds; None where rotator did not delete it.
    dead_after: int | None = None
    #: Error code of the abort; set before anything is undone.
    abort_code: str | None = None
    #: What keeps it from going on; None for nothing, or the grace alone.
    waiting: "GateWait | None" = None
    closed_at: datetime | None = None
    #: `completed` or `failed`; None while open.
    outcome: str | None = None
    error_code: str | None = None

    def replaces(self, adopted_id: str | None, *, base_version: int) -> bool:
        """Return whether this push replaces what an operator adopted over that version.

        False if it was pushed before the adoption; a lagging standby may show that push after it.
        """
        return (self.vault_version or 0) > base_version and self.new_id != adopted_id

    @property
    def delete_due_at(self) -> datetime | None:
        """When the predecessor may be deleted; None before the new value is verified."""
        return self.verified_at + self.grace if self.verified_at else None


#: Name of the gate that is shut while this machine's clock is ahead of Vonage's; no hook uses it.
CLOCK = "clock"

#: Largest offset from Vonage's clock that a wrong time zone or day explains. With a larger one, no
#: grace is counted.
MOST_OFFSET = timedelta(days=1)

#: Longest wait before a shut gate is asked again.
LONGEST_GATE_WAIT = timedelta(minutes=15)

#: Likewise for a window: each opens once a week, unless the clocks skip it.
LONGEST_WINDOW_WAIT = timedelta(days=15)


@dataclass(frozen=True, kw_only=True)
class GateWait:
    """A wait for a gate that was found shut before the predecessor's deletion, or for a window."""

    #: Name of the gate; None for a window.
    gate: str | None = None
    #: The reason that gate gave when it was last asked.
    reason: str | None = None
    #: When it was first found shut.
    shut_since: datetime | None = None
    #: When the daemon asks the gate again, or checks the window again.
    retry_at: datetime | None = None
    #: How many consumers use the new secret, if the gate counts them.
    convergence: Convergence | None = None


@dataclass(frozen=True, kw_only=True)
class ShutGate:
    """A gate that does not allow the predecessor's deletion yet."""

    name: str
    #: The reason it gave, on one line.
    reason: str
    #: How many consumers use the new secret, if it counts them.
    convergence: Convergence | None = None


@dataclass(frozen=True, kw_only=True)
class Hold:
    """An operator's pause of an account: nothing new begins, but what was pushed is finished."""

    reason: str
    #: Login name of the operator who placed it.
    by: str
    at: datetime
    #: Nothing is done at all, not even for a rotation that has pushed.
    freeze: bool = False

    def __str__(self) -> str:
        """Return reason and person, as people read it: `moving house (ann)`."""
        return f"{self.reason} ({self.by}{', frozen' if self.freeze else ''})"


@dataclass(frozen=True, kw_only=True)
class Request:
    """A request for one account: continue the open rotation, or also open one."""

    #: Reason for a new rotation; None to open none.
    reason: str | None
    #: Grace instead of the rotation's own; a wait that has already lasted as long ends.
    grace: timedelta | None = None
    #: The pending entry is taken over from another ledger, which no longer works on it.
    takes_over: bool = False
    #: Who asks, if a person does: recorded before anything is done.
    actor: Actor | None = None


class Outcome(StrEnum):
    """How a pass on one account ended."""

    COMPLETED = "completed"
    AWAITING_DELETION = "awaiting-deletion"
    FAILED = "failed"
    REFUSED = "refused"
    BUSY = "busy"
    PLANNED = "planned"
    #: There was nothing to do.
    IDLE = "idle"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What went wrong, for people and programs."""

    code: str
    message: str
    hint: str | None


@dataclass(frozen=True, kw_only=True)
class PassResult:
    """Result of a pass over one account, as `rotate-now` and `resume` print it."""

    account: str
    rotation_id: str | None
    outcome: Outcome
    old_secret_id: str | None
    new_secret_id: str | None
    vault_version: int | None
    delete_due_at: datetime | None
    #: When Vonage was first seen to refuse the old secret; None where that was not proved.
    old_secret_dead_at: datetime | None = None
    #: How long after its deletion that was, in seconds; None where rotator did not delete it.
    dead_after: int | None = None
    error: Problem | None = None
    #: Exit code of the process for this account alone.
    exit_code: int = 0
    #: Of the rotation that the pass ended before: its old secret may have leaked, too.
    earlier: "PassResult | None" = None


class SecretRole(StrEnum):
    """A secret's role in its account."""

    #: Vault holds its value.
    CURRENT = "current"
    #: The open rotation created it.
    NEW = "new"
    #: The open rotation replaces it.
    PREDECESSOR = "predecessor"
    #: A rotation superseded it, or created it and was undone: it may be deleted.
    EXPENDABLE = "expendable"
    #: rotator neither created nor superseded it.
    FOREIGN = "foreign"

    @classmethod
    def of(
        cls,
        secret_id: str,
        *,
        current_id: str | None,
        opened: Rotation | None,
        expendable_ids: Collection[str],
    ) -> "SecretRole":
        """Return the role of a listed secret; `opened` is the account's open rotation."""
        if secret_id == current_id:
            return cls.CURRENT
        if opened and secret_id == opened.predecessor_id:
            return cls.PREDECESSOR
        if opened and secret_id == opened.new_id:
            return cls.NEW
        return cls.EXPENDABLE if secret_id in expendable_ids else cls.FOREIGN
