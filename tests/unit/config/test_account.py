"""`[[accounts]]`: names, api keys, fields and parents, each account beside the others."""

from datetime import timedelta

import pytest

from tests.support.samples import account, policy
from tests.unit.config.file import PARENT, SMS, VAULT, VOICE, Read, Refuse


def test_account_is_complete(read: Read) -> None:
    """An account has its own keys, a pending path and a whole policy."""
    settings = read(VAULT + SMS)

    assert settings.accounts == (account("sms", policy=policy(jitter=timedelta(hours=1))),)


@pytest.mark.parametrize("name", ["a", "0", "sms-prod", "a.b_c-d", "a" * 64])
def test_account_names_are_taken(read: Read, name: str) -> None:
    """Small letters, digits, dot, underscore and hyphen make a name."""
    assert read(VAULT + SMS.replace('"sms"', f'"{name}"')).accounts[0].name == name


@pytest.mark.parametrize("name", ["", "Sms", "-sms", ".sms", "sms.", "s ms", "a/b", "a" * 65, "ä"])
def test_other_account_names_are_refused(refuse: Refuse, name: str) -> None:
    """A name that could not stand in a path, a metric and a command line is refused."""
    assert "is not an account name" in refuse(VAULT + SMS.replace('"sms"', f'"{name}"')).message


@pytest.mark.parametrize("key", ["", "abcd-1234", "abcd 1234", "a" * 65, "äbcd"])
def test_other_api_keys_are_refused(refuse: Refuse, key: str) -> None:
    """An API key is letters and digits."""
    assert "is not an API key" in refuse(VAULT + SMS.replace("abcd1234", key)).message


@pytest.mark.parametrize(
    ("key", "value"),
    [("name", "sms"), ("api_key", "abcd1234"), ("vault_path", "/vonage/sms/")],
)
def test_account_is_unique(refuse: Refuse, key: str, value: str) -> None:
    """Two accounts never share a name, an api key or a path."""
    own = {"name": "voice", "api_key": "efgh5678", "vault_path": "vonage/voice"} | {key: value}
    text = "[[accounts]]\n" + "".join(f'{key} = "{value}"\n' for key, value in own.items())
    error = refuse(VAULT + SMS + text)

    reason = f"'{value.strip('/')}' is already that of accounts[0] (sms)"
    assert f"accounts[1].{key} ({own['name']}): {reason}" in error.message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('secret_field = "api_key"', "is the same field as key_field"),
        ('key_field = "api_secret"', "is the same field as key_field"),
        ('secret_field = "rotator"', "is the field where rotator keeps its own note"),
        ('key_field = "rotator"', "is the field where rotator keeps its own note"),
        ('key_field = ""', "is empty"),
        ('key_field = "a\\n"', "has control characters"),
        ('previous_field = "api_secret"', "is the same field as secret_field"),
        ('previous_field = "api_key"', "is the same field as key_field"),
        ('previous_field = "rotator"', "is the field where rotator keeps its own note"),
        ('previous_field = " "', "is empty"),
    ],
)
def test_fields_are_distinct(refuse: Refuse, text: str, reason: str) -> None:
    """Secret, api key and rotator's note have a field each."""
    assert reason in refuse(f"{VAULT}{SMS}{text}\n").message


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (SMS + 'managed_by = "sms"\n', "accounts[0].managed_by (sms): 'sms' is the account itself"),
        (SMS + 'managed_by = "prent"\n' + PARENT, "'prent' is not configured, did you mean parent"),
        (
            SMS + 'managed_by = "voice"\n' + VOICE + 'managed_by = "parent"\n' + PARENT,
            "'voice' is itself managed by another; Vonage has one level of subaccounts",
        ),
        (
            SMS + 'managed_by = "voice"\n' + VOICE + 'managed_by = "sms"\n',
            "accounts[1].managed_by (voice): 'sms' is itself managed by another",
        ),
    ],
)
def test_parent_is_another_account_that_has_none(refuse: Refuse, text: str, reason: str) -> None:
    """`managed_by` names another configured account, on one level only."""
    assert reason in refuse(VAULT + text).message


def test_parent_with_an_error_of_its_own_is_still_known(refuse: Refuse) -> None:
    """A child is not blamed for what is wrong with its parent."""
    error = refuse(VAULT + PARENT + "length = 40\n" + SMS + 'managed_by = "parent"\n')

    assert "accounts[0].length (parent): 40 is not within 8 to 25" in error.message
    assert "managed_by" not in error.message


@pytest.mark.parametrize("text", ["", "accounts = []\n"])
def test_configuration_without_accounts_is_refused(refuse: Refuse, text: str) -> None:
    """A file with no account is refused, saying what to add."""
    error = refuse(text + VAULT)

    assert error.message.endswith("accounts: none is configured")
    assert error.hint == "add an [[accounts]] table with name, api_key and vault_path"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[accounts]\nname = 'sms'\n", "accounts: is not a list of tables"),
        ("accounts = 5\n", "accounts: is not a list of tables"),
        ("accounts = [5]\n", "accounts[0]: 5 is not a table"),
        ("[[accounts]]\n", "accounts[0].name: is required"),
        ("[[accounts]]\nname = 5\n", "accounts[0].name: 5 is not a string"),
    ],
)
def test_accounts_are_tables(refuse: Refuse, text: str, reason: str) -> None:
    """What stands in the accounts' place but is none is refused."""
    error = refuse(text + VAULT if text.startswith("accounts") else VAULT + text)

    assert reason in error.message
