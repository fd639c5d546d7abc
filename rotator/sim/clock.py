"""Points in time: a clock in nanoseconds, and how Go and HTTP write them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from functools import lru_cache

NANOSECONDS = 1_000_000_000

#: Nanoseconds since the epoch, as `time.time_ns` returns them.
Clock = Callable[[], int]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_datetime(nanoseconds: int) -> datetime:
    """Return a point in time in UTC, truncated to microseconds."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def http_date(nanoseconds: int) -> str:
    """Format a point in time for HTTP's Date header, in whole seconds."""
    return _http_date(nanoseconds // NANOSECONDS)


@lru_cache(1)
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def rfc3339(nanoseconds: int | None) -> str:
    """Format a point in time as Go's `time.RFC3339Nano` does; None is the empty string.

    Trailing zeros of the fraction are left out, and with all of them the point.
    """
    if nanoseconds is None:
        return ""
    seconds, fraction = divmod(nanoseconds, NANOSECONDS)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"
