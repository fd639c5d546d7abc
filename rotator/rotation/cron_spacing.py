"""Where the times of a `cron` are far apart. Pure."""

from bisect import bisect_left, bisect_right
from collections import defaultdict
from collections.abc import Iterator
from itertools import pairwise

from rotator.rotation.cron_times import CronTimes, moment
from rotator.rotation.spacing import Search
from rotator.rotation.week import DAY, FOREVER, WEEK, Week


class CronSpacing:
    """The times of a `cron` that are due the latest after the time before."""

    def __init__(self, times: CronTimes, search: Search) -> None:
        self._times, self._search = times, search
        self._week, self._most = search.week, search.most
        self._edges = _Edges(self._week, self._most)
        self._gaps = _Gaps(times.times, self._most)

    def try_all(self) -> None:
        """Add the first secret that is due at each of these times.

        The times with the greatest distance to the one before come first.
        """
        time = self._times.time
        places = (
            (time(day, index) - time(day, index - 1), day, index)
            for day, indexes in self._days()
            for index in indexes
        )
        for distance, day, index in sorted(places, reverse=True):
            if distance < FOREVER / 2:
                self._try(day, index)

    def _days(self) -> Iterator[tuple[int, set[int]]]:
        """Yield the days of `cron` that differ: in themselves, and in what is before and after.

        Of each, the times to look at.
        """
        times, seen = self._times, set[object]()
        changes, offsets = times.clock.changes, times.clock.offsets
        reach = 2 * self._most // DAY + (10 if self._week.has_windows else 3)
        for index in times.to_try(reach):
            earlier, before, day, after = times.around(index)
            key: tuple[object, ...] = (day - before, before - earlier, after - day)
            if self._week.has_windows:
                key += (day % 7,)
            end = self._week.opening((day + 2) * DAY + self._most) + self._most
            first = bisect_right(changes, (earlier - 1) * DAY)
            last = bisect_right(changes, end)
            near, by = changes[first:last], offsets[first : last + 1]
            if near:
                key += (by, tuple(change - day * DAY for change in near))
            if key not in seen:
                seen.add(key)
                yield index, self._of(index, near, {one - two for one in by for two in by})

    def _of(self, day: int, changes: tuple[int, ...], shifts: set[int]) -> set[int]:
        """Return the times of a day to look at: the first ones, and those near edges."""
        start, of_day = self._times.of(day)
        weekday = self._times.days[day] % 7
        indexes = {0, 1}
        for shift in shifts:
            from_start = self._times.midnight(day) + shift - start
            for edge in self._edges.times[weekday]:
                # A secret that is made just before a time is meant for that one.
                index = bisect_left(of_day, edge + from_start)
                indexes |= {index, index + 1}
        if of_day is not self._times.times:
            for change in changes:
                index = bisect_left(of_day, change - start)
                indexes |= set(range(index - 1, index + 3))
        else:
            for opens, closes in self._edges.spans[weekday]:
                indexes |= self._gaps.longest_after(opens, closes)
        return {index for index in indexes if 0 <= index < len(of_day)}

    def _try(self, day: int, index: int) -> None:
        before, due, after = (self._times.time(day, index + step) for step in (-1, 0, 1))
        # Made a moment before a time, a secret is still meant for it.
        since, until = before - moment(due - before) + 1, due - moment(after - due)
        if not self._search.may_be_longer(since, due):
            return
        made = [(self._week.opening(before), before)]
        earliest = self._week.opening(since)
        if earliest < made[0][0]:
            for step in (-2, -3):
                base = self._times.time(day, index + step)
                closed = self._week.closing(base)
                delays = {0, earliest - base, closed - base, since - self._week.opening(closed)}
                made += [
                    (self._week.delayed(base, delay), base)
                    for delay in delays
                    if 0 <= delay <= self._most
                ]
        made = [each for each in made if since <= each[0] <= until]
        if made:
            first, base = min(made)
            self._search.add(base, first, due)


class _Gaps:
    """The times of a day, and which of them come at the longest distance after another."""

    def __init__(self, times: list[int], most: int) -> None:
        self._times = times
        distances = [later - time for time, later in pairwise(times)]
        #: The distance to each, from the second on; a secret may be older if it can be made a
        #: moment before the earlier time, by a delay of the one before that.
        pairs = [*zip([FOREVER, *distances], distances, strict=False)]
        longest = {
            (before, distance): distance + moment(distance) * (before - moment(distance) < most)
            for before, distance in {*pairs}
        }
        self._distances = [longest[pair] for pair in pairs]
        self._found: dict[tuple[int, int], int] = {}

    def longest_after(self, start: int, end: int) -> set[int]:
        """Return the index of the time that comes longest after one from `start` to `end`."""
        first = bisect_left(self._times, start)
        last = min(bisect_left(self._times, end), len(self._distances))
        if first >= last:
            return set()
        if (first, last) not in self._found:
            found = max(range(first, last), key=self._distances.__getitem__)
            self._found[first, last] = found + 1
        return {self._found[first, last]}


class _Edges:
    """The windows of each weekday, and the times at which a delay reaches the end of one."""

    def __init__(self, week: Week, most: int) -> None:
        week = week.without_changes()
        self.times = defaultdict[int, list[int]](list)
        self.spans = defaultdict[int, list[tuple[int, int]]](list)
        if not week.has_windows:
            self.spans = defaultdict(lambda: [(0, DAY)])
            return
        closed = week.closing(0)
        while closed < WEEK:
            opening = week.opening(closed)
            for edge in {opening, closed - most, closed - week.fitting(opening, most)}:
                self.times[edge // DAY % 7].append(edge % DAY)
            closed = week.closing(opening)
            for day in range(opening // DAY, (closed - 1) // DAY + 1):
                span = max(0, opening - day * DAY), min(DAY, closed - day * DAY)
                self.spans[day % 7].append(span)
