"""The file itself: there, readable, and TOML."""

import os
from pathlib import Path

import pytest

from rotator.config import load
from rotator.errors import ConfigError
from tests.unit.config.file import SMS, VAULT, Read, Refuse


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[vault\n", "line 1, column 7: expected ']' at the end of a table declaration"),
        ("a = 1\nb = x\n", "line 2, column 5: invalid value"),
        ("a = [", "end of document: invalid value"),
        ("a = " + "[" * 9999, "is nested too deeply"),
        ("a = " + "1" * 9999, "exceeds the limit"),
    ],
)
def test_syntax_error_is_located(refuse: Refuse, text: str, reason: str) -> None:
    """A file that is no TOML is refused with the file, the line and the column."""
    assert f"config.toml: {reason}" in refuse(text).message


@pytest.mark.parametrize(
    ("text", "what"),
    [
        ("a = 1\na = 2\n", "line 2: a appears twice, first in line 1"),
        (
            '[vault]\naddress = 1\n\n# c\n"address" = 2',
            "line 5: vault.address appears twice, first in line 2",
        ),
        ("[vault]\n[ledger]\n[vault]", "line 3: [vault] appears twice, first in line 1"),
        (
            "[[accounts]]\nname = 1\n[[accounts]]\nname = 2\nname = 3",
            "line 5: accounts.name appears twice, first in line 4",
        ),
        (
            "[[accounts]]\nx.y = 1\n[[accounts]]\nx.y = 2\nx.y = 3",
            "line 5: accounts.x.y appears twice, first in line 4",
        ),
        ("[[a]]\n[a.b]\n[[a]]\n[a.b]\n[a.b]", "line 5: [a.b] appears twice, first in line 4"),
        ("[a]\nb.c = 1\nb.c = 2", "line 3: a.b.c appears twice, first in line 2"),
        ("[a]\nb.c = 1\n[a.b]", "line 3: [a.b] appears twice, first in line 2"),
        ("a = 1\na.b = 2\n", "line 2: a appears twice, first in line 1"),
        ("a.b = 1\na = {}\n", "line 2: a appears twice, first in line 1"),
        ("a = {x = 1}\na.y = 2\n", "line 2: a appears twice, first in line 1"),
        ("a = {x = 1}\n[a.y]\n", "line 2: a appears twice, first in line 1"),
        ("[a]\n[[a]]\n", "line 2: [a] appears twice, first in line 1"),
        ("[[a]]\n[a]\n", "line 2: [a] appears twice, first in line 1"),
        ("[[a]]\n[[a.b]]\n[a.b]\n", "line 3: [a.b] appears twice, first in line 2"),
        ("a = []\n[[a]]", "line 2: [a] appears twice, first in line 1"),
        ("[x]\na = {x = 1, x = 2}\n", "line 2: x appears twice in an inline table"),
        ("a = [{x = 1}, {x = 1, x = 2}]\n", "line 1: x appears twice in an inline table"),
        ("[a]\nb = {x = 1, x.y = 2}\n", "line 2: a key appears twice"),
        ("a = 1\na = [\n1,\n]\n", "line 2: a appears twice, first in line 1"),
        ("a = 1\na = 2", "line 2: a appears twice, first in line 1"),
    ],
)
def test_what_stands_twice_is_named_with_both_places(refuse: Refuse, text: str, what: str) -> None:
    """However it is written: as a key, dotted, a table, an item of a list or inline."""
    error = refuse(text)

    assert error.message.endswith(f"config.toml: {what}")
    assert error.hint == "keep one of them"


def test_missing_file_is_answered_with_how_to_name_it(tmp_path: Path) -> None:
    """Where no configuration is, the hint says how to name another."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.toml", {})

    assert caught.value.message == f"{tmp_path}/config.toml: there is no such file"
    assert "rotator --config PATH" in str(caught.value.hint)
    assert "$ROTATOR_CONFIG" in str(caught.value.hint)
    assert caught.value.exit_code == 2


def test_directory_is_refused(tmp_path: Path) -> None:
    """A directory is no configuration."""
    with pytest.raises(ConfigError, match="is a directory"):
        load(tmp_path, {})


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    """A file that the system does not let be read is refused with its reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be read: not a directory"):
        load(tmp_path / "file" / "config.toml", {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_forbidden_file_is_refused(tmp_path: Path) -> None:
    """A file without permission is refused as such."""
    path = tmp_path / "config.toml"
    path.touch(mode=0)
    with pytest.raises(ConfigError, match="cannot be read: permission denied"):
        load(path, {})


def test_other_encoding_is_refused(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused with the place."""
    path = tmp_path / "config.toml"
    path.write_bytes(b'a = "\xff"')
    with pytest.raises(ConfigError, match=r"is not UTF-8 \(byte 5\)"):
        load(path, {})


def test_byte_order_mark_is_taken(read: Read) -> None:
    """The mark that some editors put before the text is no error."""
    assert read("\ufeff" + VAULT + SMS) == read()
