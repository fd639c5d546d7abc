"""Observation of one account: its state now at Vonage, in Vault and in the ledger.

Vonage is asked first with the account's own value, which also shows whether consumers read a
working secret; then with the parent's; then with the pending value, which may be the only one
left that works. Credentials are read afresh for each observation. A refused one is read and tried
once more, since it may have been rotated in between.
"""

import re
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rotator.errors import CheckAndSetLost, CredentialRefused, StoreError, UnexpectedEntry
from rotator.model import (
    Account,
    Credential,
    CurrentEntry,
    PendingEntry,
    Rotation,
    Secret,
    SecretValue,
    ShutGate,
    State,
    Written,
)
from rotator.rotation.credentials import own_credential, with_own_credential
from rotator.rotation.dependencies import Dependencies
from rotator.rotation.ports import AccountState, Ledger, Store, StoredCurrent, StoredPending
from rotator.rotation.session import LONGEST_LOOK


@dataclass(frozen=True, kw_only=True)
class Listing:
    """What Vonage answered."""

    #: When the list was read.
    seen_at: datetime
    #: None where Vonage accepted none of rotator's credentials.
    secrets: tuple[Secret, ...] | None
    #: How far this machine's clock is ahead of Vonage's; negative where it is behind. Known from a
    #: refusal, too.
    clock_offset: timedelta = timedelta()

    @property
    def ids(self) -> frozenset[str]:
        """The ids that Vonage lists."""
        return frozenset(secret.id for secret in self.secrets or ())


@dataclass(frozen=True, kw_only=True)
class Current:
    """The current path at Vault, and whether its value works."""

    #: None where there is no entry, or none any more.
    entry: CurrentEntry | None
    #: KV version of the path, whatever that version contains; 0 where it never had one, so that no
    #: consumer can have read one.
    version: int
    #: When the newest version was removed, as Vault reports; None where it was not, or not so.
    removed_at: datetime | None = None
    #: When the value last authenticated; None if Vonage refused it.
    authenticated_at: datetime | None = None
    #: Whether the ledger has the id in the note beside the value. An id that is neither in the
    #: ledger nor listed by Vonage may be anything, and is not repeated.
    note_is_recorded: bool = False


@dataclass(frozen=True, kw_only=True)
class Pending:
    """The pending path at Vault, and whether its value works."""

    entry: PendingEntry | None = None
    #: KV version of the path, which a check-and-set write to it must state.
    version: int = 0
    #: When Vault removes the entry on its own; None for never.
    ends_at: datetime | None = None
    #: When the value last authenticated; None if not tried or refused since.
    authenticated_at: datetime | None = None
    #: When this pass first saw the value refused or not found; None if it did not.
    refused_since: datetime | None = None
    #: When this pass last saw it refused or not found.
    refused_at: datetime | None = None
    #: This pass staged the entry and has recorded every time its value was sent.
    is_unsent: bool = False
    #: The ledger has no rotation for the entry: the ledger was lost or replaced, or the rotation is
    #: in another one.
    is_unrecorded: bool = False
    #: Vault's current value equals the pending value.
    equals_current: bool = False


@dataclass(frozen=True, kw_only=True)
class GateCheck:
    """The gates that must be open before the predecessor is deleted, and what they answered."""

    names: tuple[str, ...] = ()
    #: When they were last asked; None if they were not.
    asked_at: datetime | None = None
    #: The first gate that was shut then; None where all were open.
    shut: ShutGate | None = None


@dataclass(frozen=True, kw_only=True)
class Proof:
    """What this pass found out about the value of the deleted predecessor."""

    #: How often Vonage accepted it after the deletion.
    tries: int = 0
    #: When Vonage first accepted it after the deletion, and last.
    accepted_since: datetime | None = None
    accepted_at: datetime | None = None
    #: Nothing has the value any more.
    is_impossible: bool = False


@dataclass(frozen=True, kw_only=True)
class Observation:
    """An observation of one account: facts only, grouped by their source, never a secret value."""

    listing: Listing
    current: Current
    pending: Pending
    #: As loaded, but `written` is about the path that the account has now.
    ledger: AccountState
    gates: GateCheck = field(default_factory=GateCheck)
    proof: Proof = field(default_factory=Proof)
    #: Some hook is configured for `pushed`.
    has_hooks: bool = False

    @property
    def rotation(self) -> Rotation | None:
        """The ledger's open rotation."""
        return self.ledger.rotation

    @property
    def is_behind(self) -> bool:
        """Whether Vault shows an older version than rotator wrote: a lagging standby, or a restore.

        False where Vault shows nothing at all: the entry was removed with all its versions.
        """
        return 0 < self.current.version < self.ledger.written.version

    @property
    def is_managed(self) -> bool:
        """Whether rotator knows the account's secret, or has ever known it."""
        ledger, entry = self.ledger, self.current.entry
        is_known = self.current_secret_id or ledger.rotation or (entry and entry.note)
        return bool(
            is_known or ledger.written.version or ledger.adopted_id or ledger.expendable_ids
        )

    @property
    def is_broken(self) -> bool:
        """Whether consumers read a secret that does not work, or nothing where they read one."""
        entry = self.current.entry
        if entry is None:
            return self.current.version > 0 or self.ledger.written.version > 0
        if not entry.has_value:
            known = self.ledger.trouble
            was_broken = known is not None and known.state is State.BROKEN
            return self.is_managed or was_broken or self.ledger.current_id is not None
        # With another account's API key beside it, the value says nothing about this account.
        return self.current.authenticated_at is None and not entry.is_foreign

    @property
    def current_secret_id(self) -> str | None:
        """The id of the secret that Vault's value certainly is; None where unsure.

        There are two certain cases: the note beside the value names it, the value is still the one
        that the note was written with, and Vonage lists the id; or there is no note, but just one
        secret exists and Vault's value authenticates.
        """
        entry, secrets = self.current.entry, self.listing.secrets
        if entry is None or secrets is None:
            return None
        if entry.note is not None:
            is_certain = entry.intact and entry.note.secret_id in self.listing.ids
            return entry.note.secret_id if is_certain else None
        return secrets[0].id if len(secrets) == 1 and self.current.authenticated_at else None

    def with_rotation(self, rotation: Rotation) -> "Observation":
        """Return the observation with `rotation` as the ledger's open one."""
        return replace(self, ledger=replace(self.ledger, rotation=rotation))

    def after(self, before: "Observation | None") -> "Observation":
        """Return it with what lasts from `before`, the previous observation in the same pass.

        That is since when the pending value was refused or not found, what became of the deleted
        one, and when the gates were asked: answers count for a while, as asking may take longer
        than a list stays recent. A gate that was shut is asked anew.
        """
        pending = before.pending if before else Pending()
        since, at, seen_at = pending.refused_since, pending.refused_at, self.listing.seen_at
        if self.pending.entry is None:
            since, at = since or seen_at, seen_at
        is_unsent = pending.is_unsent and pending.entry == self.pending.entry
        asked_at = before.gates.asked_at if before and before.gates.shut is None else None
        return replace(
            self,
            pending=replace(self.pending, is_unsent=is_unsent, refused_since=since, refused_at=at),
            gates=replace(self.gates, asked_at=asked_at),
            proof=before.proof if before else self.proof,
        )


@dataclass(kw_only=True)
class Observed:
    """Result of observing: the facts to decide on and, apart from them, the values to act with."""

    observation: Observation
    current: StoredCurrent | None
    pending: StoredPending
    #: The credential that Vonage accepted; None if it accepted none.
    credential: Credential | None
    #: The predecessor's value, which this pass replaced, or found in an older version of the entry.
    predecessor: SecretValue | None = None

    def after(self, before: "Observed | None") -> "Observed":
        """Return it with what lasts from `before`, the previous one in the same pass."""
        self.observation = self.observation.after(before.observation if before else None)
        self.predecessor = before.predecessor if before else None
        return self


def observe(
    dependencies: Dependencies, account: Account, state: AccountState | None = None
) -> Observed:
    """Observe `account` at Vonage, in Vault and in the ledger; change nothing.

    `state` is the account's ledger state, if the caller has just loaded it.

    Raises:
        LedgerError: the ledger cannot be read.
        StoreError: Vault cannot be read.
        IssuerError: Vonage cannot be asked. A refused credential is a fact, not an error.
    """
    ledger, store = dependencies.ledger, dependencies.store
    state = state or ledger.load(account.name)
    state = replace(state, written=state.written_to(account))
    current, base = _read(store, account, state.written)
    if base is not None and account.discovered and base.version:
        # A first version may have been written in between.
        current, base = _read(store, account, state.written)
    pending = store.read_pending(account)
    seen_at = dependencies.now()
    listed, credential = None, own_credential(account, current)
    if credential:
        listed = list_with(dependencies, account, credential)
    if credential and listed is None:
        current, base = _read(store, account, state.written)
        credential = own_credential(account, current)
        listed = list_with(dependencies, account, credential)
    current_authenticated_at = seen_at if listed is not None else None
    if listed is None:
        credential, listed = _list_as_parent(dependencies, account)
    pending_authenticated_at = None
    if listed is None and pending.value and _is_own(account, pending):
        credential = Credential(api_key=account.api_key, secret=pending.value)
        listed = list_with(dependencies, account, credential)
        pending_authenticated_at = seen_at if listed is not None else None
    newest = current.entry if current else base
    observation = Observation(
        listing=Listing(
            seen_at=seen_at, secrets=listed, clock_offset=dependencies.issuer.clock_offset
        ),
        current=Current(
            entry=current.entry if current else None,
            version=newest.version if newest else 0,
            removed_at=base.ends_at if base and base.version else None,
            authenticated_at=current_authenticated_at,
            note_is_recorded=_is_note_recorded(ledger, account, current, listed),
        ),
        pending=Pending(
            entry=pending.entry,
            version=pending.version,
            ends_at=pending.ends_at,
            authenticated_at=pending_authenticated_at,
            is_unrecorded=_is_unrecorded(ledger, account, state, pending),
            equals_current=bool(
                current and current.value and pending.value and current.value == pending.value
            ),
        ),
        ledger=state,
        gates=GateCheck(names=dependencies.hooks.gates(account)),
        has_hooks=dependencies.hooks.has_subscribers(account),
    )
    accepted = credential if listed is not None else None
    return Observed(observation=observation, current=current, pending=pending, credential=accepted)


def _read(
    store: Store, account: Account, written: Written
) -> tuple[StoredCurrent | None, CurrentEntry | None]:
    """Read the current entry; if it is empty, also the base that a write would replace."""
    current = store.read_current(account, written)
    return current, None if current else store.read_base(account, written).entry


def _list_as_parent(
    dependencies: Dependencies, account: Account
) -> tuple[Credential | None, tuple[Secret, ...] | None]:
    """List with the parent's credential."""
    if not account.managed_by:
        return None, None
    parent = dependencies.accounts[account.managed_by]
    written = dependencies.ledger.load(parent.name).written_to(parent)

    def send(credential: Credential) -> tuple[Credential, tuple[Secret, ...]]:
        return credential, dependencies.issuer.list_secrets(credential, account.api_key)

    try:
        return with_own_credential(dependencies.store, parent, send, written)
    except CredentialRefused:
        return None, None


def list_with(
    dependencies: Dependencies, account: Account, credential: Credential | None
) -> tuple[Secret, ...] | None:
    """List the account's secrets; None where the credential is missing or refused."""
    if credential is None:
        return None
    try:
        return dependencies.issuer.list_secrets(credential, account.api_key)
    except CredentialRefused:
        return None


#: A UUID as rotator makes them (RFC 9562), or any id shorter than every secret.
_ROTATION_ID = re.compile("[!-~]{1,7}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def _is_unrecorded(
    ledger: Ledger, account: Account, state: AccountState, pending: StoredPending
) -> bool:
    opened = state.rotation
    if pending.entry is None or (opened and opened.id == pending.entry.rotation_id):
        return False
    # The rotation continues under this id, which the ledger records: it must be nothing but an id.
    if not _ROTATION_ID.fullmatch(pending.entry.rotation_id):
        raise UnexpectedEntry(
            f"the pending entry {account.pending_path} has no rotation id",
            hint="look at it in Vault: it may hold the only copy of a secret; remove it with "
            "all its versions once it does not",
        )
    return not ledger.knows_rotation(account.name, pending.entry.rotation_id)


def _is_note_recorded(
    ledger: Ledger,
    account: Account,
    current: StoredCurrent | None,
    listed: tuple[Secret, ...] | None,
) -> bool:
    """Return whether the ledger knows the note's id, where Vonage does not list it."""
    note = current.entry.note if current else None
    if note is None or note.secret_id in {secret.id for secret in listed or ()}:
        return False
    return ledger.knows_secret(account.name, note.secret_id)


def _is_own(account: Account, pending: StoredPending) -> bool:
    """Return whether the pending value belongs to the account; any other is sent nowhere."""
    return pending.entry is not None and pending.entry.difference(account.identity) is None


def require_unchanged(
    store: Store, account: Account, seen: StoredCurrent | None, written: Written
) -> None:
    """Refuse to continue if Vault no longer holds what was `seen` there.

    `written` is what rotator last wrote there.

    Raises:
        CheckAndSetLost: another party wrote to the current entry, or removed it.
        StoreError: it cannot be read, or not quickly enough; the caller should observe anew. The
            error is `definite`, as nothing was done.
    """
    try:
        now = store.read_current(account, written, seconds=LONGEST_LOOK)
    except StoreError as error:
        error.definite = True
        raise
    if (now and (now.entry, now.value)) != (seen and (seen.entry, seen.value)):
        raise CheckAndSetLost
