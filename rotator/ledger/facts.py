"""The facts in a chained entry, and what it records of a hold or of an identity."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from rotator.ledger.chain import Entry
from rotator.ledger.mapping import IDENTITY, identity_of
from rotator.model import Hold, Identity

Detail = Mapping[str, Any]


def detail_of(entry: Entry) -> Detail:
    """Return an entry's facts; empty where another program wrote an entry without facts."""
    try:
        detail = json.loads(entry.detail)
    except (TypeError, ValueError, RecursionError):
        return {}
    return detail if isinstance(detail, dict) else {}


def hold_in(entry: Entry) -> Hold | None:
    """Return the hold that an entry records; None where it ended one."""
    at, detail = time_of(entry.at), detail_of(entry)
    if entry.event != "held" or at is None:
        return None
    reason, by = str(detail.get("reason")), str(detail.get("by"))
    return Hold(reason=reason, by=by, at=at, freeze=bool(detail.get("freeze")))


def different_holds(*, row_has: Hold | None, entries_have: Hold | None) -> str | None:
    """Return, in words, how row and entries disagree on a hold; None where they agree."""
    if _facts(row_has) == _facts(entries_have):
        return None
    row, entries = _described(row_has), _described(entries_have)
    return f"the account's row says that {row}, and the entries say that {entries}"


def _facts(hold: Hold | None) -> tuple[str, str, bool] | None:
    return (hold.reason, hold.by, hold.freeze) if hold else None


def _described(hold: Hold | None) -> str:
    return f"it is held: {hold}" if hold else "nobody holds it"


def identity_in(detail: Detail) -> Identity | None:
    """Return the identity of the account in an entry's facts; None where it is not in them."""
    columns = {name: text_in(detail, name) for name in IDENTITY}
    return identity_of(columns) if all(columns.values()) else None


def text_in(detail: Detail, name: str) -> str | None:
    """Return a fact that is a text; None where there is none, or of another kind."""
    value = detail.get(name)
    return value if isinstance(value, str) else None


def number_in(detail: Detail, name: str) -> int | None:
    """Return a fact that is a number, likewise."""
    value = detail.get(name)
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def time_of(text: object) -> datetime | None:
    """Return a time with its zone; None where a text is none."""
    try:
        at = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return at if at.tzinfo else None
