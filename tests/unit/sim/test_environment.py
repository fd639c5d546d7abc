"""Both simulators, filled with the same accounts."""

import json
import re
import tomllib
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

from rotator.sim import Environment


@pytest.fixture
def environment() -> Iterator[Environment]:
    """Two primary accounts and one subaccount, known to both simulators."""
    with Environment.build() as built:
        yield built


def test_an_environment_is_filled(environment: Environment) -> None:
    """Each account has a compliant secret, the same at Vonage and in Vault."""
    assert [(account.name, account.managed_by) for account in environment.accounts] == [
        ("account-1", ""),
        ("account-2", ""),
        ("account-1-sub-1", "account-1"),
    ]
    for account in environment.accounts:
        assert re.fullmatch(r"(?=.*[a-z])(?=.*[A-Z])(?=.*\d)[A-Za-z0-9]{25}", account.api_secret)
        assert re.fullmatch(r"[0-9a-f]{8}", account.api_key)
        assert environment.vault.read(account.vault_path) == {
            "api_key": account.api_key,
            "api_secret": account.api_secret,
            "note": "kept",
        }
    assert environment.violations() == []


def test_an_environment_describes_itself(environment: Environment) -> None:
    """The description is what `rotator sim` prints."""
    description = json.loads(json.dumps(environment.describe()))

    assert description.keys() == {"vonage_url", "vault_url", "vault_token", "accounts"}
    assert description["vonage_url"] == environment.vonage.url
    assert description["accounts"][2] == {
        "name": "account-1-sub-1",
        "api_key": environment.accounts[2].api_key,
        "api_secret": environment.accounts[2].api_secret,
        "vault_path": "vonage/account-1-sub-1",
        "managed_by": "account-1",
    }


def test_an_environment_writes_a_configuration(environment: Environment) -> None:
    """The configuration is TOML with the names of the design, and holds no secret."""
    text = environment.config('sqlite:////tmp/a "b".db', "/run/token", grace="0s", length=25)

    parsed = tomllib.loads(text)
    assert parsed["vonage"]["api_url"] == parsed["vonage"]["rest_url"] == environment.vonage.url
    assert parsed["vault"]["address"] == environment.vault.url
    assert parsed["vault"]["auth"] == {"method": "token", "token_file": "/run/token"}
    assert parsed["ledger"]["url"] == 'sqlite:////tmp/a "b".db'
    assert parsed["policy"] == {"grace": "0s", "length": 25}
    assert parsed["daemon"]["listen"] == ""
    assert parsed["accounts"][2] == {
        "name": "account-1-sub-1",
        "api_key": environment.accounts[2].api_key,
        "vault_path": "vonage/account-1-sub-1",
        "managed_by": "account-1",
    }
    assert not any(account.api_secret in text for account in environment.accounts)


def test_an_environment_sees_violations(environment: Environment) -> None:
    """A value in Vault that does not authenticate is named, and an account without secrets."""
    first, second, third = environment.accounts
    environment.vault.write(first.vault_path, {"api_secret": "wrong"})
    environment.vonage.revoke(second.api_key, environment.vonage.secrets(second.api_key)[0].id)
    environment.vault.delete_latest(third.vault_path)

    assert environment.violations() == [
        "account-1: the value in Vault (version 2) is refused",
        "account-2: the value in Vault (version 1) is refused",
        "account-1-sub-1: the value in Vault (version 1) is refused",
        "account-2: 0 secrets",
    ]


def test_an_environment_has_its_own_shape() -> None:
    """Numbers, latencies, propagation and the age of secrets are chosen when it is built."""
    created_at = datetime.now(UTC).replace(microsecond=0) - timedelta(days=40)

    with Environment.build(1, 0, 0.1, 0.2, 30, created_at=created_at) as built:
        (account,) = built.accounts
        new = built.vonage.add_secret(account.api_key, "SecondSecret0002")

        assert (built.vonage.latency, built.vault.latency) == (0.1, 0.2)
        assert built.vonage.secrets(account.api_key)[1].created_at == created_at
        assert built.vonage.secrets(account.api_key)[0].id == new
        assert not built.vonage.authenticates(account.api_key, "SecondSecret0002")
        assert built.violations() == []


def test_what_was_saved_can_be_loaded_again_and_again(environment: Environment) -> None:
    """Both simulators are as they were, and what happens afterwards does not touch what is kept."""
    vonage, vault, account = environment.vonage, environment.vault, environment.accounts[0]
    kept, before = (vonage.save(), vault.save()), (vonage.state(), vault.state()["mounts"])
    for _ in range(2):
        vonage.add_secret(account.api_key, "Another1secret")
        vonage.revoke(account.api_key, vonage.secrets(account.api_key)[-1].id)
        vault.write(account.vault_path, {"api_secret": "Another1secret"})
        vault.destroy(account.vault_path, [1])
        changed = vonage.state(), vault.state()["mounts"]
        vonage.load(kept[0])
        vault.load(kept[1])

        assert changed[0] != before[0]
        assert changed[1] != before[1]
        assert (vonage.state(), vault.state()["mounts"]) == before
