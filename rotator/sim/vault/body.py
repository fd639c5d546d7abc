"""Reading the bodies of requests to Vault, with its errors for those that do not fit."""

from typing import Any

from rotator.sim.message import Refused, Request
from rotator.sim.vault import responses


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
    try:
        return int(value or 0)  # type: ignore[call-overload, no-any-return]
    except (TypeError, ValueError) as error:
        raise Refused(responses.error(400, _conversion(name))) from error


def table(value: object, name: str) -> dict[str, Any]:
    """Read an object as Vault does; null is an empty one.

    Raises:
        Refused: it is none.
    """
    if value is not None and not isinstance(value, dict):
        raise Refused(responses.error(400, _conversion(name)))
    return value or {}


def flag(value: object, name: str) -> bool:
    """Read a truth value as Vault does, also from a text.

    Raises:
        Refused: it is none.
    """
    known = {"true": True, "1": True, "false": False, "0": False}
    text = str(value).lower()
    if text not in known:
        raise Refused(responses.error(400, _conversion(name)))
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


def _conversion(name: str) -> str:
    return f'error converting input for field "{name}"'
