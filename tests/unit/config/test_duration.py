"""Durations: how they are read and written."""

from datetime import timedelta

import pytest

from rotator.config import parse_duration
from rotator.errors import ConfigError
from rotator.model.times import exact_duration, format_duration


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0s", timedelta()),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(hours=24)),
        ("30d", timedelta(days=30)),
        ("36500d", timedelta(days=36500)),
    ],
)
def test_duration_is_one_number_and_unit(text: str, duration: timedelta) -> None:
    """The documented forms of a duration are read."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",
        "d",
        "-1d",
        "+1d",
        "1.5h",
        "1h30m",
        "30 d",
        " 30d",
        "30d\n",
        "1D",
        "5ms",
        "1w",
        "٣d",
    ],
)
def test_other_durations_are_refused(text: str) -> None:
    """Anything but one whole number and one unit is refused, saying how to write it."""
    with pytest.raises(ConfigError, match="is not a duration") as caught:
        parse_duration(text)

    assert repr(text) in caught.value.message
    assert caught.value.hint == "write one number and one unit: 90s, 15m, 24h or 30d"


@pytest.mark.parametrize("text", ["36501d", "999999999999d"])
def test_duration_has_a_bound(text: str) -> None:
    """A duration that could not be added to a date is refused."""
    with pytest.raises(ConfigError, match="is longer than 36500d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(seconds=90), "90s"),
        (timedelta(seconds=3600), "1h"),
        (timedelta(hours=36), "36h"),
        (timedelta(days=2), "2d"),
        (timedelta(seconds=1.9), "1s"),
        (timedelta(seconds=-90), "-90s"),
    ],
)
def test_duration_is_written_in_its_largest_unit(duration: timedelta, text: str) -> None:
    """The unit is the largest that divides the duration; fractions of a second are dropped."""
    assert format_duration(duration) == text


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(days=7, hours=10), "7d 10h"),
        (timedelta(days=1, seconds=1), "1d 1s"),
        (timedelta(hours=1, microseconds=-2), "1h"),
        (timedelta(minutes=90), "1h 30m"),
    ],
)
def test_a_sum_is_told_exactly(duration: timedelta, text: str) -> None:
    """In as many units as it takes, to the nearest second."""
    assert exact_duration(duration) == text
