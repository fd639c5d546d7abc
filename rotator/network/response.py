"""An HTTP answer, and the reading of bodies and headers that all clients share."""

import math
import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import cache
from json import JSONDecoder
from typing import Any, NoReturn

_SECONDS = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)


def finite(text: str) -> float:
    """Parse a number of JSON; raises ValueError for one that could not be written back."""
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


@dataclass(frozen=True, kw_only=True)
class HttpResponse:
    """Status, headers and body of an HTTP answer."""

    status: int
    #: By lower-case name; several values of one name are separated by commas.
    headers: Mapping[str, str] = field(repr=False)
    #: Body as sent; None where it exceeds the limit.
    body: bytes | None = field(repr=False)

    def content(self, limit: int) -> bytes:
        """Return the decompressed body, of `limit` bytes at most.

        No answer is requested compressed, but some proxies compress anyway.

        Raises:
            ValueError: it is longer, or its compression is unknown or broken; the text says which.
        """
        if self.body is None:
            raise ValueError(f"longer than {limit // 1_000_000} MB")
        encoding = self.headers.get("content-encoding", "").strip().lower()
        if encoding in ("", "identity"):
            return self.body
        if encoding not in ("gzip", "x-gzip", "deflate"):
            raise ValueError("compressed in a way that was not asked for")
        # Recognises gzip and zlib by their headers.
        inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
        try:
            content = inflater.decompress(self.body, limit + 1)
        except zlib.error:
            raise ValueError("badly compressed") from None
        if len(content) > limit:
            raise ValueError(f"longer than {limit // 1_000_000} MB")
        if not inflater.eof:
            raise ValueError("truncated")
        return content

    def json_object(
        self, limit: int, parse_float: Callable[[str], object] = finite
    ) -> dict[str, Any]:
        """Parse the body as one JSON object, whatever its media type says.

        Refuses duplicate keys, since it is unclear which of the two was meant, and NaN and
        infinities, which JSON does not define.

        Raises:
            ValueError: as `content`, or it is anything else; the text never quotes it.
        """
        content = self.content(limit)
        try:
            document = _decoder(parse_float).decode(content.decode())
        except (ValueError, ArithmeticError, RecursionError):
            raise ValueError("not JSON") from None
        if not isinstance(document, dict):
            raise ValueError("not a JSON object")  # noqa: TRY004  # of the value, not of a caller
        return document


@cache
def _decoder(parse_float: Callable[[str], object]) -> JSONDecoder:
    # Kept, as creating one takes as long as decoding a body.
    return JSONDecoder(
        parse_float=parse_float, parse_constant=_refuse, object_pairs_hook=_unambiguous
    )


def _refuse(text: str) -> NoReturn:
    raise ValueError(text)


def _unambiguous(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        raise ValueError
    return document


def http_date(header: str | None) -> datetime | None:
    """Parse a header's date, by default in UTC; None where it is none."""
    try:
        date = parsedate_to_datetime(header or "")
    except (ValueError, TypeError, IndexError, OverflowError):
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def retry_after(header: str | None, now: float) -> float | None:
    """Parse `Retry-After`, which is seconds or a date: the seconds to wait from `now` on.

    `now` is in seconds since 1970. Negative for a date that has passed; None where it is neither.
    """
    text = (header or "").strip()
    if _SECONDS.fullmatch(text):
        return float(text)
    date = http_date(text)
    try:
        return None if date is None else date.timestamp() - now
    except OverflowError:
        return None
