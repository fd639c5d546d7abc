"""Reads the answers of Vonage's API.

Each promised document is a pydantic model over the types below. What does not fit raises
`UnexpectedAnswer`, whose message names the field at most: pydantic's own errors quote the answer,
which may contain a value, and never leave this module.
"""

import re
from collections.abc import Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
)
from pydantic_core import PydanticCustomError

from rotator.errors import UnexpectedAnswer
from rotator.model import believable
from rotator.model.redaction import printable, redact, reveals
from rotator.network import HttpResponse, http_date
from rotator.vonage.request import is_identifier

#: Bytes of a body, as sent and decompressed. A full list of secrets is a hundredth of it.
LIMIT = 1_000_000

#: Balances are euros with a few decimals; a larger number is no balance, and could not be formatted
#: in bounded time either.
_MOST_EUROS = Decimal(10) ** 12

_MOST_DECIMALS = 30

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", re.ASCII)


class Answer(BaseModel):
    """Base of the models: each field has exactly its type, and other fields are ignored.

    A field goes by Vonage's name for it alone, not by the one that it has here.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", hide_input_in_errors=True)


A = TypeVar("A", bound=Answer)


def unexpected(what: str) -> UnexpectedAnswer:
    """Return the error for an answer that is not what the API promises."""
    return UnexpectedAnswer(f"{UnexpectedAnswer().message}: {what}")


def invalid(what: str) -> PydanticCustomError:
    """Return a validator's error; `what` describes the answer without quoting it."""
    return PydanticCustomError("invalid", what)


def content_of(response: HttpResponse) -> bytes:
    """Return the decompressed body; raises `UnexpectedAnswer` where it is too long or broken."""
    try:
        return response.content(LIMIT)
    except ValueError as error:
        raise unexpected(str(error)) from None


def document_of(response: HttpResponse) -> Mapping[str, Any]:
    """Parse the body as a JSON object, with exact decimals; raises `UnexpectedAnswer`."""
    try:
        return response.json_object(LIMIT, Decimal)
    except ValueError as error:
        raise unexpected(str(error)) from None


def read(model: type[A], response: HttpResponse) -> A:
    """Parse the body as `model`.

    Raises:
        UnexpectedAnswer: it is not what the API promises.
    """
    document = document_of(response)
    try:
        return model.model_validate(document)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False, include_input=False)[0]
    # Raised outside of the handler, as the error's context would contain the answer.
    where = ".".join(map(str, first["loc"]))
    raise unexpected(first["msg"] if first["type"] == "invalid" else f"no usable {where}")


def check_unique(ids: Iterable[str], what: str) -> None:
    """Raise a validator's error where `what` is listed twice."""
    listed = list(ids)
    if len(set(listed)) < len(listed):
        raise invalid(f"the same {what} twice")


def _identifier(value: str) -> str:
    if not is_identifier(value):
        raise invalid("no usable id")
    return _harmless(value)


def _harmless(value: str) -> str:
    if reveals(value):
        raise invalid("a secret value in the place of a name")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise invalid("no text where there should be one")
    return printable(redact(value))


def _title(value: object) -> str:
    shown = _text(value)
    _harmless(str(value))
    return shown


def _euros(value: object) -> Decimal:
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        euros = Decimal(value)
        exponent = euros.as_tuple().exponent
        if abs(euros) < _MOST_EUROS and abs(int(exponent)) <= _MOST_DECIMALS:
            return euros
    raise invalid("no usable amount of money")


def _moment(value: object) -> datetime:
    """Parse a time.

    Secrets have been seen with `Z`, subaccounts with milliseconds, and Vonage's own standard
    prescribes `+00:00`. A time without an offset counts as UTC, and an implausible one is clamped
    to the plausible range.
    """
    if isinstance(value, str) and _MOMENT.match(value):
        with suppress(ValueError):
            parsed = datetime.fromisoformat(value)
            return believable(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
    raise invalid("no usable time")


#: An api key or secret id. Refuses secret values, as it will be recorded.
Identifier = Annotated[str, AfterValidator(_identifier)]
#: Text that is safe to show: without secret values and terminal controls.
Text = Annotated[str, PlainValidator(_text)]
#: A name that people gave something. Refuses secret values, as it will be recorded.
Title = Annotated[str, PlainValidator(_title)]
#: A whole number, not negative.
Count = Annotated[int, Field(ge=0, lt=int(_MOST_EUROS))]
Euros = Annotated[Decimal, PlainValidator(_euros)]
#: A time in UTC.
Moment = Annotated[datetime, PlainValidator(_moment)]

#: Clocks that differ by less agree: a Date header has whole seconds, and an answer takes its time.
_AGREEMENT = timedelta(minutes=1)

#: No clock is wrong by more: then the header is.
_LONGEST_LEAD = timedelta(days=36_500)


def lead(date: str | None, received_at: float) -> timedelta:
    """Return how far a clock that says `received_at`, in seconds since 1970, is ahead of `date`.

    `date` is the Date header of the answer that was received then. Negative if the clock was
    behind; zero where they agree, and where the header has no valid time.
    """
    sent_at = http_date(date)
    if sent_at is None:
        return timedelta()
    with suppress(OverflowError):
        found = timedelta(seconds=received_at - sent_at.timestamp())
        if _AGREEMENT < abs(found) < _LONGEST_LEAD:
            return found
    return timedelta()
