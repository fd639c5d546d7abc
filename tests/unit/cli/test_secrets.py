import sys
from pathlib import Path

import pytest

from rotator.cli.commands import secrets
from rotator.errors import ConfigError
from rotator.model import SecretValue


@pytest.mark.parametrize(
    "text",
    ["Sh0rt", "nouppercase1", "NODIGITSHere", "Spaces 1n It", "Ümlaut0Value", "Two1Lines\nX"],
)
def test_a_value_is_checked_and_not_repeated(tmp_path: Path, text: str) -> None:
    """What Vonage would not take, or might not take, is not sent."""
    file = tmp_path / "value"
    file.write_text(text)
    with pytest.raises(ConfigError) as caught:
        secrets._value(str(file))

    assert text not in f"{caught.value.message}{caught.value.hint}"


@pytest.mark.parametrize("content", [b"G00dEnough", b"G00dEnough\n"])
def test_a_value_may_end_its_line(tmp_path: Path, content: bytes) -> None:
    """One newline at the end is the file's, not the value's."""
    file = tmp_path / "value"
    file.write_bytes(content)

    assert secrets._value(str(file)) == SecretValue("G00dEnough")


def test_a_value_that_cannot_be_read(tmp_path: Path) -> None:
    """A file that is not there or is no text is named as that."""
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="no such file"):
        secrets._value(str(tmp_path / "gone"))
    with pytest.raises(ConfigError, match="is not UTF-8"):
        secrets._value(str(tmp_path / "binary"))


def test_a_value_is_asked_for_without_showing_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """At a terminal it is typed blind; elsewhere there is no terminal to ask at."""
    monkeypatch.setattr("getpass.getpass", lambda _prompt: "G00dEnough")
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    asked = secrets._value(None)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: False)
    with pytest.raises(ConfigError, match="no terminal to ask at"):
        secrets._value(None)

    assert asked == SecretValue("G00dEnough")
