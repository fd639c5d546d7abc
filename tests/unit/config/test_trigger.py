"""The trigger's address, and its keys."""

from datetime import timedelta
from pathlib import Path

import pytest

from rotator.errors import ConfigError
from tests.unit.config.file import SMS, VAULT, Read, Refuse

KEY = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"


def test_it_is_off_unless_it_is_configured(read: Read) -> None:
    """No address, and no key."""
    trigger = read().trigger

    assert (trigger.listen, trigger.secret_file, trigger.read_keys()) == ("", None, ())


@pytest.mark.parametrize("address", ["0.0.0.0:9471", "127.0.0.1:9471", "unix:/run/trigger.sock"])
def test_other_machines_are_let_in_by_their_signature(
    read: Read, tmp_path: Path, address: str
) -> None:
    """A leak scanner is elsewhere."""
    (tmp_path / "key").write_text(f"{KEY}\nanother key of 25 bytes..\n")
    lines = [f'listen = "{address}"', f'secret_file = "{tmp_path / "key"}"', 'tolerance = "1h"']
    trigger = read(VAULT + SMS + "\n".join(["[trigger]", *lines])).trigger

    assert trigger.listen == address
    assert trigger.tolerance == timedelta(hours=1)
    assert [len(key.raw) for key in trigger.read_keys()] == [24, 25]


@pytest.mark.parametrize(
    ("text", "reason", "hint"),
    [
        ('listen = "127.0.0.1:9471"', "needs a key", "trigger.secret_file"),
        ('listen = "9471"', "is neither HOST:PORT nor unix:/PATH", "127.0.0.1:9471"),
        ('tolerance = "0s"', "is not within 1s to 1h", "5m"),
        ("max_per_hour = 0", "is not within 1 to 10000", "60"),
    ],
)
def test_what_would_let_anybody_in_is_refused(
    refuse: Refuse, text: str, reason: str, hint: str
) -> None:
    """With what to write instead."""
    error = refuse(f"{VAULT}{SMS}[trigger]\n{text}\n")

    assert reason in error.message
    assert hint in (error.hint or "")


@pytest.mark.parametrize(
    ("page", "trigger", "kind"),
    [
        ("127.0.0.1:9471", "127.0.0.1:9471", "one"),
        ("unix:/run/rotator.sock", "unix:/run/rotator.sock", "one"),
        ("127.0.0.1:0", "127.0.0.1:0", "two"),
        ("127.0.0.1:9470", "127.0.0.1:9471", "two"),
        ("", "127.0.0.1:9471", "two"),
    ],
)
def test_it_has_an_address_of_its_own(
    read: Read, refuse: Refuse, page: str, trigger: str, kind: str
) -> None:
    """Where the page listens, a daemon could not."""
    tables = f'[daemon]\nlisten = "{page}"\n[trigger]\nlisten = "{trigger}"\nsecret_file = "k"\n'
    if kind == "one":
        error = refuse(VAULT + SMS + tables)
        assert f"trigger.listen: {trigger!r} is that of daemon.listen" in error.message
    else:
        assert read(VAULT + SMS + tables).trigger.listen == trigger


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (b"", "is empty"),
        (b"k" * 23, "has a key of less than 24 bytes"),
        (b"whsec_eHh4", "has a key of less than 24 bytes"),
        (b"whsec_no base64", "has a key that is not base64"),
        (b"\xff" * 24, "is not UTF-8"),
        (None, "cannot be read: no such file or directory"),
    ],
)
def test_a_key_that_could_be_guessed_is_refused(
    read: Read, tmp_path: Path, content: bytes | None, why: str
) -> None:
    """As is a file without one; nothing of it is repeated."""
    if content is not None:
        (tmp_path / "key").write_bytes(content)
    trigger = read(f'{VAULT}{SMS}[trigger]\nsecret_file = "{tmp_path / "key"}"').trigger

    with pytest.raises(ConfigError, match=why) as caught:
        trigger.read_keys()
    assert "trigger.secret_file" in caught.value.message
    assert caught.value.hint
