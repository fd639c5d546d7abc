"""After the push: notify the hooks, wait, ask the gates, delete the predecessor."""

import contextlib
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import partial

from rotator.errors import CheckAndSetLost, SecretNotFound
from rotator.model import LONGEST_WINDOW_WAIT, GateWait, Request, Rotation, ShutGate, Step
from rotator.rotation.credentials import own_credential
from rotator.rotation.observation import Observation, require_unchanged
from rotator.rotation.ports import LastLook, NewEntry
from rotator.rotation.steps.base import (
    Action,
    At,
    Change,
    Detail,
    Effect,
    Recording,
    Site,
    Sketch,
    new_entry,
    timestamp,
)


@dataclass(frozen=True, kw_only=True)
class Notify(Recording):
    """Notify the hooks that a new secret is in Vault."""

    sketch = Sketch(step="hooks", where="hooks", what="tell of the new secret")

    def done(self, observation: Observation, rotation: Rotation, at: At) -> Change:
        """Record that each hook for the new secret was called, here or by another process."""
        rotation = replace(rotation, step=Step.WAIT)
        return observation.with_rotation(rotation), new_entry("done", Step.HOOKS, rotation)


@dataclass(frozen=True, kw_only=True)
class Wait(Action):
    """Nothing to do before `until`."""

    name = Step.WAIT
    sketch = Sketch(
        step="wait",
        where=None,
        what="until {moment} (grace {grace})",
        facts={"due_at": "until"},
    )

    until: datetime
    #: The gate to wait for; None when waiting for the grace.
    gate: ShutGate | None = None

    def done(
        self, observation: Observation, rotation: Rotation, now: datetime
    ) -> tuple[Observation, NewEntry | None]:
        """Return the observation that waits, and what to record, if that is an event."""
        if self.gate:
            return self._for_gate(self.gate, observation, rotation, now)
        if not rotation.verified_at:
            # The rotation cannot go on before a window opens.
            # A time beyond the longest wait would count as one from a wrong clock.
            retry_at = min(self.until, now + LONGEST_WINDOW_WAIT)
            rotation = replace(rotation, waiting=GateWait(retry_at=retry_at))
            return observation.with_rotation(rotation), None
        # The pending entry was seen to be gone: nothing is left to do but wait.
        rotation = replace(rotation, step=self.name)
        return observation.with_rotation(rotation), new_entry("learned", Step.CLEAR, rotation)

    def _for_gate(
        self, gate: ShutGate, observation: Observation, rotation: Rotation, now: datetime
    ) -> tuple[Observation, NewEntry | None]:
        """Wait for a gate, which is recorded once, not each time it is asked."""
        before = rotation.waiting
        is_new = before is None or before.gate != gate.name
        waiting = GateWait(
            gate=gate.name,
            reason=gate.reason,
            shut_since=now if is_new or before is None else before.shut_since,
            retry_at=self.until,
            convergence=gate.convergence,
        )
        rotation = replace(rotation, step=self.name, waiting=waiting)
        entry = new_entry("gate-shut", self.name, rotation, gate=gate.name, why=gate.reason)
        return observation.with_rotation(rotation), entry if is_new else None


@dataclass(frozen=True, kw_only=True)
class AskGates(Recording):
    """Ask every gate whether the predecessor may be deleted."""

    sketch = Sketch(step="gates", where="hooks", what="ask {gates}")

    def done(self, observation: Observation, rotation: Rotation, at: At) -> Change:
        """Record that every gate allows the predecessor's deletion."""
        rotation = replace(rotation, waiting=None)
        gates = replace(observation.gates, asked_at=at.now, shut=None)
        entry = new_entry("gates-open", Step.WAIT, rotation, gates=", ".join(gates.names))
        return replace(observation.with_rotation(rotation), gates=gates), entry

    def shut(self, observation: Observation, gate: ShutGate, now: datetime) -> Observation:
        """Return the observation where a gate does not allow the predecessor's deletion."""
        return replace(observation, gates=replace(observation.gates, asked_at=now, shut=gate))


def effective_grace(rotation: Rotation, request: Request) -> timedelta:
    """Return the grace to respect: the rotation's own, or a shorter one asked for now."""
    return rotation.grace if request.grace is None else min(rotation.grace, request.grace)


@dataclass(frozen=True, kw_only=True)
class SecretDeletion(Effect[None]):
    """Delete a secret at Vonage."""

    secret_id: str

    @property
    def target(self) -> dict[str, Detail]:
        return {"secret_id": self.secret_id}

    def grounds(self, observation: Observation, rotation: Rotation, at: At) -> dict[str, Detail]:
        """Return when Vault's value was seen to authenticate."""
        since = observation.current.authenticated_at
        return {"authenticated_at": timestamp(since)} if since else {}

    def perform(self, site: Site, rotation: Rotation, look: LastLook) -> None:
        """Delete with the credential in Vault; if it does not work, nothing is deleted.

        Vault's value is read once more at the last moment: an operator may have put back the
        secret that is to be deleted.
        """
        observed, current = site.observed, site.observed.current
        credential = own_credential(site.account, current)
        if not (credential and current and current.entry == observed.observation.current.entry):
            raise CheckAndSetLost
        unchanged = partial(
            require_unchanged,
            site.store,
            site.account,
            current,
            observed.observation.ledger.written,
        )
        # Already gone is success: someone else deleted it, or we did and the answer was lost.
        with contextlib.suppress(SecretNotFound):
            site.issuer.delete_secret(
                credential,
                site.account.api_key,
                self.secret_id,
                before_send=partial(look, also=unchanged),
            )

    def done(self, observation: Observation, rotation: Rotation, result: None, at: At) -> Change:
        """Record that it is gone; a lagging list may show it once more."""
        listing, ledger = observation.listing, observation.ledger
        left = tuple(secret for secret in listing.secrets or () if secret.id != self.secret_id)
        deleted_ids = ledger.deleted_ids | {self.secret_id}
        observation = replace(
            observation,
            listing=replace(listing, secrets=left),
            ledger=replace(ledger, rotation=rotation, deleted_ids=deleted_ids),
        )
        return observation, self.entry("done", rotation, secret_id=self.secret_id)

    def assumed(self, observation: Observation, rotation: Rotation, at: At) -> None:
        """Return nothing: there is no answer to be made up."""


@dataclass(frozen=True, kw_only=True)
class Delete(SecretDeletion):
    """Delete a secret of this rotation: its predecessor, or on abort its orphan."""

    name = Step.DELETE
    sketch = Sketch(
        step="delete",
        where="vonage",
        what="delete secret {secret_id} at Vonage",
        facts={"secret_id": "secret_id"},
    )

    def intent(self, observation: Observation, rotation: Rotation, now: datetime) -> Rotation:
        """Record that nothing is waited for any more: no skipped gate, and no clock."""
        intended = replace(super().intent(observation, rotation, now), waiting=None)
        return self._dated(intended, now)

    def grounds(self, observation: Observation, rotation: Rotation, at: At) -> dict[str, Detail]:
        """Return also the grace that the predecessor had, and the gates that let it go."""
        known = super().grounds(observation, rotation, at)
        if self.secret_id != rotation.predecessor_id:
            return known
        grace = effective_grace(rotation, at.request)
        known |= {"grace_seconds": int(grace.total_seconds())}
        gates = ", ".join(observation.gates.names)
        return known | ({"gates": gates} if gates else {})

    def done(self, observation: Observation, rotation: Rotation, result: None, at: At) -> Change:
        """Record that it is gone, and since when Vonage should refuse it."""
        return super().done(observation, self._dated(rotation, at.now), result, at)

    def _dated(self, rotation: Rotation, now: datetime) -> Rotation:
        is_predecessor = self.secret_id == rotation.predecessor_id
        return replace(rotation, deleted_at=now) if is_predecessor else rotation

    def gates_skipped(self, observation: Observation, rotation: Rotation) -> NewEntry:
        """Record that the predecessor leaked and is deleted without asking the gates."""
        return new_entry(
            "gates-skipped", Step.WAIT, rotation, gates=", ".join(observation.gates.names)
        )
