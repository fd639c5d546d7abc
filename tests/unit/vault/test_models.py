from datetime import UTC, datetime
from typing import Any

import pytest

from rotator.model import EARLIEST, LATEST
from rotator.vault import kv
from rotator.vault.auth.token import LONGEST, TokenInfo, granted
from rotator.vault.entries import pending_of
from rotator.vault.response import parse
from rotator.vault.system import VaultHealth

GRANT = {"client_token": "hvs.token", "lease_duration": 60, "renewable": True}


@pytest.mark.parametrize(
    "broken",
    [
        {"client_token": ""},
        {"client_token": None},
        {"client_token": "two words"},
        {"client_token": "half\ud800"},
        {"lease_duration": -1},
        {"lease_duration": True},
        {"lease_duration": "60"},
        {"renewable": "true"},
        {"num_uses": -1},
    ],
)
def test_a_grant_that_cannot_be_relied_on_is_none(broken: dict[str, Any]) -> None:
    """A token that no header carries, a lifetime that is no time: Vault did not say that."""
    assert granted(GRANT, 0) is not None
    assert granted(GRANT | broken, 0) is None
    assert granted([GRANT], 0) is None


def test_what_a_grant_may_lack() -> None:
    """A token and its lifetime are all that each server sends."""
    lifetime = granted({"client_token": "hvs.token", "lease_duration": 60}, 100)

    assert lifetime is not None
    assert (lifetime.expires_at, lifetime.renewable, lifetime.uses) == (160, False, 0)


def test_what_vault_says_of_a_token() -> None:
    """Null is no policy and no end; times and lifetimes stay within the calendar."""
    bare = parse(TokenInfo, {"expire_time": None, "policies": None})
    odd = parse(TokenInfo, {"expire_time": "0001-01-01T00:00:00Z", "ttl": 10**400})
    usual = parse(TokenInfo, {"expire_time": "2026-11-23T07:28:00.123456789Z", "num_uses": 3})

    assert bare is not None
    assert (bare.expires_at, bare.policies, bare.ttl) == (None, (), 0)
    assert odd is not None
    assert (odd.expires_at, odd.ttl) == (EARLIEST, LONGEST)
    assert usual is not None
    assert usual.expires_at == datetime(2026, 11, 23, 7, 28, 0, 123456, UTC)
    assert usual.uses == 3


@pytest.mark.parametrize(
    "broken", [{"expire_time": "soon"}, {"expire_time": 5}, {"ttl": "1h"}, {"policies": [1]}]
)
def test_what_is_no_description_of_a_token_is_none(broken: dict[str, Any]) -> None:
    """In particular an end that is no time is not taken for never."""
    assert parse(TokenInfo, broken) is None


def test_the_last_use_of_a_token() -> None:
    """Vault says -1 in its answer to the last request that a token is good for."""
    last = parse(TokenInfo, {"num_uses": -1})

    assert last is not None
    assert last.uses == 0


def test_fields_have_vaults_names_alone() -> None:
    """What happens to be named as a field is here is another field, as all that are unknown."""
    version = parse(kv._Metadata, {"version": 4, "ends_at": "2026-11-23T07:28:00Z"})

    assert version is not None
    assert version.ends_at is None
    assert parse(VaultHealth, {"is_sealed": False}) is None


@pytest.mark.parametrize("number", [0, -1, True, 1.0, "1", None, 2**63])
def test_what_counts_no_version_is_no_version(number: object) -> None:
    """Versions count from 1, and fit into the ledger."""
    assert parse(kv._Metadata, {"version": number}) is None


@pytest.mark.parametrize("end", ["soon", 5, "2026-13-01T00:00:00Z", ["never"]])
def test_an_end_of_a_version_that_is_no_time_is_some_time(end: object) -> None:
    """Nobody relies on a version that may end, as consumers would be left without a value."""
    version = parse(kv._Metadata, {"version": 4, "deletion_time": end})

    assert version is not None
    assert version.ends_at == LATEST


def test_no_exception_holds_what_an_entry_held() -> None:
    """Not even as its cause or context: pydantic's own error would quote the entry."""
    with pytest.raises(Exception, match="not one that rotator wrote") as caught:
        pending_of("secret/p", 1, {"value": "Abcdefgh1", "listed": 5})

    assert (caught.value.__cause__, caught.value.__context__) == (None, None)
    assert "Abcdefgh1" not in str(caught.value)
