"""Sources of tokens, a token's lifetime, and Vault's facts about it.

A source receives the connection for its own requests: it shares the time budget of the call that
needs a token.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol

from rotator.errors import StoreError, StoreForbidden, StoreNotReady, StoreUnavailable, TokenRefused
from rotator.model import SecretValue
from rotator.vault.client import TimedClient
from rotator.vault.errors import is_token_unknown
from rotator.vault.transport import VaultRequest, VaultResponse

#: A token is replaced once this fraction of its lifetime or less is left, so that there is time to
#: retry if Vault is unreachable.
_LAST_PART = 1 / 3

#: Seconds by which a renewed lifetime may fall short of the full one: Vault counts whole seconds.
_ROUNDING = 1.5


@dataclass(frozen=True, kw_only=True)
class TokenLifetime:
    """A token and its lifetime. Times are seconds since the epoch."""

    token: str = field(repr=False)
    #: None for a token that never expires.
    expires_at: float | None
    #: Lifetime from its issue or last renewal, in seconds.
    span: float
    #: Whether renewing it is useful.
    renewable: bool
    #: How many requests it is good for; 0 for any number.
    uses: int = 0
    #: A batch token: Vault does not store it and cannot revoke it.
    is_batch: bool = False
    #: The cluster's name for the state that includes it; "" for none.
    index: str = ""
    #: Keeps the value alive, so that it is masked in logs and records.
    _guard: SecretValue = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        """Register the token for masking."""
        object.__setattr__(self, "_guard", SecretValue(self.token))

    def is_due(self, now: float) -> bool:
        """Return whether it is time to renew or replace it."""
        return self.expires_at is not None and self.expires_at - now <= self.span * _LAST_PART

    def is_over(self, now: float) -> bool:
        """Return whether it has expired."""
        return self.expires_at is not None and self.expires_at <= now


@dataclass(frozen=True, kw_only=True)
class TokenInfo:
    """Vault's information on a token, without its value."""

    #: None for a token that never expires.
    expires_at: datetime | None
    renewable: bool
    #: `service` or `batch`; "" where Vault does not say.
    kind: str
    policies: tuple[str, ...]
    #: Remaining lifetime in seconds; 0 for one that never expires.
    ttl: float
    #: Initial lifetime in seconds; 0 for one that never expires.
    creation_ttl: float
    #: How many more requests it is good for; 0 for any number.
    uses: int = 0


#: Seconds. No token lasts a century, and sums with the time must stay within the calendar.
LONGEST = 36_500 * 86_400.0


def granted(auth: Mapping[str, Any], now: float, index: str = "") -> TokenLifetime | None:
    """Parse the `auth` of a login or a renewal; None where it has no token.

    `index` is that of the answer. The fields are those of Vault's HTTP API, "auth" of each login
    method; a `lease_duration` of 0 means that the token does not expire.
    """
    token, seconds = auth.get("client_token"), _seconds(auth.get("lease_duration"))
    if not isinstance(token, str) or not token.isascii() or not token.isprintable() or not token:
        return None
    if seconds is None:
        return None
    uses = _seconds(auth.get("num_uses"))
    return TokenLifetime(
        token=token,
        expires_at=now + seconds if seconds else None,
        span=seconds,
        # A renewal would use up one of its few requests.
        renewable=auth.get("renewable") is True and not uses,
        uses=int(uses or 0),
        is_batch=auth.get("token_type") == "batch",
        index=index,
    )


def renewed(former: TokenLifetime, lease: TokenLifetime) -> TokenLifetime:
    """Return the renewed lease: one with less than a full lifetime is the last useful one.

    Vault shortens it when the token's maximum lifetime is near.
    """
    is_full = lease.expires_at is None or lease.span >= former.span - _ROUNDING
    return replace(lease, renewable=lease.renewable and is_full)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        return None
    # Also for values that are no number: a token said to last for ages is looked up again.
    return float(value) if value < LONGEST else LONGEST


_DENIED = frozenset({HTTPStatus.FORBIDDEN})

_LOOK_UP = VaultRequest(
    operation="lookup-token",
    path="auth/token/lookup-self",
    send=lambda client: client.auth.token.lookup_self(),
    repeatable=True,
    expected_statuses=_DENIED,
)

_RENEW = VaultRequest(
    operation="renew-token",
    path="auth/token/renew-self",
    send=lambda client: client.auth.token.renew_self(),
    # Renewing twice has the effect of renewing once.
    repeatable=True,
)


_REVOKE = VaultRequest(
    operation="revoke-token",
    path="auth/token/revoke-self",
    send=lambda client: client.auth.token.revoke_self(),
    repeatable=False,
)


class TokenSource(Protocol):
    """Source of the token for each request. Shared by all threads."""

    @property
    def lease(self) -> TokenLifetime | None:
        """The token and its lifetime, as far as known. Sends no request."""
        ...

    @property
    def index(self) -> str:
        """The cluster's name for the state with the token; "" once all nodes should have it."""
        ...

    def token(self, line: TimedClient) -> str:
        """Return the token to send; "" for none. Blocks where one has to be got first.

        Raises:
            LoginFailed: a token is expected, and there is none.
            StoreError: Vault does not answer.
        """
        ...

    def after_denial(self, denied: str, answer: VaultResponse, line: TimedClient) -> str | None:
        """Return the token to try after `denied` got `answer`, a 403; None if the denial is final.

        It may be `denied` itself, after a pause, where a node of Vault may not know it yet. The
        denial is final where Vault knows the token: then it comes from the policy.

        Raises:
            TokenRefused: Vault does not accept `denied`, and there is no other.
            StoreError: another is expected, and there is none.
        """
        ...

    def keep(self, line: TimedClient) -> bool:
        """Renew or replace the token if it is due; return whether Vault did either.

        Raises:
            TokenRefused: Vault does not accept it, and there is no other.
            StoreError: it failed.
        """
        ...

    def give_back(self, line: TimedClient) -> None:
        """Revoke the token of a login, and no other, if possible. Never raises.

        No thread may use the source afterwards.
        """
        ...


def is_refused(token: str, line: TimedClient) -> bool:
    """Return whether the node that answers does not know `token`, independent of its policies.

    A token that may not look itself up is also denied this, but with a policy's message.
    """
    try:
        answer = line.ask(_LOOK_UP, token)
    except StoreError:
        return False
    return is_token_unknown(answer)


def look_up(token: str, line: TimedClient) -> TokenInfo:
    """Look `token` up at Vault.

    Raises:
        TokenRefused: Vault does not accept it.
        StoreError: Vault does not answer.
    """
    call = _LOOK_UP if token else replace(_LOOK_UP, expected_statuses=frozenset())
    answer = line.ask(call, token)
    while is_token_unknown(answer) and line.settle():
        answer = line.ask(call, token)
    if is_token_unknown(answer):
        raise TokenRefused
    if answer.status == HTTPStatus.FORBIDDEN:
        raise StoreForbidden(f"{StoreForbidden().message}: {_LOOK_UP}")
    data = answer.part("data", dict)
    if data is None:
        raise StoreUnavailable(f"Vault does not tell about the token ({answer.code}): {_LOOK_UP}")
    return TokenInfo(
        expires_at=_instant(data.get("expire_time")),
        renewable=data.get("renewable") is True,
        kind=_text(data, "type"),
        policies=tuple(each for each in data.get("policies") or () if isinstance(each, str)),
        ttl=_number(data, "ttl"),
        # A periodic token gets its whole period with each renewal.
        creation_ttl=_number(data, "period") or _number(data, "creation_ttl"),
        uses=int(_number(data, "num_uses")),
    )


def renew(lease: TokenLifetime, line: TimedClient, now: float) -> TokenLifetime:
    """Renew a token.

    Raises:
        StoreError: it was not renewed.
    """
    answer = line.ask(_RENEW, lease.token)
    lease_now = granted(answer.part("auth", dict) or {}, now)
    if lease_now is None:
        raise StoreUnavailable(f"Vault does not say what it granted: {_RENEW}")
    return lease_now


def not_settled() -> StoreNotReady:
    """Return the error for a node that does not know a token which Vault has issued."""
    return StoreNotReady(
        "a node of Vault does not know rotator's token yet",
        hint="it lags behind the others: look at its log; nothing is lost, try again in a minute",
    )


def revoke(lease: TokenLifetime, line: TimedClient) -> None:
    """Ask Vault once to revoke a token; the answer is ignored."""
    if not lease.is_batch:
        line.send(_REVOKE, lease.token)


def _instant(value: object) -> datetime | None:
    try:
        return datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None


def _text(data: Mapping[str, Any], key: str) -> str:
    value = data.get(key)
    return value if isinstance(value, str) else ""


def _number(data: Mapping[str, Any], key: str) -> float:
    value = data.get(key)
    return float(min(value, LONGEST)) if isinstance(value, int | float) and value > 0 else 0.0
