"""Times, durations and identifiers, formatted for people and programs."""

from datetime import UTC, datetime, timedelta

#: Stands for a missing value.
NOTHING = "-"

_UNITS = (("d", 86400), ("h", 3600), ("m", 60), ("s", 1))


def moment(at: datetime | None) -> str:
    """Return a time for people: `2026-11-23 07:28 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else NOTHING


def rfc3339(at: datetime | None) -> str | None:
    """Return a time for programs, in whole seconds: `2026-11-23T07:28:00Z`."""
    return f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if at else None


def span(length: timedelta | None) -> str:
    """Return a duration in its two largest units: `3d 4h`; less than a second is `0s`."""
    if length is None:
        return NOTHING
    seconds = max(0, int(length.total_seconds()))
    parts: list[tuple[int, str]] = []
    for unit, size in _UNITS:
        count, seconds = divmod(seconds, size)
        if count or parts:
            parts.append((count, unit))
    return " ".join(f"{count}{unit}" for count, unit in parts[:2] if count) or "0s"


def age_text(since: datetime | None, now: datetime) -> str:
    """Return how long ago `since` was."""
    return span(now - since) if since else NOTHING


def short(identifier: str | None) -> str:
    """Return the part of an id that people compare."""
    return identifier[:8] if identifier else NOTHING
