"""Adoption: put a secret that an operator has into Vault, and rotate it from then on.

It also ends a rotation that cannot go on by itself, because what was pushed is dead or was
overwritten. Before anything is written, Vonage must accept the value and its id must be
certain. Nothing is deleted here. After any interruption, adopting the same value again completes
the adoption.
"""

from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import cached_property, partial

from rotator.errors import CredentialRefused, Refused, RotatorError, StoreError
from rotator.model import (
    Account,
    Actor,
    Credential,
    Note,
    Rotation,
    Secret,
    SecretValue,
    Step,
    Written,
)
from rotator.model.secret import whole_id
from rotator.rotation import identity, refusals, window
from rotator.rotation.dependencies import Dependencies
from rotator.rotation.ports import (
    AccountState,
    LastLook,
    Lease,
    NewEntry,
    StoredCurrent,
    StoredPending,
)
from rotator.rotation.session import LedgerSession
from rotator.rotation.steps import bookkeeping
from rotator.rotation.steps.publish import note_of


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """Result of an adoption."""

    account: str
    secret: Secret
    #: Version of the current entry with the adopted value.
    vault_version: int
    #: False where Vault already had the value, with a note that names the secret.
    is_written: bool
    #: The open rotation after the adoption; None where none was open.
    rotation: Rotation | None
    #: When Vault removes the version on its own; None for never.
    ends_at: datetime | None = None
    #: When that rotation may delete the old secret, and whether its grace has begun anew: consumers
    #: have read another secret meanwhile. None where it does not wait for that.
    delete_due_at: datetime | None = None
    is_grace_anew: bool = False


@dataclass(frozen=True, kw_only=True)
class Adoption:
    """Adopts one secret, under the account's lease."""

    dependencies: Dependencies
    account: Account
    lease: Lease
    #: None for the value in Vault's entry.
    given: SecretValue | None
    #: Id that the operator named, or its beginning; None to determine it.
    given_id: str | None
    actor: Actor

    def carry_out(self) -> Adopted:
        """Prove the value, find its id, write it to Vault and record it.

        Raises:
            Refused: it is not certain which secret the value is, or Vault's entry is another
                account's.
            CredentialRefused: Vonage does not accept the value.
            RotatorError: something failed; adopt it again.
        """
        # Without the id that is asked for, which may be a value that was put in its place.
        with self._session.asked_for(NewEntry.requested(self.actor, "adopt")):
            return self._carry_out()

    def _carry_out(self) -> Adopted:
        if refusal := identity.register(self.account, self._state, self._session):
            raise refusal.error()
        if self._base.entry.is_foreign:
            raise refusals.wrong_entry(self.account).error()
        secret = self._identify(self._listed)
        # A version that Vault will remove is written again: the new one stays if nothing expires
        # any more.
        is_noted = self._is_noted(secret.id) and not self._base.entry.ends_at
        if not is_noted:
            self._require_kept(secret.id)
        is_known = is_noted and not self._is_put_back(secret.id)
        entry = self._base.entry
        known = Written(version=entry.version, ends_at=entry.ends_at)
        written = known if is_known else self._write(secret.id)
        before, rotation = self._state.rotation, self._recorded(secret.id, written)
        opened = rotation if rotation and rotation.closed_at is None else None
        return Adopted(
            account=self.account.name,
            secret=secret,
            vault_version=written.version,
            is_written=not is_known,
            rotation=rotation,
            ends_at=written.ends_at,
            delete_due_at=window.deletion_at(self.account.policy, opened) if opened else None,
            is_grace_anew=bool(opened and before and opened.verified_at != before.verified_at),
        )

    def _is_put_back(self, secret_id: str) -> bool:
        """Return whether someone else wrote the entry last, and no adoption of this secret.

        It is written again for the record, which would otherwise keep another secret as current.
        """
        written = self._state.written_to(self.account).version
        return 0 < written < self._base.entry.version and self._state.adopted_id != secret_id

    @cached_property
    def secret_id(self) -> str | None:
        """Id that the operator named, whole."""
        return self.given_id and whole_id(self.given_id, (secret.id for secret in self._listed))

    @cached_property
    def _session(self) -> LedgerSession:
        return self.dependencies.session(self.lease)

    @cached_property
    def _state(self) -> AccountState:
        return self._session.begin()

    @cached_property
    def _base(self) -> StoredCurrent:
        return self.dependencies.store.read_base(self.account, self._state.written_to(self.account))

    @cached_property
    def _pending(self) -> StoredPending:
        return self.dependencies.store.read_pending(self.account)

    @cached_property
    def _value(self) -> SecretValue:
        value = self.given or self._base.value
        if value is None:
            raise Refused(
                f"Vault has no value at {self.account.vault_path}, "
                f"field {self.account.secret_field}",
                code="entry-missing",
                hint=f"bring the value: `rotator adopt {self.account.name}` asks for it",
            )
        return value

    @cached_property
    def _listed(self) -> tuple[Secret, ...]:
        """List the live secrets with the value itself, which proves it."""
        credential = Credential(api_key=self.account.api_key, secret=self._value)
        try:
            return self.dependencies.issuer.list_secrets(credential, self.account.api_key)
        except CredentialRefused:
            raise CredentialRefused(
                f"Vonage refuses the value as a secret of {self.account.api_key}",
                hint="it is mistyped, revoked or another account's; one that was just made may "
                "take a minute",
            ) from None

    def _identify(self, listed: tuple[Secret, ...]) -> Secret:
        """Return the listed secret that the value belongs to.

        A note is bound to its value, so a matching note names the id, unless that id is not listed
        and the operator names another: the note may name a wrong secret, deleted before the note
        was written. The open rotation's note, whose id for its value is in the ledger, also rules
        out ids. A deleted secret is never the answer, even if a list shows it.
        """
        named = next((note.secret_id for note in self._notes() if note.matches(self._value)), None)
        deleted = self._state.deleted_ids
        others = {secret.id: secret for secret in listed if secret.id not in deleted}
        if named and (named in others or not self.secret_id):
            self._require(others, named, named)
            return others[named]
        others.pop(self._excluded() or "", None)
        if self.secret_id:
            self._require(others, self.secret_id, None)
            return others[self.secret_id]
        if len(others) == 1:
            only = next(iter(others.values()))
            if only.id not in self._state.perhaps_deleted_ids:
                return only
            self._require_kept(only.id)
        raise _ambiguous(self.account, listed, is_given=self.given is not None)

    def _require(self, possible: dict[str, Secret], secret_id: str, named: str | None) -> None:
        hint = f"nothing was changed; see `rotator secrets list {self.account.name}`"
        # An unlisted id is not echoed: a note or an operator may have put a value in its place.
        is_known = named in possible or named in self._state.deleted_ids
        which = f"secret {named}" if is_known else "a secret that Vonage does not list"
        if named and self.secret_id not in (None, named):
            asked = self.secret_id if self.secret_id in possible else "the one that is asked for"
            why = f"the value is that of {which}, not of {asked}"
        elif secret_id in possible:
            return
        elif named:
            why = f"the value is that of {which}: it was revoked and stops working soon"
            hint += "; if it works on, its note names a wrong id, and --secret-id the right one"
        elif secret_id in self._state.deleted_ids:
            why = f"secret {secret_id} was deleted by rotator, though a list may still show it"
        else:
            why = "the value is not that of the secret that is asked for"
        raise Refused(why, code="unknown-current", hint=hint)

    def _require_kept(self, secret_id: str) -> None:
        """Refuse a secret whose deletion was begun: the request may still arrive.

        Exempt are deletions that cannot take effect: Vonage keeps the last secret, and the request
        fails if Vault's value, its credential, is dead.
        """
        rotation = self._state.rotation
        if rotation is None or len(self._listed) == 1:
            return
        doomed_id = rotation.new_id if rotation.abort_code else rotation.predecessor_id
        is_doomed = rotation.step is Step.DELETE and secret_id == doomed_id
        if (is_doomed or rotation.step is Step.EVICT) and self._is_base_live():
            raise Refused(
                f"rotation {rotation.id} has begun to delete a secret, which may be {secret_id}, "
                "and the request may still be on its way",
                code="rotation-open",
                hint=f"`rotator resume {self.account.name}` continues it; try again after that",
            )

    def _is_base_live(self) -> bool:
        value = self._base.value
        if value is None:
            return False
        with suppress(CredentialRefused):
            credential = Credential(api_key=self.account.api_key, secret=value)
            return bool(self.dependencies.issuer.list_secrets(credential, self.account.api_key))
        return False

    def _notes(self) -> list[Note]:
        """Return the existing notes: beside the present value, and of the last push."""
        return [note for note in (self._base.entry.note, self._pushed_note) if note]

    @cached_property
    def _pushed_note(self) -> Note | None:
        rotation = self._state.rotation
        if rotation is None or rotation.vault_version in (None, self._base.entry.version):
            return None
        with suppress(StoreError):
            version = rotation.vault_version or 0
            return self.dependencies.store.read_version(self.account, version).entry.note
        return None

    def _excluded(self) -> str | None:
        """Return the id that the value certainly does not have, as none of the notes matches it."""
        rotation = self._state.rotation
        is_bound = rotation is not None and any(
            (note.rotation_id, note.secret_id) == (rotation.id, rotation.new_id)
            for note in self._notes()
        )
        return rotation.new_id if rotation and is_bound else None

    def _is_own(self, rotation: Rotation, secret_id: str) -> bool:
        """Return whether the open rotation created this secret."""
        note = self._base.entry.note
        is_noted = note and (note.rotation_id, note.secret_id) == (rotation.id, secret_id)
        pending = self._pending.entry
        is_pending = pending and pending.rotation_id == rotation.id
        is_same = is_pending and self._pending.value == self._value
        # Also where the note that the rotation pushed with the value names a wrong id.
        is_pushed = any(
            one.rotation_id == rotation.id and one.matches(self._value) for one in self._notes()
        )
        return secret_id == rotation.new_id or bool(is_noted or is_same or is_pushed)

    def _is_noted(self, secret_id: str) -> bool:
        """Return whether Vault already has the value, with a correct note."""
        note = self._base.entry.note
        if note is None or self._base.value != self._value or not self._base.entry.intact:
            return False
        if self._base.entry.version < self._state.written_to(self.account).version:
            # Either Vault was restored, which a write proves, or a standby lags and the write
            # fails.
            return False
        if self._state.adopted_id not in (None, secret_id):
            # Somebody restored it by hand, and now it is adopted; or a standby lags.
            return False
        rotation = self._state.rotation
        is_own = rotation is not None and self._is_own(rotation, secret_id)
        is_right = not is_own or note.rotation_id == self._rotation_id(secret_id)
        return note.secret_id == secret_id and is_right

    def _rotation_id(self, secret_id: str) -> str:
        """Return the note's rotation id: of the open one, if it made the secret, else a new one."""
        rotation = self._state.rotation
        return rotation.id if rotation and self._is_own(rotation, secret_id) else self._new_id

    @cached_property
    def _new_id(self) -> str:
        return self.dependencies.new_id()

    def _write(self, secret_id: str) -> Written:
        def intend() -> None:
            self._commit([self._entry("intent", secret_id)], self._spared(secret_id))

        def done(written: Written) -> None:
            entry = self._entry("done", secret_id, vault_version=written.version)
            self._session.entries.append(replace(entry, written=written))

        def missed(event: str, error: RotatorError) -> None:
            after = self._state.rotation if error.definite else None
            self._commit([self._entry(event, secret_id, code=error.code)], after)

        return self._session.perform(
            partial(self._send, secret_id),
            hold=self._state.hold,
            intend=intend,
            done=done,
            missed=missed,
        )

    def _send(self, secret_id: str, look: LastLook) -> Written:
        note = note_of(
            self.account,
            self._value,
            next(secret for secret in self._listed if secret.id == secret_id),
            rotation_id=self._rotation_id(secret_id),
            ledger_head=self._session.head,
            now=self.dependencies.now(),
        )
        return self.dependencies.store.write_current(
            self.account, self._base, self._value, note, before_send=look
        )

    def _spared(self, secret_id: str) -> Rotation | None:
        rotation = self._state.rotation
        if rotation is None:
            return None
        is_pushed = self._pushed_version(rotation) is not None
        return bookkeeping.spared(rotation, secret_id, is_pushed=is_pushed)

    def _recorded(self, secret_id: str, written: Written) -> Rotation | None:
        """Commit the adoption's outcome; return the rotation that is open after it."""
        entries, rotation = [], self._state.rotation
        if rotation is not None:
            rotation, entry = bookkeeping.after_adoption(
                rotation,
                secret_id=secret_id,
                vault_version=written.version,
                is_own=self._is_own(rotation, secret_id),
                pushed_version=self._pushed_version(rotation),
                clock_offset=self.dependencies.issuer.clock_offset,
                now=self.dependencies.now(),
            )
            entries = [entry] if entry else []
        self._commit(entries, rotation)
        return rotation

    def _pushed_version(self, rotation: Rotation) -> int | None:
        """Return the version that the rotation pushed, even where only Vault's note records it."""
        entry = self._base.entry
        is_noted = entry.note is not None and entry.note.rotation_id == rotation.id
        return rotation.vault_version or (entry.version if is_noted else None)

    def _entry(self, event: str, secret_id: str, **detail: str | int) -> NewEntry:
        facts = {"by": "operator", "operation": "adopt", "secret_id": secret_id}
        over = self._base.entry.version
        return NewEntry(event=event, step=Step.PUSH, detail={**facts, "over": over, **detail})

    def _commit(self, entries: list[NewEntry], rotation: Rotation | None = None) -> None:
        self._session.entries += entries
        self._session.commit(rotation, None, last=False)


def _ambiguous(account: Account, listed: tuple[Secret, ...], *, is_given: bool) -> Refused:
    made = sorted((secret.created_at, secret.id) for secret in listed)
    names = " and ".join(f"{id_} (made {at:%Y-%m-%d %H:%M:%S} UTC)" for at, id_ in made)
    return Refused(
        f"Vonage lists {names or 'nothing'}, and which of them the value is, it does not say",
        code="unknown-current",
        hint=f"`rotator adopt {account.name}{'' if is_given else ' --from-vault'} --secret-id ID` "
        "says it, if you are sure: the other one may be deleted later",
    )
