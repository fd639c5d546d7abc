"""An issuer, a store and a ledger in memory, each call of which may go any way it can go.

They stand in for the adapters and keep to the contracts in `rotator.rotation.ports`: which errors
mean that nothing happened, and which that it may have.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from rotator.errors import (
    Busy,
    CredentialRefused,
    IssuerUnavailable,
    LeaseLost,
    LedgerError,
    NotSent,
    StoreForbidden,
    StoreUnavailable,
    VersionMissing,
)
from rotator.ledger import deletions
from rotator.ledger.leases import fenced
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
    ShutGate,
    Step,
    Written,
)
from rotator.rotation.ports import (
    AccountSnapshot,
    AccountState,
    BeforeSend,
    Claimant,
    CommitResult,
    Hooks,
    Issuer,
    Lease,
    Ledger,
    NewEntry,
    Store,
    StoredCurrent,
    StoredPending,
)
from rotator.vault.entries import current_fields, previous_in, without_previous
from tests.model_checking.entries import contradiction, read
from tests.model_checking.invariants import Violation, is_proof_due
from tests.model_checking.world import (
    FIELD,
    OTHER,
    PARENT,
    ClearPending,
    CreateSecret,
    DeleteSecret,
    Intent,
    Kept,
    Staged,
    WriteCurrent,
    WritePending,
    end_of,
    when,
)

if TYPE_CHECKING:
    from tests.model_checking.process import Process

#: How long a lease lasts, in seconds.
LEASE = 600.0
#: How long Vonage may refuse a new secret, and a request may be under way, in seconds.
PATIENCE = 80.0
#: How long a gate takes that takes its time, in seconds: longer than a look is good for.
LONG_ANSWER = 61.0
#: How Vonage may answer while the news of a secret spreads.
LAGS = "done, without the newest"
#: Only where the world has it so: as `lists_revoked` says.
REMEMBERS = "done, with the one revoked last"
OLD_LIST = "done, without the newest and with the one revoked last"
#: How a standby of Vault may answer.
OLD_NEWS = "the version before"


class MemoryIssuer(Issuer):
    """Vonage."""

    def __init__(self, process: "Process") -> None:
        """Answer `process`."""
        self._process, self._world = process, process.world
        self._has_told = False

    @property
    def clock_offset(self) -> timedelta:
        """The clock's offset by the last answer, moved by whatever was done to the clock since."""
        return timedelta(seconds=self._world.astray if self._has_told else 0.0)

    def list_secrets(self, credential: Credential, api_key: str) -> tuple[Secret, ...]:
        """List what is live, if the credential is accepted."""
        del api_key
        value = credential.secret.reveal()
        self._process.tries(value)
        ways = partial(self._ways_to_list, value)
        answer = self._process.at("list", ways, "unanswered", detail=value)
        if answer == "unanswered":
            raise IssuerUnavailable
        self._has_told = True
        self._world.heard(value, accepted=answer != "401")
        if answer == "401":
            is_buried = any(secret.value == value for secret in self._world.graves)
            self._process.refused = value if is_buried else None
            raise CredentialRefused
        self._process.saw("vonage")
        listed = self._world.live[:-1] if answer in (LAGS, OLD_LIST) else self._world.live
        if answer in (REMEMBERS, OLD_LIST) and self._world.lingering:
            listed = (*listed, self._world.lingering)
        return tuple(_listed(secret.id) for secret in listed)

    def create_secret(
        self, credential: Credential, api_key: str, value: SecretValue, *, before_send: BeforeSend
    ) -> Secret:
        """Make a secret."""
        del api_key
        effect = CreateSecret(credential=credential.secret.reveal(), value=value.reveal())
        self._send(effect, before_send)
        made = self._world.issued(value.reveal())
        if made is None:
            raise AssertionError
        return _listed(made.id)

    def delete_secret(
        self, credential: Credential, api_key: str, secret_id: str, *, before_send: BeforeSend
    ) -> None:
        """Revoke a secret."""
        del api_key
        effect = DeleteSecret(credential=credential.secret.reveal(), id=secret_id)
        self._send(effect, before_send)

    def _send(self, effect: CreateSecret | DeleteSecret, before_send: BeforeSend) -> None:
        ways = partial(self._ways, effect.credential)
        self._process.send(effect, ways, before_send, refused=NotSent, lost=IssuerUnavailable)

    def _ways_to_list(self, value: str) -> list[str]:
        ways, world = self._ways(value), self._world
        if "done" not in ways:
            return ways
        newest = world.live[-1]
        is_behind = value != newest.value or world.lists_revoked
        if is_behind and world.now < newest.since + min(world.spread, PATIENCE):
            ways.append(LAGS)
        if world.lists_revoked and world.lingering and world.is_news(world.lingering):
            ways += [REMEMBERS, OLD_LIST] if LAGS in ways else [REMEMBERS]
        return ways

    def _ways(self, value: str) -> list[str]:
        """Return the ways in which Vonage may take a credential, the likeliest first."""
        world = self._world
        if world.lingers_on(value):
            return ["401", "done"]
        secret = world.issued(value)
        if secret and world.is_news(secret):
            return ["done", "401"]
        return ["done"] if secret or value == PARENT else ["401"]


class MemoryStore(Store):
    """Vault."""

    def __init__(self, process: "Process") -> None:
        """Answer `process`."""
        self._process, self._world = process, process.world

    def read_current(
        self,
        account: Account,
        written: Written = NOTHING_WRITTEN,
        *,
        seconds: float | None = None,
    ) -> StoredCurrent | None:
        """Read the newest version, or the one before, where a standby goes on lagging."""
        del written, seconds
        if account.name == "parent":
            return _stored(account, 1, Kept(value=PARENT, note=None, noted=None))
        answer = self._read("read current", self._world.current_before)
        self._process.saw("vault")
        versions = self._world.current
        if answer == OLD_NEWS and self._world.current_before is not None:
            versions = self._world.current_before
        kept = versions[-1] if versions else None
        return _stored(account, len(versions), kept) if kept else None

    def read_version(
        self, account: Account, version: int, *, seconds: float | None = None
    ) -> StoredCurrent:
        """Read a certain version."""
        del seconds
        self._read("read version")
        versions = self._world.current
        is_off = self._world.keeps and version <= len(versions) - self._world.keeps
        kept = versions[version - 1] if version <= len(versions) and not is_off else None
        if kept is None:
            raise VersionMissing
        return _stored(account, version, kept)

    def read_base(self, account: Account, written: Written = NOTHING_WRITTEN) -> StoredCurrent:
        """Read what a write would replace."""
        if stored := self.read_current(account, written):
            return stored
        entry = CurrentEntry(
            version=len(self._world.current), note=None, intact=False, has_value=False
        )
        return StoredCurrent(entry=entry, value=None, fields={})

    def write_current(
        self,
        account: Account,
        base: StoredCurrent,
        value: SecretValue,
        note: Note,
        *,
        before_send: BeforeSend,
    ) -> Written:
        """Write over `base`."""
        fields = current_fields(account, without_previous(base), value, note, base.value)
        kept = _kept(account, fields, note, noted=value)
        is_by_hand = self._process.asked.adopts is not None
        effect = WriteCurrent(base=base.entry.version, kept=kept, is_by_hand=is_by_hand)
        self._write(effect, before_send)
        kept = replace(kept, ends="current" in self._world.ends)
        return Written(version=base.entry.version + 1, ends_at=end_of(kept))

    def withdraw_previous(
        self, account: Account, base: StoredCurrent, *, before_send: BeforeSend
    ) -> tuple[StoredCurrent, Written]:
        """Write over `base` what is left without the replaced value."""
        note, version = base.entry.note, base.entry.version
        if note is None or base.value is None:
            raise AssertionError
        note = replace(note, previous_field=None, previous_check=None)
        kept = _kept(account, without_previous(base), note, noted=base.value)
        self._write(WriteCurrent(base=version, kept=kept, is_withdrawal=True), before_send)
        kept = replace(kept, ends="current" in self._world.ends)
        stored = _stored(account, version + 1, kept)
        return stored, Written(version=version + 1, ends_at=end_of(kept))

    def read_pending(self, account: Account) -> StoredPending:
        """Read what is pending."""
        del account
        answer = self._read("read pending", self._world.pending_before)
        versions = self._world.pending
        if answer == OLD_NEWS and self._world.pending_before is not None:
            versions = self._world.pending_before
        version, staged = len(versions), versions[-1] if versions else None
        self._process.pending = staged.entry if staged else None
        if staged is None:
            return StoredPending(version=version)
        return _stored_pending(version, staged)

    def write_pending(
        self,
        account: Account,
        base: StoredPending,
        value: SecretValue,
        entry: PendingEntry,
        *,
        before_send: BeforeSend,
    ) -> StoredPending:
        """Write over `base`."""
        del account
        staged = Staged(value=value.reveal(), entry=entry)
        self._write(WritePending(base=base.version, staged=staged), before_send)
        staged = replace(staged, ends="pending" in self._world.ends)
        return StoredPending(
            version=base.version + 1, entry=entry, value=value, ends_at=end_of(staged)
        )

    def clear_pending(self, account: Account, upto: int, *, before_send: BeforeSend) -> None:
        """Remove what is pending."""
        del account
        self._write(ClearPending(upto=upto), before_send)

    def _read(self, what: str, before: object = None) -> str:
        def ways() -> list[str]:
            return ["done", OLD_NEWS] if self._world.lags and before is not None else ["done"]

        answer = self._process.at(what, ways, "unavailable")
        if answer == "unavailable":
            raise StoreUnavailable
        self._world.lags -= answer == OLD_NEWS
        return answer

    def _write(
        self, effect: WriteCurrent | WritePending | ClearPending, before_send: BeforeSend
    ) -> None:
        ways = self._ways_to_stage if isinstance(effect, WritePending) else _done
        self._process.send(effect, ways, before_send, refused=StoreForbidden, lost=StoreUnavailable)

    def _ways_to_stage(self) -> list[str]:
        return ["done", "done, but unfit"] if self._world.rejections else ["done"]


class MemoryHooks(Hooks):
    """Those who are told, and the gates."""

    def __init__(self, process: "Process") -> None:
        """Answer `process`."""
        self._process, self._world = process, process.world

    def has_subscribers(self, account: Account) -> bool:
        """Whether anyone is told of a new secret."""
        del account
        return self._world.has_hooks

    def gates(self, account: Account) -> tuple[str, ...]:
        """Return the gates."""
        del account
        return self._world.gates

    def ask(self, account: Account, rotation: Rotation, gate: str) -> ShutGate | None:
        """Ask a gate; it may be shut as often as the world has it, and may take its time."""
        del account, rotation
        answer = self._process.at(f"ask {gate}", self._ways_to_open, "open, after a minute")
        if answer == "shut":
            self._world.shuts -= 1
            self._process.opened = frozenset()
            return ShutGate(name=gate, reason="shut")
        if answer != "open":
            self._world.pass_time(LONG_ANSWER)
        self._process.opened |= {gate}
        return None

    def is_notifying(self, account: Account) -> bool:
        """Whether another process is at it: none is."""
        del account
        return False

    def notify(self, account: Account) -> Iterator[object]:
        """Notify of the new secret; whether that succeeds does not matter here."""
        del account
        self._process.at("tell", _done)
        rotation = self._world.rotation
        self._world.told = rotation.id if rotation else None
        yield None

    def _ways_to_open(self) -> list[str]:
        return ["open", "shut"] if self._world.shuts else ["open"]


class MemoryLedger(Ledger):
    """The ledger; its rules are those of `rotator.ledger.writer`."""

    def __init__(self, process: "Process") -> None:
        """Answer `process`."""
        self._process, self._world = process, process.world

    def claim(self, name: str, now: datetime) -> Lease:
        """Take the lease."""
        del now
        self._call("claim")
        world = self._world
        if world.owner and world.expires > world.now:
            raise Busy
        world.token += 1
        world.owner = self._process.name
        self._process.token = world.token
        self._prolong()
        return Lease(account=name, owner=self._process.name, token=world.token, seconds=LEASE)

    def release(self, lease: Lease) -> None:
        """Release the lease."""
        if not self._process.is_over and lease.token == self._world.token:
            self._world.owner = None

    def load(self, name: str) -> AccountState:
        """Load the account's state."""
        del name
        self._call("load")
        world = self._world
        return AccountState(
            rotation=world.rotation,
            expendable_ids=world.expendable,
            adopted_id=world.adopted_id,
            adopted_base_version=world.adopted_base_version,
            deleted_ids=frozenset(id_ for id_, state in world.deletions if state == "done"),
            perhaps_deleted_ids=frozenset(id_ for id_, state in world.deletions if state != "done"),
            written=world.written,
            hold=world.hold,
            head="head",
            ledger_id=world.ledger_id,
            identity=None if world.is_forgotten else self._process.accounts["account"].identity,
        )

    def knows_rotation(self, name: str, rotation_id: str) -> bool:
        """Whether there ever was that rotation."""
        del name
        self._call("knows rotation")
        return self._world.knows(rotation_id)

    def knows_secret(self, name: str, secret_id: str) -> bool:
        """Whether there ever was that secret."""
        del name
        return self._world.knows_secret(secret_id)

    def claimant(self, name: str, identity: Identity) -> Claimant | None:
        """Return who else has it: nobody ever has."""
        del name, identity
        raise AssertionError

    def register(self, lease: Lease, identity: Identity | None, now: datetime) -> Claimant | None:
        """Keep what the account is; nobody else ever is that."""
        del now
        self._call("register")
        self._guard(lease)
        self._world.is_forgotten = identity is None
        return None

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
        """Record it."""
        del snapshot
        note = " ".join(f"{entry.event}:{entry.step or ''}" for entry in entries)
        answer = self._process.at("commit", _done, "fails", "recorded, unheard", detail=note)
        self._guard(lease)
        if answer == "fails":
            raise LedgerError
        if any(entry.detail.get("reason") == "recovered" for entry in entries):
            self._process.recovers()
        self._record(lease, rotation, entries, now)
        committed = CommitResult(head="head", hold=self._world.hold)
        if last:
            self._world.owner = None
        self._process.changed()
        if answer != "done":
            raise LedgerError
        return committed

    def renew(self, lease: Lease, now: datetime) -> None:
        """Prolong the lease."""
        del now
        self._call("renew")
        self._guard(lease)
        self._prolong()

    def check(self, lease: Lease) -> Hold | None:
        """Read who holds the account, if the lease is still ours."""
        self._call("check")
        self._guard(lease)
        return self._world.hold

    def _record(
        self, lease: Lease, rotation: Rotation | None, entries: Sequence[NewEntry], now: datetime
    ) -> None:
        world = self._world
        if world.relapses and (rotation and rotation != world.rotation):
            world.remember()
        opened = world.rotation
        if rotation and rotation.verified_at != (opened.verified_at if opened else None):
            world.begun = world.true
        resting_id = world.resting[0] if world.resting else None
        if rotation and rotation.verified_at and rotation.predecessor_id == resting_id:
            until = world.begun + rotation.grace.total_seconds()
            world.resting = (resting_id or "", until)
        if rotation:
            # One that was abandoned may be open once more.
            world.closed = tuple(each for each in world.closed if each.id != rotation.id)
        if rotation and rotation.closed_at:
            world.closed = (*world.closed, rotation)
            world.rotation = None
            world.completed += rotation.outcome == "completed"
        elif rotation:
            world.rotation = rotation
        asked = self._process.asks_as(lease.token)
        world.unread = (*world.unread, (tuple(fenced([*asked, *entries], lease)), now))
        world.deletions = deletions.after(world.deletions, entries, rotation)
        for entry in entries:
            world.intent = _intent(lease, entry)
            world.written = entry.written or world.written
            self._keep_adopted(entry, rotation)
        if self._process.is_new:
            self._read()
            if found := contradiction(world.replay, rotation, entries, world.adopted_id):
                raise Violation("I12", found)
            is_proof_due(world, rotation, entries, self._process.refused)
        self._prolong()

    def _read(self) -> None:
        """See what the entries say, and that they show every rule kept."""
        world = self._world
        world.replay, world.rules = read(world.replay, world.rules, world.unread)
        world.unread = ()
        for broken in world.rules.violations:
            raise Violation("I17", str(broken))

    def _keep_adopted(self, entry: NewEntry, rotation: Rotation | None) -> None:
        world = self._world
        if entry.event == "intent" and entry.detail.get("operation") == "adopt":
            world.adopted_id = str(entry.detail["secret_id"])
            world.adopted_base_version = int(entry.detail["over"] or 0)
        elif entry.event in _NOT_DONE and entry.detail.get("operation") == "adopt":
            world.adopted_id = None
        elif (entry.event, entry.step) == ("done", Step.VERIFY) and rotation:
            is_replaced = rotation.replaces(
                world.adopted_id, base_version=world.adopted_base_version
            )
            world.adopted_id = None if is_replaced else world.adopted_id

    def _guard(self, lease: Lease) -> None:
        if lease.token != self._world.token:
            raise LeaseLost

    def _prolong(self) -> None:
        self._world.expires = self._world.now + LEASE

    def _call(self, what: str) -> None:
        if self._process.at(what, _done, "fails") != "done":
            raise LedgerError


#: Events of an effect that certainly did not take place.
_NOT_DONE = ("rejected", "withdrawn")


def _intent(lease: Lease, entry: NewEntry) -> Intent | None:
    """Return the intent that an entry states, if it does."""
    if entry.event != "intent" or entry.step is None:
        return None
    secret_id = entry.detail.get("secret_id")
    named = secret_id if isinstance(secret_id, str) else None
    return Intent(token=lease.token, step=entry.step.value, secret_id=named)


def _done() -> list[str]:
    return ["done"]


@lru_cache(maxsize=1000)
def _listed(secret_id: str) -> Secret:
    return Secret(id=secret_id, created_at=when(0))


@lru_cache(maxsize=1000)
def _stored_pending(version: int, staged: Staged) -> StoredPending:
    value = SecretValue(staged.value)
    return StoredPending(version=version, entry=staged.entry, value=value, ends_at=end_of(staged))


@lru_cache(maxsize=1000)
def _stored(account: Account, version: int, kept: Kept) -> StoredCurrent:
    value = SecretValue(kept.value)
    found = {account.secret_field: kept.value, FIELD: kept.previous, OTHER: kept.other}
    fields = {name: text for name, text in found.items() if text is not None}
    name, previous = previous_in(account, fields, kept.note)
    entry = CurrentEntry(
        version=version,
        note=kept.note,
        intact=bool(kept.note and kept.note.matches(value)),
        has_value=True,
        ends_at=end_of(kept),
        previous=name,
        is_previous_taken=account.previous_field in fields and account.previous_field != name,
    )
    return StoredCurrent(entry=entry, value=value, fields=fields, previous=previous)


def _kept(account: Account, fields: Mapping[str, Any], note: Note, *, noted: SecretValue) -> Kept:
    """Return the version that has `fields`, but for the note."""
    previous = fields.get(FIELD)
    return Kept(
        value=fields[account.secret_field],
        note=note,
        noted=noted.reveal(),
        previous=previous,
        previous_noted=previous if note.previous_field else None,
        other=fields.get(OTHER),
    )
