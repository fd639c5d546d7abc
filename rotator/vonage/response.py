"""An answer as it came, and reading from it only what the API promises.

Every reader gives a value of the promised type or raises `UnexpectedAnswer`. Its message
names what is missing and never quotes what was there.
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
from rotator.network import Reply, unpacked
from rotator.vonage.request import is_identifier

#: Bytes of a body, as sent and unpacked. A full list of secrets is a hundredth of it.
LIMIT = 1_000_000

#: Balances are euros with a few decimals; a number beyond this is no balance, and could not be
#: formatted in bounded time either.
_MOST_EUROS = Decimal(10) ** 12

_MOST_DECIMALS = 30

_MOMENT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d", re.ASCII)

Document = Mapping[str, Any]


def strange(what: str) -> UnexpectedAnswer:
    """Say that an answer is not what the API promises, and how."""
    return UnexpectedAnswer(f"{UnexpectedAnswer().message}: {what}")


class Answer(Reply):
    """Status, headers and body of one HTTP answer."""

    def content(self) -> bytes:
        """Give the body, unpacked."""
        try:
            return unpacked(self, LIMIT)
        except ValueError as error:
            raise strange(str(error)) from None

    def document(self) -> Document:
        """Give the body as a JSON object, whatever its media type says."""
        content = self.content()
        try:
            document = _DECODER.decode(content.decode())
        except (ValueError, ArithmeticError, RecursionError):
            raise strange("not JSON") from None
        if not isinstance(document, dict):
            raise strange("not a JSON object")
        return document


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(name)


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse an object that names a key twice: which of the two was meant, nobody knows."""
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError
    return document


#: Made once: that takes as long as to read a body.
_DECODER = JSONDecoder(
    parse_float=Decimal, parse_constant=_refuse_constant, object_pairs_hook=_unambiguous
)


def part(document: Document, key: str) -> Document:
    """Give the object at `key`."""
    value = document.get(key)
    if not isinstance(value, dict):
        raise strange(f"no object {key}")
    return value


def parts(document: Document, key: str) -> list[Document]:
    """Give the list of objects at `key`."""
    value = document.get(key)
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise strange(f"no list of objects {key}")
    return value


def identifier(document: Document, key: str) -> str:
    """Return the api key or secret id at `key`. No value: it is going to be recorded."""
    value = document.get(key)
    if not isinstance(value, str) or not is_identifier(value):
        raise strange(f"no usable {key}")
    return _harmless(value, key)


def title(document: Document, key: str) -> str:
    """Return the name that people gave something, which is going to be recorded as well."""
    shown = text(document, key)
    _harmless(str(document.get(key)), key)
    return shown


def _harmless(value: str, key: str) -> str:
    if reveals(value):
        raise strange(f"a secret value in the place of {key}")
    return value


def text(document: Document, key: str) -> str:
    """Return the text at `key`, safe to show: it holds no value, nor what a terminal obeys."""
    value = document.get(key)
    if not isinstance(value, str):
        raise strange(f"no text {key}")
    return printable(redact(value))


def optional_text(document: Document, key: str) -> str | None:
    """Give the text at `key`; None where there is none or it is empty."""
    return (text(document, key) or None) if document.get(key) is not None else None


def flag(document: Document, key: str) -> bool:
    """Give the truth value at `key`."""
    value = document.get(key)
    if not isinstance(value, bool):
        raise strange(f"no true or false {key}")
    return value


def optional_count(document: Document, key: str) -> int | None:
    """Give the whole number at `key`, none negative; None where there is none."""
    value = document.get(key)
    if value is None:
        return None
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < _MOST_EUROS:
        raise strange(f"no count {key}")
    return value


def amount(document: Document, key: str) -> Decimal:
    """Give the amount of money at `key`, in euros."""
    value = document.get(key)
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        euros = Decimal(value)
        exponent = euros.as_tuple().exponent
        if abs(euros) < _MOST_EUROS and abs(int(exponent)) <= _MOST_DECIMALS:
            return euros
    raise strange(f"no amount {key}")


def optional_amount(document: Document, key: str) -> Decimal | None:
    """Give the amount of money at `key`, in euros; None where there is none."""
    return amount(document, key) if document.get(key) is not None else None


def moment(document: Document, key: str) -> datetime:
    """Return the time at `key`, in UTC.

    Secrets have been seen with `Z`, subaccounts with milliseconds, and Vonage's own standard
    prescribes `+00:00`. A time without an offset is taken for UTC, and one that cannot be meant
    for the nearest that can.
    """
    value = document.get(key)
    if isinstance(value, str) and _MOMENT.match(value):
        with suppress(ValueError):
            parsed = datetime.fromisoformat(value)
            return believable(parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC))
    raise strange(f"no time {key}")


#: Clocks that differ by less agree: a Date header has whole seconds, and an answer takes its time.
_AGREEMENT = timedelta(minutes=1)

#: No clock is wrong by more: it is the header that is.
_MOST = timedelta(days=36_500)


def timestamp(header: str) -> float | None:
    """Read a date as headers have it, in seconds since 1970; None where it is none."""
    try:
        date = parsedate_to_datetime(header)
        return (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, IndexError, OverflowError):
        return None


def lead(date: str | None, came_at: float) -> timedelta:
    """Give how far a clock that says `came_at`, in seconds since 1970, is ahead of `date`.

    `date` is the Date header of the answer that came then. Negative where the clock was behind;
    zero where they agree, and where the header tells no time.
    """
    told = timestamp(date or "")
    found = timedelta() if told is None else timedelta(seconds=came_at - told)
    return found if _AGREEMENT < abs(found) < _MOST else timedelta()
