import base64
import gc
import json
from collections.abc import Callable, Iterator
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.model import SecretValue, redaction
from rotator.model.redaction import MASK, escaped, printable, printable_lines, redact, reveals

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


ECHOES: dict[str, Callable[[str], str]] = {
    "itself": lambda value: value,
    "in other case": str.swapcase,
    "reversed": lambda value: value[::-1],
    "after something": lambda value: f"id-{value}",
    "before something": lambda value: f"{value}.1",
    "within a longer text": lambda value: f"a{value}b" * 2,
    "cut short": lambda value: value[:-2],
    "without its beginning": lambda value: value[2:],
    "in hexadecimal": lambda value: value.encode().hex(),
    "in upper hexadecimal": lambda value: value.encode().hex().upper(),
    "in base32": lambda value: base64.b32encode(value.encode()).decode().rstrip("="),
    "in base64": lambda value: base64.b64encode(value.encode()).decode().rstrip("="),
    "in base64, with a key": lambda value: base64.b64encode(b"abcd1234:" + value.encode()).decode(),
    "for a URL": lambda value: quote_plus(value, safe=""),
    "for JSON": lambda value: json.dumps(value)[1:-1],
}


@pytest.mark.parametrize("value", ["Hunter2Hunter2", "Odd+Value/ 2%x"])
@pytest.mark.parametrize("echo", ECHOES)
def test_what_is_made_from_a_value_is_known(value: str, echo: str) -> None:
    """An id or a title that holds a value, in whatever spelling, is told from a harmless one."""
    secret = SecretValue(value)

    assert reveals(ECHOES[echo](value))
    assert not reveals("3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10")
    assert secret.reveal() == value


def test_a_value_is_spelled_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a thousand live values, spelling each for each text would take most of the time."""
    spelled: list[str] = []
    spell = redaction._spelled

    def count(value: str) -> Iterator[str]:
        spelled.append(value)
        return spell(value)

    monkeypatch.setattr(redaction, "_spelled", count)
    secrets = [SecretValue(f"Hunter2Hunter{number}") for number in range(3)]
    for _ in range(5):
        assert not reveals("3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10")
        assert redact("nothing to see") == "nothing to see"

    assert [spelled.count(each.reveal()) for each in secrets] == [1, 1, 1]


def test_a_short_value_is_known_by_itself_alone() -> None:
    """What is too short to be a secret is no reason to suspect a text that has it somewhere."""
    secret = SecretValue("abc")

    assert reveals("ABC")
    assert not reveals("abcdef12")
    assert secret.reveal() == "abc"


def test_the_longer_of_two_values_is_masked_as_a_whole() -> None:
    """One value may be how another begins."""
    short, long = SecretValue("Hunter2Hunter2"), SecretValue("Hunter2Hunter2AndMore")

    assert redact(f"<{long.reveal()}>") == f"<{MASK}>"
    assert short != long


MISLEADING = "\x1b[31m\x07\x7f\x9b2J\u202eexe\u2066\u200b\ufeff\ud800"


def test_nothing_is_left_for_a_terminal_to_obey() -> None:
    """Controls, turns of direction and what has no width are replaced; line ends become blanks."""
    shown = printable(f"held {MISLEADING} by\r\n\u2028me…\ttoo")

    assert shown.isprintable()
    assert shown.startswith("held \ufffd[31m\ufffd\ufffd\ufffd2J\ufffdexe")
    assert shown.endswith("by   me… too")
    assert printable_lines(f"a{MISLEADING}\nb\rc").split("\n")[1] == "b c"
    assert printable_lines(f"a{MISLEADING}").isprintable()


@given(st.text())
def test_what_is_escaped_in_json_means_the_same(text: str) -> None:
    """A document stays JSON, on one line, with nothing to obey in it."""
    document = escaped(json.dumps({text: text}, ensure_ascii=False))

    assert document.isprintable()
    assert json.loads(document) == {text: text}
