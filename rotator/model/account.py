"""The values that all of rotator speaks of. Frozen, keyword-only, no input or output.

None of the records here holds a secret value. Values travel as `SecretValue`, which
shows itself only when asked to, beside these records and never inside them.
"""

from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from enum import StrEnum


class ForwardMethod(StrEnum):
    """How Vonage calls an account's callbacks."""

    GET_QUERY_PARAMS = "GET_QUERY_PARAMS"
    POST_QUERY_PARAMS = "POST_QUERY_PARAMS"
    POST_JSON = "POST_JSON"


class OnForeign(StrEnum):
    """What to do with a secret that rotator does not know."""

    REFUSE = "refuse"
    EVICT_OLDEST = "evict-oldest"


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How an account's secrets are to be rotated, and what is to be warned of."""

    #: Time between two rotations; None where `cron` says when.
    every: timedelta | None
    cron: str | None
    #: IANA name of the zone in which `cron` is meant.
    timezone: str
    #: Random delay added to a due time, at most this.
    jitter: timedelta
    #: How long the predecessor lives on after the new secret is verified in Vault.
    grace: timedelta
    #: A current secret older than this is overdue.
    max_age: timedelta
    #: Characters in a new secret, 8 to 25.
    length: int
    on_foreign: OnForeign
    #: When rotations may begin and secrets be deleted, in `timezone`; empty for always.
    window: tuple[str, ...] = ()
    #: Euros. Less than this at Vonage is warned of; None for no warning.
    min_balance: Decimal | None = None


@dataclass(frozen=True, kw_only=True)
class Identity:
    """What an account is, whatever name it goes by: whose secrets, and where they are kept."""

    api_key: str
    #: Host of the API that knows the api key.
    issuer: str
    #: Path of the current entry in Vault, behind its namespace and mount.
    vault_path: str
    #: Path of the pending entry, likewise.
    pending_path: str

    def differences(self, other: "Identity") -> list[tuple[str, str, str]]:
        """List how `other` differs: what people call the part, its value here, its value there."""
        found = ((word, getattr(self, key), getattr(other, key)) for key, word in _WORDS.items())
        return [(word, mine, theirs) for word, mine, theirs in found if mine != theirs]


#: What people call the parts of an identity.
_WORDS = {
    "api_key": "api key",
    "issuer": "API host",
    "vault_path": "Vault path",
    "pending_path": "pending path",
}


@dataclass(frozen=True, kw_only=True)
class Account:
    """One Vonage account under management, as configured."""

    name: str
    api_key: str
    #: Host of Vonage's API.
    issuer: str
    #: What both paths are below in Vault: the mount, behind the namespace if there is one.
    mount: str
    #: Path of the current entry below the Vault mount.
    vault_path: str
    #: Path of the pending entry below the Vault mount.
    pending_path: str
    #: Field of the current entry that holds the secret.
    secret_field: str
    #: Field of the current entry that holds the api key.
    key_field: str
    #: Name of the parent account whose credential may manage this one; "" for none.
    managed_by: str
    policy: Policy
    #: Found below its parent at Vonage, and not configured by name: nobody can be expected to
    #: have put a value of it into Vault.
    discovered: bool = False

    @property
    def identity(self) -> Identity:
        """What it is, whatever its name."""
        return Identity(
            api_key=self.api_key,
            issuer=self.issuer,
            vault_path=f"{self.mount}/{self.vault_path}",
            pending_path=f"{self.mount}/{self.pending_path}",
        )

    @property
    def min_balance(self) -> Decimal | None:
        """What is to be warned of, as its policy has it."""
        return self.policy.min_balance

    def is_low(self, balance: Decimal) -> bool:
        """Whether a balance, in euros, is less than what is to be warned of."""
        return self.min_balance is not None and balance < self.min_balance


class SubaccountState(StrEnum):
    """How Vonage has a subaccount."""

    ACTIVE = "active"
    SUSPENDED = "suspended"
    #: It was listed once and is not any more.
    GONE = "gone"


@dataclass(frozen=True, kw_only=True)
class Found:
    """A subaccount that was found below a parent, as it was listed last."""

    #: Name of the parent account.
    parent: str
    api_key: str
    #: What people call it at Vonage; may change.
    title: str
    state: SubaccountState
