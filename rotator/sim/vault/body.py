"""Reading the bodies of requests to Vault, with its errors for those that do not fit."""

from typing import Any

from rotator.sim.message import Refused, Request
from rotator.sim.vault import responses

_GO_TYPES = {str: "string", bool: "bool", list: "[]interface {}"}


def body_of(request: Request) -> dict[str, Any]:
    """Give the request's JSON object; empty for an empty body or null.

    Raises:
        Refused: it is no JSON object.
    """
    if not request.body:
        return {}
    try:
        document = request.document()
    except ValueError as error:
        raise Refused(responses.error(400, "failed to decode JSON input")) from error
    if document is not None and not isinstance(document, dict):
        raise Refused(responses.error(400, "failed to decode JSON input"))
    return document or {}


def integer(value: object, name: str) -> int:
    """Read a whole number as Vault does: also from a text, and null as 0.

    Raises:
        Refused: it is none.
    """
    refused = Refused(responses.error(400, _unparsed(name, "int")))
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
        raise Refused(responses.error(400, f"Field validation failed: {_unparsed(name, 'int')}"))
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
        raise Refused(responses.error(400, f"{_conversion(name)}: {wrong}"))
    return value


def flag(value: object, name: str) -> bool:
    """Read a truth value as Vault does, also from a text.

    Raises:
        Refused: it is none.
    """
    known = {"true": True, "1": True, "false": False, "0": False}
    text = str(value).lower()
    if text not in known:
        raise Refused(responses.error(400, _unparsed(name, "bool")))
    return known[text]


def numbers(request: Request, missing: str) -> list[int]:
    """Give the versions that a delete, undelete or destroy names.

    Raises:
        Refused: there are none (with the text `missing`), or one is no number.
    """
    versions = body_of(request).get("versions")
    if not versions:
        raise Refused(responses.error(400, missing))
    listed = versions if isinstance(versions, list) else str(versions).split(",")
    return [integer(each, "versions") for each in listed]


def _unparsed(name: str, kind: str) -> str:
    parser = f"strconv.Parse{kind.capitalize()}"
    return f"{_conversion(name)}: '' cannot parse value as '{kind}': {parser}: invalid syntax"


def _conversion(name: str) -> str:
    return f'error converting input for field "{name}"'
