import base64
import gc
import json
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.model import SecretValue
from rotator.redaction import MASK, redact

PLAIN, ODD = "Hunter2Hunter2", 'a"b\\c dé/+&%\n\N{SNOWMAN}Z9'
VALUES = st.text(st.characters(codec="utf-8"), min_size=8, max_size=40)


@pytest.mark.parametrize("value", [PLAIN, ODD])
@pytest.mark.parametrize(
    "write",
    [
        str,
        repr,
        json.dumps,
        lambda value: json.dumps(value, ensure_ascii=False),
        lambda value: f"https://host/?api_secret={quote(value)}",
        lambda value: f"https://host/?api_secret={quote(value, safe='')}",
        quote_plus,
        lambda value: base64.b64encode(value.encode()).decode(),
        lambda value: base64.urlsafe_b64encode(value.encode()).decode(),
        lambda value: "Basic " + base64.b64encode(f"abcd1234:{value}".encode()).decode(),
        lambda value: f"{value}{value} and {value}",
    ],
)
def test_a_value_is_masked_however_it_is_written(value: str, write: type[str]) -> None:
    """As it is, quoted for Python, JSON or a URL, in base64 of either alphabet."""
    secret = SecretValue(value)
    written = write(value)
    shown = redact(f"begin {written} end")

    assert shown.startswith("begin ")
    assert shown.endswith(" end")
    assert MASK in shown
    assert not any(form in shown for form in (value, written, written[-9:]))
    assert secret.reveal() == value


@given(before=st.binary(max_size=9), value=VALUES, after=st.binary(max_size=9))
def test_nothing_is_left_of_a_value_within_base64(before: bytes, value: str, after: bytes) -> None:
    """Whatever stands before and after it, such as an api key, the whole of it goes."""
    secret = SecretValue(value)
    encoded = base64.b64encode(before + value.encode() + after).decode()

    assert redact(f"<{encoded}>") == f"<{MASK}>"
    assert secret.reveal() == value


def test_what_is_no_value_is_left_alone() -> None:
    """Ids and texts stay; so does what is too short to be a secret."""
    short = SecretValue("aaa")
    text = "aaa 3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10 Hunter2"

    assert redact(text) == text
    assert short.reveal() == "aaa"


def test_values_are_not_kept_in_memory() -> None:
    """A value that nobody holds any more is forgotten here as well."""
    secret = SecretValue("Forgotten1Forgotten1")
    count = len(SecretValue._alive)
    del secret
    gc.collect()

    assert len(SecretValue._alive) <= count - 1
    assert not any(value.reveal().startswith("Forgotten1") for value in SecretValue.alive())
