"""Accounts: policy, identity, discovered subaccounts."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from enum import StrEnum


class ForwardMethod(StrEnum):
    """How Vonage calls an account's callbacks."""

    GET_QUERY_PARAMS = "GET_QUERY_PARAMS"
    POST_QUERY_PARAMS = "POST_QUERY_PARAMS"
    POST_JSON = "POST_JSON"


class OnForeign(StrEnum):
    """Policy for foreign secrets."""

    REFUSE = "refuse"
    EVICT_OLDEST = "evict-oldest"


#: What stands for a policy's `every`, and for the next due time, of what has no schedule.
NEVER = "never"


@dataclass(frozen=True, kw_only=True)
class Freeze:
    """A change freeze: a time in which nothing begins and nothing is deleted, as configured."""

    since: datetime
    #: Its end, exclusive.
    until: datetime
    reason: str

    def has(self, at: datetime) -> bool:
        """Return whether `at` is inside."""
        return self.since <= at < self.until


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How an account's secrets are rotated, and when to warn."""

    #: Time between two rotations; None where `cron` sets the times, or nothing does.
    every: timedelta | None
    cron: str | None
    #: IANA name of the zone that `cron` and `window` refer to.
    timezone: str
    #: Upper bound of the random delay that is added to a due time.
    jitter: timedelta
    #: How long the predecessor stays valid after the new secret is verified in Vault.
    grace: timedelta
    #: A current secret older than this is overdue; None for never.
    max_age: timedelta | None
    #: Characters in a new secret, 8 to 25.
    length: int
    on_foreign: OnForeign
    #: When rotations may begin and secrets be deleted, in `timezone`; empty for always.
    window: tuple[str, ...] = ()
    #: The change freezes of the account, by their beginnings.
    freezes: tuple[Freeze, ...] = ()
    #: Whether a deleted secret is tried until Vonage refuses it. A leaked one always is.
    prove_deletion: bool = False
    #: Balance at Vonage, in euros, below which to warn; None for no warning.
    min_balance: Decimal | None = None

    @property
    def is_on_request(self) -> bool:
        """Whether the account is never due: it is rotated when somebody asks for it."""
        return self.every is None and self.cron is None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """Identity of an account, independent of its name: whose secrets, and where they are kept."""

    api_key: str
    #: Host of the API that the api key belongs to.
    issuer: str
    #: Path of the current entry in Vault, prefixed by its namespace and mount.
    vault_path: str
    #: Path of the pending entry, likewise.
    pending_path: str

    def differences(self, other: "Identity") -> list[tuple[str, str, str]]:
        """List the differences: what people call the part, its value here, its value in `other`."""
        found = ((word, getattr(self, key), getattr(other, key)) for key, word in _WORDS.items())
        return [(word, mine, theirs) for word, mine, theirs in found if mine != theirs]


#: What people call each part of an identity.
_WORDS = {
    "api_key": "API key",
    "issuer": "API host",
    "vault_path": "Vault path",
    "pending_path": "pending path",
}


@dataclass(frozen=True, kw_only=True)
class Account:
    """One Vonage account under management, as configured."""

    name: str
    api_key: str
    #: Host of the Vonage API.
    issuer: str
    #: Prefix of both paths in Vault: the mount, preceded by the namespace if there is one.
    mount: str
    #: Path of the current entry below the Vault mount.
    vault_path: str
    #: Path of the pending entry below the Vault mount.
    pending_path: str
    #: Field of the current entry that contains the secret.
    secret_field: str
    #: Field of the current entry that contains the api key.
    key_field: str
    #: Name of the parent account whose credential may manage this one; "" for none.
    managed_by: str
    policy: Policy
    #: Field of the current entry for the value that was replaced, until its secret is deleted; ""
    #: for none.
    previous_field: str = ""
    #: Discovered below its parent at Vonage, not configured by name: Vault need not have a value of
    #: it.
    discovered: bool = False

    @property
    def identity(self) -> Identity:
        """The account's identity, independent of its name."""
        return Identity(
            api_key=self.api_key,
            issuer=self.issuer,
            vault_path=f"{self.mount}/{self.vault_path}",
            pending_path=f"{self.mount}/{self.pending_path}",
        )

    @property
    def min_balance(self) -> Decimal | None:
        """The balance in euros below which the account's policy warns."""
        return self.policy.min_balance

    def is_low(self, balance: Decimal) -> bool:
        """Return whether a balance, in euros, is below the warning threshold."""
        return self.min_balance is not None and balance < self.min_balance


def without_parents(waiting: Iterable[Account], others: Iterable[Account] = ()) -> list[Account]:
    """Return those of `waiting` that no other one, also of `others`, names as its parent.

    Children go before their parent, whose credential thus stays the known one meanwhile.
    """
    waiting = list(waiting)
    parents = {account.managed_by for account in (*waiting, *others)}
    return [account for account in waiting if account.name not in parents]


class SubaccountState(StrEnum):
    """State of a subaccount at Vonage."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    #: Listed once, but no longer.
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class DiscoveredSubaccount:
    """A subaccount that was discovered below a parent, as last listed."""

    #: Name of the parent account.
    parent: str
    api_key: str
    #: Its name at Vonage, for people; may change.
    title: str
    state: SubaccountState
