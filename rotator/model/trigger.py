"""Requests that came in through the trigger."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from rotator.model.actor import Actor
from rotator.model.rotation import Request


@dataclass(frozen=True, kw_only=True)
class TriggerRequest:
    """A rotation of one account that was asked for through the trigger."""

    #: The id that its sender gave it, which counts once.
    id: str
    account: str
    #: The secret has leaked: no grace, no gates.
    is_compromised: bool
    #: Who asked, from where, and why, as the account's entry records it.
    actor: Actor
    at: datetime
    #: Number of that entry in the account's chain. What comes after it may have carried it out.
    seq: int
    #: Tries that have failed.
    tries: int = 0

    @property
    def reason(self) -> str:
        """The reason of a rotation that carries it out."""
        return "compromised" if self.is_compromised else "asked"

    def request(self) -> Request:
        """Return the request for a pass. Who asks is in the record already."""
        return Request(reason=self.reason, grace=timedelta() if self.is_compromised else None)
