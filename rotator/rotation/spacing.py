"""How far apart a policy's rotations are at most. Pure.

What counts is an ideal rotator, which makes each secret exactly when it is due, whatever the
account's name and thus its jitter. A policy can be kept if no secret gets older than `max_age`
before the next rotation is due, and if a grace can be over by then: a rotation that comes due in a
grace begins at its end. The deletion after the grace may have to wait for a window, but the next
rotation waits for the same one.

The bound is found by trying the times at which it can be reached, each of which the policy does
lead to: a policy that can be kept is never refused. These times are few. Windows are the same each
week, and a `cron` has the same times on each of its days: what differs is how its days follow each
other, on which weekdays, and where the clocks are changed. Five years from the end of 2026 on are
looked at, and sixty of a `cron` that comes at most twice a year. A policy is thus accepted if only
a rarer coincidence breaks it, as of a long jitter with the edges of many windows.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from rotator.model import Policy
from rotator.rotation.week import MICROSECOND, ORIGIN, WEEK, YEAR, Clock, Week, number


@dataclass(frozen=True, kw_only=True)
class Interval:
    """The time from a rotation to the next one, in parts."""

    #: When the first one is, as an example.
    created_at: datetime
    #: `every`, or from the time of `cron` for the one to that for the other.
    schedule: timedelta
    #: How long after its own time of `cron` the first one was.
    late: timedelta
    #: The delay by jitter of the second one.
    jitter: timedelta
    #: Its wait for a window.
    wait: timedelta
    #: Its delay after the window opened.
    spread: timedelta

    @property
    def total(self) -> timedelta:
        """The whole interval."""
        return self.schedule - self.late + self.jitter + self.wait + self.spread


@lru_cache(maxsize=4096)
def longest(policy: Policy) -> Interval | None:
    """Return the longest time between two rotations under `policy`.

    None where there are no two: it has no schedule, or the clocks skip each time of its `cron`.
    """
    most = max(0, number(policy.jitter) - 1)
    if policy.is_on_request:
        return None
    if policy.cron is None:
        search = Search(Week(policy.window, Clock.of(policy.timezone)), most)
        _try_every(search, number(policy.every or timedelta()))
        return search.found()
    # Most policies have no cron.
    from rotator.rotation.cron_spacing import CronSpacing  # noqa: PLC0415
    from rotator.rotation.cron_times import CronTimes  # noqa: PLC0415

    times = CronTimes(policy.cron, policy.timezone)
    search = Search(Week(policy.window, times.clock), most)
    CronSpacing(times, search).try_all()
    return search.found()


class Search:
    """The longest interval so far."""

    def __init__(self, week: Week, most: int) -> None:
        self.week = week
        #: The longest delay by jitter.
        self.most = most
        self._best: tuple[int, ...] = (-1,)

    def may_be_longer(self, made: int, due: int) -> bool:
        """Return whether the interval from `made` to what is due at `due` may be longer."""
        return self.week.opening(due + self.most) + self.most - made > self._best[0]

    def add(self, base: int, made: int, due: int) -> None:
        """Take a rotation: when it was due without delays, when it was, when the next one is due.

        The latter is without delays as well.
        """
        if self.may_be_longer(made, due):
            delays = self.week.longest_delays(due, self.most)
            total, delay = max((self.week.delayed(due, delay) - made, delay) for delay in delays)
            self._best = max(self._best, (total, base, made, due, delay))

    def found(self) -> Interval | None:
        """Return the longest interval."""
        if len(self._best) == 1:
            return None
        total, base, made, due, delay = self._best
        opening = self.week.opening(due + delay)
        return Interval(
            created_at=ORIGIN + made * MICROSECOND,
            schedule=(due - base) * MICROSECOND,
            late=(made - base) * MICROSECOND,
            jitter=delay * MICROSECOND,
            wait=(opening - due - delay) * MICROSECOND,
            spread=(made + total - opening) * MICROSECOND,
        )


def _try_every(search: Search, every: int) -> None:
    week, most = search.week, search.most
    clock = week.clock
    span = min(most, WEEK)
    # Which changes of the clocks are between two rotations is another with each change that the
    # first or the second one passes.
    ranges = [(every, every + WEEK + span)]
    for change in clock.changes:
        if change < YEAR:
            ranges.append((change + every, change + every + WEEK + span))
        if change < YEAR + every + span + WEEK:
            ranges.append((change - WEEK - span, change + WEEK))
    created = {week.opening(change) for change in (0, *clock.changes) if change < YEAR}
    for start, end in ranges:
        closed = week.closing(start)
        while closed < end:
            opening = week.opening(closed)
            # The oldest secrets that come due after the windows closed: by the longest delay, or
            # by the longest that the next window takes as well.
            for delay in {most, week.fitting(opening, most)}:
                created.add(week.opening(max(0, closed - every - delay)))
            closed = week.closing(opening)
    seen = set[tuple[int, int]]()
    for made in created:
        due = made + every
        offset, later = clock.offset(made), clock.offset(due)
        key = ((made + offset) % WEEK, later - offset)
        # All else is the same unless the clocks are changed after it is due.
        if later != clock.offset(week.opening(due + most) + most):
            search.add(made, made, due)
        elif key not in seen:
            seen.add(key)
            search.add(made, made, due)
