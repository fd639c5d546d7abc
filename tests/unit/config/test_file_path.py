"""Paths of files: expanded, resolved, or none."""

from pathlib import Path

import pytest

from rotator.config import load
from tests.unit.config.file import SMS, VAULT, Read, Refuse


def test_no_file_is_none(read: Read) -> None:
    """An empty text in a file's place is none, so that an override can take a file away."""
    text = VAULT + SMS + '[vault.auth]\ntoken_file = "a"\n[ledger]\nurl_file = ""\n'
    settings = read(text, {"ROTATOR_VAULT__AUTH__TOKEN_FILE": ""})

    assert settings.vault.auth.token_file is None
    assert settings.ledger.read_url() == "sqlite:////var/lib/rotator/ledger.db"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/run/token", "/run/token"),
        ("$CREDENTIALS_DIRECTORY/token", "/run/credentials/token"),
        ("${CREDENTIALS_DIRECTORY}/token", "/run/credentials/token"),
        ("~/token", "/home/me/token"),
        ("~", "/home/me"),
        ("sub/token", "{base}/sub/token"),
        ("a~b", "{base}/a~b"),
    ],
)
def test_file_is_expanded(read: Read, tmp_path: Path, text: str, path: str) -> None:
    """A file's path is absolute once loaded, whether or not the file exists."""
    environ = {"CREDENTIALS_DIRECTORY": "/run/credentials", "HOME": "/home/me"}
    settings = read(f'{VAULT}{SMS}[vault.auth]\ntoken_file = "{text}"\n', environ)

    assert settings.vault.auth.token_file == Path(path.format(base=tmp_path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("~/x", "needs $HOME, which is not set"),
        ("~root/x", "begins with another user's home"),
        ("$HOME/x", "holds $HOME: only $CREDENTIALS_DIRECTORY and ~ are expanded"),
        ("${XDG_RUNTIME_DIR}/x", "holds $XDG_RUNTIME_DIR: only"),
        ("$CREDENTIALS_DIRECTORYX/x", "holds $CREDENTIALS_DIRECTORYX: only"),
        ("a$", "holds $: only"),
    ],
)
def test_file_that_cannot_be_expanded_is_refused(refuse: Refuse, text: str, reason: str) -> None:
    """Another variable than systemd's, or one that is not set, is refused."""
    error = refuse(f'{VAULT}{SMS}[ledger]\nurl_file = "{text}"\n')

    assert f"config.toml: ledger.url_file: {text!r} {reason}" in error.message
    assert "ledger.url:" not in error.message


@pytest.mark.parametrize("environ", [{}, {"CREDENTIALS_DIRECTORY": ""}])
def test_outside_a_unit_credentials_are_beside_the_configuration(
    read: Read, tmp_path: Path, environ: dict[str, str]
) -> None:
    """An operator's command finds what the unit loads, with nothing set for it."""
    (tmp_path / "vault-token").touch()
    settings = read(f'{VAULT}{SMS}[ledger]\nurl_file = "$CREDENTIALS_DIRECTORY/x"\n', environ)

    assert settings.ledger.url_file == tmp_path / "x"
    assert settings.vault.auth.token_file == tmp_path / "vault-token"


def test_relative_configuration_gives_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are resolved also where the configuration's own path is relative."""
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(VAULT + SMS + '[vault.auth]\ntoken_file = "token"\n')

    assert load(Path("config.toml"), {}).vault.auth.token_file == tmp_path / "token"
