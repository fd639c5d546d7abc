"""Observation of one account: Vault's two entries, Vonage's list, the ledger's state.

Vonage is asked first with the account's own value, which also shows whether consumers read a
working secret; then with the parent's; then with the pending value, which may be the only one
left that works. Credentials are read afresh for each observation. A refused one is read and tried
once more, since it may have been rotated in between.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rotator.errors import CheckAndSetLost, CredentialRefused, StoreError, UnexpectedEntry
from rotator.model import (
    NOTHING_WRITTEN,
    Account,
    Credential,
    CurrentEntry,
    Hold,
    PendingEntry,
    Rotation,
    Secret,
    ShutGate,
    Written,
)
from rotator.rotation.credentials import own_credential, with_own_credential
from rotator.rotation.ports import (
    AccountState,
    Hooks,
    Issuer,
    Ledger,
    Store,
    StoredCurrent,
    StoredPending,
)
from rotator.rotation.session import LONGEST_LOOK


@dataclass(frozen=True, kw_only=True)
class Observation:
    """An observation of one account: facts only, never a secret value."""

    #: When Vonage's list was read.
    seen_at: datetime
    #: None where Vonage accepted none of rotator's credentials.
    listed: tuple[Secret, ...] | None
    current: CurrentEntry | None
    pending: PendingEntry | None
    #: The ledger's open rotation.
    rotation: Rotation | None
    #: KV version of the pending path, which a check-and-set write to it must state.
    pending_version: int = 0
    #: When Vault removes the pending entry on its own; None for never.
    pending_ends_at: datetime | None = None
    #: The operator's hold; None where there is none.
    hold: Hold | None = None
    #: How the ledger's rows and entries differ about that, in words; None where they do not.
    hold_fault: str | None = None
    #: Likewise about the open rotation.
    rotation_fault: str | None = None
    #: Ids that the ledger knows as expendable: superseded predecessors, orphans.
    expendable_ids: frozenset[str] = frozenset()
    #: Ids that the ledger knows as deleted, or whose deletion was begun: a lagging list may still
    #: show one of them.
    deleted_ids: frozenset[str] = frozenset()
    #: The ledger has no rotation for the pending entry: the ledger was lost or replaced, or the
    #: rotation is in another one.
    pending_is_unrecorded: bool = False
    #: Id of the ledger.
    ledger_id: str | None = None
    #: The secret that an operator adopted into Vault and no rotation has replaced since; never
    #: treated as expendable.
    adopted_id: str | None = None
    #: Version of the current entry that the adoption replaced.
    adopted_over: int = 0
    #: This pass staged the pending entry and has recorded every time its value was sent.
    pending_is_unsent: bool = False
    #: When Vault's current value last authenticated; None if Vonage refused it.
    current_live_at: datetime | None = None
    #: When the pending value last authenticated; None if not tried or refused since.
    pending_live_at: datetime | None = None
    #: When this pass first saw the pending value refused or not found; None if it did not.
    pending_refused_since: datetime | None = None
    #: When this pass last saw it refused or not found.
    pending_refused_at: datetime | None = None
    #: Vault's current value equals the pending value.
    current_is_pending: bool = False
    #: Some hook is configured for `pushed`.
    has_hooks: bool = False
    #: Names of the gates that must be open before the predecessor is deleted.
    gates: tuple[str, ...] = ()
    #: When the gates were last asked; None if they were not.
    gates_asked_at: datetime | None = None
    #: The first gate that was shut then; None where all were open.
    shut_gate: ShutGate | None = None
    #: The current path never had a version, so that no consumer can have read one.
    entry_is_new: bool = False
    #: Content of the current path where there is no current entry any more: a removed version.
    removed: CurrentEntry | None = None
    #: What rotator last wrote to the current path, according to the ledger.
    written: Written = NOTHING_WRITTEN
    #: Whether the ledger has the id in the note beside Vault's value. An id that is neither in the
    #: ledger nor listed by Vonage may be anything, and is not repeated.
    noted_is_recorded: bool = False
    #: How far this machine's clock is ahead of Vonage's; negative where it is behind.
    clock_lead: timedelta = timedelta()

    @property
    def current_version(self) -> int:
        """KV version of the current path, whatever that version contains; 0 where there is none."""
        newest = self.current or self.removed
        return newest.version if newest else 0

    @property
    def is_behind(self) -> bool:
        """Whether Vault shows an older version than rotator wrote: a lagging standby, or a restore.

        False where Vault shows nothing at all: the entry was removed with all its versions.
        """
        return 0 < self.current_version < self.written.version

    @property
    def listed_ids(self) -> frozenset[str]:
        """The ids that Vonage lists."""
        return frozenset(secret.id for secret in self.listed or ())


#: A UUID as rotator makes them (RFC 9562), or any id shorter than every secret.
_ROTATION_ID = re.compile("[!-~]{1,7}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(kw_only=True)
class Observed:
    """Result of observing: the facts to decide on and, apart from them, the values to act with."""

    world: Observation
    current: StoredCurrent | None
    pending: StoredPending
    #: The credential that Vonage accepted; None if it accepted none.
    credential: Credential | None


@dataclass(frozen=True, kw_only=True)
class Observer:
    """Observes accounts; changes nothing."""

    issuer: Issuer
    store: Store
    ledger: Ledger
    #: All configured accounts by name; parents are looked up here.
    accounts: Mapping[str, Account]
    hooks: Hooks
    now: Callable[[], datetime]

    def look(self, account: Account, memory: AccountState | None = None) -> Observed:
        """Observe `account` at Vonage, in Vault and in the ledger.

        `memory` is the account's ledger state, if the caller has just loaded it.

        Raises:
            LedgerError: the ledger cannot be read.
            StoreError: Vault cannot be read.
            IssuerError: Vonage cannot be asked. A refused credential is a fact, not an error.
        """
        memory = memory or self.ledger.load(account.name)
        current, base = self._read(account, memory.written_to(account))
        is_new = base is not None and account.discovered and base.version == 0
        if base is not None and account.discovered and not is_new:
            # A first version may have been written in between.
            current, base = self._read(account, memory.written_to(account))
        pending = self.store.read_pending(account)
        seen_at = self.now()
        listed, credential = None, own_credential(account, current)
        if credential:
            listed = self._list(account, credential)
        if credential and listed is None:
            current, base = self._read(account, memory.written_to(account))
            credential = own_credential(account, current)
            listed = self._list(account, credential)
        current_live_at = seen_at if listed is not None else None
        if listed is None:
            credential, listed = self._list_as_parent(account)
        pending_live_at = None
        if listed is None and pending.value and _is_own(account, pending):
            credential = Credential(api_key=account.api_key, secret=pending.value)
            listed = self._list(account, credential)
            pending_live_at = seen_at if listed is not None else None
        world = Observation(
            seen_at=seen_at,
            listed=listed,
            current=current.entry if current else None,
            pending=pending.entry,
            pending_version=pending.version,
            pending_ends_at=pending.ends_at,
            rotation=memory.rotation,
            hold=memory.hold,
            hold_fault=memory.hold_fault,
            rotation_fault=memory.rotation_fault,
            expendable_ids=memory.expendable_ids,
            deleted_ids=memory.deleted_ids | memory.perhaps_deleted_ids,
            adopted_id=memory.adopted_id,
            adopted_over=memory.adopted_over,
            pending_is_unrecorded=self._is_unrecorded(account, memory, pending),
            current_live_at=current_live_at,
            pending_live_at=pending_live_at,
            ledger_id=memory.ledger_id,
            current_is_pending=bool(
                current and current.value and pending.value and current.value == pending.value
            ),
            has_hooks=self.hooks.has_listeners(account),
            gates=self.hooks.gates(account),
            entry_is_new=is_new,
            removed=base if base and base.version else None,
            written=memory.written_to(account),
            noted_is_recorded=self._is_noted_recorded(account, current, listed),
            clock_lead=self.issuer.clock_lead,
        )
        accepted = credential if listed is not None else None
        return Observed(world=world, current=current, pending=pending, credential=accepted)

    def _read(
        self, account: Account, written: Written
    ) -> tuple[StoredCurrent | None, CurrentEntry | None]:
        """Read the current entry; if it is empty, also the base that a write would replace."""
        current = self.store.read_current(account, written)
        return current, None if current else self.store.read_base(account, written).entry

    def _list_as_parent(
        self, account: Account
    ) -> tuple[Credential | None, tuple[Secret, ...] | None]:
        """List with the parent's credential."""
        if not account.managed_by:
            return None, None
        parent = self.accounts[account.managed_by]
        written = self.ledger.load(parent.name).written_to(parent)

        def send(credential: Credential) -> tuple[Credential, tuple[Secret, ...]]:
            return credential, self.issuer.list_secrets(credential, account.api_key)

        try:
            return with_own_credential(self.store, parent, send, written)
        except CredentialRefused:
            return None, None

    def _list(self, account: Account, credential: Credential | None) -> tuple[Secret, ...] | None:
        """List the account's secrets; None where the credential is missing or refused."""
        if credential is None:
            return None
        try:
            return self.issuer.list_secrets(credential, account.api_key)
        except CredentialRefused:
            return None

    def _is_unrecorded(
        self, account: Account, memory: AccountState, pending: StoredPending
    ) -> bool:
        opened = memory.rotation
        if pending.entry is None or (opened and opened.id == pending.entry.rotation_id):
            return False
        # The rotation continues under this id, which the ledger records: it must be nothing but an
        # id.
        if not _ROTATION_ID.fullmatch(pending.entry.rotation_id):
            raise UnexpectedEntry(
                f"the pending entry {account.pending_path} has no id of a rotation",
                hint="look at it in Vault: it may hold the only copy of a secret; remove it with "
                "all its versions once it does not",
            )
        return not self.ledger.knows_rotation(account.name, pending.entry.rotation_id)

    def _is_noted_recorded(
        self, account: Account, current: StoredCurrent | None, listed: tuple[Secret, ...] | None
    ) -> bool:
        """Return whether the ledger knows the note's id, where Vonage does not list it."""
        note = current.entry.note if current else None
        if note is None or note.secret_id in {secret.id for secret in listed or ()}:
            return False
        return self.ledger.knows_secret(account.name, note.secret_id)


def _is_own(account: Account, pending: StoredPending) -> bool:
    """Return whether the pending value belongs to the account; any other is sent nowhere."""
    return pending.entry is not None and pending.entry.difference(account.identity) is None


def seen_again(before: Observation | None, world: Observation) -> Observation:
    """Keep what a look does not show: for how long the pending value was refused, or not found.

    And what gates said: their answers count for a while, as to ask them may take longer than a
    look at Vonage is good for. One that was shut is asked anew.
    """
    since = before.pending_refused_since if before else None
    at = before.pending_refused_at if before else None
    if world.pending is None:
        since, at = since or world.seen_at, world.seen_at
    asked_at = before.gates_asked_at if before and before.shut_gate is None else None
    is_unsent = before is not None and before.pending_is_unsent and before.pending == world.pending
    return replace(
        world,
        pending_is_unsent=is_unsent,
        pending_refused_since=since,
        pending_refused_at=at,
        gates_asked_at=asked_at,
    )


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
