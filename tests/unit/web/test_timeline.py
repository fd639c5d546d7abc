from datetime import UTC, date, datetime, timedelta

from rotator.web.timeline import DAYS, HEIGHT, timeline, timeline_until

DAY = timedelta(days=1)
NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
TODAY = date(2026, 11, 23)


def test_bars_stand_on_each_other_within_the_picture() -> None:
    """Failed upon completed; the busiest day is as high as the picture."""
    counts = {TODAY: {"completed": 997, "failed": 3}, TODAY - DAY: {"failed": 1}}
    found = timeline(counts, TODAY)
    today, yesterday = found.bars[-1], found.bars[-2]

    assert len(found.bars) == DAYS
    assert sum(today.completed) == HEIGHT
    assert sum(today.failed) == today.completed[0]
    assert today.failed[0] >= 0
    assert yesterday.completed == (HEIGHT, 0)
    assert yesterday.failed == (HEIGHT - 3, 3)
    assert today.title == "2026-11-23: 997 completed, 3 failed"
    assert (found.completed, found.failed) == (997, 4)


def test_days_without_rotations_are_empty() -> None:
    """As are those before the first of the ninety."""
    found = timeline({TODAY - 90 * DAY: {"completed": 5}}, TODAY)

    assert {bar.completed for bar in found.bars} == {(HEIGHT, 0)}
    assert found.bars[0].title == "2026-08-26: none"
    assert found.labels[0] == "Aug 26"


def test_a_timeline_begins_with_its_first_day() -> None:
    """Counted from the midnight before it, in UTC."""
    asked: list[datetime] = []

    def count(since: datetime) -> dict[date, dict[str, int]]:
        asked.append(since)
        return {}

    timeline_until(NOW, count)

    assert asked == [datetime(2026, 8, 26, tzinfo=UTC)]
