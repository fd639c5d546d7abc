"""Times, durations and identifiers, formatted for people."""

from datetime import UTC, datetime, timedelta

from rotator.model.times import rough_duration

#: Stands for a missing value.
NOTHING = "-"
#: Facts of an entry that only prove that a rule was kept; shown where all facts are, as in JSON.
PROOFS = frozenset({"authenticated_at", "fencing_token", "over", "pending_version"})


def moment(at: datetime | None) -> str:
    """Return a time for people: `2026-11-23 07:28 UTC`."""
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC" if at else NOTHING


def span(length: timedelta | None) -> str:
    """Return a duration in its two largest units: `3d 4h`; less than a second is `0s`."""
    return NOTHING if length is None else rough_duration(length)


def age_text(since: datetime | None, now: datetime) -> str:
    """Return how long ago `since` was."""
    return span(now - since) if since else NOTHING


def short(identifier: str | None) -> str:
    """Return the part of an id that people compare."""
    return identifier[:8] if identifier else NOTHING
