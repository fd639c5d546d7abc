"""Port of the core to Vonage's Audit API: who changed an account's secrets, for people to read."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Protocol

from rotator.model import Credential

#: Event of an entry that says who made or revoked a secret.
EXPLAINED = "secret-explained"


class AuditKind(StrEnum):
    """The kinds of events that are asked for."""

    CREATED = "ACCOUNT_SECRET_CREATE"
    DELETED = "ACCOUNT_SECRET_DELETE"


@dataclass(frozen=True, kw_only=True)
class AuditEvent:
    """One change of an account's secrets, as Vonage's Audit API reports it."""

    kind: AuditKind
    at: datetime
    #: API key of the account; None where the event has none.
    account_id: str | None = None
    #: Whatever may be an id in the event's context, whose form is not documented.
    ids: frozenset[str] = frozenset()
    #: Where it was done: `CD` for the dashboard, `DEVAPI` for the API.
    source: str | None = None
    #: Email address of the user.
    user: str | None = None
    #: IP address.
    address: str | None = None
    #: Country code.
    country: str | None = None

    @property
    def words(self) -> str:
        """Where, by whom, from where and when."""
        where = _SOURCES.get(self.source or "", "at Vonage")
        by = f" by {self.user}" if self.user else ""
        origin = f"{self.address} ({self.country})" if self.address and self.country else None
        origin = origin or self.address or self.country
        place = f", from {origin}" if origin else ""
        return f"{where}{by}{place}, at {self.at:%Y-%m-%d %H:%M:%S} UTC"


_SOURCES = {"CD": "in Vonage's dashboard", "DEVAPI": "through Vonage's API"}


class AuditTrail(Protocol):
    """Vonage's Audit API."""

    def events(
        self,
        credential: Credential,
        kinds: Iterable[AuditKind],
        *,
        since: datetime,
        until: datetime,
    ) -> tuple[AuditEvent, ...]:
        """Return the newest events of these kinds, a hundred at most. Sends one request, once.

        Raises:
            IssuerError: there is no answer, or the account may not use the API.
        """
