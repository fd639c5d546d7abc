"""Vonage's Audit API (beta): who changed an account's secrets, and from where.

Source: Vonage's OpenAPI document of the Audit API, 1.0.4, and its guide "Retrieve audit events",
which allows several types of events separated by commas. What the context of an event about a
secret contains, and which zone its time is in, is not documented.
"""

import json
from collections.abc import Iterable, Iterator
from contextlib import suppress
from datetime import datetime
from http import HTTPStatus
from typing import Annotated, Any
from urllib.parse import urlencode

from pydantic import AfterValidator, Field, Strict, ValidationError

from rotator.errors import Forbidden, UnexpectedAnswer
from rotator.model import Credential
from rotator.model.redaction import printable, redact, reveals
from rotator.network import HttpResponse
from rotator.rotation.audit_trail import AuditEvent, AuditKind, AuditTrail
from rotator.vonage.client import VonageClient
from rotator.vonage.request import Host, VonageRequest, is_identifier
from rotator.vonage.response import Answer, Moment, Text, document_of, read

#: Events in one answer; Vonage's largest page.
_SIZE = 100
#: Longest text of an event that is kept, in characters.
_LONGEST = 100
#: How much of a context is searched for ids: levels, and texts.
_DEPTH, _MOST = 6, 100

#: Statuses whose body says why the account gets no answer.
_REFUSALS = (
    HTTPStatus.BAD_REQUEST,
    HTTPStatus.UNAUTHORIZED,
    HTTPStatus.FORBIDDEN,
    HTTPStatus.NOT_FOUND,
)
_HINT = (
    "ask Vonage to enable the Audit API, which is in beta, for the account, or set `audit = false` "
    "in [vonage]"
)

_OptionalText = Annotated[Text, AfterValidator(lambda text: text.strip()[:_LONGEST] or None)] | None


class _Event(Answer):
    event_type: str
    created_at: Moment
    account_id: _OptionalText = None
    source: _OptionalText = None
    source_ip: _OptionalText = None
    source_country: _OptionalText = None
    user_email: _OptionalText = None
    #: May contain anything: only what may be an id is kept of it.
    context: Any = None

    def event(self) -> AuditEvent:
        return AuditEvent(
            kind=AuditKind(self.event_type),
            at=self.created_at,
            account_id=self.account_id,
            ids=frozenset(_ids_in(self.context)),
            source=self.source,
            user=self.user_email,
            address=self.source_ip,
            country=self.source_country,
        )


class _Events(Answer):
    events: Annotated[tuple[Any, ...], Strict(strict=False), Field(max_length=10 * _SIZE)] = ()


class _Envelope(Answer):
    embedded: _Events = Field(validation_alias="_embedded", default_factory=_Events)


class Audit(AuditTrail):
    """The events of an account, with its own credential or its parent's."""

    def __init__(self, client: VonageClient) -> None:
        """Send requests through `client`."""
        self._client = client

    def events(
        self,
        credential: Credential,
        kinds: Iterable[AuditKind],
        *,
        since: datetime,
        until: datetime,
    ) -> tuple[AuditEvent, ...]:
        """See `AuditTrail.events`."""
        asked = {
            "event_type": ",".join(kinds),
            "date_from": f"{since:%Y-%m-%dT%H:%M:%S}",
            "date_to": f"{until:%Y-%m-%dT%H:%M:%S}",
            "page": 1,
            "size": _SIZE,
        }
        request = VonageRequest(
            operation="audit.events",
            method="GET",
            host=Host.API,
            path="/beta/audit/events",
            query=urlencode(asked),
            credential=credential,
            api_key=credential.api_key,
            success=frozenset({HTTPStatus.OK, *_REFUSALS}),
            is_tried_once=True,
        )
        answer = self._client.send(request, _read)
        if isinstance(answer, str):
            raise Forbidden(answer, hint=_HINT)
        return answer


def _read(response: HttpResponse) -> tuple[AuditEvent, ...] | str:
    """Return the events in an answer, or why there are none."""
    if response.status != HTTPStatus.OK:
        return _reason(response)
    found = []
    for each in read(_Envelope, response).embedded.events:
        # One that cannot be read, or of another kind, says nothing of the others.
        with suppress(ValidationError, ValueError):
            found.append(_Event.model_validate(each).event())
    return tuple(found)


def _reason(response: HttpResponse) -> str:
    """Return why Vonage refuses: its errors here are `{status,error,message}`."""
    with suppress(UnexpectedAnswer):
        document = document_of(response)
        texts = (document.get(key) for key in ("error", "message"))
        said = ": ".join(
            printable(redact(text))[:_LONGEST] for text in texts if isinstance(text, str) and text
        )
        if said:
            return f"Vonage's Audit API refuses the account (HTTP {response.status}: {said})"
    return f"Vonage's Audit API refuses the account (HTTP {response.status})"


def _ids_in(context: object) -> Iterator[str]:
    """Yield what may be ids in the context of an event, at most a hundred."""
    if isinstance(context, str):
        with suppress(ValueError, RecursionError):
            context = json.loads(context)
    left, found = [(context, 0)], 0
    while left and found < _MOST:
        value, depth = left.pop()
        found += 1
        if isinstance(value, str) and is_identifier(value) and not reveals(value):
            yield value
        elif depth < _DEPTH and isinstance(value, dict):
            left += [(each, depth + 1) for each in list(value.values())[:_MOST]]
        elif depth < _DEPTH and isinstance(value, list):
            left += [(each, depth + 1) for each in value[:_MOST]]
