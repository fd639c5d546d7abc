"""Vonage's accounts and their secrets: the state and its rules, without HTTP."""

import string
import uuid
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from rotator.sim.vonage.audit import CREATED, DELETED, SimEvent, Source

MAX_SECRETS = 2

#: Of a new account, in EUR, as in the API document's example.
OPENING_BALANCE = 10.28


class SlotsFull(ValueError):
    """The account already has two secrets."""


@dataclass(frozen=True, kw_only=True)
class SimSecret:
    """One secret of one account."""

    id: str
    value: str = field(repr=False)
    #: in UTC, whole seconds, as Vonage lists it
    created_at: datetime
    #: when it starts to authenticate
    active_from: datetime
    #: None while it is live; afterwards it authenticates for the propagation time
    revoked_at: datetime | None = None


@dataclass(kw_only=True)
class Account:
    """An API key with its secrets."""

    api_key: str
    name: str
    created_at: datetime
    #: API key of the primary account; None for a primary account
    parent: str | None = None
    suspended: bool = False
    balance: float = OPENING_BALANCE
    #: by the names that the answer to POST settings has
    settings: dict[str, str] = field(default_factory=dict)
    #: every secret that ever existed, in the order of creation
    secrets: list[SimSecret] = field(default_factory=list)
    #: what the Audit API tells of them
    events: list[SimEvent] = field(default_factory=list)

    def live(self) -> list[SimSecret]:
        """Return the secrets that are not revoked, the newest first."""
        newest_first = reversed(self.secrets)
        unrevoked = [secret for secret in newest_first if secret.revoked_at is None]
        # The sort keeps the order of creation where whole seconds tie.
        return sorted(unrevoked, key=lambda secret: secret.created_at, reverse=True)

    def accepts(self, value: str) -> bool:
        """Return whether `value` may be that of a new secret.

        The value of a live secret is refused as if it were too simple (UJET's
        vonage-subaccounts-proxy). What Vonage does with a revoked one is unknown; it is accepted.
        """
        return is_compliant(value) and all(secret.value != value for secret in self.live())

    def add(self, value: str, created_at: datetime, active_from: datetime) -> SimSecret:
        """Add a secret without checking its value.

        Raises:
            SlotsFull: two are live.
        """
        self._check_slots()
        secret = SimSecret(
            id=str(uuid.uuid4()),
            value=value,
            created_at=created_at.replace(microsecond=0),
            active_from=active_from,
        )
        self.secrets.append(secret)
        return secret

    def revoke(self, secret_id: str, now: datetime) -> SimSecret:
        """Revoke a live secret, and return it.

        Raises:
            KeyError: there is no live secret of that id.
        """
        return self._set_revoked(secret_id, now)

    def restore(self, secret_id: str) -> None:
        """Undo a revocation.

        Raises:
            KeyError: there is no revoked secret of that id.
            SlotsFull: two others are live.
        """
        self._check_slots()
        self._set_revoked(secret_id, None)

    def authenticates(self, value: str, now: datetime, propagation: timedelta) -> bool:
        """Return whether `value` is a working credential at `now`."""
        return any(
            secret.value == value
            and secret.active_from <= now
            and (secret.revoked_at is None or now < secret.revoked_at + propagation)
            for secret in self.secrets
        )

    def record(self, secret: SimSecret, source: Source) -> None:
        """Record who made a secret, or revoked it, for the Audit API."""
        is_revoked = secret.revoked_at is not None
        event = SimEvent(
            kind=DELETED if is_revoked else CREATED,
            at=secret.revoked_at or secret.created_at,
            secret_id=secret.id,
            source=source,
        )
        self.events.append(event)

    def _check_slots(self) -> None:
        if len(self.live()) >= MAX_SECRETS:
            raise SlotsFull(f"account {self.api_key} has {MAX_SECRETS} secrets")

    def _set_revoked(self, secret_id: str, at: datetime | None) -> SimSecret:
        for index, secret in enumerate(self.secrets):
            if secret.id == secret_id and (secret.revoked_at is None) is not (at is None):
                self.secrets[index] = replace(secret, revoked_at=at)
                return self.secrets[index]
        raise KeyError(secret_id)


def is_compliant(value: str) -> bool:
    """Return whether a value has 8 to 25 characters, a lower, an upper and a digit.

    Source: `createSecretRequest` of the Account API document.
    """
    return 8 <= len(value) <= 25 and all(  # noqa: PLR2004 - the document's numbers
        any(character in kind for character in value)
        for kind in (string.ascii_lowercase, string.ascii_uppercase, string.digits)
    )
