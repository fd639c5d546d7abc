"""Keys that there are not, and keys that would hold a secret."""

import pytest

from tests.unit.config.file import SMS, VAULT, Refuse, seen


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[vualt]\n", "vualt: unknown key, did you mean vault?"),
        ("[vonage]\ntimout = 1\n", "vonage.timout: unknown key, did you mean timeout?"),
        ("[vonage]\nx = 1\n", "vonage.x: unknown key"),
        ("[policy]\nconcurrency = 1\n", "policy.concurrency: unknown key, did you mean daemon."),
        ('[ledger]\n"a b\\u001b" = 1\n', "ledger.'a b\\x1b': unknown key"),
        ("[vault.auth]\nmaont = 1\n", "vault.auth.maont: unknown key, did you mean mount?"),
        ("[vault.auth]\nmethd = 1\n", "vault.auth.methd: unknown key, did you mean method?"),
        ("[[accounts]]\nvault_pth = 1\n", "accounts[1].vault_pth: unknown key, did you mean va"),
        ("[vonage]\nsecret_fild = 1\n[vonage.a]\n", "vonage.a: unknown key"),
    ],
)
def test_unknown_key_is_named_with_the_closest(refuse: Refuse, text: str, reason: str) -> None:
    """A key that there is not is an error at every level, with its table's path."""
    vault = '[vault]\naddress = "https://vault.example.com"\n'

    assert reason in refuse(f"{vault}{SMS}{text}").message


def test_key_outside_its_table_is_shown_there(refuse: Refuse) -> None:
    """A key that stands above the first table is answered with where it belongs."""
    error = refuse(f'poll = "5s"\n{VAULT}{SMS}')

    assert "poll: unknown key, did you mean daemon.poll?" in error.message


@pytest.mark.parametrize(
    ("table", "key", "hint"),
    [
        ("[vault.auth]", "token", "use token_file"),
        ("[vault.auth]", "secret_id", "use secret_id_file"),
        ("[vault.auth]", "role_id", "use role_id_file"),
        ("[vault.auth]", "password", "use password_file"),
        ("[vault]", "token", "*_file"),
        ("[ledger]", "password", "*_file"),
        ("[[accounts]]", "api_secret", "read from Vault"),
        ("[[accounts]]", "secret", "read from Vault"),
        ("[[accounts]]", "OLD_SECRET", "read from Vault"),
        ("[vonage]", "my_passphrase", "*_file"),
        ("[extra]", "api_secret", ""),
    ],
)
def test_inline_secret_is_refused_unseen(refuse: Refuse, table: str, key: str, hint: str) -> None:
    """A secret in the file is refused by its key's name; its value shows up nowhere."""
    error = refuse(f'{SMS}{table}\n{key} = "hunter2Hunter2"\n', {"VAULT_ADDR": "https://v"})

    assert table == "[extra]" or f"{key}: a secret is never written into" in error.message
    assert hint in error.message + str(error.hint)
    assert "hunter2" not in seen(error)


def test_mistyped_key_of_a_field_is_no_secret(refuse: Refuse) -> None:
    """A slip in a key that is known is answered as such, though its name has a secret word."""
    error = refuse(VAULT + SMS + 'secret_feild = "hunter2"\n')

    assert "accounts[0].secret_feild (sms): unknown key, did you mean secret_field?" in str(error)
    assert "hunter2" not in seen(error)


@pytest.mark.parametrize(
    "text",
    [
        '[vault]\naddress = "https://me:hunter2@vault"\n',
        '[vault]\naddress = "https://vault/?token=hunter2"\n',
        '[vault]\naddress = "ftp://vault/#hunter2"\n',
        '[vault.auth]\ntoken_file = "$hunter2"\n'.replace("$", "\\u0007"),
        '[vault.auth.token_file]\nx = "hunter2"\n',
        '[ledger]\nurl = "mysql://me:hunter2@host/db"\n',
        '[ledger]\nurl = "me:hunter2@host/db"\n',
        '[ledger]\nurl = "host=h password=hunter2"\n',
        '[[accounts]]\napi_key = "hunter2-"\n',
        '[vonage]\nmount = "hunter2"\n',
    ],
)
def test_what_may_be_a_secret_is_not_shown(refuse: Refuse, text: str) -> None:
    """No value that could be or hold a secret is repeated in an error or its traceback."""
    error = refuse(SMS + text, {"VAULT_ADDR": "https://v"})

    assert "hunter2" not in seen(error)
    assert error.__cause__ is None
    assert error.__context__ is None
