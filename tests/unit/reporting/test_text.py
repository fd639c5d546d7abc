from datetime import UTC, datetime, timedelta, timezone

import pytest

from rotator.model.times import rfc3339
from rotator.reporting.text import age_text, moment, short, span

AT = datetime(2026, 11, 23, 7, 28, 59, 999999, UTC)


def test_a_moment_is_given_in_utc() -> None:
    """Whatever its zone, a time is shown and exported in UTC, cut, not rounded."""
    elsewhere = AT.astimezone(timezone(timedelta(hours=9)))

    assert moment(elsewhere) == "2026-11-23 07:28 UTC"
    assert rfc3339(elsewhere) == "2026-11-23T07:28:59Z"


def test_what_is_not_there_is_a_dash_or_null() -> None:
    """People read a dash, programs a null."""
    assert moment(None) == age_text(None, AT) == short(None) == "-"
    assert rfc3339(None) is None


@pytest.mark.parametrize(
    ("length", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(seconds=-5), "0s"),
        (timedelta(seconds=59.9), "59s"),
        (timedelta(minutes=1, seconds=1), "1m 1s"),
        (timedelta(hours=1, seconds=1), "1h"),
        (timedelta(days=3, hours=4, minutes=5), "3d 4h"),
        (timedelta(days=45), "45d"),
    ],
)
def test_a_span_has_two_units(length: timedelta, text: str) -> None:
    """A duration is as exact as people need it."""
    assert span(length) == text
