from collections.abc import Iterator

import pytest

from rotator.errors import TokenRefused
from rotator.sim import VaultSimulator
from rotator.vault import EnvToken, VaultSession
from rotator.vault.system import SystemApi


@pytest.fixture
def vault() -> Iterator[VaultSimulator]:
    """Yield a running Vault."""
    with VaultSimulator() as running:
        yield running


def system(vault: VaultSimulator, token: str) -> SystemApi:
    """Return the API of the system, asked with `token`."""
    return SystemApi(VaultSession(vault.url, token_source=EnvToken(token), timeout=10, patience=0))


def test_what_a_token_may_not_see_is_unknown(vault: VaultSimulator) -> None:
    """A token that works need not be allowed to read how the mount is configured."""
    token = vault.issue_token(policies={"secret/data/*": ["read"]})

    assert system(vault, token).requires_check_and_set("secret") is None


def test_a_refused_token_is_not_taken_for_one_that_may_not_see(vault: VaultSimulator) -> None:
    """Nothing is known of the mount then, and the cause is the token."""
    with pytest.raises(TokenRefused):
        system(vault, "hvs.unheard-of").requires_check_and_set("secret")
