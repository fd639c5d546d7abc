"""Who may read the status page: the token beside its address."""

from pathlib import Path

import pytest

from rotator.errors import ConfigError
from tests.unit.config.file import SMS, VAULT, Read


@pytest.mark.parametrize("address", ["0.0.0.0:9470", "10.1.2.3:9470", "rotator.internal:9470"])
def test_other_machines_may_be_let_in_with_a_token(
    read: Read, tmp_path: Path, address: str
) -> None:
    """An address beyond loopback is taken where a token file is named, wherever that stands."""
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    lines = [f'listen = "{address}"', f'listen_token_file = "{token}"']
    for order in (lines, lines[::-1]):
        daemon = read(VAULT + SMS + "\n".join(["[daemon]", *order])).daemon

        assert daemon.listen == address
        shown = daemon.read_listen_token()
        assert shown is not None
        assert shown.reveal() == "0123456789abcdef"


def test_without_a_token_file_there_is_no_token(read: Read) -> None:
    """Readers on this machine have to show nothing."""
    assert read().daemon.read_listen_token() is None


@pytest.mark.parametrize(
    "content", ["", "0123456789abcde", "two words of some length", "\xfc" * 20]
)
def test_a_bad_token_is_refused(read: Read, tmp_path: Path, content: str) -> None:
    """One that is short or cannot be sent in a header; it is not repeated."""
    token = tmp_path / "token"
    token.write_text(content)
    daemon = read(f'{VAULT}{SMS}[daemon]\nlisten_token_file = "{token}"').daemon

    with pytest.raises(ConfigError, match="does not contain a token") as caught:
        daemon.read_listen_token()
    assert not content or content not in caught.value.message


def test_a_token_file_that_is_not_there_is_named(read: Read, tmp_path: Path) -> None:
    """With the reason."""
    daemon = read(f'{VAULT}{SMS}[daemon]\nlisten_token_file = "{tmp_path / "none"}"').daemon

    with pytest.raises(ConfigError, match="cannot be read: no such file or directory"):
        daemon.read_listen_token()


@pytest.mark.parametrize(
    ("given", "hosts"),
    [
        ("[]", ()),
        ('["rotator.example.com", "ROTATOR.example.com."]', ("rotator.example.com",)),
        ('["a_b.svc", "[2001:db8::1]", "10.0.0.1"]', ("a_b.svc", "[2001:db8::1]", "10.0.0.1")),
        ('"one.example, two.example"', ("one.example", "two.example")),
        ('""', ()),
    ],
)
def test_other_names_may_be_allowed(read: Read, given: str, hosts: tuple[str, ...]) -> None:
    """As a list; or as a text, which is what a variable holds."""
    assert read(f"{VAULT}{SMS}[daemon]\nallowed_hosts = {given}").daemon.allowed_hosts == hosts


@pytest.mark.parametrize(
    "given",
    [
        '["https://x.example"]',
        '["x.example:443"]',
        '["*"]',
        '["*.example"]',
        "[7]",
        "7",
        '["a@b"]',
        '[""]',
    ],
)
def test_what_is_no_host_is_refused(read: Read, given: str) -> None:
    """A scheme, a port or a pattern would never match, or match too much."""
    with pytest.raises(ConfigError, match=r"daemon\.allowed_hosts.*host") as caught:
        read(f"{VAULT}{SMS}[daemon]\nallowed_hosts = {given}")

    assert "without scheme and port" in (caught.value.hint or "")
