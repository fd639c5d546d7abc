"""Who a request to Vonage says it is."""

import base64
import binascii
from dataclasses import dataclass, field

from rotator.sim.message import Refused, Request
from rotator.sim.vonage import problems


@dataclass(frozen=True, kw_only=True)
class Credentials:
    """An API key and the secret that came with it."""

    api_key: str
    secret: str = field(repr=False)


def basic(request: Request) -> Credentials | None:
    """Read Basic auth; None if there is none or it cannot be read."""
    scheme, _, encoded = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "basic":
        return None
    try:
        text = base64.b64decode(encoded.strip(), validate=True).decode()
    except (binascii.Error, UnicodeDecodeError):
        return None
    api_key, colon, secret = text.partition(":")
    return Credentials(api_key=api_key, secret=secret) if colon else None


def in_query(request: Request) -> Credentials | None:
    """Read `api_key` and `api_secret` from the query; None if neither is there."""
    if not request.query.keys() & {"api_key", "api_secret"}:
        return None
    query = request.query
    return Credentials(api_key=query.get("api_key", ""), secret=query.get("api_secret", ""))


def only_one_kind(request: Request) -> None:
    """Refuse a request that carries both.

    Raises:
        Refused: it does (`multiple-auth-methods` of the portal's generic errors).
    """
    if "authorization" in request.headers and in_query(request) is not None:
        raise Refused(problems.multiple_auth_methods())
