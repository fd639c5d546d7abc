"""Ports of the core: contracts for issuer, store, ledger and hooks."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol, Self

from rotator.model import (
    NOTHING_SEEN,
    NOTHING_WRITTEN,
    Account,
    Actor,
    Credential,
    CurrentEntry,
    Hold,
    Identity,
    Note,
    PassResult,
    PendingEntry,
    Rotation,
    Secret,
    SecretValue,
    SeenSecrets,
    ShutGate,
    Step,
    Trouble,
    Written,
)
from rotator.model.trigger import TriggerRequest

#: The last look before an effect. An adapter calls it exactly once for each request of an effect:
#: after the wait for the rate limit, with the connection open, right before the first byte. If it
#: raises, nothing is sent and the exception propagates unchanged.
BeforeSend = Callable[[], object]


class LastLook(Protocol):
    """The last look at an account before an effect on it; see `LedgerSession.last_look`."""

    def __call__(self, also: Callable[[], object] = ...) -> None:
        """Raise if the effect is no longer right; `also` checks what else it depends on."""


@dataclass(frozen=True, kw_only=True)
class StoredCurrent:
    """The current entry as read, with its value and all fields that a merge must keep."""

    entry: CurrentEntry
    #: None where the entry has no usable value in the configured field.
    value: SecretValue | None
    #: Every field as read. Contains secret values: never shown.
    fields: Mapping[str, Any] = field(repr=False)
    #: The replaced value in the field `entry.previous`; None for none.
    previous: SecretValue | None = None


@dataclass(frozen=True, kw_only=True)
class StoredPending:
    """The pending path as read. `version` is set for check-and-set even where there is no entry."""

    #: KV version to state as check-and-set; 0 where the path never existed.
    version: int
    #: None where nothing is pending.
    entry: PendingEntry | None = None
    value: SecretValue | None = None
    #: When Vault removes it on its own; None for never.
    ends_at: datetime | None = None


class Issuer(Protocol):
    """Issuer of secrets: Vonage's Account API.

    Every call blocks until it is answered or times out, and may wait for the rate limit. Reads
    are retried internally; a request with an effect is sent once, however it ends. An
    `IssuerError` with `definite` true had no effect at Vonage; any other may have had one.
    """

    @property
    def clock_offset(self) -> timedelta:
        """Return by how much this machine's clock is ahead of Vonage's, from the latest answers.

        Negative if behind. Zero where both agree within a minute, or where no answer carried a
        time. If the last two answers differ, the greater offset counts: one odd answer can delay
        something until the next answer, but cannot lengthen a grace. Changes of this machine's
        clock since then are included.
        """

    def list_secrets(self, credential: Credential, api_key: str) -> tuple[Secret, ...]:
        """List the live secrets of `api_key`, in arbitrary order.

        Raises:
            CredentialRefused: Vonage does not accept the credential.
            IssuerError: any other failure.
        """

    def create_secret(
        self, credential: Credential, api_key: str, value: SecretValue, *, before_send: BeforeSend
    ) -> Secret:
        """Create a secret of `api_key` with `value`.

        Raises:
            SecretRejected: the value does not comply, or is already a secret of the account.
            SlotsFull: the account has two secrets.
            IssuerError: any other failure; `definite` is true if it had no effect.
        """

    def delete_secret(
        self, credential: Credential, api_key: str, secret_id: str, *, before_send: BeforeSend
    ) -> None:
        """Revoke one secret.

        Raises:
            SecretNotFound: it no longer exists.
            LastSecret: it is the account's only one.
            IssuerError: any other failure.
        """


class Store(Protocol):
    """Store from which consumers read secrets: Vault KV version 2.

    Every call blocks until it is answered or times out. A write is durable on return, and sent
    within about a second or not at all. An error with `definite` true means it had no effect;
    any other may have had one. A write is only retried where it certainly had no effect: it was
    never sent, or Vault had not begun it.
    """

    def read_current(
        self,
        account: Account,
        written: Written = NOTHING_WRITTEN,
        *,
        seconds: float | None = None,
    ) -> StoredCurrent | None:
        """Read the newest version of the current entry; None where there is none.

        If that is older than `written`, the read is retried, as a standby may lag; if it stays so,
        the older version is returned. No retry starts after `seconds`, if a shorter wait is wanted.

        Raises:
            UnexpectedEntry: there is an entry, but rotator cannot read it.
            StoreError: any other failure.
        """

    def read_base(self, account: Account, written: Written = NOTHING_WRITTEN) -> StoredCurrent:
        """Read what a write to the current entry would replace, which may be nothing.

        Without an entry, or with an empty one, the result has no fields, and the version that a
        check-and-set write must state: 0 where this server knows of no version. One that is older
        than `written` is read again, as in `read_current`.

        Raises:
            StoreError: any failure.
        """

    def read_version(
        self, account: Account, version: int, *, seconds: float | None = None
    ) -> StoredCurrent:
        """Read exactly `version` of the current entry, waiting for a lagging standby.

        No retry starts after `seconds`, if a shorter wait is wanted.

        Raises:
            VersionMissing: it was removed, or did not appear in time.
            StoreError: any other failure.
        """

    def write_current(
        self,
        account: Account,
        base: StoredCurrent,
        value: SecretValue,
        note: Note,
        *,
        before_send: BeforeSend,
    ) -> Written:
        """Write `value` and `note` over `base`, keeping all its other fields.

        Where the note names a field for it, the value in `base` is kept there; the one that was
        replaced by that is removed. A base of version 0 is only replaced if no version ever
        existed. Returns what was written.

        Raises:
            CheckAndSetLost: the entry is no longer the one in `base`.
            StoreError: any other failure.
        """

    def withdraw_previous(
        self, account: Account, base: StoredCurrent, *, before_send: BeforeSend
    ) -> tuple[StoredCurrent, Written]:
        """Write `base` without the replaced value; all else stays, but for its name in the note.

        Returns the entry as it is then.

        Raises:
            CheckAndSetLost: the entry is no longer the one in `base`.
            StoreError: any other failure.
        """

    def read_pending(self, account: Account) -> StoredPending:
        """Read the account's pending path.

        Raises:
            StoreError: any failure.
        """

    def write_pending(
        self,
        account: Account,
        base: StoredPending,
        value: SecretValue,
        entry: PendingEntry,
        *,
        before_send: BeforeSend,
    ) -> StoredPending:
        """Write the pending entry over `base` and return the path's new state.

        Raises:
            CheckAndSetLost: the path is no longer as in `base`.
            StoreError: any other failure.
        """

    def clear_pending(self, account: Account, upto: int, *, before_send: BeforeSend) -> None:
        """Destroy the versions of the pending entry up to `upto`. Idempotent.

        Later versions stay, however late the request arrives.

        Raises:
            StoreError: any failure.
        """


@dataclass(frozen=True, kw_only=True)
class AccountSnapshot:
    """Snapshot of an account for `status`, so that Vonage and Vault need not be asked again."""

    listed_ids: tuple[str, ...]
    #: Id of the secret that Vault's value certainly is; None where unsure.
    current_id: str | None
    #: When Vonage created it; None where unknown.
    current_since: datetime | None
    #: Consumers read nothing that works: what was known of the secret's age is kept.
    is_broken: bool = False
    #: When it is due by its current secret's age; None leaves the recorded time unchanged.
    next_due_at: datetime | None = None
    #: It is rotated on request only: a recorded due time is removed.
    is_on_request: bool = False
    #: Since when consumers have had no secret at all; the account is due from then on.
    first_due_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class AccountSummary:
    """Summary of one account for `status` and the page; of one never seen, only its name."""

    name: str
    #: Ids in Vonage's latest list; empty before the first.
    listed_ids: tuple[str, ...] = ()
    current_id: str | None = None
    current_since: datetime | None = None
    seen_at: datetime | None = None
    #: What the newest look found wrong, and what the failed tries end in; None for nothing.
    trouble: Trouble | None = None
    failure: Trouble | None = None
    #: Whether rotator has ever written the account's secret to Vault.
    is_managed: bool = False
    #: The secret that an operator adopted, and that no rotation has replaced since.
    adopted_id: str | None = None
    next_due_at: datetime | None = None
    hold: Hold | None = None
    last_rotation: Rotation | None = None
    #: When a rotation was last completed.
    last_success_at: datetime | None = None
    #: Consecutive failed or refused passes, and the time of the next try.
    failures: int = 0
    retry_at: datetime | None = None
    #: The oldest request through the trigger that is not carried out.
    asked_for: TriggerRequest | None = None


#: Event of an entry that a person's act begins with; its other entries follow, if it comes to any.
REQUESTED = "requested"


@dataclass(frozen=True, kw_only=True)
class NewEntry:
    """A ledger entry to be appended; the ledger adds account, time, sequence and hashes."""

    #: What happened; `rotator.rotation.steps` lists the events.
    event: str
    step: Step | None
    #: Facts as JSON: ids, versions, codes. Never a value.
    detail: Mapping[str, str | int | bool | None]
    rotation_id: str | None = None
    #: What this step wrote to the current entry; stored beside the entry, not in it.
    written: Written | None = None
    #: What the entry says is wrong, with its cure; likewise.
    trouble: Trouble | None = None

    @classmethod
    def requested(
        cls,
        actor: Actor,
        operation: str,
        *,
        rotation_id: str | None = None,
        **facts: str | int | None,
    ) -> Self:
        """Return the entry of a person's act; facts that are None are left out."""
        known = {name: fact for name, fact in facts.items() if fact is not None}
        detail = {"operation": operation, **known, **actor.facts()}
        return cls(event=REQUESTED, step=None, detail=detail, rotation_id=rotation_id)


@dataclass(frozen=True, kw_only=True)
class AccountState:
    """The ledger's state of one account, for a pass to decide on."""

    rotation: Rotation | None
    #: Replaced predecessors and orphans: secrets that rotator may delete.
    expendable_ids: frozenset[str]
    #: The operator's hold; None where there is none.
    hold: Hold | None
    #: How that differs, in words, from what the ledger's entries say; None where it does not.
    hold_fault: str | None = None
    #: Likewise for the open rotation, and for the end of the chain, which takes no entry then.
    rotation_fault: str | None = None
    chain_fault: str | None = None
    #: The newest secrets that were deleted, or may have been or may yet be, as a deletion was begun
    #: and its outcome is unknown. A lagging list may still show them.
    deleted_ids: frozenset[str] = frozenset()
    perhaps_deleted_ids: frozenset[str] = frozenset()
    #: The secret that an operator adopted into Vault, or began to, and that no rotation has
    #: replaced since; None for none.
    adopted_id: str | None = None
    #: Version of the current entry that the adoption replaced.
    adopted_base_version: int = 0
    #: What rotator last wrote to the current entry.
    written: Written = NOTHING_WRITTEN
    #: Hash of the newest entry; 64 zeros before the first.
    head: str
    #: What was found wrong last; None for nothing.
    trouble: Trouble | None = None
    #: The secret that the newest look found consumers to read; None where that was not certain.
    current_id: str | None = None
    #: The secrets that looks have shown, and who made those that rotator did not.
    seen: SeenSecrets = NOTHING_SEEN
    #: Passes in a row that failed or were refused.
    failures: int = 0
    #: Id of the ledger itself; a copy or a restored backup has the same id.
    ledger_id: str | None = None
    #: The account's identity as last registered; None for never.
    identity: Identity | None = None

    def written_to(self, account: Account) -> Written:
        """Return what rotator last wrote to the path that `account` has now."""
        before = self.identity
        is_elsewhere = before is not None and before.vault_path != account.identity.vault_path
        return NOTHING_WRITTEN if is_elsewhere else self.written


@dataclass(frozen=True, kw_only=True)
class Claimant:
    """Another account, which already has this api key or path."""

    #: Its name.
    name: str
    #: The part that both share, in words, and its value.
    what: str
    which: str


@dataclass(frozen=True, kw_only=True)
class CommitResult:
    """Result of a commit."""

    #: Hash of the newest entry.
    head: str
    #: The operator's hold; includes one that was placed before this commit.
    hold: Hold | None
    #: Entries that the ledger itself put before the others: what the snapshot shows others did.
    found: tuple[NewEntry, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to work on one account until it expires, unless it is renewed."""

    account: str
    owner: str
    #: The fencing token: incremented at each claim, also if an operator ends the lease.
    token: int
    #: Length of the lease from each renewal, in seconds.
    seconds: float


class Hooks(Protocol):
    """Hooks: notified of events of accounts, and asked as gates.

    Pending notifications are in the ledger; each call here may be repeated any number of times.
    """

    def has_subscribers(self, account: Account) -> bool:
        """Return whether any hook is configured for a new secret of `account`."""

    def gates(self, account: Account) -> tuple[str, ...]:
        """Return the gates that must be open before a predecessor of `account` is deleted."""

    def ask(self, account: Account, rotation: Rotation, gate: str) -> ShutGate | None:
        """Ask one gate: None where it is open, else why it is shut.

        Blocks until the gate answers or times out. No answer means shut.

        Raises:
            Stopping: this process is to end.
        """

    def is_notifying(self, account: Account) -> bool:
        """Return whether some hook was not called even once for a new secret of `account`.

        If still true after `notify`, another thread or process is calling the hook: wait for it, as
        it succeeds, fails, or loses its delivery to the next `notify`.

        Raises:
            LedgerError: the deliveries cannot be read.
        """

    def notify(self, account: Account) -> Iterator[object]:
        """Notify each hook of a new secret of `account` for which it was not called even once.

        One after the other, yielding after each so that a lease can be renewed. A hook that fails
        is no error: its delivery is retried by others. A hook that another process is calling now
        is left to it.

        Raises:
            LedgerError: the deliveries cannot be read, or an outcome cannot be recorded.
            Stopping: this process is to end; the interrupted delivery stays pending.
        """


class Observer(Protocol):
    """Observer of passes: metrics, traces, progress and the log.

    Called from every thread, in the thread and at the time of what it is told of, so that it must
    not block. What it raises ends the pass. By default each method does nothing.
    """

    def call_finished(self, api: str, operation: str, code: str, seconds: float) -> None:
        """Take note of one HTTP attempt at `api`, `vonage` or `vault`.

        `code` is the status, or the reason why there is none, such as `timeout`.
        """
        return

    def entry_recorded(self, account: str, entry: NewEntry) -> None:
        """Take note of a ledger entry right after its commit."""
        return

    def pass_started(self, account: str) -> None:
        """Take note that a pass starts."""
        return

    def pass_finished(self, account: str, result: PassResult | None) -> None:
        """Take note of the end of a pass; None where an unexpected error or a signal ended it."""
        return

    def balance_read(self, account: str, euros: Decimal) -> None:
        """Take note of an account's balance."""
        return


class NoObserver(Observer):
    """Observes nothing."""


class Ledger(Protocol):
    """The durable record, and the only authority on which process works on an account.

    No call keeps a transaction open after it returns. All may raise `LedgerError`; then nothing of
    the call was recorded, except that a commit whose answer was lost may have been.
    """

    def claim(self, name: str, now: datetime) -> Lease:
        """Take the lease on account `name`.

        Raises:
            Busy: another process has it and is not known to be dead.
        """

    def release(self, lease: Lease) -> None:
        """Release the lease; one that was released or lost already is left alone."""

    def load(self, name: str) -> AccountState:
        """Load the state of account `name`."""

    def knows_rotation(self, name: str, rotation_id: str) -> bool:
        """Return whether `name` ever had this rotation, open or closed, but not abandoned."""

    def claimant(self, name: str, identity: Identity) -> Claimant | None:
        """Return another account than `name` that has its api key or one of its paths."""

    def register(self, lease: Lease, identity: Identity, now: datetime) -> Claimant | None:
        """Register the leased account's identity, or return another account that has part of it.

        Nothing is recorded then. Else an entry is, unless it is the account's first identity, which
        the opening of a rotation records. Of two processes that register the same under two names
        at once, one is refused.

        Raises:
            LeaseLost: the lease is no longer this owner's.
        """

    def knows_secret(self, name: str, secret_id: str) -> bool:
        """Return whether a rotation or an adoption of `name` ever had this secret."""

    def commit(  # noqa: PLR0913  # all but one by name
        self,
        lease: Lease,
        *,
        rotation: Rotation | None,
        entries: Sequence[NewEntry],
        snapshot: AccountSnapshot | None,
        now: datetime,
        last: bool = False,
    ) -> CommitResult:
        """Record everything or nothing, durably, and renew the lease in the same transaction.

        The `last` commit releases the lease instead.

        `rotation` as it is now (None leaves the record of rotations alone), `entries` to append in
        this order, `snapshot` to keep for `status`; what it shows others did has entries too.
        Notifications for hooks are recorded with them, as pending deliveries.

        Raises:
            LeaseLost: the lease is no longer this owner's; nothing was recorded.
            Refused: the ledger's row about a hold, or about a secret to be deleted, contradicts its
                entries; nothing was recorded.
        """

    def renew(self, lease: Lease, now: datetime) -> None:
        """Prolong the lease.

        Raises:
            LeaseLost: the lease is no longer this owner's.
        """

    def check(self, lease: Lease) -> Hold | None:
        """Return the account's hold, provided that the lease is still this owner's.

        One short read, made right before each effect: it writes nothing and waits for no lock.

        Raises:
            LeaseLost: the lease is no longer this owner's.
        """
