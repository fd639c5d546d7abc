from datetime import UTC, date, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pytest

from rotator.rotation import schedule
from rotator.rotation.spacing import longest
from tests.support.samples import next_due, scheduled

NEVER = timedelta(0)
NOW = datetime(2026, 11, 23, 7, 28, 0, 123456, tzinfo=UTC)


def utc(text: str) -> datetime:
    """Read a time in UTC."""
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def dues(cron: str, zone: str, after: str, count: int) -> list[str]:
    """Return the due times that follow each other, as the zone's clocks show them and in UTC."""
    times, given = [], utc(after)
    for _ in range(count):
        given = next_due(scheduled(cron=cron, zone=zone), given)
        times.append(given.strftime("%m-%d %H:%M"))
    return times


def test_every_counts_from_the_last_time() -> None:
    """An interval is added to the microsecond, and given in UTC."""
    after = NOW.astimezone(timezone(timedelta(hours=-3)))
    due = next_due(scheduled(every=timedelta(days=30)), after)

    assert due == NOW + timedelta(days=30)
    assert due.tzinfo is UTC


def test_what_is_rotated_on_request_is_never_due() -> None:
    """However old its secret is."""
    one = scheduled(every=None)

    assert schedule.next_due(one, NOW) is None
    assert longest(one.policy) is None


def test_every_does_not_follow_the_clocks() -> None:
    """A day is 24 hours, also where the clocks are moved on it."""
    before = utc("2027-03-27T12:00")
    due = next_due(scheduled(every=timedelta(days=1), zone="Europe/Berlin"), before)

    assert due == utc("2027-03-28T12:00")


@pytest.mark.parametrize(
    ("after", "due"),
    [
        ("2026-11-23T02:58", "2026-11-23T03:00"),
        ("2026-11-23T03:00", "2026-11-24T03:00"),
        ("2026-11-23T03:00:00.000001", "2026-11-24T03:00"),
        ("2026-12-31T23:59", "2027-01-01T03:00"),
    ],
)
def test_cron_is_after_the_last_time(after: str, due: str) -> None:
    """The next occurrence is a later one, be it by a microsecond."""
    assert next_due(scheduled(cron="0 3 * * *"), utc(after)) == utc(due)


@pytest.mark.parametrize(
    ("cron", "created", "due"),
    [
        ("0 3 * * *", "2026-11-23T02:58:00.000001", "2026-11-24T03:00"),
        ("0 3 * * *", "2026-11-23T02:59:59.999999", "2026-11-24T03:00"),
        # Where it comes often, one that is not nearer than the one before it is another one.
        ("* * * * *", "2026-11-23T02:59:30", "2026-11-23T03:00"),
        ("* * * * *", "2026-11-23T02:59:31", "2026-11-23T03:01"),
    ],
)
def test_a_secret_made_a_moment_early_is_not_due_at_once(cron: str, created: str, due: str) -> None:
    """Vonage's clock may be behind: what was made for an occurrence is not made again for it."""
    assert next_due(scheduled(cron=cron), utc(created)) == utc(due)


@pytest.mark.parametrize(
    ("cron", "due"),
    [
        ("0 3 * * sun", "2026-11-29T03:00"),
        ("0 3 * * 0", "2026-11-29T03:00"),
        ("0 3 * * 7", "2026-11-29T03:00"),
        ("0 3 * * 1", "2026-11-30T03:00"),
        ("0 3 * * 2", "2026-11-24T03:00"),
        ("0 3 * * 6", "2026-11-28T03:00"),
        ("0 3 * * 1-5", "2026-11-24T03:00"),
        ("0 3 * * 6,0", "2026-11-28T03:00"),
        ("0 3 * * mon", "2026-11-30T03:00"),
        ("0 3 29 2 *", "2028-02-29T03:00"),
        ("30 4 1,15 * *", "2026-12-01T04:30"),
        # A day of month and a day of week: either, as in every cron.
        ("30 4 1 * fri", "2026-11-27T04:30"),
    ],
)
def test_cron_means_what_cron_means(cron: str, due: str) -> None:
    """0 and 7 are Sunday, names are names, and a leap day is waited for."""
    assert next_due(scheduled(cron=cron), NOW) == utc(due)


@pytest.mark.parametrize(
    ("cron", "zone", "after", "expected"),
    [
        # 02:30 does not exist on 28 March: at once, at 03:00; then as usual.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2027-03-27T00:00",
            ["03-27 01:30", "03-28 01:00", "03-29 00:30"],
        ),
        # 02:30 comes twice on 25 October: the first time only.
        (
            "30 2 * * *",
            "Europe/Berlin",
            "2026-10-24T00:00",
            ["10-24 00:30", "10-25 00:30", "10-26 01:30"],
        ),
        # The first hour of a day of change, which APScheduler forgets.
        (
            "30 0 * * *",
            "Europe/Berlin",
            "2027-03-27T00:00",
            ["03-27 23:30", "03-28 22:30", "03-29 22:30"],
        ),
        # Every hour follows the hours that pass.
        (
            "0 * * * *",
            "Europe/Berlin",
            "2026-10-24T23:30",
            ["10-25 00:00", "10-25 01:00", "10-25 02:00"],
        ),
        (
            "30 2 * * *",
            "America/New_York",
            "2027-03-13T00:00",
            ["03-13 07:30", "03-14 07:00", "03-15 06:30"],
        ),
        (
            "30 1 * * *",
            "America/New_York",
            "2026-10-31T00:00",
            ["10-31 05:30", "11-01 05:30", "11-02 06:30"],
        ),
        # Half an hour is skipped, and comes twice.
        (
            "15 2 * * *",
            "Australia/Lord_Howe",
            "2026-10-02T15:00",
            ["10-02 15:45", "10-03 15:30", "10-04 15:15"],
        ),
        (
            "45 1 * * *",
            "Australia/Lord_Howe",
            "2027-04-02T00:00",
            ["04-02 14:45", "04-03 14:45", "04-04 15:15"],
        ),
        # A whole day was skipped: it had no noon, so it is made up for at the next midnight.
        (
            "0 12 * * *",
            "Pacific/Apia",
            "2011-12-29T00:00",
            ["12-29 22:00", "12-30 10:00", "12-30 22:00"],
        ),
        # No midnight: what is even hours does not run at one o'clock instead.
        (
            "0 */2 * * sun",
            "America/Sao_Paulo",
            "2018-11-03T12:00",
            ["11-04 04:00", "11-04 06:00", "11-04 08:00"],
        ),
        # A change at midnight.
        (
            "0 0 * * *",
            "America/Asuncion",
            "2024-10-05T00:00",
            ["10-05 04:00", "10-06 04:00", "10-07 03:00"],
        ),
    ],
)
def test_cron_where_clocks_are_moved(cron: str, zone: str, after: str, expected: list[str]) -> None:
    """A fixed time that is skipped runs at once, one that comes twice runs once."""
    assert dues(cron, zone, after, 3) == expected


@pytest.mark.parametrize("after", ["2026-10-25T00:30", "2026-10-25T00:59", "2026-10-25T01:30"])
def test_the_second_of_two_hours_is_not_another_occurrence(after: str) -> None:
    """Who completes a rotation between 02:30 and 02:30 is not due again on that day."""
    assert dues("30 2 * * *", "Europe/Berlin", after, 1) == ["10-26 01:30"]


def test_several_times_in_the_second_of_two_hours_are_no_occurrences() -> None:
    """What is made between two and three, of which each time was an hour ago, is due tomorrow."""
    assert dues("15,30,45 2 * * *", "Europe/Berlin", "2026-10-25T01:10", 1) == ["10-26 01:15"]


@pytest.mark.parametrize(
    "zone",
    [
        "UTC",
        "Europe/Berlin",
        "America/New_York",
        "America/Santiago",
        "America/Havana",
        "Australia/Lord_Howe",
        "Pacific/Chatham",
        "Asia/Beirut",
        "Africa/Casablanca",
    ],
)
@pytest.mark.parametrize("wall", ["0 0", "30 0", "15 2", "30 2", "59 23"])
def test_a_year_of_days_has_one_occurrence_each(zone: str, wall: str) -> None:
    """Over every change of the clocks, daily, weekly and monthly times are not lost or doubled."""
    start = utc("2026-12-30T12:00")
    found = {}
    for cron in (f"{wall} * * *", f"{wall} * * 1", f"{wall} 1 * *"):
        times, given = [], start
        while given < utc("2028-01-01T12:00"):
            given = next_due(scheduled(cron=cron, zone=zone), given)
            times.append(given.astimezone(ZoneInfo(zone)).date())
        found[cron] = [day for day in times if day.year == 2027]
    daily, weekly, monthly = found.values()

    assert daily == [date(2027, 1, 1) + timedelta(days=number) for number in range(365)]
    assert weekly == [day for day in daily if day.weekday() == 0]
    assert monthly == [date(2027, month, 1) for month in range(1, 13)]


# -- Windows. ------------------------------------------------------------------------------


def test_what_comes_due_outside_a_window_is_due_in_the_next() -> None:
    """Spread by the jitter as far as the window goes; what comes due inside stays."""
    hour, sunday = timedelta(hours=1), utc("2026-11-29T02:00")
    dues = [
        next_due(
            scheduled(
                every=timedelta(days=30),
                jitter=jitter,
                name=f"a{number}",
                window=("sun 02:00-03:00",),
            ),
            utc("2026-10-24T07:28"),
        )
        for number, jitter in enumerate([NEVER] + 50 * [2 * hour])
    ]
    inside = scheduled(cron="30 2 * * sun", window=("sun 02:00-05:00",))

    assert dues[0] == sunday
    assert all(sunday <= due < sunday + hour for due in dues)
    assert len(set(dues)) > 10
    assert next_due(inside, NOW) == sunday + hour / 2


# -- Jitter. -------------------------------------------------------------------------------


def test_jitter_is_the_same_each_time() -> None:
    """A restart does not draw again."""
    one = scheduled(every=timedelta(days=30), jitter=timedelta(hours=1))

    assert next_due(one, NOW) == next_due(one, NOW)
    assert next_due(one, NOW) != NOW + timedelta(days=30)


def test_jitter_does_not_change_between_versions() -> None:
    """A due time that was announced is kept by the next release, too."""
    one = scheduled("sms-prod", cron="0 3 * * sun", jitter=timedelta(hours=1))

    assert next_due(one, NOW).isoformat() == "2026-11-29T03:25:47.822783+00:00"


def test_jitter_spreads_accounts_and_occasions() -> None:
    """A hundred accounts of one schedule fill the hour, and none is always the last."""
    cron, hour = "0 3 * * *", timedelta(hours=1)
    first = [
        next_due(scheduled(cron=cron, jitter=hour, name=f"a{number}"), NOW) for number in range(100)
    ]
    quarters = {int((due - utc("2026-11-24T03:00")) / timedelta(minutes=15)) for due in first}
    again = next_due(scheduled(cron=cron, jitter=hour, name="a0"), first[0] + hour)

    assert len(set(first)) == 100
    assert quarters == {0, 1, 2, 3}
    assert again - first[0] != timedelta(days=1)


# -- Backoff. ------------------------------------------------------------------------------


def test_backoff_doubles_up_to_six_hours() -> None:
    """The first retry comes soon, the later ones do not pester."""
    minutes = [schedule.backoff(failures) / timedelta(minutes=1) for failures in range(1, 10)]

    assert minutes == [5, 10, 20, 40, 80, 160, 320, 360, 360]


def test_a_pause_doubles_up_to_five_minutes() -> None:
    """What is away is found back soon, and asked a dozen times an hour at most."""
    pauses = [schedule.pause(number).total_seconds() for number in (1, 2, 3, 9, 10, 1000)]

    assert pauses == [1, 2, 4, 256, 300, 300]


def test_backoff_after_years_of_failures() -> None:
    """No number of failures is too many."""
    assert schedule.backoff(10**9) == timedelta(hours=6)
