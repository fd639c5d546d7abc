"""The new secret at Vonage: create it, and check that it authenticates before anyone needs it."""

from dataclasses import dataclass, replace
from datetime import datetime

from rotator.model import Credential, Rotation, Secret, Step
from rotator.rotation.observation import Observation
from rotator.rotation.ports import LastLook
from rotator.rotation.steps.base import At, Change, Check, Detail, Effect, Site, Sketch

#: Placeholder in a dry run for the id that Vonage would give the new secret.
NEW_ID = "NEW"


@dataclass(frozen=True, kw_only=True)
class Create(Effect[Secret]):
    """Send the pending value to Vonage."""

    name = Step.CREATE
    sketch = Sketch(step="create", where="vonage", what="make it a secret of {api_key} at Vonage")

    def intent(self, observation: Observation, rotation: Rotation, now: datetime) -> Rotation:
        """Record the time of sending: from now on Vonage may know the value."""
        return replace(super().intent(observation, rotation, now), sent_at=now)

    def grounds(self, observation: Observation, rotation: Rotation, at: At) -> dict[str, Detail]:
        """Return the version of the pending entry that has the value."""
        return {"pending_version": observation.pending.version}

    def perform(self, site: Site, rotation: Rotation, look: LastLook) -> Secret:
        """Send it, with whatever credential Vonage accepts."""
        return site.issuer.create_secret(
            site.credential, site.account.api_key, site.pending_value, before_send=look
        )

    def done(self, observation: Observation, rotation: Rotation, result: Secret, at: At) -> Change:
        """Record the id and the time that Vonage answered with: later than the intent, if slow."""
        rotation = replace(rotation, new_id=result.id, sent_at=at.now)
        listing = observation.listing
        listing = replace(listing, secrets=(*(listing.secrets or ()), result))
        return replace(observation.with_rotation(rotation), listing=listing), self.entry(
            "done", rotation, secret_id=result.id
        )

    def assumed(self, observation: Observation, rotation: Rotation, at: At) -> Secret:
        return Secret(id=NEW_ID, created_at=at.now)


@dataclass(frozen=True, kw_only=True)
class Probe(Check[tuple[Secret, ...]]):
    """Authenticate with the pending value, which also lists the secrets."""

    name = Step.PROBE
    sketch = Sketch(step="probe", where="vonage", what="see it authenticate at Vonage")

    def perform(self, site: Site, rotation: Rotation) -> tuple[Secret, ...]:
        """List with it. If it is accepted, it is the credential from now on."""
        credential = Credential(api_key=site.account.api_key, secret=site.pending_value)
        listed = site.issuer.list_secrets(credential, site.account.api_key)
        site.observed.credential = credential
        return listed

    def done(
        self, observation: Observation, rotation: Rotation, result: tuple[Secret, ...], at: At
    ) -> Change:
        """Record that the pending value authenticated and listed the secrets."""
        pending = replace(
            observation.pending, authenticated_at=at.now, refused_since=None, refused_at=None
        )
        listing = replace(observation.listing, secrets=result, seen_at=at.now)
        observation = replace(observation, listing=listing, pending=pending)
        return observation, self.entry("done", rotation, secret_id=rotation.new_id)

    def assumed(self, observation: Observation, rotation: Rotation, at: At) -> tuple[Secret, ...]:
        return observation.listing.secrets or ()
