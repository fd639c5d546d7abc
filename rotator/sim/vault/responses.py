"""Vault's answers, and how it reads a request's body.

The shapes are those of OpenBao's `sdk/logical/translate_response.go` and `response_util.go`.
"""

import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from rotator.sim.http import Refused, Reply, Request

#: A denial by policy, in the form of Go's multierror.
_DENIED = "1 error occurred:\n\t* permission denied\n\n"

_FAULTS = {
    400: "1 error occurred:\n\t* invalid request\n\n",
    403: _DENIED,
    412: "required index state not present",
    429: "rate limit quota exceeded",
    500: "1 error occurred:\n\t* internal error\n\n",
    503: "Vault is sealed",
}


def ok(
    data: dict[str, Any] | None, *, status: int = 200, more: Mapping[str, Any] | None = None
) -> Reply:
    """Return data in Vault's envelope; `more` replaces fields of the envelope itself."""
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
    """Return a 204."""
    return Reply(status=204)


def error_reply(status: int, *texts: str) -> Reply:
    """Return errors; without a text the empty list, as for a missing key."""
    return Reply.json(status, {"errors": list(texts)})


def bad_token() -> Reply:
    """Return the answer to a missing, unknown, revoked or expired token: the same for all."""
    return error_reply(403, "permission denied")


def denied() -> Reply:
    """Return the answer to what the token's policies do not allow."""
    return error_reply(403, _DENIED)


def no_handler(path: str) -> Reply:
    """Return the answer to a path without a mount, or to an unknown call of the system."""
    if path.startswith("sys/"):
        return error_reply(404, "1 error occurred:\n\t* unsupported path\n\n")
    return error_reply(404, f'no handler for route "{path}". route entry not found.')


def unsupported() -> Reply:
    """Return the answer to a method that the path does not support."""
    return error_reply(405, "1 error occurred:\n\t* unsupported operation\n\n")


def fault(status: int) -> Reply:
    """Return Vault's answer with such a status."""
    if status < HTTPStatus.BAD_REQUEST:
        return Reply(status=status)
    return error_reply(status, *([_FAULTS[status]] if status in _FAULTS else []))


def body_of(request: Request) -> dict[str, Any]:
    """Return the request's JSON object; empty for an empty body or null.

    Raises:
        Refused: it is not a JSON object.
    """
    try:
        document = request.document() if request.body else None
    except ValueError as error:
        raise Refused(error_reply(400, "failed to decode JSON input")) from error
    if document is not None and not isinstance(document, dict):
        raise Refused(error_reply(400, "failed to decode JSON input"))
    return document or {}


def table(value: object, name: str) -> dict[str, Any]:
    """Return the object in the field `name`; null is an empty one.

    Raises:
        Refused: it is not an object.
    """
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Refused(error_reply(400, f'error converting input for field "{name}"'))
    return value


def integer(value: object, refusal: str) -> int:
    """Return a whole number, which may be given as text; null is 0.

    Raises:
        Refused: it is not a number; `refusal` is Vault's text for this place.
    """
    try:
        return int(str(value or 0))
    except ValueError as error:
        raise Refused(error_reply(400, refusal)) from error
