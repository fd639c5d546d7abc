"""The values that all of rotator speaks of. Frozen, keyword-only, no input or output.

None of the records here holds a secret value. Values travel as `SecretValue`, which
shows itself only when asked to, beside these records and never inside them.
"""

import hashlib
import hmac
import weakref
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from enum import StrEnum
from typing import ClassVar, NoReturn

#: Times that others tell are moved between these, so that a duration can be added to them.
EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(3000, 1, 1, tzinfo=UTC)


def believable(told: datetime) -> datetime:
    """Return a time that a server told, in UTC, moved to `EARLIEST` or `LATEST` if beyond."""
    return min(max(told, EARLIEST), LATEST).astimezone(UTC)


class SecretValue:
    """A secret's value, masked in every rendering, compared in constant time."""

    __slots__ = ("__weakref__", "_value")

    #: Every value that is still in memory, by its object's id; keeps none of them there.
    _alive: ClassVar[dict[int, "weakref.ref[SecretValue]"]] = {}

    def __init__(self, value: str) -> None:
        """Wrap `value`."""
        self._value = value
        key, alive = id(self), self._alive
        alive[key] = weakref.ref(self, lambda _gone: alive.pop(key, None))

    @classmethod
    def alive(cls) -> "list[SecretValue]":
        """Give every value that is in memory: for who has to keep them from being shown."""
        # A copy is made at once, while other threads add and drop values.
        found = (reference() for reference in cls._alive.copy().values())
        return [value for value in found if value is not None]

    def reveal(self) -> str:
        """Give the bare value: for a request's body or credential, nothing else."""
        return self._value

    def digest(self, salt: str) -> str:
        """Bind the value to `salt`: hex SHA-256 of both, to recognise the value again."""
        return hashlib.sha256(f"{salt}\0{self._value}".encode()).hexdigest()

    def __eq__(self, other: object) -> bool:
        """Compare in constant time."""
        if not isinstance(other, SecretValue):
            return NotImplemented
        return hmac.compare_digest(self._value.encode(), other._value.encode())

    __hash__ = None  # type: ignore[assignment]  # a value is no key

    def __repr__(self) -> str:
        """Mask the value."""
        return "SecretValue(***)"

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled: a value leaves the process only over TLS."""
        message = "a secret value cannot be pickled"
        raise TypeError(message)


@dataclass(frozen=True, kw_only=True)
class Credential:
    """What Vonage's Basic authentication takes."""

    api_key: str
    secret: SecretValue


class ForwardMethod(StrEnum):
    """How Vonage calls an account's callbacks."""

    GET_QUERY_PARAMS = "GET_QUERY_PARAMS"
    POST_QUERY_PARAMS = "POST_QUERY_PARAMS"
    POST_JSON = "POST_JSON"


class OnForeign(StrEnum):
    """What to do with a secret that rotator does not know."""

    REFUSE = "refuse"
    EVICT_OLDEST = "evict-oldest"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How an account's secrets are to be rotated, and what is to be warned of."""

    #: Time between two rotations; None where `cron` says when.
    every: timedelta | None
    cron: str | None
    #: IANA name of the zone in which `cron` is meant.
    timezone: str
    #: Random delay added to a due time, at most this.
    jitter: timedelta
    #: How long the predecessor lives on after the new secret is verified in Vault.
    grace: timedelta
    #: A current secret older than this is overdue.
    max_age: timedelta
    #: Characters in a new secret, 8 to 25.
    length: int
    on_foreign: OnForeign
    #: When rotations may begin and secrets be deleted, in `timezone`; empty for always.
    window: tuple[str, ...] = ()
    #: Euros. Less than this at Vonage is warned of; None for no warning.
    min_balance: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What an account is, whatever name it goes by: whose secrets, and where they are kept."""

    api_key: str
    #: Host of the API that knows the api key.
    issuer: str
    #: Path of the current entry in Vault, behind its namespace and mount.
    vault_path: str
    #: Path of the pending entry, likewise.
    pending_path: str

    def differences(self, other: "Identity") -> list[tuple[str, str, str]]:
        """List how `other` differs: what people call the part, its value here, its value there."""
        found = ((word, getattr(self, key), getattr(other, key)) for key, word in _WORDS.items())
        return [(word, mine, theirs) for word, mine, theirs in found if mine != theirs]


#: What people call the parts of an identity.
_WORDS = {
    "api_key": "api key",
    "issuer": "API host",
    "vault_path": "Vault path",
    "pending_path": "pending path",
}


@dataclass(frozen=True, kw_only=True)
class Account:
    """One Vonage account under management, as configured."""

    name: str
    api_key: str
    #: Host of Vonage's API.
    issuer: str
    #: What both paths are below in Vault: the mount, behind the namespace if there is one.
    mount: str
    #: Path of the current entry below the Vault mount.
    vault_path: str
    #: Path of the pending entry below the Vault mount.
    pending_path: str
    #: Field of the current entry that holds the secret.
    secret_field: str
    #: Field of the current entry that holds the api key.
    key_field: str
    #: Name of the parent account whose credential may manage this one; "" for none.
    managed_by: str
    policy: Policy
    #: Found below its parent at Vonage, and not configured by name: nobody can be expected to
    #: have put a value of it into Vault.
    discovered: bool = False

    @property
    def identity(self) -> Identity:
        """What it is, whatever its name."""
        return Identity(
            api_key=self.api_key,
            issuer=self.issuer,
            vault_path=f"{self.mount}/{self.vault_path}",
            pending_path=f"{self.mount}/{self.pending_path}",
        )

    @property
    def min_balance(self) -> Decimal | None:
        """What is to be warned of, as its policy has it."""
        return self.policy.min_balance

    def is_low(self, balance: Decimal) -> bool:
        """Whether a balance, in euros, is less than what is to be warned of."""
        return self.min_balance is not None and balance < self.min_balance


class SubaccountState(StrEnum):
    """How Vonage has a subaccount."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    #: It was listed once and is not any more.
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A subaccount that was found below a parent, as it was listed last."""

    #: Name of the parent account.
    parent: str
    api_key: str
    #: What people call it at Vonage; may change.
    title: str
    state: SubaccountState


@dataclass(frozen=True, kw_only=True)
class Secret:
    """A secret as Vonage lists it: an id, never a value."""

    id: str
    created_at: datetime


@dataclass(frozen=True, kw_only=True)
class Note:
    """What rotator writes beside the value in the current entry (field `rotator`)."""

    #: Vonage's id of the value beside it.
    secret_id: str
    rotation_id: str
    rotated_at: datetime
    #: Hash of the account's newest ledger entry when this was written.
    ledger_head: str
    #: Binds the note to the value: a value changed by hand no longer matches its note.
    check: str

    @staticmethod
    def check_of(value: SecretValue, *, secret_id: str, rotation_id: str) -> str:
        """Give the `check` of a note with these ids beside `value`."""
        return value.digest(f"{secret_id}\0{rotation_id}")

    def matches(self, value: SecretValue) -> bool:
        """Whether the value beside this note is the one it was written with."""
        expected = self.check_of(value, secret_id=self.secret_id, rotation_id=self.rotation_id)
        return hmac.compare_digest(self.check.encode(), expected.encode())


@dataclass(frozen=True, kw_only=True)
class CurrentEntry:
    """What consumers read: the account's entry in Vault, without its value."""

    #: KV version, counted from 1.
    version: int
    note: Note | None
    #: Whether the value is the one that the note was written with; False without a note.
    intact: bool
    #: The entry has a value in the configured field.
    has_value: bool
    #: The entry has another text than the account's api key in the configured field. What that
    #: is, is not kept: where fields are mistaken for each other, it is a value.
    is_foreign: bool = False
    #: When Vault removes this version by itself (`delete_version_after`); None for never.
    ends_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Written:
    """A version of the current entry that rotator wrote. Standbys may not show it yet."""

    #: 0 for none.
    version: int = 0
    #: What the store calls the state that has it, to ask for it by; "" where it has no name.
    index: str = ""
    #: When the store removes it by itself; None for never.
    ends_at: datetime | None = None


#: Nothing was ever written, as far as is known.
NOTHING_WRITTEN = Written()


@dataclass(frozen=True, kw_only=True)
class PendingEntry:
    """The write-ahead copy of a value that Vonage may already know, without the value."""

    rotation_id: str
    #: Ids that Vonage listed before the value was sent there. Any other is new.
    listed_ids: frozenset[str]
    #: The secret to be replaced, for a ledger that has lost the rotation; None for none.
    predecessor_id: str | None = None
    #: Whose value it is and where it was to go, as in `Identity`; None where an older version
    #: of rotator wrote the entry.
    api_key: str | None = None
    issuer: str | None = None
    vault_path: str | None = None
    #: Id of the ledger that has the rotation; None likewise.
    ledger_id: str | None = None

    def difference(self, identity: Identity) -> tuple[str, str] | None:
        """Return the part in which it differs from `identity`, in words, and its value there.

        None where nothing differs. What stands in the entry is not part of the answer: it came from
        Vault, and might be a value.
        """
        for key in ("api_key", "issuer", "vault_path"):
            if getattr(self, key) not in (None, getattr(identity, key)):
                return _WORDS[key], getattr(identity, key)
        return None


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
class Observation:
    """The world as one pass sees it. Facts only: no value is in it."""

    #: When Vonage's list was read.
    seen_at: datetime
    #: None where Vonage accepted no credential that rotator has.
    listed: tuple[Secret, ...] | None
    current: CurrentEntry | None
    pending: PendingEntry | None
    #: The ledger's open rotation.
    rotation: Rotation | None
    #: KV version of the pending path, which a write to it has to name.
    pending_version: int = 0
    #: When Vault removes the pending entry by itself; None for never.
    pending_ends_at: datetime | None = None
    #: Who holds the account and why; None where nobody does.
    hold: Hold | None = None
    #: How the ledger's rows and entries differ about that, in words; None where they do not.
    hold_fault: str | None = None
    #: Likewise about the open rotation.
    rotation_fault: str | None = None
    #: Ids that the ledger knows as expendable: superseded predecessors, orphans.
    expendable_ids: frozenset[str] = frozenset()
    #: Ids that the ledger knows as deleted, or whose deletion was begun: a list that lags may show
    #: one of them once more.
    deleted_ids: frozenset[str] = frozenset()
    #: The ledger never had the rotation of the pending entry: it was lost or replaced, or
    #: another ledger has it.
    pending_is_unrecorded: bool = False
    #: Id of the ledger.
    ledger_id: str | None = None
    #: The secret that an operator had written to Vault, and no rotation has replaced since: it is
    #: not expendable, whatever else is known of it.
    adopted_id: str | None = None
    #: Version of the current entry that it was written over.
    adopted_over: int = 0
    #: This pass staged the pending entry, and knows of each time that its value was sent.
    pending_is_unsent: bool = False
    #: When Vault's current value last authenticated; None if Vonage refused it.
    current_live_at: datetime | None = None
    #: When the pending value last authenticated; None if not tried or refused since.
    pending_live_at: datetime | None = None
    #: When the pending value was first refused, or not found, in this pass; None if it was not.
    pending_refused_since: datetime | None = None
    #: When it was last refused, or not found, in this pass.
    pending_refused_at: datetime | None = None
    #: Vault's current value and the pending value are the same.
    current_is_pending: bool = False
    #: Somebody is configured to be told of a new secret.
    has_hooks: bool = False
    #: Names of the gates that have to be open before the predecessor is deleted.
    gates: tuple[str, ...] = ()
    #: When the gates were last asked; None if they were not.
    gates_asked_at: datetime | None = None
    #: The first of them that was shut then; None where all were open.
    shut_gate: ShutGate | None = None
    #: The current path never had a version, so that no consumer can have read one.
    entry_is_new: bool = False
    #: What stands where there is no current entry any more: a version that was removed.
    removed: CurrentEntry | None = None
    #: What rotator wrote to the current path last, as the ledger has it.
    written: Written = NOTHING_WRITTEN
    #: The ledger has the id that the note beside Vault's value names. One that neither it has nor
    #: Vonage lists may be anything, and is not repeated.
    noted_is_recorded: bool = False
    #: How far this machine's clock is ahead of Vonage's; negative where it is behind.
    clock_lead: timedelta = timedelta()

    @property
    def current_version(self) -> int:
        """KV version of the current path, whatever that version holds; 0 where there is none."""
        newest = self.current or self.removed
        return newest.version if newest else 0

    @property
    def is_behind(self) -> bool:
        """Whether Vault shows less than rotator wrote: a standby lags, or Vault was restored.

        Not where it shows nothing at all: the entry was removed with all its versions.
        """
        return 0 < self.current_version < self.written.version

    @property
    def listed_ids(self) -> frozenset[str]:
        """The ids that Vonage lists."""
        return frozenset(secret.id for secret in self.listed or ())


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
