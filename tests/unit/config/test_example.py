"""The example configuration: it is whole, explained, and changes no default."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from rotator.config import load
from rotator.config.sections import AUTH_METHODS
from rotator.config.types import fields_of
from rotator.config.validation import TABLES
from tests.unit.config.file import NOTHING, Read

EXAMPLE = Path(__file__).parents[3] / "config.example.toml"


def test_example_shows_the_defaults(read: Read) -> None:
    """The example configuration loads as it is and changes no default."""
    example = load(EXAMPLE, NOTHING)
    defaults = read()
    accounts = [(account.name, account.api_key) for account in example.accounts]

    assert example.vonage == defaults.vonage
    assert example.vault == defaults.vault
    assert example.ledger == defaults.ledger
    assert example.policy == defaults.policy
    assert example.daemon == defaults.daemon
    assert accounts == [("sms-prod", "abcd1234")]
    assert example.accounts[0].policy == defaults.policy


@pytest.mark.parametrize("table", TABLES)
def test_example_has_every_key(table: str) -> None:
    """The example names every key there is, those without default in a comment."""
    lines = EXAMPLE.read_text(encoding="utf-8").replace("\n#", "\n")
    keys = [key for key in fields_of(TABLES[table]) if f"{table}.{key}" not in TABLES]

    assert [key for key in keys if f"\n{key} = " not in lines] == []


def test_example_explains_every_key() -> None:
    """Every key of the example has a line of explanation above it."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    keys = [index for index, line in enumerate(lines) if " = " in line and "`" not in line]

    assert [lines[index] for index in keys if not lines[index - 1].startswith("# ")] == []


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_example_works_without_comments_too(tmp_path: Path, method: str) -> None:
    """The keys that the example has in comments are valid where they stand."""
    others = {key for keys in AUTH_METHODS.values() for each in keys for key in each}
    others -= {key for each in AUTH_METHODS[method] for key in each}
    left_out = ("url =", "every =", *(f"#{key} =" for key in others))
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    lines = [line for line in lines if not line.startswith(left_out)]
    text = "\n".join(line.removeprefix("#") for line in lines if line[:2] != "# ")
    path = tmp_path / "config.toml"
    path.write_text(text.replace('method = "token"', f'method = "{method}"'))
    environ = {"CREDENTIALS_DIRECTORY": "/run/credentials/rotator", "VAULT_CLIENT_CERT": "c.pem"}
    settings = load(path, environ)
    auth = settings.vault.auth

    assert auth.method == method
    assert (auth.token_file == Path("/run/credentials/rotator/vault-token")) == (method == "token")
    assert settings.ledger.url_file == Path("/run/credentials/rotator/ledger-url")
    assert settings.policy.cron == "0 3 * * sun"
    assert settings.accounts[0].policy.grace == timedelta(hours=48)
    assert settings.accounts[0].min_balance == Decimal("20.0")
    assert settings.discover[0].exclude == ("test-*",)
