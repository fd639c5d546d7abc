"""The calls below /v1/sys that a client of KV needs."""

import uuid
from typing import Any

from rotator.sim.instant import NANOSECONDS
from rotator.sim.message import Reply, Request
from rotator.sim.vault import responses
from rotator.sim.vault.body import body_of
from rotator.sim.vault.mounts import Mounts
from rotator.sim.vault.tokens import Token

UI_MOUNTS = "sys/internal/ui/mounts/"
VERSION = "2.6.2+simulated"
_CLUSTER_NAME = "vault-cluster-simulated"
_CLUSTER_ID = str(uuid.uuid5(uuid.NAMESPACE_DNS, _CLUSTER_NAME))


def health(request: Request, *, sealed: bool, now: int) -> Reply:
    """Answer `sys/health`: 200 active, 503 sealed, or what `activecode`, `sealedcode` say."""
    if request.method not in ("GET", "HEAD"):
        return responses.error(405)
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


def seal_status(request: Request, *, sealed: bool) -> Reply:
    """Answer `sys/seal-status`, which needs no token."""
    if request.method != "GET":
        return responses.error(405)
    document: dict[str, Any] = {
        "type": "shamir",
        "initialized": True,
        "sealed": sealed,
        "t": 1,
        "n": 1,
        "progress": 0,
        "nonce": "",
        "recovery_seal": False,
        "version": VERSION,
        "migration": False,
        "storage_type": "inmem",
    }
    return Reply.json(200, document | _cluster(sealed=sealed))


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
        return responses.error(400, "paths must be supplied")
    answers: dict[str, Any] = {path: token.capabilities(path.lstrip("/")) for path in paths}
    if len(paths) == 1:
        answers["capabilities"] = answers[paths[0]]
    return responses.ok(answers, more=answers)


def ui_mount(request: Request, path: str, mounts: Mounts, token: Token) -> Reply:
    """Answer `sys/internal/ui/mounts/{path}`: which mount a path is on, and its version.

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
        return responses.error(403, text)
    document = {
        "type": "kv",
        "path": f"{name}/",
        "description": "",
        "accessor": f"kv_{uuid.uuid5(uuid.NAMESPACE_DNS, name).hex[:8]}",
        "local": False,
        "seal_wrap": False,
        "external_entropy_access": False,
        "options": {"version": str(mounts.version(name))},
        "uuid": str(uuid.uuid5(uuid.NAMESPACE_DNS, name)),
        "config": {"default_lease_ttl": 0, "max_lease_ttl": 0, "force_no_cache": False},
    }
    return responses.ok(document)


def _cluster(*, sealed: bool) -> dict[str, str]:
    return {} if sealed else {"cluster_name": _CLUSTER_NAME, "cluster_id": _CLUSTER_ID}
