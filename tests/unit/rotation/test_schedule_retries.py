from collections import Counter
from datetime import UTC, datetime, timedelta

from rotator.rotation import schedule

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
NAMES = [f"account-{number}" for number in range(100)]


def test_tries_part_after_a_common_failure() -> None:
    """Accounts that failed together come back within a quarter of the wait, each at its time."""
    waits = {schedule.retry_at(name, 3, NOW) - NOW for name in NAMES}

    assert len(waits) == len(NAMES)
    assert all(timedelta(minutes=20) <= wait <= timedelta(minutes=25) for wait in waits)


def test_checks_are_spread_over_the_interval() -> None:
    """Accounts that were all seen at once have each their own time, once in an interval."""
    interval, minute = timedelta(hours=6), timedelta(minutes=1)
    turns = [schedule.next_check(name, NOW, interval=interval) for name in NAMES]
    counts = Counter((turn - NOW) // minute for turn in turns)

    assert all(NOW < turn <= NOW + interval for turn in turns)
    assert max(counts.values()) <= 4
