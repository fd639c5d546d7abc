"""The ways to log in to Vault, and the keys and files of each."""

from pathlib import Path

import pytest

from tests.unit.config.file import SMS, VAULT, Read, Refuse


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ('method = "approle"', ["role_id_file: is required"]),
        (
            'method = "approle"\nrole_id_file = "r"\nwrapped = true',
            ["wrapped: is true, and there is no secret_id_file"],
        ),
        ('method = "kubernetes"', ["role: is required by method 'kubernetes'"]),
        ('method = "jwt"', ["jwt_file: is required by method 'jwt'"]),
        ('method = "userpass"', ["username: is required", "password_file: is required"]),
        ('method = "cert"', ["vault.client_cert_file: is required by method 'cert'"]),
        ('token_file = ""\nrole = "r"', ["role: belongs to methods 'kubernetes' and"]),
        ('method = "jwt"\njwt_file = "j"\ntoken_file = "t"', ["belongs to method 'token', not"]),
        ("wrapped = false", ["wrapped: belongs to method 'approle', not to method 'token'"]),
        ('mount = "m"', ["vault.auth.mount: belongs to methods"]),
    ],
)
def test_each_login_has_its_keys(refuse: Refuse, text: str, reasons: list[str]) -> None:
    """A key of another way to log in is refused as such, and a missing one is named."""
    error = refuse(f"{VAULT}{SMS}[vault.auth]\n{text}\n")

    assert [reason for reason in reasons if reason not in error.message] == []


@pytest.mark.parametrize(
    ("auth", "found"),
    [
        ("", {"token_file": "vault-token"}),
        (
            'method = "approle"',
            {"role_id_file": "vault-role-id", "secret_id_file": "vault-secret-id"},
        ),
        ('method = "userpass"\nusername = "u"', {"password_file": "vault-password"}),
        ('method = "kubernetes"\nrole = "r"', {}),
        ('token_file = ""', {}),
    ],
)
def test_credentials_of_systemd_are_found(
    read: Read, tmp_path: Path, auth: str, found: dict[str, str]
) -> None:
    """What a login needs and the file does not name is looked for where systemd puts it."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    for name in ("vault-token", "vault-role-id", "vault-secret-id", "vault-password"):
        (folder / name).touch()
    settings = read(f"{VAULT}{SMS}[vault.auth]\n{auth}\n", {"CREDENTIALS_DIRECTORY": str(folder)})
    files = {key: value for key, value in settings.vault.auth if isinstance(value, Path)}

    assert files == {key: folder / name for key, name in found.items()}


def test_a_credential_that_is_named_comes_first(read: Read, tmp_path: Path) -> None:
    """The file's own word counts, and what systemd does not have is not looked for there."""
    (tmp_path / "vault-token").touch()
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    named = read(f'{VAULT}{SMS}[vault.auth]\ntoken_file = "/mine"\n', environ)
    (tmp_path / "vault-token").unlink()

    assert named.vault.auth.token_file == Path("/mine")
    assert read(VAULT + SMS, environ).vault.auth.token_file is None


def test_client_key_without_certificate_is_refused(refuse: Refuse) -> None:
    """A key alone proves nothing."""
    error = refuse(VAULT + 'client_key_file = "key.pem"\n' + SMS)

    assert "vault.client_key_file: is the key of no certificate" in error.message


def test_client_certificate_of_the_environment_is_taken(read: Read) -> None:
    """Vault's own variables name it where the file does not."""
    settings = read(VAULT + SMS, {"VAULT_CLIENT_CERT": "/c.pem", "VAULT_CLIENT_KEY": "/k.pem"})

    assert settings.vault.client_cert_file == Path("/c.pem")
    assert settings.vault.client_key_file == Path("/k.pem")
