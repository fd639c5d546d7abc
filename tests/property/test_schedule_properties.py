from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from rotator.model import EARLIEST, LATEST, believable
from rotator.rotation import schedule
from tests.property.zones import CHANGES
from tests.support.samples import next_due, scheduled

#: As long before it, a secret is not made for an occurrence.
MOMENT = timedelta(minutes=2)
HOURS = st.timedeltas(timedelta(hours=-72), timedelta(hours=72))
TIMES = st.datetimes(
    datetime(2000, 1, 1),  # noqa: DTZ001  # hypothesis adds the zone
    datetime(2100, 1, 1),  # noqa: DTZ001
    timezones=st.just(UTC),
)
DURATIONS = st.timedeltas(timedelta(0), timedelta(days=400))
CRONS = st.builds(
    "{} {} {} {} {}".format,
    st.integers(0, 59) | st.sampled_from(["*", "*/15", "10-20/5"]),
    st.integers(0, 23) | st.sampled_from(["*", "*/6", "1,2,3"]),
    st.integers(1, 28) | st.sampled_from(["*", "1,15"]),
    st.integers(1, 12) | st.just("*"),
    st.integers(0, 7) | st.sampled_from(["*", "mon-fri", "sun"]),
)


def occurrence(day: date, wall: time, zone: ZoneInfo) -> datetime:
    """Return the instant of a wall-clock time, found by trying: the first one that shows it.

    Where the clocks skip it, the first instant after the gap.
    """
    instant = datetime.combine(day, wall, tzinfo=UTC) - timedelta(hours=15)
    while instant.astimezone(zone).replace(tzinfo=None) < datetime.combine(day, wall):
        instant += timedelta(minutes=1)
    return instant


@given(
    change=st.sampled_from(CHANGES),
    offset=HOURS,
    wall=st.builds(time, st.integers(0, 23), st.integers(0, 59)),
)
@example(change=CHANGES[1], offset=timedelta(0), wall=time(2, 30))
@example(change=CHANGES[2], offset=timedelta(minutes=45), wall=time(2, 30))
@example(change=CHANGES[7], offset=timedelta(0), wall=time(12))
def test_a_daily_time_comes_once_a_day(
    change: tuple[str, date], offset: timedelta, wall: time
) -> None:
    """Around every kind of change, the due time is the day's first such time, or the gap's end."""
    name, day = change
    zone = ZoneInfo(name)
    after = datetime.combine(day, time(0), tzinfo=UTC) + offset
    cron = f"{wall.minute} {wall.hour} * * *"
    today = after.astimezone(zone).date()
    days = [today + timedelta(days=number) for number in range(-1, 4)]
    dues = [occurrence(day, wall, zone) for day in days]
    expected = min(due for due in dues if due >= after + MOMENT and due > after)

    assert next_due(scheduled(cron=cron, zone=name), after) == expected


@given(cron=CRONS, zone=st.sampled_from([name for name, _ in CHANGES]), after=TIMES)
# On the day when the hour after midnight is skipped.
@example(cron="* 0 1 10 0", zone="America/Asuncion", after=datetime(2000, 1, 1, tzinfo=UTC))
@example(
    cron="*/5 0 * * *", zone="America/Asuncion", after=datetime(2000, 9, 30, 3, 59, tzinfo=UTC)
)
def test_cron_comes_later_and_misses_nothing(cron: str, zone: str, after: datetime) -> None:
    """The due time is later than the last, and from any instant between the same one.

    But for one that comes within a moment, which is the next one's.
    """
    one = scheduled(cron=cron, zone=zone)
    due = next_due(one, after)
    early = due - MOMENT
    following = next_due(one, due)

    assert due > after
    assert due.tzinfo is UTC
    assert next_due(one, max(after, early - (early - after) / 2)) == due
    assert following > due
    if following - due > 2 * MOMENT:
        assert next_due(one, due - timedelta(microseconds=1)) == following


@given(every=DURATIONS, after=TIMES, jitter=DURATIONS, name=st.text(max_size=8))
def test_every_is_later_by_the_interval_and_the_jitter(
    every: timedelta, after: datetime, jitter: timedelta, name: str
) -> None:
    """The due time is never before the interval is over, and never later than the jitter."""
    due = next_due(scheduled(every=every, jitter=jitter, name=name), after)

    assert after + every <= due <= after + every + jitter


@given(cron=CRONS, after=TIMES, jitter=DURATIONS)
def test_jitter_is_added_to_cron(cron: str, after: datetime, jitter: timedelta) -> None:
    """The jitter delays an occurrence and never brings one forward."""
    plain = next_due(scheduled(cron=cron), after)
    due = next_due(scheduled(cron=cron, jitter=jitter), after)

    assert plain <= due <= plain + jitter


@given(
    created=st.datetimes(timezones=st.just(UTC)),
    cron=st.none() | CRONS,
    every=DURATIONS,
    jitter=DURATIONS,
    window=st.sampled_from([(), ("sun 02:00-05:00",), ("22:00-04:00",)]),
)
@example(
    created=datetime.min.replace(tzinfo=UTC),
    cron=None,
    every=timedelta(),
    jitter=timedelta(),
    window=("22:00-04:00",),
)
@example(
    created=datetime.max.replace(tzinfo=UTC),
    cron="* * * * *",
    every=timedelta(),
    jitter=timedelta(days=400),
    window=(),
)
def test_any_creation_that_is_told_has_a_due_time(
    created: datetime,
    cron: str | None,
    every: timedelta,
    jitter: timedelta,
    window: tuple[str, ...],
) -> None:
    """It depends on nothing else than creation, policy and name, and never leaves the calendar."""
    one = scheduled(cron=cron, every=None if cron else every, jitter=jitter, window=window)
    told = believable(created)

    assert EARLIEST <= told <= LATEST
    assert told <= next_due(one, told) == next_due(replace(one), told)


@given(failures=st.integers(1, 10**6))
def test_backoff_grows_within_bounds(failures: int) -> None:
    """Each wait is at least as long as the one before, from five minutes to six hours."""
    wait = schedule.backoff(failures)

    assert timedelta(minutes=5) <= wait <= timedelta(hours=6)
    assert wait <= schedule.backoff(failures + 1) <= 2 * wait


@given(
    name=st.text(max_size=8),
    seen_at=TIMES,
    interval=st.timedeltas(timedelta(seconds=1), timedelta(days=30)),
)
def test_an_account_is_looked_at_once_an_interval(
    name: str, seen_at: datetime, interval: timedelta
) -> None:
    """Its next turn comes within an interval, whenever it was last seen."""
    assert seen_at < schedule.next_check(name, seen_at, interval=interval) <= seen_at + interval


@given(name=st.text(max_size=8), failures=st.integers(1, 10**6), now=TIMES)
def test_a_retry_is_no_sooner_than_the_backoff(name: str, failures: int, now: datetime) -> None:
    """A quarter of the wait at most is added to it."""
    wait = schedule.backoff(failures)

    assert now + wait <= schedule.retry_at(name, failures, now) <= now + wait * 5 / 4
