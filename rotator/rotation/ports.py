"""What the engine asks of an issuer, a store and a ledger, and what they owe it."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol, Self

from rotator.model import (
    NOTHING_WRITTEN,
    Account,
    Credential,
    CurrentEntry,
    Hold,
    Identity,
    Note,
    PendingEntry,
    Rotation,
    Secret,
    SecretValue,
    Step,
    Written,
)

#: The last look before an effect. An adapter calls it exactly once for each request that it sends
#: of an effect, when the turn under a rate limit has come and the connection is open, right before
#: the first byte. Where it raises, nothing is sent, and what it raised comes out unchanged.
BeforeSend = Callable[[], object]


class LastLook(Protocol):
    """The last look of whoever works on an account, to be made before an effect on it."""

    def __call__(self, also: Callable[[], object] = ...) -> None:
        """Raise where the effect is not right any more; `also` does where more has changed."""
        ...


@dataclass(frozen=True, kw_only=True)
class StoredCurrent:
    """The current entry as read, with the value and all fields a merge has to keep."""

    entry: CurrentEntry
    #: None where the entry has no usable value in the configured field.
    value: SecretValue | None
    #: Every field as read. Holds values: never shown.
    fields: Mapping[str, Any] = field(repr=False)


@dataclass(frozen=True, kw_only=True)
class StoredPending:
    """The pending path as read. `version` is there for check-and-set even when empty."""

    #: KV version to give as check-and-set; 0 where the path never existed.
    version: int
    #: None where nothing is pending.
    entry: PendingEntry | None = None
    value: SecretValue | None = None
    #: When Vault removes it by itself; None for never.
    ends_at: datetime | None = None


class Issuer(Protocol):
    """Who issues secrets: Vonage's Account API.

    Every call blocks until it is answered or its time is up, and may wait for the rate
    limit. Reads are repeated inside; what has an effect is sent once, however it ends. A raised
    `IssuerError` with `definite` true had no effect at Vonage; any other may have had.
    """

    @property
    def clock_lead(self) -> timedelta:
        """How far this machine's clock is ahead of Vonage's, by the last answers that told.

        Negative where it is behind. Zero where both agree within a minute, and where no answer
        told. Where the last two answers differ, the greater: one odd answer can have something
        wait until the next, and cannot lengthen a grace. Also what was done to the clock since
        then counts.
        """
        ...

    def list_secrets(self, credential: Credential, api_key: str) -> tuple[Secret, ...]:
        """List the live secrets of `api_key`, in no order that means anything.

        Raises:
            CredentialRefused: Vonage does not accept the credential.
            IssuerError: any other failure.
        """
        ...

    def create_secret(
        self, credential: Credential, api_key: str, value: SecretValue, *, before_send: BeforeSend
    ) -> Secret:
        """Make `value` a secret of `api_key`.

        Raises:
            SecretRejected: the value does not comply, or is already a secret of the account.
            SlotsFull: the account has two secrets.
            IssuerError: any other failure; `definite` tells whether it had no effect.
        """
        ...

    def delete_secret(
        self, credential: Credential, api_key: str, secret_id: str, *, before_send: BeforeSend
    ) -> None:
        """Revoke one secret.

        Raises:
            SecretNotFound: it is gone already.
            LastSecret: it is the account's only one.
            IssuerError: any other failure.
        """
        ...


class Store(Protocol):
    """Where consumers read secrets: Vault KV version 2.

    Every call blocks until it is answered or its time is up. A write is durable on return, and
    sent within about a second or not at all. One that raises an error with `definite` true had
    no effect; any other may have had. A write is sent again only where it certainly had no effect:
    it never left, or Vault took no part in it yet.
    """

    def read_current(
        self,
        account: Account,
        written: Written = NOTHING_WRITTEN,
        *,
        seconds: float | None = None,
    ) -> StoredCurrent | None:
        """Read the newest version of the current entry; None where there is none.

        One that is older than what was `written` is looked for again, as a standby may lag; it
        is returned where it stays so. No try is begun after `seconds`, where another wait is too
        long.

        Raises:
            UnexpectedEntry: there is an entry, but not one rotator can read.
            StoreError: any other failure.
        """
        ...

    def read_base(self, account: Account, written: Written = NOTHING_WRITTEN) -> StoredCurrent:
        """Read what a write to the current entry would replace, which may be nothing.

        Where there is no entry, or nothing in it any more, that has no fields, and the version
        that a write has to name: 0 where there never was one, as far as this server knows. One
        that is older than what was `written` is looked for again, as by `read_current`.

        Raises:
            StoreError: any failure.
        """
        ...

    def read_version(self, account: Account, version: int) -> StoredCurrent:
        """Read exactly `version` of the current entry, waiting for a standby that lags.

        Raises:
            VersionMissing: it did not appear within the store's patience.
            StoreError: any other failure.
        """
        ...

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

        Over version 0 is written only where there never was a version. Returns what was written.

        Raises:
            CheckAndSetLost: the entry is no longer the one in `base`.
            StoreError: any other failure.
        """
        ...

    def read_pending(self, account: Account) -> StoredPending:
        """Read the account's pending path.

        Raises:
            StoreError: any failure.
        """
        ...

    def write_pending(
        self,
        account: Account,
        base: StoredPending,
        value: SecretValue,
        entry: PendingEntry,
        *,
        before_send: BeforeSend,
    ) -> StoredPending:
        """Write the pending entry over `base` and return what now stands there.

        Raises:
            CheckAndSetLost: the path is no longer as in `base`.
            StoreError: any other failure.
        """
        ...

    def clear_pending(self, account: Account, upto: int, *, before_send: BeforeSend) -> None:
        """Remove for good what the versions of the pending entry up to `upto` hold. Idempotent.

        A later version stays, however late the request arrives.

        Raises:
            StoreError: any failure.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Sighting:
    """What `status` shows without asking Vonage or Vault again."""

    listed_ids: tuple[str, ...]
    #: The id that Vault's value is known to have; None where that is not certain.
    current_id: str | None
    #: When Vonage created it; None where unknown.
    current_since: datetime | None
    #: What is wrong, named exactly; None where all is as expected.
    drift: str | None
    #: When the account is due by its current secret's age; None where that is not known, which
    #: keeps the time that is recorded.
    next_due_at: datetime | None = None
    #: Since when consumers have been seen to have no secret at all: the account is due by then.
    first_due_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class AccountRecord:
    """What the ledger knows of one account."""

    name: str
    #: Ids that Vonage listed when it was last asked; empty before that.
    listed_ids: tuple[str, ...]
    current_id: str | None
    current_since: datetime | None
    seen_at: datetime | None
    drift: str | None
    next_due_at: datetime | None
    hold: Hold | None
    last_rotation: Rotation | None
    #: When a rotation was last completed.
    last_success_at: datetime | None = None
    #: Passes in a row that failed or were refused, and when the next one may be made.
    failures: int = 0
    retry_at: datetime | None = None

    @classmethod
    def blank(cls, name: str) -> Self:
        """Know nothing of account `name`."""
        return cls(
            name=name,
            listed_ids=(),
            current_id=None,
            current_since=None,
            seen_at=None,
            drift=None,
            next_due_at=None,
            hold=None,
            last_rotation=None,
        )


@dataclass(frozen=True, kw_only=True)
class Draft:
    """A ledger entry to be written; the ledger adds account, time, sequence and hashes."""

    #: What happened; `rotator.rotation.steps` lists the events.
    event: str
    step: Step | None
    #: Facts as JSON: ids, versions, codes. Never a value.
    detail: Mapping[str, str | int | bool | None]
    rotation_id: str | None = None
    #: What was written to the current entry by it; kept beside the entry, not in it.
    written: Written | None = None


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the ledger knows of an account."""

    rotation: Rotation | None
    #: Superseded predecessors and orphans: secrets that rotator may delete.
    expendable_ids: frozenset[str]
    #: Who holds the account and why; None where nobody does.
    hold: Hold | None
    #: How that differs, in words, from what the ledger's entries say; None where it does not.
    hold_fault: str | None = None
    #: Likewise for the open rotation.
    rotation_fault: str | None = None
    #: Secrets that were deleted, and those that may have been or may yet be, as a deletion was
    #: begun and what became of it is not known. The newest, which a list that lags may show.
    deleted_ids: frozenset[str] = frozenset()
    perhaps_deleted_ids: frozenset[str] = frozenset()
    #: The secret that an operator had written to Vault, or began to, and that no rotation has
    #: replaced since; None for none.
    adopted_id: str | None = None
    #: Version of the current entry that it was written over.
    adopted_over: int = 0
    #: What rotator wrote to the current entry last.
    written: Written = NOTHING_WRITTEN
    #: Hash of the newest entry; 64 zeros before the first.
    head: str
    #: What was wrong when the account was last looked at, named exactly; None for nothing.
    drift: str | None = None
    #: Id of the ledger itself, which a copy or a restored backup shares.
    ledger_id: str | None = None
    #: What the account was when it was last registered; None for never.
    identity: Identity | None = None

    def written_to(self, account: Account) -> Written:
        """Return what rotator wrote last to the path that `account` has now."""
        before = self.identity
        is_elsewhere = before is not None and before.vault_path != account.identity.vault_path
        return NOTHING_WRITTEN if is_elsewhere else self.written


@dataclass(frozen=True, kw_only=True)
class Claimant:
    """An account that already has what another one is about to be recorded with."""

    #: Its name.
    name: str
    #: What both have, in words, and as it is.
    what: str
    which: str


@dataclass(frozen=True, kw_only=True)
class Committed:
    """The account as a commit left it."""

    #: Hash of the newest entry.
    head: str
    #: Who holds the account and why: one that was put before this commit is seen by it.
    hold: Hold | None


@dataclass(frozen=True, kw_only=True)
class Lease:
    """The right to work on one account until it expires, unless it is renewed."""

    account: str
    owner: str
    #: The fencing token: grows by one each time the account changes hands.
    token: int
    #: How long the lease lasts from each renewal, in seconds.
    seconds: float


class Hooks(Protocol):
    """Who is told of what happens to accounts, and who is asked.

    What has to be told is in the ledger; each call here may be made any number of times.
    """

    def has_listeners(self, account: Account) -> bool:
        """Whether anyone is told of a new secret of `account`."""
        ...

    def gates(self, account: Account) -> tuple[str, ...]:
        """Name the gates that have to be open before a predecessor of `account` is deleted."""
        ...

    def ask(self, account: Account, rotation: Rotation, gate: str) -> str | None:
        """Ask one gate: None where it is open, else why it is not, on one line.

        Blocks until it has answered or its time is up. No answer means shut.

        Raises:
            Stopping: this process is to end.
        """
        ...

    def is_telling(self, account: Account) -> bool:
        """Whether a hook has not been told of a new secret of `account` even once.

        After `tell`, that is where another thread or process is trying to: it may be waited
        for, as it succeeds, fails, or has its try taken over by the next `tell`.

        Raises:
            LedgerError: what is to be told cannot be read.
        """
        ...

    def tell(self, account: Account) -> Iterator[object]:
        """Tell each hook of a new secret of `account` that was not told of it even once.

        One after the other; gives something after each, so that a lease can be renewed. A hook
        that fails is no error: the delivery stays, to be tried again by others, as is whatever
        else there is to tell. Whom another process is telling now is left to it.

        Raises:
            LedgerError: what is to be told cannot be read, or what became of it not be recorded.
            Stopping: this process is to end; what was being told is still to be told.
        """
        ...


class Ledger(Protocol):
    """The durable record, and the only arbiter of who works on an account.

    No call keeps a transaction open after it returns. All may raise `LedgerError`, after
    which nothing of the call has been recorded, or, for a commit whose answer was lost,
    it may have been.
    """

    def claim(self, name: str, now: datetime) -> Lease:
        """Take the right to work on account `name`.

        Raises:
            Busy: another process has it, and is not known to be dead.
        """
        ...

    def release(self, lease: Lease) -> None:
        """Give the lease up; one that was given up or lost already is left alone."""
        ...

    def recall(self, name: str) -> Memory:
        """Give what is known of account `name`."""
        ...

    def knows_rotation(self, name: str, rotation_id: str) -> bool:
        """Whether account `name` ever had this rotation, open or closed, but not abandoned."""
        ...

    def claimant(self, name: str, identity: Identity) -> Claimant | None:
        """Return another account than `name` that is the same, or has one of its paths."""
        ...

    def register(self, lease: Lease, identity: Identity, now: datetime) -> Claimant | None:
        """Keep what the leased account is, unless another account is the same or has its path.

        Recorded in an entry, unless it is the account's first one: the opening of a rotation
        tells that. Returns that other one; nothing was recorded then. Of two processes that
        register the same under two names at once, one is refused.

        Raises:
            LeaseLost: the lease is no longer this owner's.
        """
        ...

    def knows_secret(self, name: str, secret_id: str) -> bool:
        """Whether a rotation or an adoption of account `name` ever had this secret."""
        ...

    def commit(  # noqa: PLR0913  # all but one by name
        self,
        lease: Lease,
        *,
        rotation: Rotation | None,
        entries: Sequence[Draft],
        sighting: Sighting | None,
        now: datetime,
        last: bool = False,
    ) -> Committed:
        """Record all of this or nothing, durably, and renew the lease with it.

        The `last` one gives the lease up instead.

        `rotation` as it is now (None leaves the record of rotations alone), `entries` to
        append in this order, `sighting` to be kept for `status`. Whatever hooks are to be told
        of them is recorded with them, as deliveries to be made.

        Raises:
            LeaseLost: the lease is no longer this owner's; nothing was recorded.
            Refused: what the ledger says of a hold, or of a secret that is about to be deleted,
                is not what its entries say; nothing was recorded.
        """
        ...

    def renew(self, lease: Lease, now: datetime) -> None:
        """Prolong the lease.

        Raises:
            LeaseLost: the lease is no longer this owner's.
        """
        ...

    def check(self, lease: Lease) -> Hold | None:
        """Read who holds the account, provided that the lease is still this owner's.

        One short read, made right before each effect: it writes nothing and waits for nobody.

        Raises:
            LeaseLost: the lease is no longer this owner's.
        """
        ...
