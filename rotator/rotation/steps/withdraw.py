"""Before any deletion: take the replaced value out of the current entry.

Consumers may try both values of an entry. So the replaced one leaves it before its secret can be
deleted, whatever deletes it: a rotation, an eviction, an undoing, or a person.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from rotator.errors import CheckAndSetLost
from rotator.model import CurrentEntry, Rotation, Step, Written
from rotator.rotation.observation import Observation
from rotator.rotation.ports import LastLook
from rotator.rotation.steps.base import At, Change, Detail, Effect, Site, Sketch


@dataclass(frozen=True, kw_only=True)
class Withdraw(Effect[tuple[CurrentEntry, Written]]):
    """Remove the replaced value from the current entry, before a secret is deleted."""

    name = Step.WITHDRAW
    sketch = Sketch(
        step="withdraw",
        where="vault",
        what="remove field {field} from {current} in Vault, check-and-set the version seen then",
        facts={"path": "current"},
    )

    #: The field that holds it.
    field: str

    @property
    def target(self) -> dict[str, Detail]:
        return {"field": self.field}

    def intent(self, observation: Observation, rotation: Rotation, now: datetime) -> Rotation:
        """Leave the rotation at its step: an earlier deletion may still be on its way."""
        return rotation

    def grounds(self, observation: Observation, rotation: Rotation, at: At) -> dict[str, Detail]:
        """Return the version that its check-and-set states."""
        return {"over": observation.current.version}

    def perform(
        self, site: Site, rotation: Rotation, look: LastLook
    ) -> tuple[CurrentEntry, Written]:
        """Write the entry without it over what was seen; nothing else of it changes.

        What this rotation kept there is its predecessor's value, with which the death is proved.
        """
        observed, base = site.observed, site.observed.current
        if base is None or base.entry != observed.observation.current.entry:
            raise CheckAndSetLost
        observed.current, written = site.store.withdraw_previous(
            site.account, base, before_send=look
        )
        note = base.entry.note
        if note and note.rotation_id == rotation.id:
            observed.predecessor = observed.predecessor or base.previous
        return observed.current.entry, written

    def done(
        self,
        observation: Observation,
        rotation: Rotation,
        result: tuple[CurrentEntry, Written],
        at: At,
    ) -> Change:
        """Record that it is gone."""
        entry, written = result
        current = replace(observation.current, entry=entry, version=entry.version)
        ledger = replace(observation.ledger, rotation=rotation, written=written)
        recorded = self.entry("done", rotation, vault_version=written.version, **self.target)
        return replace(observation, current=current, ledger=ledger), replace(
            recorded, written=written
        )

    def assumed(
        self, observation: Observation, rotation: Rotation, at: At
    ) -> tuple[CurrentEntry, Written]:
        entry, version = observation.current.entry, observation.current.version + 1
        if entry is None:
            message = "decided on an entry that is not there"
            raise AssertionError(message)
        return replace(entry, version=version, previous=None), Written(version=version)
