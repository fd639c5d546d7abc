"""The times of a `cron` by day, without stepping through them. Pure.

Each day has the same times on the wall, but for days on which the clocks are changed. What becomes
of these is said in `schedule`.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Sequence
from datetime import timedelta
from functools import lru_cache
from itertools import chain, pairwise, takewhile
from zoneinfo import ZoneInfo

from cronsim import CronSim

from rotator.rotation.schedule import MOMENT, occurrences
from rotator.rotation.week import (
    DAY,
    FOREVER,
    MICROSECOND,
    MINUTE,
    ORIGIN,
    WEEK,
    YEARS,
    Clock,
    number,
)

#: How many years are looked at of a `cron` that has not as many days in the usual number of them:
#: it takes 28 until each date has been on each weekday.
_FEW, _MANY_YEARS = 12, 60


class CronTimes:
    """The days and times of a `cron` in a zone.

    A time is named by the index of its day, and its own within that day. The latter may be outside
    of it: -1 is the last time of the day before.
    """

    def __init__(self, cron: str, zone: str) -> None:
        minute, hour, *dates = cron.split()
        rule = CronSim(cron, ORIGIN)
        #: The times of a day on the wall.
        self.times = [
            (each * 60 + other) * MINUTE
            for each in sorted(rule.hours)
            for other in sorted(rule.minutes)
        ]
        #: Numbers of days since `ORIGIN`.
        self.days, years = _days(" ".join(dates), YEARS), YEARS
        if len(self.days) < _FEW:
            self.days, years = _days(" ".join(dates), _MANY_YEARS), _MANY_YEARS
        self.clock = Clock.of(zone, years)
        #: Whether the days are the same each week.
        self.is_weekly = dates[:2] == ["*", "*"] and not {"#", "L"} & {*dates[2].upper()}
        self._is_elapsed = minute.startswith("*") or hour.startswith("*")
        self._cron, self._zone = cron, zone
        self._of: dict[int, tuple[int, Sequence[int]]] = {}

    def time(self, day: int, index: int) -> int:
        """Return a time; one that is before or after all of them where there is none."""
        if day < 0:
            return -FOREVER
        if day >= len(self.days):
            return FOREVER
        start, times = self.of(day)
        if index < 0:
            before = len(self.of(day - 1)[1]) if day else 0
            return self.time(day - 1, before + index)
        if index < len(times):
            return start + times[index]
        return self.time(day + 1, index - len(times))

    def of(self, day: int) -> tuple[int, Sequence[int]]:
        """Return the instant at which a day starts, and its times after that."""
        if (found := self._of.get(day)) is None:
            number = self.days[day]
            change = self.clock.days.get(number)
            found = (
                (self.clock.midnight(number), self.times)
                if change is None
                else (0, sorted(self._of_change(number, change)))
            )
            self._of[day] = found
        return found

    def midnight(self, day: int) -> int:
        """Return the instant at which a day starts, by the clocks of the day before."""
        start = self.days[day] * DAY
        if (change := self.clock.days.get(self.days[day])) is not None:
            return start - self.clock.offsets[change]
        return self.clock.midnight(self.days[day])

    def around(self, day: int) -> tuple[int, int, int, int]:
        """Return the numbers of the two days before, of a day, and of the one after."""
        days = self.days
        after = days[day + 1] if day + 1 < len(days) else days[day]
        return days[max(0, day - 2)], days[max(0, day - 1)], days[day], after

    def to_try(self, horizon: int) -> Iterable[int]:
        """Return the indexes of the days to try: all of them, unless each week has the same.

        Then these are some weeks, and the days around each change of the clocks that differs, as
        many as `horizon` before it.
        """
        if not self.is_weekly:
            return range(len(self.days))
        near = [range(2, 10)]
        seen = set[object]()
        for place, change in enumerate(self.clock.changes):
            key = (change % WEEK, self.clock.offsets[place : place + 2])
            if key not in seen:
                seen.add(key)
                first = bisect_left(self.days, change // DAY - horizon)
                near.append(range(first, bisect_right(self.days, change // DAY) + 4))
        return (index for indexes in near for index in indexes if index < len(self.days))

    def _of_change(self, day: int, index: int) -> set[int]:
        change, (before, after) = self.clock.changes[index], self.clock.around(index)
        earlier = {day * DAY + time - before for time in self.times}
        times = {time for time in earlier if time < change}
        if not self._is_elapsed:
            # Once each: the first time that comes twice, and the change for what is skipped.
            return times | {max(change, time + before - after) for time in earlier - times}
        if self.clock.is_odd(index) or (change + before) % DAY == 0:
            # What becomes of a part of an hour, or of midnight, depends on the times before.
            return self._gone_through(day, day * DAY - max(before, after) - DAY)
        later = {time + before - after for time in earlier}
        return times | {time for time in later if time >= change}

    def _gone_through(self, day: int, start: int) -> set[int]:
        """Return the times of a day, of those that come after `start`."""
        local = (ORIGIN + start * MICROSECOND).astimezone(ZoneInfo(self._zone))
        times = (number(time - ORIGIN) for time in occurrences(self._cron, local))
        # Where clocks go back in the middle of an hour, cronsim repeats itself for ever.
        pairs = takewhile(lambda pair: pair[0] < pair[1], pairwise(chain([start], times)))
        days = ((at, (at + self.clock.offset(at)) // DAY) for _, at in pairs)
        return {
            at for at, its_day in takewhile(lambda each: each[1] <= day, days) if its_day == day
        }


@lru_cache(maxsize=4096)
def _days(dates: str, years: int) -> list[int]:
    rule = CronSim(f"0 0 {dates}", ORIGIN)
    days = ((number, ORIGIN.date() + timedelta(days=number)) for number in range(years * 366))
    return [number for number, day in days if day.month in rule.months and rule.match_day(day)]


def moment(distance: int) -> int:
    """Return how shortly before a time a secret is still meant for it.

    That is as `moment_before` has it, by the distance to the next time.
    """
    return min(_MOMENT, distance // 2)


_MOMENT = number(MOMENT)
