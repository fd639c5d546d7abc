"""Before a value is sent: open a rotation, free a slot, stage a value."""

from dataclasses import dataclass, replace
from datetime import datetime

from rotator.model import Account, PendingEntry, Request, Rotation, SecretValue, Step
from rotator.model.times import rfc3339
from rotator.rotation.observation import Observation
from rotator.rotation.ports import LastLook, NewEntry, StoredPending
from rotator.rotation.steps.base import Action, At, Change, Detail, Effect, Site, Sketch, entry
from rotator.rotation.steps.retire import SecretDeletion
from rotator.rotation.window import BY_HAND


@dataclass(frozen=True, kw_only=True)
class Open(Action):
    """Open a rotation."""

    predecessor_id: str | None
    #: Id of a rotation that is in Vault but not in the ledger; None for a new rotation.
    recovered_id: str | None = None

    def done(self, world: Observation, new_id: str, at: At) -> Change:
        """Open it as `new_id`. A recovered one may have sent its value already.

        What is listed tells the record how old the secret is that is to be replaced.
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
        made = {secret.id: secret.created_at for secret in world.listed or ()}
        since = made.get(rotation.predecessor_id or "")
        draft = entry(
            "opened",
            Step.OPEN,
            rotation,
            reason=rotation.reason,
            predecessor_id=rotation.predecessor_id,
            predecessor_since=rfc3339(since),
            grace_seconds=int(rotation.grace.total_seconds()),
            **vars(account.identity),
        )
        return replace(world, rotation=rotation, pending_is_unrecorded=False), draft


def taken_over(rotation: Rotation, request: Request) -> tuple[Rotation, NewEntry] | None:
    """Let what is open go on as a person asks for it, whoever carries it on.

    None where that changes nothing. A leaked secret stays marked as such. Of a request for a
    verified rotation only that is kept: another end of its grace applies only to the pass that it
    was made for.
    """
    is_news = request.reason == "compromised" or not rotation.verified_at
    if request.reason not in BY_HAND or not is_news:
        return None
    is_leaked = "compromised" in (rotation.reason, request.reason)
    reason = "compromised" if is_leaked else request.reason
    grace = rotation.grace if request.grace is None else request.grace
    # It no longer waits for a window; if verified, it waits for a gate.
    retry_at = rotation.gate_retry_at if rotation.verified_at else None
    after = replace(rotation, reason=reason, grace=grace, gate_retry_at=retry_at)
    if after == rotation:
        return None
    seconds = int(grace.total_seconds())
    return after, entry("asked", rotation.step, after, reason=reason, grace_seconds=seconds)


@dataclass(frozen=True, kw_only=True)
class Evict(SecretDeletion):
    """Delete an expendable secret, to free its slot."""

    name = Step.EVICT
    sketch = Sketch(
        step="evict",
        where="vonage",
        what="delete secret {secret_id} at Vonage, to free its slot",
        keeps={"secret_id": "secret_id"},
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
        keeps={"path": "pending", "check_and_set": "pending_base"},
    )

    listed_ids: frozenset[str]

    def intent(self, world: Observation, rotation: Rotation, now: datetime) -> Rotation:
        """Count the draw: it is spent whatever becomes of it."""
        return replace(super().intent(world, rotation, now), draws=rotation.draws + 1)

    def perform(self, site: Site, rotation: Rotation, look: LastLook) -> StoredPending:
        """Draw, and write over what was seen at the pending path."""
        observed, value = site.observed, SecretValue(site.draw(site.account.policy.length))
        pending = self._pending(observed.world, rotation, site.account)
        observed.pending = site.store.write_pending(
            site.account, observed.pending, value, pending, before_send=look
        )
        return observed.pending

    def done(self, world: Observation, rotation: Rotation, result: StoredPending, at: At) -> Change:
        """Record that a new value is at the pending path. Vonage certainly does not have it."""
        pending = self._pending(world, rotation, at.account)
        rotation = replace(rotation, rejected=False, sent_at=None)
        world = replace(
            world,
            rotation=rotation,
            pending=pending,
            pending_version=result.version,
            pending_ends_at=result.ends_at,
            pending_is_unrecorded=False,
            pending_is_unsent=True,
            pending_live_at=None,
            pending_refused_since=None,
            pending_refused_at=None,
            current_is_pending=False,
        )
        return world, self.entry("done", rotation)

    def assumed(self, world: Observation, rotation: Rotation, at: At) -> StoredPending:
        return StoredPending(version=world.pending_version + 1)

    def _pending(self, world: Observation, rotation: Rotation, account: Account) -> PendingEntry:
        """Return what tells of the value: whose it is, and what was there before it."""
        return PendingEntry(
            rotation_id=rotation.id,
            listed_ids=self.listed_ids,
            predecessor_id=rotation.predecessor_id,
            api_key=account.api_key,
            issuer=account.issuer,
            vault_path=account.identity.vault_path,
            ledger_id=world.ledger_id,
        )
