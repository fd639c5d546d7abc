"""The new value at Vault: push it, read it back, clear the pending entry."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import ClassVar

from rotator.errors import CheckAndSetLost, UnexpectedEntry
from rotator.model import (
    MOST_OFFSET,
    Account,
    CurrentEntry,
    Note,
    Request,
    Rotation,
    Secret,
    SecretValue,
    Step,
    Written,
)
from rotator.rotation import schedule, window
from rotator.rotation.observation import Current, Observation
from rotator.rotation.ports import LastLook, NewEntry, StoredCurrent, StoredPending
from rotator.rotation.steps.base import (
    At,
    Change,
    Check,
    Detail,
    Effect,
    ObserveAgain,
    Site,
    Sketch,
    timestamp,
)
from rotator.rotation.steps.issue import NEW_ID

#: The base of an entry's first version.
_NOTHING = StoredCurrent(
    entry=CurrentEntry(version=0, note=None, intact=False, has_value=False),
    value=None,
    fields={},
)

#: What to do where a version that was pushed holds something else.
_NOT_OURS = (
    "restore the version that rotator wrote, or accept what is there now: "
    "`rotator adopt {name} --from-vault`"
)


@dataclass(frozen=True, kw_only=True)
class Push(Effect[tuple[Note, Written]]):
    """Write the pending value to the current entry."""

    name = Step.PUSH
    sketch = Sketch(
        step="push",
        where="vault",
        what="write it to {current} in Vault, check-and-set version {base}",
        facts={"path": "current", "check_and_set": "base"},
    )

    def intent(self, observation: Observation, rotation: Rotation, now: datetime) -> Rotation:
        """Record the pending version: it is cleared later, whatever a standby then shows.

        Likewise the version that holds the predecessor's value.
        """
        is_certain = _holds_predecessor(observation, rotation)
        return replace(
            super().intent(observation, rotation, now),
            pending_version=observation.pending.version,
            predecessor_version=observation.current.version if is_certain else None,
        )

    def grounds(self, observation: Observation, rotation: Rotation, at: At) -> dict[str, Detail]:
        """Return the version that its check-and-set states, and that of the pending value."""
        pending_version = observation.pending.version
        return {"over": observation.current.version, "pending_version": pending_version}

    def entry(self, event: str, rotation: Rotation, **detail: Detail) -> NewEntry:
        """Return its entry, which records the version that holds the predecessor's value."""
        if version := rotation.predecessor_version:
            detail["predecessor_version"] = version
        return super().entry(event, rotation, **detail)

    def perform(self, site: Site, rotation: Rotation, look: LastLook) -> tuple[Note, Written]:
        """Write it over what was seen, with a note that binds it to its id and its rotation."""
        value, base = site.pending_value, site.observed.current
        if base is None and site.observed.observation.current.version == 0:
            base = _NOTHING
        if base is None or rotation.new_id is None:
            raise CheckAndSetLost
        observation, now = site.observed.observation, site.now()
        listed = {secret.id: secret for secret in observation.listing.secrets or ()}
        note = note_of(
            site.account,
            value,
            listed.get(rotation.new_id, Secret(id=rotation.new_id, created_at=now)),
            rotation_id=rotation.id,
            ledger_head=site.ledger_head,
            now=now,
        )
        old_valid_until = _deletion_at(site.account, observation, rotation, site.request, now)
        note = replace(note, old_valid_until=old_valid_until)
        if base.value and keeps_previous(site.account, observation, rotation, site.request):
            note = note.keeping(base.value, site.account.previous_field)
        written = site.store.write_current(site.account, base, value, note, before_send=look)
        if _holds_predecessor(site.observed.observation, rotation):
            site.observed.predecessor = base.value
        return note, written

    def done(
        self, observation: Observation, rotation: Rotation, result: tuple[Note, Written], at: At
    ) -> Change:
        """Record that the value that just authenticated is now the current one."""
        note, written = result
        rotation = replace(rotation, vault_version=written.version)
        before = observation.current.entry
        entry = CurrentEntry(
            version=written.version,
            note=note,
            intact=True,
            has_value=True,
            ends_at=written.ends_at,
            previous=note.previous_field,
            is_previous_taken=before is not None and before.is_previous_taken,
        )
        current = Current(
            entry=entry,
            version=written.version,
            authenticated_at=observation.pending.authenticated_at,
            note_is_recorded=observation.current.note_is_recorded,
        )
        observation = replace(
            observation,
            current=current,
            pending=replace(observation.pending, equals_current=True),
            ledger=replace(observation.ledger, rotation=rotation, written=written),
        )
        recorded = self.entry("done", rotation, vault_version=written.version)
        return observation, replace(recorded, written=written)

    def assumed(self, observation: Observation, rotation: Rotation, at: At) -> tuple[Note, Written]:
        is_kept = keeps_previous(at.account, observation, rotation, at.request)
        note = Note(
            secret_id=rotation.new_id or NEW_ID,
            rotation_id=rotation.id,
            rotated_at=at.now,
            ledger_head="",
            check="",
            previous_field=at.account.previous_field if is_kept else None,
        )
        return note, Written(version=observation.current.version + 1)


def note_of(  # noqa: PLR0913  # half by name
    account: Account,
    value: SecretValue,
    secret: Secret,
    *,
    rotation_id: str,
    ledger_head: str,
    now: datetime,
) -> Note:
    """Return the note for `value`, which is `secret` at Vonage; it is due as that one is."""
    due_at = schedule.next_due(account, secret.created_at)
    return Note(
        secret_id=secret.id,
        rotation_id=rotation_id,
        rotated_at=now,
        ledger_head=ledger_head,
        check=Note.check_of(value, secret_id=secret.id, rotation_id=rotation_id),
        next_rotation_at=max(due_at, now) if due_at else None,
    )


def keeps_previous(
    account: Account, observation: Observation, rotation: Rotation, request: Request
) -> bool:
    """Return whether Vault's value is kept beside the new one: it is the predecessor's, and works.

    A value that leaked is not kept, nor one without a grace.
    """
    entry = observation.current.entry
    is_leaked = "compromised" in (rotation.reason, request.reason)
    if entry is None or entry.is_previous_taken or not account.previous_field or is_leaked:
        return False
    is_live = observation.current.authenticated_at is not None
    is_predecessors = _holds_predecessor(observation, rotation)
    return is_live and is_predecessors and bool(_grace(rotation, request))


def _deletion_at(
    account: Account,
    observation: Observation,
    rotation: Rotation,
    request: Request,
    now: datetime,
) -> datetime | None:
    """Return when the predecessor may be deleted if its grace starts now; None without one."""
    if rotation.predecessor_id is None:
        return None
    grace = _grace(rotation, request)
    verified_at = grace_start(grace, observation.listing.clock_offset, now)
    return window.deletion_at(
        account.policy, replace(rotation, grace=grace, verified_at=verified_at)
    )


def _holds_predecessor(observation: Observation, rotation: Rotation) -> bool:
    """Return whether the current value is certainly the predecessor's.

    An intact note says so. Without a note it is, if it authenticates and the new secret is the only
    other one.
    """
    entry, predecessor_id = observation.current.entry, rotation.predecessor_id
    if entry is None or predecessor_id is None:
        return False
    if entry.note is not None:
        return entry.intact and entry.note.secret_id == predecessor_id
    is_another = not observation.pending.equals_current
    is_live = observation.current.authenticated_at is not None and is_another
    return is_live and observation.listing.ids - {rotation.new_id} == {predecessor_id}


@dataclass(frozen=True, kw_only=True)
class Verify(Check[timedelta]):
    """Read back the version that was written and compare it with the pending value."""

    name = Step.VERIFY
    sketch = Sketch(
        step="verify",
        where="vault",
        what="read version {version} back and compare",
        facts={"path": "current", "vault_version": "version"},
    )
    #: A push shows in Vault even if it is not recorded, so both are committed together.
    commits_first: ClassVar[bool] = False

    version: int

    def perform(self, site: Site, rotation: Rotation) -> timedelta:
        """Read and compare; return how far this machine's clock is ahead of Vonage's.

        Raises:
            UnexpectedEntry: Vault holds something else.
            StoreError: Vault did not answer, or does not show that version yet.
            ObserveAgain: the clock was put back since: by the next answer, no grace is counted.
        """
        observed, stored = site.observed, site.store.read_version(site.account, self.version)
        note = stored.entry.note
        is_ours = stored.entry.intact and note is not None and note.rotation_id == rotation.id
        pending = observed.pending
        # After a failover that lost commits, a rotation that the ledger does not know may be there.
        is_other = pending.entry is None or pending.entry.rotation_id != rotation.id
        is_same = is_other or pending.value in (None, stored.value)
        if not (is_ours and is_same):
            message = f"version {self.version} at Vault is not what rotator wrote"
            raise UnexpectedEntry(message, hint=_NOT_OURS.format(name=site.account.name))
        observed.current = stored
        offset = site.issuer.clock_offset
        if _grace(rotation, site.request) and offset < -MOST_OFFSET:
            raise ObserveAgain
        return offset

    def done(
        self, observation: Observation, rotation: Rotation, result: timedelta, at: At
    ) -> Change:
        """Record that Vault holds the new value. The grace starts now."""
        grace = _grace(rotation, at.request)
        verified_at = grace_start(grace, result, at.now)
        rotation = replace(
            rotation,
            step=self.name,
            verified_at=verified_at,
            grace=grace,
            vault_version=self.version,
        )
        ledger = replace(observation.ledger, rotation=rotation)
        if rotation.replaces(ledger.adopted_id, base_version=ledger.adopted_base_version):
            ledger = replace(ledger, adopted_id=None)
        listing = replace(observation.listing, clock_offset=result)
        return replace(observation, ledger=ledger, listing=listing), self.entry(
            "done",
            rotation,
            vault_version=self.version,
            verified_at=timestamp(verified_at),
            grace_seconds=int(grace.total_seconds()),
        )

    def assumed(self, observation: Observation, rotation: Rotation, at: At) -> timedelta:
        return observation.listing.clock_offset


def _grace(rotation: Rotation, request: Request) -> timedelta:
    """Return the grace to start: the rotation's own, unless the request sets another."""
    return rotation.grace if request.grace is None else request.grace


def grace_start(grace: timedelta, clock_offset: timedelta, now: datetime) -> datetime:
    """Return the time from which a grace that starts now is counted.

    If this clock is behind Vonage's, that is later than now: once corrected, it would otherwise end
    the grace early, this one or a shorter one that is asked for later.
    """
    return now + min(max(-clock_offset, timedelta()), MOST_OFFSET) if grace else now


@dataclass(frozen=True, kw_only=True)
class Clear(Effect[None]):
    """Destroy the pending entry's versions up to `upto`; later ones stay."""

    name = Step.CLEAR
    sketch = Sketch(
        step="clear",
        where="vault",
        what="destroy what {pending} holds in Vault",
        facts={"path": "pending"},
    )

    #: Newest version that may hold a value; 0 where the path never had one.
    upto: int

    def perform(self, site: Site, rotation: Rotation, look: LastLook) -> None:
        """Remove it."""
        site.store.clear_pending(site.account, self.upto, before_send=look)
        site.observed.pending = StoredPending(version=self.upto)

    def done(self, observation: Observation, rotation: Rotation, result: None, at: At) -> Change:
        """Record that the pending entry is gone; a verified rotation has hooks or a wait ahead."""
        if rotation.verified_at:
            rotation = replace(rotation, step=Step.HOOKS if observation.has_hooks else Step.WAIT)
        pending = replace(observation.pending, entry=None, ends_at=None, equals_current=False)
        return replace(observation.with_rotation(rotation), pending=pending), self.entry(
            "done", rotation
        )

    def assumed(self, observation: Observation, rotation: Rotation, at: At) -> None:
        """Return nothing: there is no answer to be made up."""
