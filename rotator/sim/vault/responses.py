"""The bodies that Vault answers with.

The shapes are those of OpenBao's `sdk/logical/translate_response.go` and `response_util.go`.
"""

import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from rotator.sim.message import Reply

#: of a multierror; what an ACL denial looks like
_DENIED = "1 error occurred:\n\t* permission denied\n\n"


def ok(
    data: dict[str, Any] | None, *, status: int = 200, more: Mapping[str, Any] | None = None
) -> Reply:
    """Answer with the envelope that all of Vault's results have.

    `more` are fields of the envelope itself, as `auth`, `warnings` or `lease_duration`.
    """
    document = {
        "request_id": str(uuid.uuid4()),
        "lease_id": "",
        "renewable": False,
        "lease_duration": 0,
        "data": data,
        "wrap_info": None,
        "warnings": None,
        "auth": None,
    }
    return Reply.json(status, {**document, **(more or {})})


def done() -> Reply:
    """Answer 204."""
    return Reply(status=204)


def error(status: int, *texts: str) -> Reply:
    """Answer with errors; without a text it is the empty list, as for a missing key."""
    return Reply.json(status, {"errors": list(texts)})


def bad_token() -> Reply:
    """The token is missing, unknown, revoked or expired (OpenBao does not tell which)."""
    return error(403, "permission denied")


def denied() -> Reply:
    """The token's policies do not allow it."""
    return error(403, _DENIED)


def no_handler(path: str) -> Reply:
    """Nothing is mounted there, or the system has no such call."""
    if path.startswith("sys/"):
        return error(404, "1 error occurred:\n\t* unsupported path\n\n")
    return error(404, f'no handler for route "{path}". route entry not found.')


def no_namespace() -> Reply:
    """The namespace of the header does not exist."""
    return error(404, "namespace not found")


def unsupported() -> Reply:
    """The path does not know the method."""
    return error(405, "1 error occurred:\n\t* unsupported operation\n\n")


def fault(status: int) -> Reply:
    """Say what Vault says with such a status."""
    texts = {
        400: "1 error occurred:\n\t* invalid request\n\n",
        403: _DENIED,
        412: "required index state not present",
        429: "rate limit quota exceeded",
        500: "1 error occurred:\n\t* internal error\n\n",
        503: "Vault is sealed",
    }
    if status < HTTPStatus.BAD_REQUEST:
        return Reply(status=status)
    return error(status, *([texts[status]] if status in texts else []))
