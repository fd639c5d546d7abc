"""How far apart a policy's rotations are, at least and at most. Pure.

What counts is an ideal rotator, which makes each secret exactly when it is due, whatever the
account's name and thus its jitter. A policy can be kept if no secret gets older than `max_age`
before the next rotation is due, and if a grace can be over by then: a rotation that comes due in a
grace begins at its end. The deletion after the grace may have to wait for a window, but the next
rotation waits for the same one.

Both bounds are found by trying the times at which they can be reached, each of which the policy
does lead to: a policy that can be kept is never refused. They are looked for in a period that
begins in 2027: one year for `every`; five for `cron`, at most four hundred of its times at a
stretch. A policy is thus accepted if only a rarer coincidence breaks it: of windows with a `cron`
that comes many times a day or twice a year, or of a jitter with the edges of several windows.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import lru_cache, partial
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

from rotator.model import Policy
from rotator.rotation.window import Spans, clock_changes, delayed

_START = datetime(2027, 1, 1, tzinfo=UTC)
_YEAR = timedelta(days=366)
#: How long a `cron` is followed, and how many times of it, at least and at most.
_LONGEST_CRON, _LEAST_TIMES, _MOST_TIMES = 5 * _YEAR, 3, 400
#: Longer than the windows are ever closed.
_CLOSED = timedelta(days=16)
#: More than the clocks are ever moved.
_MARGIN = timedelta(hours=3)
#: A delay is less than the jitter, and a window is closed when it closes.
_TICK = timedelta(microseconds=1)
_NONE = timedelta()


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


#: Not known, and as short as can be: no policy is refused for it.
_UNKNOWN = Interval(
    created_at=_START, schedule=_NONE, late=_NONE, jitter=_NONE, wait=_NONE, spread=_NONE
)


@lru_cache(maxsize=4096)
def extremes(policy: Policy) -> tuple[Interval | None, Interval]:
    """Return the shortest and the longest time between two rotations under `policy`.

    The shortest is None with `every`, which no interval is shorter than, and where none was found
    among the times of `cron` that were tried, as all of them came while windows were closed.
    """
    if policy.cron is None:
        return None, max(_of_every(policy), key=lambda interval: interval.total)
    intervals = sorted(_of_cron(policy, policy.cron), key=lambda interval: interval.total)
    return (intervals[0], intervals[-1]) if intervals else (None, _UNKNOWN)


def is_kept_by_far(policy: Policy) -> bool:
    """Return whether a policy is kept whatever its time of day, so that it needs no closer look.

    Each of thousands of accounts may have a time of its own.
    """
    if policy.cron is None or policy.window:
        return False
    minute, hour, days = policy.cron.split(maxsplit=2)
    if not (minute.isdecimal() and hour.isdecimal()):
        return False
    shortest, longest = extremes(replace(policy, cron=f"0 12 {days}"))
    is_over = shortest is not None and policy.grace < shortest.total - _MARGIN
    return is_over and longest.total + _MARGIN <= policy.max_age


def _of_every(policy: Policy) -> Iterator[Interval]:
    every, longest = policy.every or _NONE, _less(policy.jitter)
    spans = Spans.of(policy, _START, _START + _YEAR + every + _longest_wait(policy))
    created = {spans.opens_at(_START)}
    for closes, opens, closes_again in zip(
        spans.closes, spans.opens[1:], spans.closes[1:], strict=False
    ):
        # The oldest secrets that come due after the window closed: by the longest delay, or by the
        # longest that the next window takes as well.
        for delay in (longest, min(longest, _less(closes_again - opens))):
            created.add(spans.opens_at(max(_START, closes - every - delay)))
    for at in created:
        if at < _START + _YEAR:
            yield from _intervals(policy, spans, at, at, at + every)


def _of_cron(policy: Policy, cron: str) -> Iterator[Interval]:
    from rotator.rotation import schedule  # noqa: PLC0415  # most configurations have no cron

    zone = ZoneInfo(policy.timezone)
    for start in _starts(cron, zone):
        coming = schedule.occurrences(cron, start)
        times = [*islice(coming, _LEAST_TIMES)]
        times += takewhile(lambda time: time < _START + _LONGEST_CRON, islice(coming, _MOST_TIMES))
        # Until then, a secret is made for an earlier time.
        turns = [time - schedule.moment_before(time, after) for time, after in pairwise(times)]
        spans = Spans.of(policy, start, times[-1] + _longest_wait(policy))
        put_off = partial(delayed, spans.opens_at)
        for time in times[:-1]:
            delays = {*_delays(policy, spans, time), *_up_to(turns, policy, spans, time)}
            for at in {put_off(time, delay) for delay in delays}:
                for due_at in times[bisect_left(turns, at) : len(turns)][:1]:
                    yield from _intervals(policy, spans, time, at, due_at)


def _starts(cron: str, zone: ZoneInfo) -> Iterator[datetime]:
    """Yield from when to follow a `cron`: one that comes many times a day, from several times on.

    That is before each change of the clocks, and at the end of each month.
    """
    yield _START.astimezone(zone)
    minute, hour, *_ = cron.split()
    if minute.isdecimal() and hour.isdecimal():
        return
    for change in clock_changes(_START, zone, days=_YEAR // timedelta(days=1)):
        yield change.astimezone(zone) - _CLOSED / 2
    for month in range(1, 13):
        yield datetime(_START.year, month, 1, tzinfo=zone) - timedelta(hours=3)


def _intervals(
    policy: Policy, spans: Spans, base: datetime, created_at: datetime, due_at: datetime
) -> Iterator[Interval]:
    """Yield the intervals from a secret that was due at `base` to one that is due at `due_at`."""
    for delay in _delays(policy, spans, due_at):
        opening = spans.opens_at(due_at + delay)
        if opening + delay >= spans.closes[-1]:
            # Not known: the jitter is longer than any that makes sense.
            continue
        yield Interval(
            created_at=created_at,
            schedule=due_at - base,
            late=created_at - base,
            jitter=delay,
            wait=opening - due_at - delay,
            spread=delayed(spans.opens_at, due_at, delay) - opening,
        )


def _delays(policy: Policy, spans: Spans, base: datetime) -> Iterator[timedelta]:
    """Yield the delays by jitter that put off what is due at `base` the least and the most."""
    yield from (_NONE, _less(policy.jitter))
    for index, earliest, latest in _gaps(policy, spans, base):
        # As late as possible, but spread over the window.
        longest = spans.closes[index] - spans.opens[index]
        yield max(earliest, min(latest, _less(longest)))


def _up_to(
    turns: list[datetime], policy: Policy, spans: Spans, base: datetime
) -> Iterator[timedelta]:
    """Yield the delays by jitter with which a secret is made just until one of `turns`, or after.

    It is delayed from `base` on, or once more after a window opened.
    """
    starts = [(base, _NONE, _less(policy.jitter))]
    for index, earliest, latest in _gaps(policy, spans, base):
        starts.append((spans.opens[index], earliest, latest))
    for start, earliest, latest in starts:
        for turn in turns[bisect_left(turns, start + earliest) :][:1]:
            delays = (turn - start, turn - start + _TICK)
            yield from (delay for delay in delays if delay <= latest)


def _gaps(
    policy: Policy, spans: Spans, base: datetime
) -> Iterator[tuple[int, timedelta, timedelta]]:
    """Yield the first and the last gaps between windows into which jitter delays `base`.

    For each, the index of the window after it, and the shortest and longest delay.
    """
    first, last = (bisect_right(spans.closes, base + each) for each in (_NONE, policy.jitter))
    for index in sorted({first, last - 1, last}):
        if 0 < index < len(spans.opens) and spans.opens[index] > base:
            earliest = max(_NONE, spans.closes[index - 1] - base)
            latest = _less(min(policy.jitter, spans.opens[index] - base))
            if earliest <= latest:
                yield index, earliest, latest


def _longest_wait(policy: Policy) -> timedelta:
    """Return the longest delay by jitter, windows, and jitter within a window."""
    return 2 * min(policy.jitter, _YEAR) + _CLOSED


def _less(duration: timedelta) -> timedelta:
    return max(_NONE, duration - _TICK)
