from datetime import UTC, datetime

import pytest

from rotator.network import HttpResponse, retry_after

#: Seconds since 1970, at 22:13:20.
NOW = 1_700_000_000.0


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1" * 16, None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("Tue, 14 Nov 2023 22:14:50 GMT", 90.0),
        ("Tue, 14 Nov 2023 22:14:50 -0000", 90.0),
        ("Tue, 14 Nov 2023 22:13:10 GMT", -10.0),
        ("Tue, 14 Nov 2023 22:13:20 +99999999999999", None),
    ],
)
def test_a_wait_is_seconds_or_a_date(text: str | None, seconds: float | None) -> None:
    """A date counts from the time that the caller passes; anything else is no wait."""
    assert datetime.fromtimestamp(NOW, UTC).hour == 22
    assert retry_after(text, NOW) == seconds


def test_a_body_too_long_is_said_to_be() -> None:
    """By its limit."""
    with pytest.raises(ValueError, match="longer than 1 MB"):
        HttpResponse(status=200, headers={}, body=None).content(1_000_000)


@pytest.mark.parametrize("body", [b'{"a": 1, "a": 2}', b'{"a": 1e999}', b'{"a": NaN}', b"[1]"])
def test_an_object_that_could_be_read_in_two_ways_is_none(body: bytes) -> None:
    """What was meant by a key that stands twice, or a number beyond all bounds, nobody knows."""
    with pytest.raises(ValueError, match=r"not (a )?JSON( object)?") as caught:
        HttpResponse(status=200, headers={}, body=body).json_object(1_000_000)

    assert caught.value.__cause__ is None
