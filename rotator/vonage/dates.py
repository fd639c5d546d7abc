"""Dates in headers, and what they tell of this machine's clock."""

from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime

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
