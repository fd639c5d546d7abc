"""After the push: tell of the new secret, wait, ask the gates, delete the predecessor."""

import contextlib
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial

from rotator.errors import CheckAndSetLost, SecretNotFound
from rotator.model import Rotation, ShutGate, Step
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
    entry,
)


@dataclass(frozen=True, kw_only=True)
class Notify(Recording):
    """Notify the hooks that a new secret is in Vault."""

    sketch = Sketch(step="hooks", where="hooks", what="tell of the new secret")

    def done(self, world: Observation, rotation: Rotation, at: At) -> Change:
        """Record that each hook for the new secret was called, here or by another process."""
        rotation = replace(rotation, step=Step.WAIT)
        return replace(world, rotation=rotation), entry("done", Step.HOOKS, rotation)


@dataclass(frozen=True, kw_only=True)
class Wait(Action):
    """Nothing to do before `until`."""

    name = Step.WAIT
    sketch = Sketch(
        step="wait",
        where=None,
        what="until {moment} (grace {grace})",
        keeps={"due_at": "until"},
    )

    until: datetime
    #: The gate to wait for; None when waiting for the grace.
    gate: ShutGate | None = None

    def done(
        self, world: Observation, rotation: Rotation, now: datetime
    ) -> tuple[Observation, NewEntry | None]:
        """Return the world that waits, and what to record, if that is an event."""
        if self.gate:
            return self._for_gate(self.gate, world, rotation, now)
        if not rotation.verified_at:
            # The rotation cannot go on before a window opens.
            return replace(world, rotation=replace(rotation, gate_retry_at=self.until)), None
        # Looking showed that the pending entry is gone: nothing is left to do but wait.
        rotation = replace(rotation, step=self.name)
        return replace(world, rotation=rotation), entry("learned", Step.CLEAR, rotation)

    def _for_gate(
        self, gate: ShutGate, world: Observation, rotation: Rotation, now: datetime
    ) -> tuple[Observation, NewEntry | None]:
        """Wait for a gate. That is an event once, and not each time it is asked."""
        is_news = rotation.gate != gate.name
        rotation = replace(
            rotation,
            step=self.name,
            gate=gate.name,
            gate_reason=gate.reason,
            gate_since=now if is_news else rotation.gate_since,
            gate_retry_at=self.until,
        )
        draft = entry("gate-shut", self.name, rotation, gate=gate.name, why=gate.reason)
        return replace(world, rotation=rotation), draft if is_news else None


@dataclass(frozen=True, kw_only=True)
class Ask(Recording):
    """Ask every gate whether the predecessor may be deleted."""

    sketch = Sketch(step="gates", where="hooks", what="ask {gates}")

    def done(self, world: Observation, rotation: Rotation, at: At) -> Change:
        """Record that every gate allows the predecessor's deletion."""
        rotation = _ungated(rotation)
        world = replace(world, rotation=rotation, gates_asked_at=at.now, shut_gate=None)
        return world, entry("gates-open", Step.WAIT, rotation, gates=", ".join(world.gates))

    def shut(self, world: Observation, gate: ShutGate, now: datetime) -> Observation:
        """Note that one of the gates does not allow the predecessor's deletion."""
        return replace(world, gates_asked_at=now, shut_gate=gate)


def _ungated(rotation: Rotation) -> Rotation:
    return replace(rotation, gate=None, gate_reason=None, gate_since=None, gate_retry_at=None)


@dataclass(frozen=True, kw_only=True)
class SecretDeletion(Effect[None]):
    """Deletes a secret at Vonage."""

    secret_id: str

    @property
    def target(self) -> dict[str, Detail]:
        return {"secret_id": self.secret_id}

    def perform(self, site: Site, rotation: Rotation, look: LastLook) -> None:
        """Delete with the credential in Vault; if it does not work, nothing is deleted.

        Vault's value is read once more at the last moment: an operator may have put back the
        secret that is to be deleted.
        """
        observed, current = site.observed, site.observed.current
        credential = own_credential(site.account, current)
        if not (credential and current and current.entry == observed.world.current):
            raise CheckAndSetLost
        unchanged = partial(
            require_unchanged, site.store, site.account, current, observed.world.written
        )
        # Already gone is success: someone else deleted it, or we did and the answer was lost.
        with contextlib.suppress(SecretNotFound):
            site.issuer.delete_secret(
                credential,
                site.account.api_key,
                self.secret_id,
                before_send=partial(look, also=unchanged),
            )

    def done(self, world: Observation, rotation: Rotation, result: None, at: At) -> Change:
        """It is gone; a list that lags may show it once more."""
        listed = tuple(secret for secret in world.listed or () if secret.id != self.secret_id)
        deleted = world.deleted_ids | {self.secret_id}
        world = replace(world, rotation=rotation, listed=listed, deleted_ids=deleted)
        return world, self.entry("done", rotation, secret_id=self.secret_id)

    def assumed(self, world: Observation, rotation: Rotation, at: At) -> None:
        """Return nothing: there is no answer to be made up."""


@dataclass(frozen=True, kw_only=True)
class Delete(SecretDeletion):
    """Delete a secret of this rotation: its predecessor, or on abort its orphan."""

    name = Step.DELETE
    sketch = Sketch(
        step="delete",
        where="vonage",
        what="delete secret {secret_id} at Vonage",
        keeps={"secret_id": "secret_id"},
    )

    def intent(self, world: Observation, rotation: Rotation, now: datetime) -> Rotation:
        """It waits for no gate any more: not for one that was skipped, nor for a clock."""
        return _ungated(super().intent(world, rotation, now))

    def gates_skipped(self, world: Observation, rotation: Rotation) -> NewEntry:
        """Record that the predecessor leaked and is deleted without asking the gates."""
        return entry("gates-skipped", Step.WAIT, rotation, gates=", ".join(world.gates))
