from bisect import bisect_left
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import islice, pairwise, takewhile
from zoneinfo import ZoneInfo

from hypothesis import example, given, settings
from hypothesis import strategies as st

from rotator.model import Policy
from rotator.rotation import schedule, week, window
from rotator.rotation.cron_times import CronTimes
from rotator.rotation.spacing import longest
from tests.support import samples

HOUR, DAY, TICK = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
ZONES = st.sampled_from(
    ["UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Africa/Cairo"]
)
EVERY = st.sampled_from([12, 24, 5 * 24, 7 * 24, 30 * 24, 90 * 24]).map(lambda hours: hours * HOUR)
CRONS = st.sampled_from(
    [
        "0 3 * * *",
        "30 2 * * *",
        "0 3 * * sun",
        "0 */6 * * *",
        "0 3 1,15 * *",
        "15 4 1 * *",
        "0 3 31 * *",
        "0 0 1 1,7 *",
        "0 3 * * mon-fri",
        "0 0 29 2 *",
    ]
)
#: Many times a day, where it counts what becomes of an hour.
OFTEN = st.sampled_from(
    ["*/10 * * * *", "5-55/10 0-3 * * *", "*/7 2 * * sun", "0,1,7,30 1-3 1,15 * *", "30 * L * *"]
)
WINDOWS = st.sampled_from(
    [
        (),
        ("sun 02:00-05:00",),
        ("sun 02:15-02:45",),
        ("mon-fri 22:00-04:00",),
        ("02:00-05:00",),
        ("sat 22:00-24:00", "wed 10:00-10:30"),
    ]
)
JITTERS = st.sampled_from([0, 1, 60, 120, 600, 26 * 60]).map(lambda minutes: minutes * HOUR / 60)
GRACES = st.sampled_from([0, 1, 20, 23, 24, 48, 13 * 24]).map(lambda hours: hours * HOUR)
STARTS = st.datetimes(
    datetime(2027, 1, 1),  # noqa: DTZ001  # hypothesis adds the zone
    datetime(2030, 10, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
#: The jitter of an occasion, which for some name is as short or as long as it gets.
FRACTIONS = st.just(0.0) | st.just(1.0) | st.floats(0, 1)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Write a policy whose `every` and `cron` configuration would take."""
    cron = draw(st.none() | CRONS | OFTEN)
    return samples.policy(
        every=None if cron else draw(EVERY),
        cron=cron,
        timezone=draw(ZONES),
        jitter=draw(JITTERS),
        window=draw(WINDOWS),
    )


def due(policy: Policy, created_at: datetime, fraction: float) -> datetime:
    """Return when a secret is due, of an account to whose name such a jitter falls."""
    delay = min(fraction * policy.jitter, max(timedelta(), policy.jitter - TICK))
    opens_at = partial(window.opens_at, policy)
    return window.delayed(opens_at, schedule.undelayed(policy, created_at), delay)


@settings(max_examples=300, deadline=None)
@given(
    policy=policies(),
    start=STARTS,
    fractions=st.lists(FRACTIONS, min_size=2, max_size=60),
    grace=GRACES,
)
def test_a_policy_that_is_accepted_is_kept(
    policy: Policy, start: datetime, fractions: list[float], grace: timedelta
) -> None:
    """An ideal rotator never leaves the bound, so what it allows is never broken.

    Nor does the deletion after a grace come after the next rotation that is due when it is over.
    """
    bound = longest(policy)
    made = due(policy, start, fractions[0])
    times = [made, *(made := due(policy, made, fraction) for fraction in fractions[1:])]

    assert bound
    for earlier, later in takewhile(lambda pair: pair[0] < start + 366 * DAY, pairwise(times)):
        assert later - earlier <= bound.total
        if grace < later - earlier:
            assert window.opens_at(policy, earlier + grace) <= later


@settings(max_examples=100, deadline=None)
@given(policy=policies())
def test_a_policy_that_is_refused_is_broken(policy: Policy) -> None:
    """The bound is reached: by a secret that was made when it was due, and by its successor."""
    bound = longest(policy)
    assert bound
    made, opens_at = bound.created_at, partial(window.opens_at, policy)
    base = schedule.undelayed(policy, made)
    was_due = made - bound.late

    assert opens_at(made) == made
    assert base - was_due == bound.schedule
    assert window.delayed(opens_at, base, bound.jitter) - made == bound.total
    assert timedelta() <= bound.jitter <= max(timedelta(), policy.jitter - TICK)
    if policy.cron:
        local = (was_due - TICK).astimezone(ZoneInfo(policy.timezone))
        assert was_due == next(schedule.occurrences(policy.cron, local))
        assert was_due <= made <= opens_at(was_due + policy.jitter) + policy.jitter


@settings(max_examples=200, deadline=None)
@given(cron=CRONS | OFTEN, zone=ZONES, part=st.floats(0, 0.99))
@example(cron="15,45 * * * *", zone="Africa/Cairo", part=0.1)
@example(cron="* 0 * * *", zone="Australia/Lord_Howe", part=0.1)
@example(cron="0 * * * sun", zone="America/Havana", part=0.0)
@example(cron="* 3 * * *", zone="Pacific/Chatham", part=0.2)
def test_the_times_of_a_day_are_those_that_are_stepped_through(
    cron: str, zone: str, part: float
) -> None:
    """Above all where the clocks are changed."""
    times = CronTimes(cron, zone)
    day = int(part * (len(times.days) - 6))
    if times.clock.changes:
        change = times.clock.changes[int(part * (len(times.clock.changes) - 1))]
        near = bisect_left(times.days, change // week.DAY) - 2
        day = max(0, min(near, len(times.days) - 6))
    count = sum(len(times.of(day + number)[1]) for number in range(5))
    first, *others = (times.time(day, index) for index in range(count))
    start = (week.ORIGIN + first * TICK).astimezone(ZoneInfo(zone))

    real = islice(schedule.occurrences(cron, start), count - 1)
    assert [week.ORIGIN + time * TICK for time in others] == [*real]


@settings(max_examples=200, deadline=None)
@given(
    policy=policies(),
    at=STARTS,
    delay=st.timedeltas(timedelta(), 2 * DAY),
)
def test_windows_are_open_when_they_are(policy: Policy, at: datetime, delay: timedelta) -> None:
    """By numbers, as by times of a calendar."""
    opens_at = partial(window.opens_at, policy)
    numbers = week.Week(policy.window, week.Clock.of(policy.timezone))
    start, closed = (week.number(at - week.ORIGIN), numbers.closing(week.number(at - week.ORIGIN)))
    delayed = numbers.delayed(start, week.number(delay))

    assert week.ORIGIN + numbers.opening(start) * TICK == opens_at(at)
    assert week.ORIGIN + delayed * TICK == window.delayed(opens_at, at, delay)
    if policy.window:
        closes = week.ORIGIN + closed * TICK
        assert opens_at(closes) > closes
        assert closed == start or opens_at(closes - TICK) == closes - TICK
