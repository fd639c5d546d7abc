"""Times, durations and identifiers, formatted for people."""

from datetime import UTC, datetime, timedelta

from rotator.model.times import UNITS

#: Stands for a missing value.
NOTHING = "-"


def moment(at: datetime | None) -> str:
    """Return a time for people: `2026-11-23 07:28 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else NOTHING


def span(length: timedelta | None) -> str:
    """Return a duration in its two largest units: `3d 4h`; less than a second is `0s`."""
    if length is None:
        return NOTHING
    seconds = max(0, int(length.total_seconds()))
    parts: list[tuple[int, str]] = []
    for unit, size in UNITS.items():
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
