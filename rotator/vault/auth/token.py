"""Sources of tokens, a token's lifetime, and Vault's facts about it.

A source is passed the client for its own requests: they share the deadline of the call that needs a
token.
"""

from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Annotated, Protocol

from pydantic import AfterValidator, BeforeValidator, Field, PlainValidator, Strict

from rotator.errors import StoreError, StoreForbidden, StoreNotReady, StoreUnavailable, TokenRefused
from rotator.model import SecretValue
from rotator.model.redaction import is_plain
from rotator.vault.client import VaultClient
from rotator.vault.errors import is_token_unknown
from rotator.vault.response import Body, Moment, VaultResponse, parse
from rotator.vault.transport import VaultRequest

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


#: Seconds. No token lasts a century, and sums with the time must stay within the calendar.
LONGEST = 36_500 * 86_400.0


def _seconds(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise ValueError
    # Also infinity and NaN: a token with such a lifetime is looked up again.
    return float(value) if value < LONGEST else LONGEST


def _token(value: str) -> str:
    if not value or not is_plain(value):
        raise ValueError
    return value


#: Seconds or a count, at most a century's.
_Seconds = Annotated[float, PlainValidator(_seconds)]


#: Names; Vault writes null for none.
_Policies = Annotated[
    tuple[str, ...], Strict(strict=False), BeforeValidator(lambda found: found or ())
]


class _Grant(Body):
    """The `auth` of a login or a renewal, of Vault's HTTP API."""

    client_token: Annotated[str, AfterValidator(_token)]
    #: 0 for a token that does not expire.
    lease_duration: _Seconds
    renewable: bool = False
    num_uses: _Seconds = 0.0
    kind: str = Field(default="", validation_alias="token_type")


class TokenInfo(Body):
    """Vault's information on a token, without its value."""

    #: None for a token that never expires.
    expires_at: Moment = Field(default=None, validation_alias="expire_time")
    renewable: bool = False
    #: `service` or `batch`; "" where Vault does not say.
    kind: str = Field(default="", validation_alias="type")
    policies: _Policies = ()
    #: Remaining lifetime in seconds; 0 for one that never expires.
    ttl: _Seconds = 0.0
    #: Initial lifetime in seconds; 0 for one that never expires.
    creation_ttl: _Seconds = 0.0
    #: Lifetime of each renewal of a periodic token, in seconds; 0 for any other.
    period: _Seconds = 0.0
    #: How many more requests it is good for; 0 for any number, and after the last one, which Vault
    #: answers with -1.
    uses: Annotated[int, AfterValidator(lambda uses: max(0, uses))] = Field(
        default=0, validation_alias="num_uses"
    )


def granted(auth: object, now: float, index: str = "") -> TokenLifetime | None:
    """Parse the `auth` of a login or a renewal; None where it has no token.

    `index` is that of the answer.
    """
    grant = parse(_Grant, auth)
    if grant is None:
        return None
    seconds = grant.lease_duration
    return TokenLifetime(
        token=grant.client_token,
        expires_at=now + seconds if seconds else None,
        span=seconds,
        # A renewal would use up one of its few requests.
        renewable=grant.renewable and not grant.num_uses,
        uses=int(grant.num_uses),
        is_batch=grant.kind == "batch",
        index=index,
    )


def renewed(former: TokenLifetime, granted: TokenLifetime) -> TokenLifetime:
    """Return the renewed lifetime: one that is less than the full one is the last useful one.

    Vault shortens it when the token's maximum lifetime is near.
    """
    is_full = granted.expires_at is None or granted.span >= former.span - _ROUNDING
    return replace(granted, renewable=granted.renewable and is_full)


_DENIED = frozenset({HTTPStatus.FORBIDDEN})

_LOOK_UP = VaultRequest(
    operation="lookup-token",
    path="auth/token/lookup-self",
    purpose="looking up rotator's own token",
    send=lambda client: client.auth.token.lookup_self(),
    repeatable=True,
    expected_statuses=_DENIED,
)

_RENEW = VaultRequest(
    operation="renew-token",
    path="auth/token/renew-self",
    purpose="renewing rotator's token",
    send=lambda client: client.auth.token.renew_self(),
    # Renewing twice has the effect of renewing once.
    repeatable=True,
)


_REVOKE = VaultRequest(
    operation="revoke-token",
    path="auth/token/revoke-self",
    purpose="revoking rotator's token",
    send=lambda client: client.auth.token.revoke_self(),
    repeatable=False,
)


class TokenSource(Protocol):
    """Source of the token for each request. Shared by all threads."""

    @property
    def lifetime(self) -> TokenLifetime | None:
        """The token and its lifetime, as far as known. Sends no request."""
        ...

    @property
    def index(self) -> str:
        """The cluster's name for the state with the token; "" once all nodes should have it."""
        ...

    def token(self, client: VaultClient) -> str:
        """Return the token to send; "" for none. Blocks where one has to be got first.

        Raises:
            LoginFailed: a token is expected, and there is none.
            StoreError: Vault does not answer.
        """
        ...

    def after_denial(self, denied: str, response: VaultResponse, client: VaultClient) -> str | None:
        """Return the token to try after `denied` got a 403; None if the denial is final.

        It may be `denied` itself, after a pause, where a node of Vault may not know it yet. The
        denial is final where Vault knows the token: then it comes from the policy.

        Raises:
            TokenRefused: Vault does not accept `denied`, and there is no other.
            StoreError: another is expected, and there is none.
        """
        ...

    def keep(self, client: VaultClient) -> bool:
        """Renew or replace the token if it is due; return whether Vault did either.

        Raises:
            TokenRefused: Vault does not accept it, and there is no other.
            StoreError: it failed.
        """
        ...

    def revoke(self, client: VaultClient) -> None:
        """Revoke the token of a login, and no other, if possible. Never raises.

        No thread may use the source afterwards.
        """
        ...


def is_refused(token: str, client: VaultClient) -> bool:
    """Return whether the node that answers does not know `token`, independent of its policies.

    A token that may not look itself up is also denied this, but with a policy's message.
    """
    try:
        response = client.ask(_LOOK_UP, token)
    except StoreError:
        return False
    return is_token_unknown(response)


def look_up(token: str, client: VaultClient) -> TokenInfo:
    """Look `token` up at Vault.

    Raises:
        TokenRefused: Vault does not accept it.
        StoreError: Vault does not answer.
    """
    request = _LOOK_UP if token else replace(_LOOK_UP, expected_statuses=frozenset())
    response = client.ask(request, token)
    while is_token_unknown(response) and client.settle():
        response = client.ask(request, token)
    if is_token_unknown(response):
        raise TokenRefused
    if response.status == HTTPStatus.FORBIDDEN:
        raise StoreForbidden(f"{StoreForbidden().message}: {_LOOK_UP}")
    info = response.data(TokenInfo)
    if info is None:
        raise StoreUnavailable(f"Vault does not report on the token ({response.code}): {_LOOK_UP}")
    return info


def renew(lifetime: TokenLifetime, client: VaultClient, now: float) -> TokenLifetime:
    """Renew a token.

    Raises:
        StoreError: it was not renewed.
    """
    lifetime_now = granted(client.ask(_RENEW, lifetime.token).part("auth"), now)
    if lifetime_now is None:
        raise StoreUnavailable(f"Vault does not say what it granted: {_RENEW}")
    return lifetime_now


def not_settled() -> StoreNotReady:
    """Return the error for a node that does not know a token which Vault has issued."""
    return StoreNotReady(
        "a node of Vault does not know rotator's token yet",
        hint="it lags behind the others: look at its log; nothing is lost",
    )


def revoke(lifetime: TokenLifetime, client: VaultClient) -> None:
    """Ask Vault once to revoke a token; the response is ignored."""
    if not lifetime.is_batch:
        client.send(_REVOKE, lifetime.token)
