"""The example configuration: it is whole, explained, and changes no default."""

from datetime import timedelta
from decimal import Decimal
from pathlib import Path

import pytest

from rotator.config.example import keys
from rotator.config.sections import AUTH_METHODS
from rotator.config.types import fields_of
from rotator.config.validation import TABLES
from tests.support.editor import load_judged, whole_example
from tests.unit.config.file import NOTHING, Read

EXAMPLE = Path(__file__).parents[3] / "config.example.toml"


def test_example_shows_the_defaults(read: Read) -> None:
    """The example configuration loads as it is and changes no default."""
    example = load_judged(EXAMPLE, NOTHING)
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
    """The example has every key in its table, those without default in a comment."""
    policy = fields_of(TABLES["policy"]) if table in ("accounts", "discover") else {}
    known = {key for key in fields_of(TABLES[table]) if f"{table}.{key}" not in TABLES}

    assert known - policy.keys() - {key for where, key in keys() if where == table} == set()


def test_example_explains_every_key() -> None:
    """Every key of the example has a line of explanation above it."""
    lines = EXAMPLE.read_text(encoding="utf-8").splitlines()
    places = [index for index, line in enumerate(lines) if " = " in line and "`" not in line]

    assert [lines[index] for index in places if not lines[index - 1].startswith("# ")] == []


@pytest.mark.parametrize("method", AUTH_METHODS)
def test_example_works_without_comments_too(tmp_path: Path, method: str) -> None:
    """The keys that the example has in comments are valid where they stand."""
    path = tmp_path / "config.toml"
    path.write_text(whole_example(method))
    environ = {"CREDENTIALS_DIRECTORY": "/run/credentials/rotator", "VAULT_CLIENT_CERT": "c.pem"}
    settings = load_judged(path, environ)
    auth = settings.vault.auth

    assert auth.method == method
    assert (auth.token_file == Path("/run/credentials/rotator/vault-token")) == (method == "token")
    assert settings.ledger.url_file == Path("/run/credentials/rotator/ledger-url")
    assert settings.policy.cron == "0 3 * * sun"
    assert settings.accounts[0].policy.grace == timedelta(hours=48)
    assert settings.accounts[0].min_balance == Decimal("20.0")
    assert settings.discover[0].exclude == ("test-*",)
