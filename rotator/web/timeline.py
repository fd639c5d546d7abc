"""The rotations of ninety days, as bars."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

#: Number of days, today included.
DAYS = 90

#: Height of the picture, and from one bar to the next, in the picture's units.
HEIGHT, SPACING = 60, 10

#: Days between two labels.
_LABELLED = 15

#: Minimum height of a bar that is not empty.
_LOWEST = 3

#: Counts the rotations closed since then, by day and outcome.
Count = Callable[[datetime], Mapping[date, Mapping[str, int]]]


@dataclass(frozen=True, kw_only=True)
class Day:
    """One day."""

    x: int
    #: Start and height of each part, from the top down: failed above completed.
    failed: tuple[int, int]
    completed: tuple[int, int]
    title: str


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Ninety bars, and their description in words."""

    bars: tuple[Day, ...]
    #: Below the axis, each at the start of an equal part of it.
    labels: tuple[str, ...]
    completed: int
    failed: int


def timeline(counts: Mapping[date, Mapping[str, int]], today: date) -> Timeline:
    """Build the timeline from the counts by day and outcome."""
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    pairs = [_pair(counts.get(day, {})) for day in days]
    peak = max(map(sum, pairs))
    return Timeline(
        bars=tuple(
            _bar(place * SPACING, day, *pair, peak)
            for place, (day, pair) in enumerate(zip(days, pairs, strict=True))
        ),
        labels=tuple(f"{day:%b} {day.day}" for day in days[::_LABELLED]),
        completed=sum(completed for completed, _ in pairs),
        failed=sum(failed for _, failed in pairs),
    )


def _pair(counts: Mapping[str, int]) -> tuple[int, int]:
    return counts.get("completed", 0), counts.get("failed", 0)


def _bar(x: int, day: date, completed: int, failed: int, peak: int) -> Day:
    parts = [f"{completed} completed"] * bool(completed) + [f"{failed} failed"] * bool(failed)
    completed_height, failed_height = _height(completed, peak), _height(failed, peak)
    ground = HEIGHT - completed_height
    return Day(
        x=x,
        failed=(max(0, ground - failed_height), min(failed_height, ground)),
        completed=(ground, completed_height),
        title=f"{day}: {', '.join(parts) or 'none'}",
    )


def _height(count: int, peak: int) -> int:
    """Return a bar's height; the tallest leaves room for the shortest on top."""
    return max(_LOWEST, round(count / peak * (HEIGHT - _LOWEST))) if count else 0


def timeline_until(now: datetime, count: Count) -> Timeline:
    """Return the timeline that ends today."""
    today = now.astimezone(UTC).date()
    first = datetime.combine(today - timedelta(days=DAYS - 1), datetime.min.time(), UTC)
    return timeline(count(first), today)
