"""Before a value is sent: open a rotation, free a slot, stage a value."""

from dataclasses import dataclass, replace
from datetime import datetime

from rotator.model import Account, Actor, PendingEntry, Request, Rotation, SecretValue, Step
from rotator.model.times import rfc3339
from rotator.rotation.observation import Observation, Pending
from rotator.rotation.ports import LastLook, NewEntry, StoredPending
from rotator.rotation.steps.base import Action, At, Change, Detail, Effect, Site, Sketch, new_entry
from rotator.rotation.steps.retire import SecretDeletion
from rotator.rotation.window import BY_HAND


@dataclass(frozen=True, kw_only=True)
class Open(Action):
    """Open a rotation."""

    predecessor_id: str | None
    #: Id of a rotation that is in Vault but not in the ledger; None for a new rotation.
    recovered_id: str | None = None

    def done(self, observation: Observation, new_id: str, at: At) -> Change:
        """Open it as `new_id`. A recovered one may have sent its value already.

        The entry also records when Vonage created the secret to be replaced, for its age.
        """
        recovered = self.recovered_id is not None
        account, request = at.account, at.request
        rotation = Rotation(
            id=self.recovered_id or new_id,
            account=account.name,
            reason="recovered" if recovered else request.reason or "asked",
            step=Step.OPEN,
            predecessor_id=self.predecessor_id,
            grace=account.policy.grace if request.grace is None else request.grace,
            opened_at=at.now,
            identity=account.identity,
            sent_at=at.now if recovered else None,
        )
        made = {secret.id: secret.created_at for secret in observation.listing.secrets or ()}
        since = made.get(rotation.predecessor_id or "")
        entry = new_entry(
            "opened",
            Step.OPEN,
            rotation,
            reason=rotation.reason,
            predecessor_id=rotation.predecessor_id,
            predecessor_since=rfc3339(since),
            grace_seconds=int(rotation.grace.total_seconds()),
            **vars(account.identity),
        )
        pending = replace(observation.pending, is_unrecorded=False)
        return replace(observation.with_rotation(rotation), pending=pending), entry


def requested(request: Request, actor: Actor, rotation: Rotation | None) -> NewEntry:
    """Record a person's request, whatever becomes of it; `rotation` is the open one."""
    grace = request.grace
    return NewEntry.requested(
        actor,
        "rotate",
        rotation_id=rotation.id if rotation else None,
        reason=request.reason,
        grace_seconds=None if grace is None else int(grace.total_seconds()),
        takes_over=request.takes_over or None,
    )


def asked_again(rotation: Rotation, request: Request) -> tuple[Rotation, NewEntry] | None:
    """Apply an operator's request to the open rotation, for whichever process continues it.

    None where that changes nothing. A leaked secret stays marked as such, and that is all that a
    verified rotation takes over: a shorter grace applies only to the pass that it was asked of.
    """
    is_news = request.reason == "compromised" or not rotation.verified_at
    if request.reason not in BY_HAND or not is_news:
        return None
    is_leaked = "compromised" in (rotation.reason, request.reason)
    reason = "compromised" if is_leaked else request.reason
    grace = rotation.grace if request.grace is None else request.grace
    # It no longer waits for a window; if verified, it waits for a gate.
    waiting = rotation.waiting if rotation.verified_at else None
    after = replace(rotation, reason=reason, grace=grace, waiting=waiting)
    if after == rotation:
        return None
    seconds = int(grace.total_seconds())
    return after, new_entry("asked", rotation.step, after, reason=reason, grace_seconds=seconds)


@dataclass(frozen=True, kw_only=True)
class Evict(SecretDeletion):
    """Delete an expendable secret, to free its slot."""

    name = Step.EVICT
    sketch = Sketch(
        step="evict",
        where="vonage",
        what="delete secret {secret_id} at Vonage, to free its slot",
        facts={"secret_id": "secret_id"},
    )

    #: A foreign secret, which the policy allows to delete.
    is_foreign: bool = False

    @property
    def target(self) -> dict[str, Detail]:
        return super().target | ({"is_foreign": True} if self.is_foreign else {})


@dataclass(frozen=True, kw_only=True)
class Stage(Effect[StoredPending]):
    """Generate a value and write it to the pending path, with the ids listed now."""

    name = Step.STAGE
    sketch = Sketch(
        step="stage",
        where="vault",
        what="write a new value to {pending} in Vault, check-and-set version {pending_base}",
        facts={"path": "pending", "check_and_set": "pending_base"},
    )

    listed_ids: frozenset[str]

    def intent(self, observation: Observation, rotation: Rotation, now: datetime) -> Rotation:
        """Count the value to be generated, whatever becomes of it."""
        return replace(
            super().intent(observation, rotation, now),
            values_generated=rotation.values_generated + 1,
        )

    def perform(self, site: Site, rotation: Rotation, look: LastLook) -> StoredPending:
        """Generate a value, and write it over what was seen at the pending path."""
        observed, value = site.observed, SecretValue(site.generate(site.account.policy.length))
        pending = self._pending(observed.observation, rotation, site.account)
        observed.pending = site.store.write_pending(
            site.account, observed.pending, value, pending, before_send=look
        )
        return observed.pending

    def done(
        self, observation: Observation, rotation: Rotation, result: StoredPending, at: At
    ) -> Change:
        """Record that a new value is at the pending path. Vonage certainly does not have it."""
        rotation = replace(rotation, rejected=False, sent_at=None)
        pending = Pending(
            entry=self._pending(observation, rotation, at.account),
            version=result.version,
            ends_at=result.ends_at,
            is_unsent=True,
        )
        observation = replace(observation.with_rotation(rotation), pending=pending)
        return observation, self.entry("done", rotation, pending_version=result.version)

    def assumed(self, observation: Observation, rotation: Rotation, at: At) -> StoredPending:
        return StoredPending(version=observation.pending.version + 1)

    def _pending(
        self, observation: Observation, rotation: Rotation, account: Account
    ) -> PendingEntry:
        """Return the entry: whose value it is, and what Vonage listed before it."""
        return PendingEntry(
            rotation_id=rotation.id,
            listed_ids=self.listed_ids,
            predecessor_id=rotation.predecessor_id,
            api_key=account.api_key,
            issuer=account.issuer,
            vault_path=account.identity.vault_path,
            ledger_id=observation.ledger.ledger_id,
        )
