"""How long a token lives."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from rotator.model import SecretValue

#: A token is replaced once this part of its life or less is left, so that there is time to
#: find Vault away and try again.
_LAST_PART = 1 / 3
#: Seconds by which a renewed life may fall short of the full one: Vault counts in whole ones.
_ROUNDING = 1.5


@dataclass(frozen=True, kw_only=True)
class Lease:
    """A token and its life. Times are seconds since the epoch."""

    token: str = field(repr=False)
    #: None: it never expires.
    expires_at: float | None
    #: How long it lives after being issued or renewed, in seconds.
    span: float
    #: Whether there is any use in renewing it.
    renewable: bool
    #: How many requests it is good for; 0 for any number.
    uses: int = 0
    #: A batch token: Vault has not stored it, and cannot revoke it.
    is_batch: bool = False
    #: What Vault's cluster calls the state that knows it; "" for nothing.
    index: str = ""
    #: Has the token masked in whatever is logged or kept, as long as there is this lease.
    _guard: SecretValue = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Have the token masked."""
        object.__setattr__(self, "_guard", SecretValue(self.token))

    def is_due(self, now: float) -> bool:
        """Whether it is time to renew or replace it."""
        return self.expires_at is not None and self.expires_at - now <= self.span * _LAST_PART

    def is_over(self, now: float) -> bool:
        """Whether it has expired."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, kw_only=True)
class Standing:
    """What Vault says of a token. Its value is not part of it."""

    #: None: it never expires.
    expires_at: datetime | None
    renewable: bool
    #: `service` or `batch`; "" where Vault does not say.
    kind: str
    policies: tuple[str, ...]
    #: Seconds that it has left, 0 for one that never expires.
    ttl: float
    #: Seconds it was issued with, 0 for one that never expires.
    creation_ttl: float
    #: How many more requests it is good for; 0 for any number.
    uses: int = 0


#: Seconds. No token lasts a century, and sums with the time must not leave the calendar.
LONGEST = 36_500 * 86_400.0


def granted(auth: Mapping[str, Any], now: float, index: str = "") -> Lease | None:
    """Read the `auth` of a login or a renewal; None where it holds no token.

    `index` is that of the answer. The fields are those of Vault's HTTP API, "auth" of each login
    method; a `lease_duration` of 0 is that of a token without an end.
    """
    token, seconds = auth.get("client_token"), _seconds(auth.get("lease_duration"))
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        return None
    if seconds is None:
        return None
    uses = _seconds(auth.get("num_uses"))
    return Lease(
        token=token,
        expires_at=now + seconds if seconds else None,
        span=seconds,
        # A renewal would be one of its few requests.
        renewable=auth.get("renewable") is True and not uses,
        uses=int(uses or 0),
        is_batch=auth.get("token_type") == "batch",
        index=index,
    )


def renewed(former: Lease, lease: Lease) -> Lease:
    """Judge a renewal: one that gives less than a full life is the last that is of use.

    Vault cuts it where the token's greatest age is near.
    """
    is_full = lease.expires_at is None or lease.span >= former.span - _ROUNDING
    return replace(lease, renewable=lease.renewable and is_full)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    # Also where it is no number at all: a token that is said to last for ages is asked about again.
    return float(value) if value < LONGEST else LONGEST
