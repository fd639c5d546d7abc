"""Vonage's Audit API (beta): who changed an account's secrets.

Shapes and parameters are those of the Audit API document, 1.0.4, and of the guide "Retrieve audit
events". What the context of an event about a secret contains is documented nowhere.
"""

import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from rotator.sim.http import Reply

CREATED, DELETED = "ACCOUNT_SECRET_CREATE", "ACCOUNT_SECRET_DELETE"
_DESCRIPTIONS = {CREATED: "Account secret created", DELETED: "Account secret deleted"}

_USUAL_SIZE, _LARGEST_SIZE = 30, 100


@dataclass(frozen=True, kw_only=True)
class Source:
    """Who makes a change, and from where."""

    #: `CD` for the dashboard, `DEVAPI` for the API
    code: str
    address: str
    country: str | None = None
    #: email address and number of the user; None where a program calls the API
    user: tuple[str, int] | None = None


DASHBOARD = Source(
    code="CD", address="192.0.2.10", country="GB", user=("operator@example.com", 1234567)
)
PROGRAM = Source(code="DEVAPI", address="127.0.0.1")
_SOURCES = {"CD": "Customer Dashboard", "DEVAPI": "Developer API"}


@dataclass(frozen=True, kw_only=True)
class SimEvent:
    """One change of an account's secrets."""

    kind: str
    at: datetime
    secret_id: str
    source: Source
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


def refusal(status: int, message: str) -> Reply:
    """Return an error in the Audit API's own form."""
    document = {"status": status, "error": HTTPStatus(status).phrase, "message": message}
    return Reply.json(status, document)


def unauthorized() -> Reply:
    """Return the answer to missing or wrong credentials, whose text is the document's example."""
    message = 'Full authentication is required. JWT was not found in "Authorization" HTTP header.'
    return refusal(401, message)


def page(
    api_key: str, events: list[SimEvent], query: Mapping[str, str], *, names_secrets: bool
) -> Reply:
    """Return a page of an account's events, the newest first."""
    kinds = set(filter(None, query.get("event_type", "").split(",")))
    try:
        since, until = _time(query.get("date_from")), _time(query.get("date_to"))
        number, size = int(query.get("page", "1")), int(query.get("size", _USUAL_SIZE))
    except ValueError:
        return refusal(400, "A parameter cannot be read")
    if number < 1 or not 1 <= size <= _LARGEST_SIZE:
        return refusal(400, "page counts from 1, and size is 1 to 100")
    found = [
        event
        for event in sorted(events, key=lambda event: event.at, reverse=True)
        if (not kinds or event.kind in kinds)
        and (since is None or since <= event.at)
        and (until is None or event.at <= until)
    ]
    pages = -(-len(found) // size)
    shown = found[(number - 1) * size : number * size]
    bodies = [_body(api_key, event, names_secrets=names_secrets) for event in shown]
    counts = {"size": size, "totalElements": len(found), "totalPages": pages, "number": number}
    links = {"self": {"href": "https://api.nexmo.com/beta/audit/events"}}
    document = {"_embedded": {"events": bodies}, "_links": links, "page": counts}
    return Reply.json(200, document)


def _time(text: str | None) -> datetime | None:
    if not text:
        return None
    at = datetime.fromisoformat(text)
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _body(api_key: str, event: SimEvent, *, names_secrets: bool) -> dict[str, Any]:
    source, context = event.source, {"accountId": api_key}
    body: dict[str, Any] = {
        "_links": {"self": {"href": f"https://api.nexmo.com/beta/audit/events/{event.id}"}},
        "id": event.id,
        "event_type": event.kind,
        "event_type_description": _DESCRIPTIONS[event.kind],
        "created_at": f"{event.at:%Y-%m-%dT%H:%M:%S}",
        "account_id": api_key,
        "source": source.code,
        "source_ip": source.address,
        "source_description": _SOURCES.get(source.code, source.code),
        "context": context | ({"secretId": event.secret_id} if names_secrets else {}),
    }
    if source.country:
        body["source_country"] = source.country
    if source.user:
        body["user_email"], body["user_id"] = source.user
    return body
