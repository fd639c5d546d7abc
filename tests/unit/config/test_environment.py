"""What the environment overrides, fills in and may not say."""

from datetime import timedelta
from pathlib import Path

import pytest

from tests.unit.config.file import SMS, VAULT, Read, Refuse, seen


def test_environment_overrides_the_file(read: Read, tmp_path: Path) -> None:
    """Every scalar outside the accounts can be set by environment, typed as in the file."""
    settings = read(
        VAULT + SMS + "[policy]\nlength = 9\n",
        {
            "ROTATOR_VONAGE__MAX_REQUESTS_PER_SECOND": "0.5",
            "ROTATOR_VAULT__MOUNT": "kv",
            "ROTATOR_VAULT__AUTH__TOKEN_FILE": "token",
            "ROTATOR_LEDGER__AUTO_UPGRADE": "false",
            "ROTATOR_LEDGER__URL": "postgresql+psycopg://me@host/db",
            "ROTATOR_POLICY__GRACE": "2h",
            "ROTATOR_POLICY__LENGTH": "10",
            "ROTATOR_DAEMON__LISTEN": "",
        },
    )

    assert settings.vonage.max_requests_per_second == 0.5
    assert settings.vault.mount == "kv"
    assert settings.vault.auth.token_file == tmp_path / "token"
    assert settings.ledger.auto_upgrade is False
    assert settings.ledger.url == "postgresql+psycopg://me@host/db"
    assert settings.account("sms").policy.grace == timedelta(hours=2)
    assert settings.account("sms").policy.length == 10
    assert settings.daemon.listen == ""


@pytest.mark.parametrize(
    ("name", "value", "reason"),
    [
        ("ROTATOR_POLICY__LENGTH", "40", "40 is not within 8 to 25"),
        ("ROTATOR_POLICY__LENGTH", "ten", "'ten' is not a whole number"),
        ("ROTATOR_LEDGER__AUTO_UPGRADE", "yes", "'yes' is not true or false"),
        ("ROTATOR_VONAGE__MAX_REQUESTS_PER_SECOND", "inf", "'inf' is not a number"),
        (
            "ROTATOR_VAULT__MOUNT",
            "\udcff",
            "'\\udcff' has control characters or one of ? # % \\",
        ),
        ("ROTATOR_VAULT__AUTH__METHOD", "crt", "'crt' is not one of token, approle"),
        (
            "ROTATOR_VAULT__AUTH__ROLE_ID_FILE",
            "x",
            "belongs to method 'approle', not to method 'token'",
        ),
    ],
)
def test_wrong_override_is_named_by_its_variable(
    refuse: Refuse, name: str, value: str, reason: str
) -> None:
    """A wrong value from the environment is not blamed on the file."""
    error = refuse(VAULT + SMS, {name: value})

    assert f"config.toml: ${name}: {reason}" in error.message


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("ROTATOR_LEDGER__ULR", "unknown variable, did you mean ROTATOR_LEDGER__URL?"),
        ("ROTATOR_LEDGER_URL", "unknown variable, did you mean ROTATOR_LEDGER__URL?"),
        ("ROTATOR_ledger__url", "unknown variable"),
        ("ROTATOR_ACCOUNTS__0__NAME", "unknown variable"),
        ("ROTATOR_VAULT__AUTH", "unknown variable"),
        ("ROTATOR__", "unknown variable"),
        ("ROTATOR_VAULT_AUTH_TOKEN_FILE", "did you mean ROTATOR_VAULT__AUTH__TOKEN_FILE?"),
        ("ROTATOR_VAULT__AUTH__TOKEN", "a secret is never given in the environment"),
        ("ROTATOR_VAULT__AUTH__ROLL", "did you mean ROTATOR_VAULT__AUTH__ROLE?"),
        ("ROTATOR_VAULT__AUTH__SECRET_ID", "a secret is never given in the environment"),
    ],
)
def test_unknown_override_is_refused(refuse: Refuse, name: str, reason: str) -> None:
    """A variable of an override's form that overrides nothing is named with the closest."""
    error = refuse(VAULT + SMS, {name: "hunter2"})

    assert f"${name}: " in error.message
    assert reason in error.message
    assert "hunter2" not in seen(error)


def test_secret_in_the_environment_is_answered_with_its_file(refuse: Refuse) -> None:
    """The hint names the variable that takes the file instead of the token."""
    error = refuse(VAULT + SMS, {"ROTATOR_VAULT__AUTH__TOKEN": "hunter2"})

    assert error.hint == "use $ROTATOR_VAULT__AUTH__TOKEN_FILE"


def test_other_variables_are_not_judged(read: Read) -> None:
    """Variables of rotator that override nothing, and those of Kubernetes, are let be."""
    environ = {
        "ROTATOR_CONFIG": "/etc/rotator/config.toml",
        "ROTATOR_PORT_9470_TCP": "tcp://10.0.0.1:9470",
        "ROTATOR_SERVICE_HOST": "10.0.0.1",
        "OTHER__THING": "x",
        "VAULT_TOKEN": "hunter2",
    }

    assert read(VAULT + SMS, environ) == read(VAULT + SMS)


def test_override_displaces_what_excludes_it(read: Read, tmp_path: Path) -> None:
    """A variable wins over the file also where the file uses the other key of a pair."""
    text = f'{VAULT}{SMS}[policy]\ncron = "0 3 * * *"\n[ledger]\nurl = "sqlite:////a"\n'
    environ = {"ROTATOR_POLICY__EVERY": "20d", "ROTATOR_LEDGER__URL_FILE": "b"}
    settings = read(text, environ)

    assert settings.policy.every == timedelta(days=20)
    assert settings.policy.cron is None
    assert settings.ledger.url is None
    assert settings.ledger.url_file == tmp_path / "b"


def test_empty_override_displaces_nothing(read: Read) -> None:
    """An empty variable does not send the record into another ledger."""
    text = f'{VAULT}{SMS}[ledger]\nurl = "sqlite:////a"\n'

    assert read(text, {"ROTATOR_LEDGER__URL_FILE": ""}).ledger.read_url() == "sqlite:////a"


def test_overrides_that_exclude_each_other_are_refused(refuse: Refuse) -> None:
    """Two variables cannot say when to rotate."""
    environ = {"ROTATOR_POLICY__EVERY": "20d", "ROTATOR_POLICY__CRON": "0 3 * * *"}

    assert "every and cron exclude each other" in refuse(VAULT + SMS, environ).message


def test_override_of_no_table_is_no_crash(refuse: Refuse) -> None:
    """Where the file has a value in a table's place, that is what is wrong."""
    text = 'vault = 1\npolicy = "x"\n[[accounts]]\n'
    error = refuse(text, {"ROTATOR_VAULT__MOUNT": "kv", "ROTATOR_POLICY__EVERY": "1d"})

    assert "vault: 1 is not a table" in error.message
    assert "policy: 'x' is not a table" in error.message


def test_variables_of_vault_fill_in(read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    """Address, namespace and CA come from Vault's own variables where not configured."""
    monkeypatch.chdir("/")
    environ = {
        "VAULT_ADDR": "http://127.0.0.1:8200/",
        "VAULT_NAMESPACE": "admin/team/",
        "VAULT_CACERT": "etc/ca.pem",
    }
    vault = read('[vault]\naddress = ""\nnamespace = ""\nca_file = ""\n' + SMS, environ).vault

    assert vault.address == "http://127.0.0.1:8200"
    assert vault.namespace == "admin/team"
    assert vault.ca_file == Path("/etc/ca.pem")


def test_file_wins_over_variables_of_vault(read: Read) -> None:
    """What the file says of Vault is not changed by Vault's own variables."""
    text = f'{VAULT}namespace = "a"\nca_file = "/ca.pem"\n{SMS}'
    environ = {"VAULT_ADDR": "http://x", "VAULT_NAMESPACE": "b", "VAULT_CACERT": "/b"}

    assert read(text, environ) == read(text)


def test_vault_address_is_required(refuse: Refuse) -> None:
    """Without an address from anywhere, the error says both places where it can be given."""
    error = refuse(SMS)

    assert error.message.endswith("vault.address: is required")
    assert error.hint == "set address in [vault], or $VAULT_ADDR"


def test_wrong_vault_addr_is_named(refuse: Refuse) -> None:
    """A wrong address that came from Vault's variable is not blamed on the file."""
    error = refuse(SMS, {"VAULT_ADDR": "http://vault:8200"})

    assert "$VAULT_ADDR: 'http://vault:8200' is plain http" in error.message
