"""Response wrapping: a value behind a token that gives it once."""

import secrets
from dataclasses import dataclass, field
from typing import Any

from rotator.sim.instant import NANOSECONDS, rfc3339
from rotator.sim.message import Reply, Request
from rotator.sim.vault import responses
from rotator.sim.vault.body import body_of

PREFIX = "sys/wrapping/"
_CALLS = frozenset(
    {
        ("GET", "lookup"),
        *((method, call) for method in ("POST", "PUT") for call in ("lookup", "unwrap")),
    }
)


@dataclass(frozen=True, kw_only=True)
class Wrapped:
    """One wrapped value. Times are nanoseconds since the epoch, `ttl` is seconds."""

    data: dict[str, Any] = field(repr=False)
    #: the path that was asked for it
    path: str
    created: int
    ttl: int

    def works(self, now: int) -> bool:
        """Whether it can still be had."""
        return now < self.created + self.ttl * NANOSECONDS


@dataclass
class Wrappings:
    """Every value that is wrapped, by its token."""

    _wrapped: dict[str, Wrapped] = field(default_factory=dict)

    def wrap(self, data: dict[str, Any], path: str, ttl: int, now: int) -> str:
        """Wrap a value; give the token."""
        token = "s." + secrets.token_urlsafe(18)
        self._wrapped[token] = Wrapped(data=data, path=path, created=now, ttl=ttl)
        return token

    def answer(self, call: str, request: Request, now: int) -> Reply:
        """Answer `lookup`, which spends nothing, and `unwrap`; the token is their credential.

        Raises:
            Refused: the body is no JSON object.
        """
        token = body_of(request).get("token") or request.headers.get("x-vault-token", "")
        wrapped = self._wrapped.get(str(token))
        if (request.method, call) not in _CALLS:
            return responses.unsupported()
        if not token:
            return responses.error(403, "error validating wrapping token: token is empty")
        if wrapped is None or not wrapped.works(now):
            return responses.error(400, "wrapping token is not valid or does not exist")
        if call == "unwrap":
            del self._wrapped[str(token)]
            return responses.ok(wrapped.data)
        return responses.ok(
            {
                "creation_path": wrapped.path,
                "creation_time": rfc3339(wrapped.created),
                "creation_ttl": wrapped.ttl,
            }
        )
