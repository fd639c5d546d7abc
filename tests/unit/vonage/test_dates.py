from datetime import UTC, datetime, timedelta

import pytest

from rotator.network import http_date
from rotator.vonage.response import lead

DATE = "Tue, 14 Nov 2023 22:13:20 GMT"
AT = 1_700_000_000.0


@pytest.mark.parametrize(
    ("received_at", "expected"),
    [
        (AT, 0),
        (AT + 60, 0),
        (AT - 60, 0),
        (AT + 60.5, 60.5),
        (AT - 60.5, -60.5),
        (AT + 3 * 3600, 3 * 3600),
        (0.0, -AT),
    ],
)
def test_a_lead_is_what_differs_by_more_than_a_minute(received_at: float, expected: float) -> None:
    """Positive where this machine's clock is ahead."""
    assert lead(DATE, received_at) == timedelta(seconds=expected)


@pytest.mark.parametrize(
    "header",
    [
        None,
        "",
        "soon",
        "Tue, 14 Nov 2023 22:13:20 +99999999999999",
        "Fri, 31 Dec 9999 23:59:59 GMT",
        "Mon, 01 Jan 1700 00:00:00 GMT",
    ],
)
def test_what_can_be_no_date_tells_nothing(header: str | None) -> None:
    """No clock is a century off; a lead like that could not be reckoned with either."""
    assert lead(header, AT) == timedelta()


def test_a_date_without_a_zone_is_utc() -> None:
    """As the minus in front of its zero says."""
    assert http_date("Tue, 14 Nov 2023 22:13:20 -0000") == datetime.fromtimestamp(AT, UTC)
