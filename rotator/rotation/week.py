"""Windows and clocks as numbers, for going through many times of a policy at once. Pure.

A time is a number of microseconds since `ORIGIN`, a Monday in UTC. What the windows are is said in
`window`, which computes with single times of any year.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Self
from zoneinfo import ZoneInfo

from rotator.rotation import window

ORIGIN = datetime(2026, 12, 28, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)
MINUTE = 60 * 10**6
HOUR = 60 * MINUTE
DAY = 24 * HOUR
WEEK = 7 * DAY
YEAR = 366 * DAY
#: How many years are looked at.
YEARS = 5
#: Longer than any duration of a policy.
FOREVER = 10**6 * YEAR


def number(duration: timedelta) -> int:
    """Return a duration in microseconds."""
    return duration // MICROSECOND


@dataclass(frozen=True)
class Clock:
    """The offsets of a zone from UTC."""

    #: When the clocks are changed.
    changes: tuple[int, ...]
    #: The offset before the first change, and after each.
    offsets: tuple[int, ...]
    #: The local days which have not the usual hours, each with the index of the change.
    days: dict[int, int]

    @classmethod
    @lru_cache(maxsize=1024)
    def of(cls, zone: str, years: int = YEARS) -> Self:
        """Return those of a zone during so many years."""
        info = ZoneInfo(zone)
        changes = [*window.clock_changes(ORIGIN, info, days=years * 366, step=4)]
        offsets = [at.astimezone(info).utcoffset() or timedelta() for at in (ORIGIN, *changes)]
        numbers = tuple(number(change - ORIGIN) for change in changes)
        found = cls(changes=numbers, offsets=tuple(map(number, offsets)), days={})
        for index, change in enumerate(numbers):
            before, after = found.around(index)
            last = (change + before) // DAY + found.is_odd(index)
            for day in {(change + after) // DAY, (change + before) // DAY, last}:
                found.days[day] = index
        return found

    def around(self, index: int) -> tuple[int, int]:
        """Return the offsets before and after a change."""
        return self.offsets[index], self.offsets[index + 1]

    def is_odd(self, index: int) -> bool:
        """Return whether a change is not by whole hours of the day."""
        before, after = self.around(index)
        return bool((self.changes[index] + before) % HOUR or (after - before) % HOUR)

    def offset(self, at: int) -> int:
        """Return the offset at an instant."""
        return self.offsets[bisect_right(self.changes, at)]

    def midnight(self, day: int) -> int:
        """Return the instant at which a day starts on which there is no change."""
        start = day * DAY
        return start - self.offset(start - self.offset(start))


class Week:
    """When the windows of a policy are open."""

    def __init__(self, windows: tuple[str, ...], clock: Clock) -> None:
        self.clock = clock
        self._windows = windows
        #: The local times at which they open and close, from the week before to the week after.
        self._opens, self._closes = _merged(windows)
        #: One is all of time, as is none.
        self.has_windows = len(self._opens) > 1

    def opening(self, at: int) -> int:
        """Return the first instant from `at` on that is in a window."""
        return self._first(at, is_open=True)

    def closing(self, at: int) -> int:
        """Return the first instant from `at` on that is in no window."""
        return self._first(at, is_open=False)

    def _first(self, at: int, *, is_open: bool) -> int:
        if not self.has_windows:
            return at if is_open else FOREVER
        changes, offsets = self.clock.changes, self.clock.offsets
        index = bisect_right(changes, at)
        while True:
            local = (at + offsets[index]) % WEEK
            span = bisect_right(self._closes, local)
            edge = (self._opens if is_open else self._closes)[span]
            is_so = (self._opens[span] <= local) is is_open
            found = at if is_so else at + edge - local
            if index == len(changes) or found < changes[index]:
                return found
            # Then the clocks are changed before.
            at, index = changes[index], index + 1

    def without_changes(self) -> "Week":
        """Return these windows by clocks that are never changed."""
        return Week(self._windows, Clock.of("UTC"))

    def delayed(self, base: int, delay: int) -> int:
        """Return when to do what is due at `base`, as `window.delayed` does."""
        due_at = base + delay
        opening = self.opening(due_at)
        if opening == due_at or self.opening(opening + delay) != opening + delay:
            return opening
        return opening + delay

    def longest_delays(self, base: int, longest: int) -> Iterator[int]:
        """Yield the delays up to `longest` of which one puts off what is due at `base` the most."""
        yield longest
        end = base + longest
        closed = self.closing(max(base, end - WEEK))
        while closed <= end:
            opening = self.opening(closed)
            yield max(closed - base, self.fitting(opening, min(longest, opening - base - 1)))
            closed = self.closing(opening)

    def fitting(self, opening: int, longest: int) -> int:
        """Return the longest delay up to `longest` that leads from an opening into a window."""
        end = opening + longest
        closed = self.closing(max(opening, end - WEEK))
        while closed <= end:
            if (later := self.opening(closed)) > end:
                return closed - 1 - opening
            closed = self.closing(later)
        return longest


def _merged(windows: tuple[str, ...]) -> tuple[list[int], list[int]]:
    spans = sorted(
        (start, start + ((each.closes - each.opens) * MINUTE % DAY or DAY))
        for each in map(window.parse, windows)
        for day in each.days
        for start in (week * WEEK + day * DAY + each.opens * MINUTE for week in (-1, 0, 1))
    )
    opens, closes = list[int](), list[int]()
    for start, end in spans:
        if closes and start <= closes[-1]:
            closes[-1] = max(closes[-1], end)
        else:
            opens.append(start)
            closes.append(end)
    return opens, closes
