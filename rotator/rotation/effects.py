"""What each step does at Vonage and Vault: its request, and what the record makes of the answer.

The intent of an effect is committed before it is called here; see `rotator.rotation.reconciler`.
"""

import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from rotator.errors import CheckAndSetLost, CredentialRefused, SecretNotFound, UnexpectedEntry
from rotator.model import (
    Account,
    Credential,
    CurrentEntry,
    Hold,
    Note,
    PendingEntry,
    Request,
    Rotation,
    SecretValue,
)
from rotator.rotation import record
from rotator.rotation.actions import Clear, Create, Delete, Effect, Evict, Push, Stage
from rotator.rotation.observation import Observation, Sight, own_credential, require_unchanged
from rotator.rotation.ports import BeforeSend, Draft, Issuer, Store, StoredCurrent, StoredPending
from rotator.rotation.session import Journal


@dataclass(frozen=True, kw_only=True)
class Effects:
    """The effects on one account. Each is tried once and judged by who asked for it."""

    account: Account
    issuer: Issuer
    store: Store
    journal: Journal
    #: Draws a secret of so many characters.
    draw: Callable[[int], str]
    now: Callable[[], datetime]

    def perform(
        self, action: Effect, sight: Sight, rotation: Rotation, hold: Hold | None
    ) -> tuple[Observation, Draft]:
        """Do `action`; return the world after it, and what to write down.

        `hold` is the one that it was decided with: right before the first byte, it must be
        unchanged, and the lease ours.

        Raises:
            IssuerError: Vonage refused, or its answer was lost; see `RotatorError.definite`.
            StoreError: Vault did.
            Withdrawn: nothing was sent, as it was not right any more.
            LeaseLost: nothing was sent, as another process may work on the account.
        """
        look = partial(self.journal.last_look, hold)
        match action:
            case Evict(secret_id=secret_id):
                self._delete(secret_id, sight, look)
                return record.evicted(sight.world, rotation, secret_id)
            case Stage(listed_ids=listed_ids):
                return self._stage(listed_ids, sight, rotation, look)
            case Create():
                secret = self.issuer.create_secret(
                    _credential(sight),
                    self.account.api_key,
                    _pending_value(sight),
                    before_send=look,
                )
                return record.created(sight.world, rotation, secret, self.now())
            case Push():
                return self._push(sight, rotation, look)
            case Clear(upto=upto):
                self.store.clear_pending(self.account, upto, before_send=look)
                sight.pending = StoredPending(version=upto)
                return record.cleared(sight.world, rotation)
            case Delete(secret_id=secret_id):  # pragma: no branch  # that is all of them
                self._delete(secret_id, sight, look)
                return record.deleted(sight.world, rotation, secret_id)

    def probe(self, sight: Sight, rotation: Rotation) -> tuple[Observation, Draft]:
        """Authenticate with the pending value, which lists the secrets, too.

        Raises:
            CredentialRefused: it does not authenticate, or not yet.
            IssuerError: Vonage did not answer.
        """
        credential = Credential(api_key=self.account.api_key, secret=_pending_value(sight))
        listed = self.issuer.list_secrets(credential, self.account.api_key)
        sight.credential = credential
        return record.probed(sight.world, rotation, listed, self.now())

    def verify(
        self, version: int, request: Request, sight: Sight, rotation: Rotation
    ) -> tuple[Observation, Draft]:
        """Read what was pushed from Vault, and compare.

        Raises:
            UnexpectedEntry: something else stands there.
            StoreError: Vault did not answer, or does not have that version yet.
        """
        stored = self.store.read_version(self.account, version)
        note = stored.entry.note
        is_ours = stored.entry.intact and note is not None and note.rotation_id == rotation.id
        is_same = sight.pending.value is None or sight.pending.value == stored.value
        if not (is_ours and is_same):
            message = f"version {version} at Vault is not what rotator wrote"
            raise UnexpectedEntry(message)
        sight.current = stored
        world = replace(sight.world, clock_lead=self.issuer.clock_lead)
        return record.verified(world, rotation, version, request, self.now())

    def _delete(self, secret_id: str, sight: Sight, look: Callable[..., object]) -> None:
        """Delete with the credential that Vault holds: if it does not work, nothing happens.

        What Vault holds is read once more, at the last moment: someone may have put back what is
        to go.
        """
        current = sight.current
        credential = own_credential(self.account, current)
        if not (credential and current and current.entry == sight.world.current):
            raise CheckAndSetLost
        unchanged = partial(
            require_unchanged, self.store, self.account, current, sight.world.written
        )
        # Gone is what was wanted: someone else's deletion, or ours whose answer was lost.
        with contextlib.suppress(SecretNotFound):
            self.issuer.delete_secret(
                credential,
                self.account.api_key,
                secret_id,
                before_send=partial(look, also=unchanged),
            )

    def _stage(
        self,
        listed_ids: frozenset[str],
        sight: Sight,
        rotation: Rotation,
        look: BeforeSend,
    ) -> tuple[Observation, Draft]:
        value = SecretValue(self.draw(self.account.policy.length))
        entry = PendingEntry(
            rotation_id=rotation.id,
            listed_ids=listed_ids,
            predecessor_id=rotation.predecessor_id,
            api_key=self.account.api_key,
            issuer=self.account.issuer,
            vault_path=self.account.identity.vault_path,
            ledger_id=sight.world.ledger_id,
        )
        sight.pending = self.store.write_pending(
            self.account, sight.pending, value, entry, before_send=look
        )
        return record.staged(sight.world, rotation, entry, sight.pending)

    def _push(
        self, sight: Sight, rotation: Rotation, look: BeforeSend
    ) -> tuple[Observation, Draft]:
        value, base = _pending_value(sight), sight.current
        if base is None and sight.world.entry_is_new:
            base = _NOTHING
        if base is None or rotation.new_id is None:
            raise CheckAndSetLost
        note = Note(
            secret_id=rotation.new_id,
            rotation_id=rotation.id,
            rotated_at=self.now(),
            ledger_head=self.journal.head,
            check=Note.check_of(value, secret_id=rotation.new_id, rotation_id=rotation.id),
        )
        written = self.store.write_current(self.account, base, value, note, before_send=look)
        return record.pushed(sight.world, rotation, note=note, written=written)


#: What the first version of an entry is written over.
_NOTHING = StoredCurrent(
    entry=CurrentEntry(version=0, note=None, intact=False, has_value=False),
    value=None,
    fields={},
)


def _pending_value(sight: Sight) -> SecretValue:
    if sight.pending.value is None:
        message = "decided on a pending entry that is not there"
        raise AssertionError(message)
    return sight.pending.value


def _credential(sight: Sight) -> Credential:
    if sight.credential is None:
        raise CredentialRefused
    return sight.credential
