"""Steps that only the ledger records, and an operator's changes to an open rotation."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from rotator.errors import Refused
from rotator.model import ABANDONED, SUPERSEDED, Actor, Rotation, Step, Written
from rotator.rotation.observation import Observation
from rotator.rotation.ports import NewEntry
from rotator.rotation.steps.base import Action, At, Change, Recording, Sketch, new_entry, timestamp
from rotator.rotation.steps.publish import grace_start


@dataclass(frozen=True, kw_only=True)
class Learn(Recording):
    """Record what is known only now: an effect that took place, or the secret to be replaced."""

    sketch = Sketch(step="learn", where="ledger", what="record what is seen to have been done")

    new_id: str | None = None
    vault_version: int | None = None
    predecessor_id: str | None = None

    def done(self, observation: Observation, rotation: Rotation, at: At) -> Change:
        """Record what only an observation showed.

        If the new secret was recorded as the predecessor, an operator adopted it while a lagging
        standby hid whose it is. What was to be replaced before that is not known any more.
        """
        new_id = self.new_id or rotation.new_id
        rotation = replace(
            rotation,
            new_id=new_id,
            vault_version=self.vault_version or rotation.vault_version,
            predecessor_id=_other_than(new_id, self.predecessor_id or rotation.predecessor_id),
        )
        observation = observation.with_rotation(rotation)
        if self.predecessor_id:
            found = rotation.predecessor_id
            return observation, new_entry("learned", Step.OPEN, rotation, predecessor_id=found)
        step = Step.CREATE if self.vault_version is None else Step.PUSH
        entry = new_entry(
            "learned",
            step,
            rotation,
            secret_id=rotation.new_id,
            vault_version=rotation.vault_version,
        )
        if self.vault_version is None:
            return observation, entry
        written = Written(version=self.vault_version)
        ledger = replace(observation.ledger, written=written)
        return replace(observation, ledger=ledger), replace(entry, written=written)


@dataclass(frozen=True, kw_only=True)
class Redate(Recording):
    """Restart a grace whose recorded start lies in the future, by a clock that was ahead."""

    def done(self, observation: Observation, rotation: Rotation, at: At) -> Change:
        """Restart it now: it becomes longer than intended, never shorter."""
        verified_at = grace_start(rotation.grace, observation.listing.clock_offset, at.now)
        rotation = replace(rotation, verified_at=verified_at)
        entry = new_entry("learned", Step.VERIFY, rotation, verified_at=timestamp(verified_at))
        return observation.with_rotation(rotation), entry


@dataclass(frozen=True, kw_only=True)
class Abort(Recording):
    """Record that this rotation is to be undone, and why."""

    name = Step.ABORT
    sketch = Sketch(step="abort", where="ledger", what="undo the rotation ({code})")

    code: str

    def done(self, observation: Observation, rotation: Rotation, at: At) -> Change:
        """Record it; nothing is undone yet."""
        rotation = replace(rotation, step=self.name, abort_code=self.code)
        entry = new_entry("aborting", self.name, rotation, code=self.code)
        return observation.with_rotation(rotation), entry


@dataclass(frozen=True, kw_only=True)
class Close(Action):
    """Close the rotation: completed, or failed with the code it was aborted for."""

    name = Step.COMPLETE
    sketch = Sketch(step="close", where="ledger", what="record that it is over")

    error_code: str | None = None

    def done(self, observation: Observation, rotation: Rotation, at: At) -> Change:
        """Record that the rotation is over."""
        outcome = "failed" if self.error_code else "completed"
        step = Step.ABORT if self.error_code else self.name
        rotation = replace(
            rotation, step=step, closed_at=at.now, outcome=outcome, error_code=self.error_code
        )
        entry = new_entry("closed", step, rotation, outcome=outcome, code=self.error_code)
        return observation.with_rotation(rotation), entry


@dataclass(frozen=True, kw_only=True)
class Observe(Action):
    """Observe again: the last observation is too old or not settled yet."""


@dataclass(frozen=True, kw_only=True)
class Idle(Action):
    """Nothing to do at all."""


@dataclass(frozen=True, kw_only=True)
class Refuse(Action):
    """Do nothing: an operator must decide."""

    code: str
    why: str
    hint: str

    def error(self) -> Refused:
        """Return the error that carries the refusal."""
        return Refused(self.why, code=self.code, hint=self.hint)


# -- What an operator changes. ---------------------------------------------------------------


def abandoned(rotation: Rotation, now: datetime) -> tuple[Rotation, NewEntry]:
    """End the rotation as it stands: what it made and staged is left alone."""
    rotation = replace(rotation, closed_at=now, outcome="failed", error_code=ABANDONED)
    return rotation, new_entry("closed", rotation.step, rotation, outcome="failed", code=ABANDONED)


def forgotten(actor: Actor) -> NewEntry:
    """Record that another account may have the api key and the path of this one."""
    return NewEntry(event="forgotten", step=None, detail=actor.facts())


def after_adoption(  # noqa: PLR0913  # all but one by name
    rotation: Rotation,
    *,
    secret_id: str,
    vault_version: int,
    is_own: bool,
    pushed_version: int | None,
    clock_offset: timedelta,
    now: datetime,
) -> tuple[Rotation, NewEntry | None]:
    """Return the rotation after an operator's adoption of a secret, and what to record.

    If the secret is the one that the rotation pushed, or would have, the rotation continues from
    there, and its grace starts anew if another secret was current in between. That secret is never
    its own predecessor, as which it was recorded if it was adopted earlier, while a standby hid the
    pending entry. Any other secret ends a rotation that had pushed, as it cannot continue; before a
    push, it becomes the secret to be replaced. An undoing continues, unless Vault now has the
    secret that was to be deleted: with a version in Vault, it is not treated as an orphan. Nor is
    the secret pushed as `pushed_version`, if the answer to the push was lost.
    """
    if is_own and not rotation.abort_code:
        after = replace(
            rotation,
            new_id=secret_id,
            vault_version=vault_version,
            predecessor_id=_other_than(secret_id, rotation.predecessor_id),
        )
        verified_at = {}
        if rotation.verified_at and rotation.vault_version != vault_version:
            # Consumers have read the secret that was current meanwhile: its grace starts anew.
            anew = grace_start(rotation.grace, clock_offset, now)
            after = replace(after, verified_at=anew)
            verified_at = {"verified_at": timestamp(anew)}
        entry = new_entry(
            "learned",
            Step.PUSH,
            after,
            secret_id=secret_id,
            vault_version=vault_version,
            **verified_at,
        )
        return after, None if after == rotation else entry
    if not is_own and pushed_version is None:
        after = replace(rotation, predecessor_id=secret_id)
        entry = new_entry("learned", Step.OPEN, after, predecessor_id=secret_id)
        return (rotation, None) if rotation.abort_code or after == rotation else (after, entry)
    rotation = replace(
        rotation,
        vault_version=vault_version if is_own else pushed_version,
        closed_at=now,
        outcome="failed",
        error_code=rotation.abort_code or SUPERSEDED,
    )
    return rotation, new_entry(
        "closed",
        rotation.step,
        rotation,
        outcome="failed",
        code=rotation.error_code,
        vault_version=rotation.vault_version,
    )


def spared(rotation: Rotation, secret_id: str, *, is_pushed: bool) -> Rotation:
    """Return the rotation without the id of the secret that an operator is about to adopt.

    It no longer deletes that one. Recorded before the write to Vault, which may arrive late.
    """
    if rotation.abort_code and secret_id == rotation.new_id:
        return replace(rotation, new_id=None)
    if is_pushed and secret_id == rotation.predecessor_id:
        return replace(rotation, predecessor_id=None)
    return rotation


def _other_than(new_id: str | None, predecessor_id: str | None) -> str | None:
    return None if predecessor_id == new_id else predecessor_id
