"""The bodies that Vault answers with.

The shapes are those of OpenBao's `sdk/logical/translate_response.go` and `response_util.go`.
"""

import uuid
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from rotator.sim.http import Refused, Reply, Request

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


def error_reply(status: int, *texts: str) -> Reply:
    """Answer with errors; without a text it is the empty list, as for a missing key."""
    return Reply.json(status, {"errors": list(texts)})


def bad_token() -> Reply:
    """The token is missing, unknown, revoked or expired (OpenBao does not tell which)."""
    return error_reply(403, "permission denied")


def denied() -> Reply:
    """The token's policies do not allow it."""
    return error_reply(403, _DENIED)


def no_handler(path: str) -> Reply:
    """Nothing is mounted there, or the system has no such call."""
    if path.startswith("sys/"):
        return error_reply(404, "1 error occurred:\n\t* unsupported path\n\n")
    return error_reply(404, f'no handler for route "{path}". route entry not found.')


def no_namespace() -> Reply:
    """The namespace of the header does not exist."""
    return error_reply(404, "namespace not found")


def unsupported() -> Reply:
    """The path does not know the method."""
    return error_reply(405, "1 error occurred:\n\t* unsupported operation\n\n")


def fault(status: int) -> Reply:
    """Return Vault's reply with such a status."""
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
    return error_reply(status, *([texts[status]] if status in texts else []))


_GO_TYPES = {str: "string", bool: "bool", list: "[]interface {}"}


def body_of(request: Request) -> dict[str, Any]:
    """Return the request's JSON object; empty for an empty body or null.

    Raises:
        Refused: it is no JSON object.
    """
    if not request.body:
        return {}
    try:
        document = request.document()
    except ValueError as error:
        raise Refused(error_reply(400, "failed to decode JSON input")) from error
    if document is not None and not isinstance(document, dict):
        raise Refused(error_reply(400, "failed to decode JSON input"))
    return document or {}


def integer(value: object, name: str) -> int:
    """Read a whole number as Vault does: also from a text, and null as 0.

    Raises:
        Refused: it is none.
    """
    refused = Refused(error_reply(400, _unparsed(name, "int")))
    if isinstance(value, float) and not value.is_integer():
        raise refused
    try:
        return int(value or 0)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError) as error:
        raise refused from error


def query_integer(request: Request, name: str) -> int:
    """Read a whole number of the query; 0 where there is none.

    Raises:
        Refused: it is none.
    """
    text = request.query.get(name) or "0"
    if not text.removeprefix("-").isdecimal():
        raise Refused(error_reply(400, f"Field validation failed: {_unparsed(name, 'int')}"))
    return int(text)


def table(value: object, name: str) -> dict[str, Any]:
    """Read an object as Vault does; null and an empty list are empty ones.

    Raises:
        Refused: it is none.
    """
    if value in (None, []):
        return {}
    if not isinstance(value, dict):
        kind = _GO_TYPES.get(type(value), "json.Number")
        wrong = f"'' expected type 'map[string]interface {{}}', got unconvertible type '{kind}'"
        raise Refused(error_reply(400, f"{_conversion(name)}: {wrong}"))
    return value


def numbers(request: Request, missing: str) -> list[int]:
    """Return the versions that a request names.

    Raises:
        Refused: there are none (with the text `missing`), or one is no number.
    """
    versions = body_of(request).get("versions")
    if not versions:
        raise Refused(error_reply(400, missing))
    listed = versions if isinstance(versions, list) else str(versions).split(",")
    return [integer(each, "versions") for each in listed]


def _unparsed(name: str, kind: str) -> str:
    parser = f"strconv.Parse{kind.capitalize()}"
    return f"{_conversion(name)}: '' cannot parse value as '{kind}': {parser}: invalid syntax"


def _conversion(name: str) -> str:
    return f'error converting input for field "{name}"'
