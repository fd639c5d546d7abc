"""Where an account's entry is in Vault, and where it may not be."""

import pytest

from tests.unit.config.file import SMS, VAULT, Read, Refuse


def test_vault_path_is_normalised(read: Read) -> None:
    """Slashes around a path in Vault are dropped."""
    text = VAULT + 'mount = "/kv/"\npending_prefix = "p/"\n' + SMS.replace("vonage/sms", "/v/sms/")
    settings = read(text)

    assert settings.accounts[0].vault_path == "v/sms"
    assert settings.accounts[0].pending_path == "p/sms"
    assert settings.vault.mount == "kv"


@pytest.mark.parametrize("path", ["", "/", "a//b", "./a", "a/../b", "a\\tb", "a?b", "a."])
def test_other_vault_paths_are_refused(refuse: Refuse, path: str) -> None:
    """A path that Vault or a proxy would read differently is refused."""
    error = refuse(VAULT + SMS.replace("vonage/sms", path))

    assert "accounts[0].vault_path (sms): " in error.message


def test_vault_path_may_have_spaces(read: Read) -> None:
    """Vault takes them, so a path is what it is there."""
    settings = read(VAULT + 'mount = "team kv"\n' + SMS.replace("vonage/sms", "our sms/prod"))

    assert settings.accounts[0].vault_path == "our sms/prod"
    assert settings.vault.mount == "team kv"


@pytest.mark.parametrize(
    "path",
    ["rotator/pending", "rotator/pending/sms", "rotator/pending/voice", "rotator/pending/a/b"],
)
def test_vault_path_lies_outside_the_pending_prefix(refuse: Refuse, path: str) -> None:
    """What consumers read never lies where rotator deletes."""
    error = refuse(VAULT + SMS.replace("vonage/sms", path))

    assert "lies within vault.pending_prefix ('rotator/pending')" in error.message


@pytest.mark.parametrize("path", ["rotator", "rotator/pending2", "rotator/pend"])
def test_vault_path_beside_the_pending_prefix_is_taken(read: Read, path: str) -> None:
    """Only whole segments count as within."""
    assert read(VAULT + SMS.replace("vonage/sms", path)).accounts[0].vault_path == path


def test_path_with_the_mount_in_front_is_refused(refuse: Refuse) -> None:
    """A Vault path as policies have it, mount and `data` included, would lead nowhere."""
    error = refuse(
        f'{VAULT}[[accounts]]\nname = "a"\napi_key = "a"\nvault_path = "secret/data/x/a"\n'
    )

    assert "begins with the mount" in error.message
    assert error.hint == "write x/a"
