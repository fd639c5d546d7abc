"""An answer, and readers for the parts that the API promises.

Every reader returns a value of the promised type or raises `UnexpectedAnswer`. Its message names
what is missing and never quotes the content.
"""

import re
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import parsedate_to_datetime
from json import JSONDecoder
from typing import Any, NoReturn

from rotator.errors import UnexpectedAnswer
from rotator.model import believable
from rotator.model.redaction import printable, redact, reveals
from rotator.network import HttpResponse, unpacked
from rotator.vonage.request import is_identifier

#: Bytes of a body, as sent and decompressed. A full list of secrets is a hundredth of it.
LIMIT = 1_000_000

#: Balances are euros with a few decimals; a larger number is no balance, and could not be formatted
#: in bounded time either.
_MOST_EUROS = Decimal(10) ** 12

_MOST_DECIMALS = 30

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", re.ASCII)

Document = Mapping[str, Any]


def unexpected(what: str) -> UnexpectedAnswer:
    """Return the error for an answer that is not what the API promises."""
    return UnexpectedAnswer(f"{UnexpectedAnswer().message}: {what}")


class VonageResponse(HttpResponse):
    """Status, headers and body of one HTTP answer."""

    def content(self) -> bytes:
        """Return the body, decompressed."""
        try:
            return unpacked(self, LIMIT)
        except ValueError as error:
            raise unexpected(str(error)) from None

    def document(self) -> Document:
        """Parse the body as a JSON object, whatever its media type says."""
        content = self.content()
        try:
            document = _DECODER.decode(content.decode())
        except (ValueError, ArithmeticError, RecursionError):
            raise unexpected("not JSON") from None
        if not isinstance(document, dict):
            raise unexpected("not a JSON object")
        return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object with a duplicate key: it is unclear which of the two was meant."""
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError
    return document


#: Created once: creating it takes as long as decoding a body.
_DECODER = JSONDecoder(
    parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unambiguous
)


def part(document: Document, key: str) -> Document:
    """Return the object at `key`."""
    value = document.get(key)
    if not isinstance(value, dict):
        raise unexpected(f"no object {key}")
    return value


def parts(document: Document, key: str) -> list[Document]:
    """Return the list of objects at `key`."""
    value = document.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise unexpected(f"no list of objects {key}")
    return value


def identifier(document: Document, key: str) -> str:
    """Return the api key or secret id at `key`. Refuses secret values, as it will be recorded."""
    value = document.get(key)
    if not isinstance(value, str) or not is_identifier(value):
        raise unexpected(f"no usable {key}")
    return _harmless(value, key)


def title(document: Document, key: str) -> str:
    """Return the name that people gave something; it will be recorded as well."""
    shown = text(document, key)
    _harmless(str(document.get(key)), key)
    return shown


def _harmless(value: str, key: str) -> str:
    if reveals(value):
        raise unexpected(f"a secret value in the place of {key}")
    return value


def text(document: Document, key: str) -> str:
    """Return the text at `key`, safe to show: without secret values and terminal controls."""
    value = document.get(key)
    if not isinstance(value, str):
        raise unexpected(f"no text {key}")
    return printable(redact(value))


def optional_text(document: Document, key: str) -> str | None:
    """Return the text at `key`; None where there is none or it is empty."""
    return (text(document, key) or None) if document.get(key) is not None else None


def flag(document: Document, key: str) -> bool:
    """Return the truth value at `key`."""
    value = document.get(key)
    if not isinstance(value, bool):
        raise unexpected(f"no true or false {key}")
    return value


def optional_count(document: Document, key: str) -> int | None:
    """Return the whole number at `key`, none negative; None where there is none."""
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST_EUROS:
        raise unexpected(f"no count {key}")
    return value


def amount(document: Document, key: str) -> Decimal:
    """Return the amount of money at `key`, in euros."""
    value = document.get(key)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        euros = Decimal(value)
        exponent = euros.as_tuple().exponent
        if abs(euros) < _MOST_EUROS and abs(int(exponent)) <= _MOST_DECIMALS:
            return euros
    raise unexpected(f"no amount {key}")


def optional_amount(document: Document, key: str) -> Decimal | None:
    """Return the amount of money at `key`, in euros; None where there is none."""
    return amount(document, key) if document.get(key) is not None else None


def moment(document: Document, key: str) -> datetime:
    """Return the time at `key`, in UTC.

    Secrets have been seen with `Z`, subaccounts with milliseconds, and Vonage's own standard
    prescribes `+00:00`. A time without an offset counts as UTC, and an implausible one is clamped
    to the plausible range.
    """
    value = document.get(key)
    if isinstance(value, str) and _MOMENT.match(value):
        with suppress(ValueError):
            parsed = datetime.fromisoformat(value)
            return believable(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
    raise unexpected(f"no time {key}")


#: Clocks that differ by less agree: a Date header has whole seconds, and an answer takes its time.
_AGREEMENT = timedelta(minutes=1)

#: No clock is wrong by more: then the header is.
_MOST = timedelta(days=36_500)


def timestamp(header: str) -> float | None:
    """Parse a header's date, in seconds since 1970; None where it is invalid."""
    try:
        date = parsedate_to_datetime(header)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def lead(date: str | None, came_at: float) -> timedelta:
    """Return how far a clock that says `came_at`, in seconds since 1970, is ahead of `date`.

    `date` is the Date header of the answer that came then. Negative if the clock was behind; zero
    where they agree, and where the header has no valid time.
    """
    told = timestamp(date or "")
    found = timedelta() if told is None else timedelta(seconds=came_at - told)
    return found if _AGREEMENT < abs(found) < _MOST else timedelta()
