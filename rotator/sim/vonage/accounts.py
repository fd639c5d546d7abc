"""Vonage's accounts and their secrets: the state and its rules, without HTTP."""

import string
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

MAX_SECRETS = 2

#: what a new account has, in EUR, as in the API document's example
OPENING_BALANCE = 10.28


class SlotsFull(ValueError):
    """The account already has two secrets."""


class LastSecret(ValueError):
    """The account would be left without a secret."""


class Noncompliant(ValueError):
    """The value breaks Vonage's rules, or is one that the account has now."""


@dataclass(frozen=True, kw_only=True)
class SimSecret:
    """One secret of one account."""

    id: str
    value: str = field(repr=False)
    #: in UTC, whole seconds, as Vonage tells it
    created_at: datetime
    #: from then on it authenticates
    active_from: datetime
    #: None while it is live; it authenticates for the propagation time longer
    revoked_at: datetime | None = None


@dataclass(kw_only=True)
class Account:
    """An API key with its secrets."""

    api_key: str
    name: str
    created_at: datetime
    #: the API key of its primary account; None for a primary account
    parent: str | None = None
    suspended: bool = False
    balance: float = OPENING_BALANCE
    #: by the names that POST settings answers with
    settings: dict[str, str] = field(default_factory=dict)
    #: every secret that ever existed, in the order of creation
    secrets: list[SimSecret] = field(default_factory=list)

    def live(self) -> list[SimSecret]:
        """Return the secrets that are not revoked, the newest first."""
        newest_first = reversed(self.secrets)
        unrevoked = [secret for secret in newest_first if secret.revoked_at is None]
        # The sort keeps the order of creation where whole seconds tie.
        return sorted(unrevoked, key=lambda secret: secret.created_at, reverse=True)

    def find(self, secret_id: str) -> SimSecret | None:
        """Return the live secret of that id."""
        return next((secret for secret in self.live() if secret.id == secret_id), None)

    def check(self, value: str) -> None:
        """Check a value for a new secret.

        Re-posting a value that the account has is refused as if it were too simple (UJET's
        vonage-subaccounts-proxy; of a revoked value nothing is known, it is taken here).

        Raises:
            Noncompliant: the rules of `createSecretRequest` refuse it.
        """
        if not is_compliant(value) or any(secret.value == value for secret in self.live()):
            raise Noncompliant

    def add(self, value: str, created_at: datetime, active_from: datetime) -> SimSecret:
        """Add a secret without checking its value.

        Raises:
            SlotsFull: two are live.
        """
        if len(self.live()) >= MAX_SECRETS:
            raise SlotsFull(f"account {self.api_key} has {MAX_SECRETS} secrets")
        secret = SimSecret(
            id=str(uuid.uuid4()),
            value=value,
            created_at=created_at.replace(microsecond=0),
            active_from=active_from,
        )
        self.secrets.append(secret)
        return secret

    def revoke(self, secret_id: str, now: datetime) -> None:
        """Revoke a live secret.

        Raises:
            KeyError: it does not exist or is revoked.
        """
        for index, secret in enumerate(self.secrets):
            if secret.id == secret_id and secret.revoked_at is None:
                self.secrets[index] = replace(secret, revoked_at=now)
                return
        raise KeyError(secret_id)

    def restore(self, secret_id: str) -> None:
        """Take a revocation back.

        Raises:
            KeyError: there is no revoked secret of that id.
            SlotsFull: two others are live.
        """
        if len(self.live()) >= MAX_SECRETS:
            raise SlotsFull(f"account {self.api_key} has {MAX_SECRETS} secrets")
        for index, secret in enumerate(self.secrets):
            if secret.id == secret_id and secret.revoked_at is not None:
                self.secrets[index] = replace(secret, revoked_at=None)
                return
        raise KeyError(secret_id)

    def authenticates(self, value: str, now: datetime, propagation: timedelta) -> bool:
        """Whether `value` is a working credential at `now`."""
        return any(
            secret.value == value
            and secret.active_from <= now
            and (secret.revoked_at is None or now < secret.revoked_at + propagation)
            for secret in self.secrets
        )


class Accounts:
    """All accounts, by API key."""

    def __init__(self) -> None:
        self._accounts: dict[str, Account] = {}

    def __iter__(self) -> Iterator[Account]:
        return iter(self._accounts.values())

    def __getitem__(self, api_key: str) -> Account:
        return self._accounts[api_key]

    def get(self, api_key: str) -> Account | None:
        """Return the account of that key, if there is one."""
        return self._accounts.get(api_key)

    def open(self, account: Account) -> None:
        """Add an account.

        Raises:
            ValueError: the key is taken, or the parent is no primary account (there is one
                level of subaccounts).
        """
        if account.api_key in self._accounts:
            raise ValueError(f"account {account.api_key} exists")
        if account.parent is not None:
            parent = self._accounts.get(account.parent)
            if parent is None or parent.parent is not None:
                raise ValueError(f"{account.parent} is no primary account")
        self._accounts[account.api_key] = account

    def subaccounts(self, api_key: str) -> list[Account]:
        """Return the subaccounts of a primary account, in the order they were added."""
        return [account for account in self if account.parent == api_key]


def is_compliant(value: str) -> bool:
    """Whether a value has 8 to 25 characters, a lower, an upper and a digit.

    Source: `createSecretRequest` of the Account API document.
    """
    return (
        8 <= len(value) <= 25  # noqa: PLR2004 - the document's numbers
        and any(character in string.ascii_lowercase for character in value)
        and any(character in string.ascii_uppercase for character in value)
        and any(character in string.digits for character in value)
    )
