"""The values that all of rotator speaks of. Frozen, keyword-only, no input or output.

None of the records here holds a secret value. Values travel as `SecretValue`, which
shows itself only when asked to, beside these records and never inside them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from rotator.model.account import Account, Identity


class Step(StrEnum):
    """The steps of a rotation, in their order; `abort` leads out of it before `push`."""

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
    DELETE = "delete"
    COMPLETE = "complete"
    ABORT = "abort"


#: The error code of a rotation that an operator ended by adopting another secret.
SUPERSEDED = "superseded"

#: The error code of a rotation that an operator ended as it stood; what is pending is kept.
ABANDONED = "abandoned"


@dataclass(frozen=True, kw_only=True)
class Rotation:
    """One rotation as the ledger knows it."""

    id: str
    account: str
    #: Why it was opened, or a person took it over: `asked`, `due`, `compromised` or `recovered`.
    reason: str
    #: The last step whose intent or outcome was recorded.
    step: Step
    #: Id of the secret to be replaced; None where nothing listed could be it.
    predecessor_id: str | None
    #: How long the predecessor outlives `verified_at`. Kept here, so that a rotation that is
    #: carried on later keeps what was asked.
    grace: timedelta
    opened_at: datetime
    #: What it was opened for; None where an older version of rotator opened it.
    identity: Identity | None = None
    #: When the pending value was last sent to Vonage without a definite refusal, or taken by
    #: it, so that Vonage may know it; None if it certainly does not.
    sent_at: datetime | None = None
    #: Vonage answered 400 to the pending value.
    rejected: bool = False
    #: How many values were drawn, the pending one included.
    draws: int = 0
    #: Vonage's id of the new secret, once known.
    new_id: str | None = None
    #: Version of the current entry that this rotation wrote.
    vault_version: int | None = None
    #: Version of the pending entry that was pushed; 0 where none was yet.
    pending_version: int = 0
    #: When Vault was seen to hold the new value; the grace starts here. By Vonage's clock where
    #: this machine's was behind and there is a grace.
    verified_at: datetime | None = None
    #: Error code that made it abort; set before anything is undone.
    abort_code: str | None = None
    #: Name of the gate that was found shut when the predecessor was to be deleted; None for none.
    gate: str | None = None
    #: Why that gate said it is shut, the last time it was asked.
    gate_reason: str | None = None
    #: Since when it has been found shut.
    gate_since: datetime | None = None
    #: When the daemon asks it again, or looks again at what waits for a window.
    gate_retry_at: datetime | None = None
    closed_at: datetime | None = None
    #: `completed` or `failed`; None while open.
    outcome: str | None = None
    error_code: str | None = None

    def replaces(self, adopted_id: str | None, *, over: int) -> bool:
        """Whether what an operator adopted, `over` that version, is replaced by what was pushed.

        Not by what was pushed before the adoption, which a standby that lags may show after it.
        """
        return (self.vault_version or 0) > over and self.new_id != adopted_id

    @property
    def delete_due_at(self) -> datetime | None:
        """When the predecessor may be deleted; None before the new value is verified."""
        return self.verified_at + self.grace if self.verified_at else None


#: Name of the gate that is shut while this machine's clock is ahead of Vonage's; no hook has it.
CLOCK = "clock"

#: A clock that is right but for its time zone or day differs from Vonage's by no more. By one that
#: does, no grace is counted.
MOST_LEAD = timedelta(days=1)

#: Longest wait before a gate that is shut is asked again.
LONGEST_GATE_WAIT = timedelta(minutes=15)

#: Likewise before a window: one opens each week, and not where the clocks skip it.
LONGEST_WINDOW_WAIT = timedelta(days=15)


@dataclass(frozen=True, kw_only=True)
class ShutGate:
    """A gate that does not let the predecessor be deleted yet."""

    name: str
    #: What it said, on one line.
    reason: str


@dataclass(frozen=True, kw_only=True)
class Hold:
    """An operator's pause of an account: nothing new is begun, what was pushed is finished."""

    reason: str
    #: Login name of who holds it.
    by: str
    at: datetime
    #: Nothing is done at all, not even for a rotation that has pushed.
    freeze: bool = False

    def __str__(self) -> str:
        """Give reason and person, as people read it: `moving house (ann)`."""
        return f"{self.reason} ({self.by}{', frozen' if self.freeze else ''})"


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is asked of one account: carry on what is open, or also open a rotation."""

    #: Reason for a new rotation; None to open none.
    reason: str | None
    #: Grace instead of the rotation's own; also ends a wait that has lasted as long.
    grace: timedelta | None = None
    #: What is pending is taken over from another ledger, which works on it no more.
    takes_over: bool = False


class Outcome(StrEnum):
    """How a pass over one account ended."""

    COMPLETED = "completed"
    AWAITING_DELETION = "awaiting-deletion"
    FAILED = "failed"
    REFUSED = "refused"
    BUSY = "busy"
    PLANNED = "planned"
    #: There was nothing to carry on.
    IDLE = "idle"


@dataclass(frozen=True, kw_only=True)
class Problem:
    """What went wrong, for people and programs."""

    code: str
    message: str
    hint: str | None


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `rotate-now` and `resume` say of one account."""

    account: str
    rotation_id: str | None
    outcome: Outcome
    old_secret_id: str | None
    new_secret_id: str | None
    vault_version: int | None
    delete_due_at: datetime | None
    error: Problem | None = None
    #: What this account alone would have the process exit with.
    exit_code: int = 0

    @classmethod
    def of(cls, account: Account, outcome: Outcome, rotation: Rotation | None) -> "Report":
        """Report `rotation` as it now is."""
        return cls(
            account=account.name,
            rotation_id=rotation.id if rotation else None,
            outcome=outcome,
            old_secret_id=rotation.predecessor_id if rotation else None,
            new_secret_id=rotation.new_id if rotation else None,
            vault_version=rotation.vault_version if rotation else None,
            delete_due_at=rotation.delete_due_at if rotation else None,
        )
