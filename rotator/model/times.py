"""Units of time, and durations and times as texts that programs read."""

from datetime import UTC, datetime, timedelta
from typing import overload

#: Seconds in each unit, largest first.
UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}


def format_duration(duration: timedelta) -> str:
    """Format a duration in the largest unit that divides it; fractions of a second are dropped."""
    seconds = duration // timedelta(seconds=1)
    if seconds == 0:
        return "0s"
    unit = next(unit for unit, size in UNITS.items() if seconds % size == 0)
    return f"{seconds // UNITS[unit]}{unit}"


def rough_duration(duration: timedelta) -> str:
    """Return a duration in its two largest units: `3d 4h`; less than a second is `0s`."""
    seconds = max(0, int(duration.total_seconds()))
    parts: list[tuple[int, str]] = []
    for unit, size in UNITS.items():
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count}{unit}" for count, unit in parts[:2] if count) or "0s"


def exact_duration(duration: timedelta) -> str:
    """Format a duration to the nearest second, in as many units as that takes: `6d 21h`."""
    seconds = round(duration.total_seconds())
    parts = []
    for unit, size in UNITS.items():
        count, seconds = divmod(seconds, size)
        if count:
            parts.append(f"{count}{unit}")
    return " ".join(parts) or "0s"


@overload
def rfc3339(at: datetime) -> str: ...
@overload
def rfc3339(at: datetime | None) -> str | None: ...
def rfc3339(at: datetime | None) -> str | None:
    """Return a time in UTC and whole seconds: `2026-11-23T07:28:00Z`."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else None


def rfc3339_exact(at: datetime) -> str:
    """Return a time in UTC, to the microsecond: `2026-11-23T07:28:00.123456Z`."""
    return at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
