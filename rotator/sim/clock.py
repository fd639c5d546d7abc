"""Points in time: a clock in nanoseconds, and how Go and Python write them."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from email.utils import formatdate

NANOSECONDS = 1_000_000_000

#: Nanoseconds since the epoch, as `time.time_ns` gives them.
Clock = Callable[[], int]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def as_datetime(nanoseconds: int) -> datetime:
    """Return the instant in UTC, cut to microseconds."""
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def http_date(nanoseconds: int) -> str:
    """Write an instant as HTTP's Date header has it, in whole seconds."""
    return formatdate(nanoseconds // NANOSECONDS, usegmt=True)


def rfc3339(nanoseconds: int | None) -> str:
    """Write an instant as Go's `time.RFC3339Nano` does; None is the empty string.

    Trailing zeros of the fraction are left out, and with them the point.
    """
    if nanoseconds is None:
        return ""
    seconds, fraction = divmod(nanoseconds, NANOSECONDS)
    text = (_EPOCH + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S")
    digits = f"{fraction:09d}".rstrip("0")
    return f"{text}.{digits}Z" if digits else f"{text}Z"
