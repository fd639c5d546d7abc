"""Vault's HTTP API: which call a path is, and whether the token may make it."""

import time
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from rotator.sim.clock import NANOSECONDS, Clock
from rotator.sim.http import Reply, Request
from rotator.sim.server import Simulator
from rotator.sim.vault import responses
from rotator.sim.vault.kv import Mount, seconds
from rotator.sim.vault.responses import body_of
from rotator.sim.vault.tokens import Policy, Token, Tokens

#: The answer of a mount that is new or unsealed, or after a failover (OpenBao's kv/upgrade.go).
INITIALISING = (
    "Upgrading from non-versioned to versioned data. This backend will be unavailable for a "
    "brief period and will resume service shortly."
)

_OPERATIONS = {"GET": "read", "POST": "write", "PUT": "write", "DELETE": "delete"}

_WRITES = ("POST", "PUT")

_UI_MOUNTS = "sys/internal/ui/mounts/"

_CLUSTER_NAME = "vault-cluster-simulated"


@dataclass(frozen=True, kw_only=True)
class Login:
    """A credential that is accepted, and what its tokens are issued with."""

    #: below `auth/`, such as `approle/login`
    path: str
    #: fields that the body must have
    body: Mapping[str, str] = field(repr=False)
    policy: Policy
    #: of the tokens, in seconds
    ttl: float


class VaultApi(Simulator):
    """A Vault or OpenBao server that is initialised, unsealed and active."""

    def __init__(
        self,
        *,
        latency: float,
        root_token: str,
        mounts: Iterable[str],
        clock: Clock = time.time_ns,
    ) -> None:
        super().__init__(latency=latency, clock=clock)
        self.token = root_token
        #: everything but `sys/health` is answered 503
        self.sealed = False
        #: number of the next reads of `data/` that do not see a key's newest version yet, as on
        #: Vault's performance standbys and on OpenBao since 2.5
        self.stale_reads = 0
        #: number of the next calls on a mount that are answered `INITIALISING`
        self.initialising = 0
        self._tokens = Tokens()
        self._tokens[root_token] = Token(id=root_token, policy=None, issued=self._now())
        self._mounts = {name.strip("/"): Mount() for name in mounts}
        self._logins: list[Login] = []

    def _answer(self, request: Request) -> Reply:
        prefix, _, path = request.path.lstrip("/").partition("/")
        if prefix != "v1":
            return responses.error_reply(404)
        if path == "sys/health":
            return self._health(request)
        if self.sealed:
            return responses.error_reply(503, "Vault is sealed")
        if path.startswith("auth/") and not path.startswith("auth/token/"):
            return self._log_in(path.removeprefix("auth/"), request)
        token = self._tokens.find(request.headers, self._now())
        return self._call(path, request, token) if token else responses.bad_token()

    def _call(self, path: str, request: Request, token: Token) -> Reply:
        match request.method, path:
            case "GET" | "POST" | "PUT", "auth/token/lookup-self":
                return responses.ok(token.as_lookup(self._now()))
            case "POST" | "PUT", "auth/token/renew-self":
                return self._renew(token, request)
            case "POST" | "PUT", "auth/token/revoke-self":
                del self._tokens[token.id]
                return Reply(status=204)
            case "POST" | "PUT", "sys/capabilities-self":
                return _capabilities(request, token)
            case "GET", "sys/mounts":
                mounts = {f"{name}/": _mount_document(name) for name in self._mounts}
                is_allowed = token.allows("read", path)
                return responses.ok(mounts, more=mounts) if is_allowed else responses.denied()
            case "GET", _ if path.startswith(_UI_MOUNTS):
                return self._ui_mount(path.removeprefix(_UI_MOUNTS), token)
            case _ if path.startswith(("auth/token/", "sys/capabilities-self", _UI_MOUNTS)):
                return responses.unsupported()
            case _:
                return self._on_mount(path, request, token)

    def _refusal(self, _request: Request, status: int) -> Reply:
        return responses.fault(status)

    def _common_headers(self) -> dict[str, str]:
        return {"Cache-Control": "no-store"}

    def _health(self, request: Request) -> Reply:
        if request.method not in ("GET", "HEAD"):
            return responses.error_reply(405)
        replication = "unknown" if self.sealed else "disabled"
        document: dict[str, Any] = {
            "initialized": True,
            "sealed": self.sealed,
            "standby": self.sealed,
            "replication_performance_mode": replication,
            "replication_dr_mode": replication,
            "server_time_utc": self._now() // NANOSECONDS,
            "version": "2.6.2+simulated",
        }
        if not self.sealed:
            document |= {"cluster_name": _CLUSTER_NAME, "cluster_id": _id(_CLUSTER_NAME)}
        return Reply.json(503 if self.sealed else 200, document)

    def _log_in(self, path: str, request: Request) -> Reply:
        body = body_of(request)
        for login in self._logins if request.method in _WRITES else ():
            if login.path == path and login.body.items() <= body.items():
                token = self._tokens.issue(
                    login.policy, self._now(), ttl=login.ttl, path=f"auth/{path}"
                )
                return responses.ok(None, more={"auth": token.as_auth(self._now())})
        # With a text of its own per method on a real server.
        return responses.error_reply(400, "invalid credentials")

    def _renew(self, token: Token, request: Request) -> Reply:
        try:
            token.renew(seconds(body_of(request).get("increment") or 0), self._now())
        except ValueError as error:
            text = f'Field validation failed: error converting input for field "increment": {error}'
            return responses.error_reply(400, text)
        return responses.ok(None, more={"auth": token.as_auth(self._now())})

    def _ui_mount(self, path: str, token: Token) -> Reply:
        """Answer which mount a path is on; an unknown one is 403 for root, too."""
        wanted = path.rstrip("/") + "/"
        name = self._mount_of(wanted)
        if name is None or not token.touches(f"{name}/"):
            text = (
                "preflight capability check returned 403, please ensure client's policies grant "
                f'access to path "{wanted}"'
            )
            return responses.error_reply(HTTPStatus.FORBIDDEN, text)
        return responses.ok(_mount_document(name) | {"path": f"{name}/"})

    def _on_mount(self, path: str, request: Request, token: Token) -> Reply:
        operation = _OPERATIONS.get(request.method)
        if operation is None:
            return responses.unsupported()
        name = self._mount_of(path)
        mount = self._mounts[name] if name is not None else Mount()
        below = path.removeprefix(name or "").removeprefix("/")
        # Policies come first, so an ordinary token cannot find out what is mounted.
        if not token.allows(mount.needs(operation, below), path):
            return responses.denied()
        if name is None:
            return responses.no_handler(path)
        if self.initialising > 0:
            self.initialising -= 1
            return responses.error_reply(400, INITIALISING)
        is_stale = operation == "read" and self.stale_reads > 0 and mount.has(below)
        self.stale_reads -= is_stale
        return mount.answer(operation, below, request, self._now(), is_stale=is_stale)

    def _mount_of(self, path: str) -> str | None:
        """Return the mount that a path is on; of nested ones the longest."""
        found = [name for name in self._mounts if f"{path}/".startswith(f"{name}/")]
        return max(found, key=len, default=None)


def _mount_document(name: str) -> dict[str, Any]:
    return {
        "type": "kv",
        "description": "",
        "accessor": f"kv_{_id(name)[:8]}",
        "local": False,
        "seal_wrap": False,
        "external_entropy_access": False,
        "options": {"version": "2"},
        "uuid": _id(name),
        "config": {"default_lease_ttl": 0, "max_lease_ttl": 0, "force_no_cache": False},
    }


def _capabilities(request: Request, token: Token) -> Reply:
    """Answer what the token may do on the paths in the body, in `data` and also beside it."""
    paths = body_of(request).get("paths") or []
    if not paths:
        return responses.error_reply(400, "paths must be supplied")
    answers: dict[str, Any] = {path: token.capabilities(path.lstrip("/")) for path in paths}
    if len(paths) == 1:
        answers["capabilities"] = answers[paths[0]]
    return responses.ok(answers, more=answers)


def _id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))
