"""The calls below /v1/sys that a client of KV needs."""

import secrets
import uuid
from dataclasses import dataclass, field
from typing import Any

from rotator.sim.clock import NANOSECONDS, rfc3339
from rotator.sim.http import Reply, Request
from rotator.sim.vault import responses
from rotator.sim.vault.kv import Mounts
from rotator.sim.vault.responses import body_of
from rotator.sim.vault.tokens import Token

UI_MOUNTS = "sys/internal/ui/mounts/"

VERSION = "2.6.2+simulated"

_CLUSTER_NAME = "vault-cluster-simulated"

_CLUSTER_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, _CLUSTER_NAME))


def health(request: Request, *, sealed: bool, now: int) -> Reply:
    """Answer `sys/health`: 200 active, 503 sealed, or what `activecode`, `sealedcode` say."""
    if request.method not in ("GET", "HEAD"):
        return responses.error_reply(405)
    asked = request.query.get("sealedcode" if sealed else "activecode", "")
    status = int(asked) if asked.isdecimal() else (503 if sealed else 200)
    document: dict[str, Any] = {
        "initialized": True,
        "sealed": sealed,
        "standby": sealed,
        "replication_performance_mode": "unknown" if sealed else "disabled",
        "replication_dr_mode": "unknown" if sealed else "disabled",
        "server_time_utc": now // NANOSECONDS,
        "version": VERSION,
    }
    return Reply.json(status, document | _cluster(sealed=sealed))


def capabilities_self(request: Request, token: Token) -> Reply:
    """Answer `sys/capabilities-self` for the paths in the body.

    The answer stands in `data` and, as of old, beside it too.

    Raises:
        Refused: the body is no JSON object.
    """
    if request.method not in ("POST", "PUT"):
        return responses.unsupported()
    body = body_of(request)
    paths = body.get("paths") or body.get("path") or []
    if isinstance(paths, str):
        paths = paths.split(",")
    if not paths:
        return responses.error_reply(400, "paths must be supplied")
    answers: dict[str, Any] = {path: token.capabilities(path.lstrip("/")) for path in paths}
    if len(paths) == 1:
        answers["capabilities"] = answers[paths[0]]
    return responses.ok(answers, more=answers)


def ui_mount(request: Request, path: str, mounts: Mounts, token: Token) -> Reply:
    """Answer `sys/internal/ui/mounts/{path}`: which mount a path is on.

    An unknown mount is 403, also for root, so that nobody can guess names.
    """
    if request.method != "GET":
        return responses.unsupported()
    wanted = path.removeprefix(UI_MOUNTS).rstrip("/") + "/"
    name = mounts.of(wanted)
    if name is None or not token.touches(f"{name}/"):
        text = (
            "preflight capability check returned 403, please ensure client's policies grant "
            f'access to path "{wanted}"'
        )
        return responses.error_reply(403, text)
    document = {
        "type": "kv",
        "path": f"{name}/",
        "description": "",
        "accessor": f"kv_{uuid.uuid5(uuid.NAMESPACE_DNS, name).hex[:8]}",
        "local": False,
        "seal_wrap": False,
        "external_entropy_access": False,
        "options": {"version": "2"},
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
        "config": {"default_lease_ttl": 0, "max_lease_ttl": 0, "force_no_cache": False},
    }
    return responses.ok(document)


def _cluster(*, sealed: bool) -> dict[str, str]:
    return {} if sealed else {"cluster_name": _CLUSTER_NAME, "cluster_id": _CLUSTER_ID}


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
            return responses.error_reply(403, "error validating wrapping token: token is empty")
        if wrapped is None or not wrapped.works(now):
            return responses.error_reply(400, "wrapping token is not valid or does not exist")
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
