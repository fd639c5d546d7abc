"""After the deletion: see that Vonage refuses the predecessor's value."""

from dataclasses import dataclass, field, replace
from datetime import datetime

from rotator.errors import BrokenDeletion, CredentialRefused
from rotator.model import Credential, Rotation, SecretValue, Step
from rotator.rotation.observation import Observation
from rotator.rotation.older_versions import older_versions
from rotator.rotation.ports import NewEntry, StoredCurrent
from rotator.rotation.steps.base import (
    Action,
    At,
    Change,
    Check,
    ObserveAgain,
    Site,
    Sketch,
    StillAccepted,
    new_entry,
    timestamp,
)


@dataclass(frozen=True, kw_only=True)
class Prove(Check[bool]):
    """Authenticate with the predecessor's value, which Vonage should refuse."""

    name = Step.PROVE
    sketch = Sketch(step="prove", where="vonage", what="see the old value refused at Vonage")

    #: Seconds before the next try, if Vonage still accepts it.
    seconds: float = field(default=0.0, compare=False)

    @property
    def pause(self) -> float:
        """See `Check.pause`."""
        return self.seconds

    def perform(self, site: Site, rotation: Rotation) -> bool:
        """List with it, once; return False where nothing has the value any more.

        A refusal counts, as Vault's value has just authenticated: Vonage's authentication works.
        After a pause, that is seen once more.

        Raises:
            StillAccepted: Vonage accepts it.
            ObserveAgain: Vonage refuses Vault's value, too.
        """
        value = site.observed.predecessor or _predecessor(site, rotation)
        if value is None:
            return False
        site.observed.predecessor = value
        credential = Credential(api_key=site.account.api_key, secret=value)
        try:
            site.issuer.list_secrets(credential, site.account.api_key)
        except CredentialRefused:
            if site.observed.observation.proof.tries:
                _check_current(site)
            return True
        raise StillAccepted

    def unsettled(
        self, observation: Observation, rotation: Rotation, now: datetime
    ) -> tuple[Observation, NewEntry | None]:
        """Count that Vonage accepted it; the first time, record that."""
        proof = observation.proof
        proof = replace(
            proof,
            tries=proof.tries + 1,
            accepted_since=proof.accepted_since or now,
            accepted_at=now,
        )
        observation = replace(observation, proof=proof)
        if rotation.step is self.name:
            return observation, None
        rotation = replace(rotation, step=self.name)
        entry = self.entry("still-accepted", rotation, secret_id=rotation.predecessor_id)
        return observation.with_rotation(rotation), entry

    def done(self, observation: Observation, rotation: Rotation, result: bool, at: At) -> Change:  # noqa: FBT001  # `Check.done`
        """Record that Vonage refuses it, or that this cannot be tried."""
        rotation, old_id = replace(rotation, step=self.name), rotation.predecessor_id
        if not result:
            why = f"no version of {at.account.vault_path} in Vault certainly has its value"
            observation = replace(observation, proof=replace(observation.proof, is_impossible=True))
            entry = self.entry("not-proven", rotation, secret_id=old_id, why=why)
            return observation.with_rotation(rotation), entry
        since = rotation.deleted_at
        seconds = max(0, int((at.now - since).total_seconds())) if since else None
        rotation = replace(rotation, dead_at=at.now, dead_after=seconds)
        entry = self.entry(
            "dead-after", rotation, secret_id=old_id, seconds=seconds, dead_at=timestamp(at.now)
        )
        return observation.with_rotation(rotation), entry

    def assumed(self, observation: Observation, rotation: Rotation, at: At) -> bool:
        return True


def _check_current(site: Site) -> None:
    try:
        site.issuer.list_secrets(site.credential, site.account.api_key)
    except CredentialRefused:
        raise ObserveAgain from None


def _predecessor(site: Site, rotation: Rotation) -> SecretValue | None:
    """Return the predecessor's value from an older version of the entry; None where none has it."""
    current = site.observed.current
    for older in older_versions(site.store, site.account, rotation.vault_version or 0):
        is_another = current is None or older.value != current.value
        if is_another and _is_predecessors(older, rotation):
            return older.value
    return None


def _is_predecessors(older: StoredCurrent, rotation: Rotation) -> bool:
    """Return whether an older version certainly holds the predecessor's value.

    Without a note, only the ledger knows.
    """
    entry = older.entry
    if entry.note is None:
        return entry.version == rotation.predecessor_version
    return entry.intact and entry.note.secret_id == rotation.predecessor_id


@dataclass(frozen=True, kw_only=True)
class FailedDeletion(Action):
    """Report a deletion that Vonage confirmed, and that has no effect."""

    name = Step.PROVE

    secret_id: str

    def done(self, observation: Observation, rotation: Rotation, at: At) -> Change:
        """Record that no proof is awaited any more, as another secret of the account leaked."""
        rotation = replace(rotation, step=self.name)
        observation = replace(observation, proof=replace(observation.proof, is_impossible=True))
        why = "Vonage still accepts it, and another secret that leaked is to be replaced"
        entry = new_entry("not-proven", self.name, rotation, secret_id=self.secret_id, why=why)
        return observation.with_rotation(rotation), entry

    def error(self) -> BrokenDeletion:
        """Return the error that reports it."""
        return BrokenDeletion(
            f"Vonage has deleted the old secret {self.secret_id}, and still accepts it"
        )
