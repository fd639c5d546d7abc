import base64
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from rotator.vault.headers import asking_for, checked_index, seconds_of

CLUSTER = "9783681c-c54e-1300-400b-85696a0fb2d5"


def encoded(text: str) -> str:
    """Return what a server would send."""
    return base64.b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("7", 7.0),
        ("0.5", 0.5),
        ("999999999", 3600.0),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 0.0),
        ("Wed, 21 Oct 2015 07:28:00 -0000", None),
    ],
)
def test_a_wait_is_read(text: str | None, seconds: float | None) -> None:
    """In seconds or as a date, and never longer than an hour."""
    assert seconds_of(text) == seconds


def test_a_wait_until_a_date_is_read() -> None:
    """By this machine's clock."""
    told = seconds_of(format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True))

    assert told is not None
    assert 80 < told <= 90


@pytest.mark.parametrize(
    "content",
    [
        f'{{"cluster":"{CLUSTER}","value":"38"}}',
        f"v1:{CLUSTER}:12:0:c2lnbmF0dXJl",
    ],
)
def test_an_index_is_what_servers_send(content: str) -> None:
    """That of OpenBao, and that of Vault Enterprise."""
    index = encoded(content)

    assert checked_index(index) == index
    assert asking_for(index)["X-Vault-Index"] == index


@pytest.mark.parametrize(
    "text",
    [
        None,
        "",
        "Abcdefgh1",
        "Zyxwvuts9Zyxwvuts9Zyxwvut",
        "é",
        encoded("é"),
        encoded("[" * 300),
        encoded('["a"]'),
        encoded('{"cluster":"c","value":"38"}'),
        encoded(f'{{"cluster":"{CLUSTER}","value":"Abcdefgh1"}}'),
        encoded(f'{{"cluster":"{CLUSTER}","value":38}}'),
        encoded(f'{{"cluster":"{CLUSTER}","value":"38","more":"Abcdefgh1"}}'),
        encoded(f"v1:{CLUSTER}:Abcdefgh1:0:c2ln"),
        encoded("x" * 600),
    ],
)
def test_what_could_be_a_value_is_no_index(text: str | None) -> None:
    """It is kept in the ledger, where no value may be."""
    assert checked_index(text) == ""
    assert asking_for("") == {}
