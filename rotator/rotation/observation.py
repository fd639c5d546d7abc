"""Looking at the world: Vault's two entries, Vonage's list, the ledger's memory.

Vonage is asked with the account's own value first, as that also shows whether consumers read
a working secret; then with the parent's, then with the pending value, which may be the only
one left that works. Credentials are read afresh for each look. A refused one is read and
tried once more, since it may have been rotated in between.
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
from rotator.rotation.ports import (
    Hooks,
    Issuer,
    Ledger,
    Memory,
    Store,
    StoredCurrent,
    StoredPending,
)
from rotator.rotation.session import LONGEST_LOOK


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


#: As rotator makes them (RFC 9562), or what is shorter than any secret.
_ROTATION_ID = re.compile("[!-~]{1,7}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


@dataclass(kw_only=True)
class Sight:
    """What was seen: the facts to decide on and, apart from them, the values to act with."""

    world: Observation
    current: StoredCurrent | None
    pending: StoredPending
    #: The credential that Vonage accepted; None if it accepted none.
    credential: Credential | None


@dataclass(frozen=True, kw_only=True)
class Observer:
    """Looks, and changes nothing."""

    issuer: Issuer
    store: Store
    ledger: Ledger
    #: Every configured account by name, to find parents in.
    accounts: Mapping[str, Account]
    hooks: Hooks
    now: Callable[[], datetime]

    def look(self, account: Account, memory: Memory | None = None) -> Sight:
        """Look at everything there is to know about `account`.

        `memory` is what the ledger knows of it, where the caller has just asked.

        Raises:
            LedgerError: the ledger cannot be read.
            StoreError: Vault cannot be read.
            IssuerError: Vonage cannot be asked. A refused credential is no error but a fact.
        """
        memory = memory or self.ledger.recall(account.name)
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
        return Sight(world=world, current=current, pending=pending, credential=accepted)

    def _read(
        self, account: Account, written: Written
    ) -> tuple[StoredCurrent | None, CurrentEntry | None]:
        """Read the current entry; beside it, where there is nothing in it, what stands there."""
        current = self.store.read_current(account, written)
        return current, None if current else self.store.read_base(account, written).entry

    def _list_as_parent(
        self, account: Account
    ) -> tuple[Credential | None, tuple[Secret, ...] | None]:
        """List with the parent's credential, read anew for the second try."""
        if not account.managed_by:
            return None, None
        parent = self.accounts[account.managed_by]
        written = self.ledger.recall(parent.name).written_to(parent)
        for _ in range(2):
            credential = own_credential(parent, self.store.read_current(parent, written))
            listed = self._list(account, credential)
            if listed is not None:
                return credential, listed
        return None, None

    def _list(self, account: Account, credential: Credential | None) -> tuple[Secret, ...] | None:
        """List the account's secrets; None where the credential is missing or refused."""
        if credential is None:
            return None
        try:
            return self.issuer.list_secrets(credential, account.api_key)
        except CredentialRefused:
            return None

    def _is_unrecorded(self, account: Account, memory: Memory, pending: StoredPending) -> bool:
        opened = memory.rotation
        if pending.entry is None or (opened and opened.id == pending.entry.rotation_id):
            return False
        # Carried on under its id, which goes into the ledger: it may be nothing but an id.
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
        """Whether the ledger has the id that the note names, where Vonage does not list it."""
        note = current.entry.note if current else None
        if note is None or note.secret_id in {secret.id for secret in listed or ()}:
            return False
        return self.ledger.knows_secret(account.name, note.secret_id)


def _is_own(account: Account, pending: StoredPending) -> bool:
    """Whether the pending value is the account's: another one's is sent nowhere."""
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


def own_credential(account: Account, current: StoredCurrent | None) -> Credential | None:
    """Give the credential that consumers of `account` use; None where Vault has none."""
    if current is None or current.value is None:
        return None
    return Credential(api_key=account.api_key, secret=current.value)


def require_unchanged(
    store: Store, account: Account, seen: StoredCurrent | None, written: Written
) -> None:
    """Refuse to go on where Vault does not hold what was `seen` there any more.

    `written` is what rotator wrote there last.

    Raises:
        CheckAndSetLost: someone else wrote to the current entry, or removed it.
        StoreError: it cannot be read, at least not within a moment: whoever wants to go on looks
            anew. It is `definite`, as nothing was done.
    """
    try:
        now = store.read_current(account, written, seconds=LONGEST_LOOK)
    except StoreError as error:
        error.definite = True
        raise
    if (now and (now.entry, now.value)) != (seen and (seen.entry, seen.value)):
        raise CheckAndSetLost
