"""The settings as a whole: their defaults, their accounts by name, and how they are shown."""

from dataclasses import FrozenInstanceError
from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import ValidationError

from rotator.config import LedgerSettings, VaultSettings
from rotator.errors import UnknownAccount
from tests.unit.config.file import PARENT, SMS, VAULT, VOICE, Read


def test_defaults_are_those_of_the_design(read: Read) -> None:
    """A file with only what is required has the documented default everywhere else."""
    settings = read()

    assert settings.shown() == {
        "vonage": {
            "api_url": "https://api.nexmo.com",
            "rest_url": "https://rest.nexmo.com",
            "timeout": "10s",
            "max_requests_per_second": 5.0,
            "propagation_timeout": "2m",
            "audit": False,
        },
        "vault": {
            "address": "https://vault.example.com:8200",
            "namespace": "",
            "mount": "secret",
            "pending_prefix": "rotator/pending",
            "timeout": "10s",
            "patience": "1m",
            "auth": {"method": "token"},
        },
        "ledger": {
            "url": "sqlite:////var/lib/rotator/ledger.db",
            "auto_upgrade": True,
            "witness": {"name": "", "url": "", "vault_path": "", "every": "1d"},
        },
        "policy": POLICY,
        "daemon": {
            "concurrency": 8,
            "poll": "15s",
            "drift_check": "6h",
            "discover_check": "1h",
            "listen": "127.0.0.1:9470",
            "allowed_hosts": [],
        },
        "trigger": {"listen": "", "tolerance": "5m", "max_per_hour": 60},
        "telemetry": {"otlp_endpoint": ""},
        "accounts": [
            {
                "name": "sms",
                "api_key": "abcd1234",
                "vault_path": "vonage/sms",
                "secret_field": "api_secret",
                "key_field": "api_key",
                "previous_field": "",
                "managed_by": "",
                **POLICY,
            }
        ],
    }


POLICY = {
    "every": "30d",
    "timezone": "UTC",
    "jitter": "1h",
    "grace": "1d",
    "max_age": "45d",
    "length": 25,
    "on_foreign": "refuse",
    "prove_deletion": False,
    "window": [],
}


def test_files_are_none_by_default(read: Read) -> None:
    """A file that is not configured is None, not a path to nowhere."""
    settings = read()

    assert settings.vault.ca_file is None
    assert settings.vault.auth.token_file is None
    assert settings.ledger.url_file is None


def test_settings_are_frozen(read: Read) -> None:
    """Neither the settings nor a table in them can be changed."""
    settings = read()

    with pytest.raises(FrozenInstanceError):
        settings.accounts = ()  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.vault.mount = "kv"


def test_account_is_found_by_name(read: Read) -> None:
    """`account` gives the account of that name."""
    settings = read(VAULT + SMS + VOICE)

    assert settings.account("voice") is settings.accounts[1]


@pytest.mark.parametrize(
    ("name", "hint"),
    [("vioce", "did you mean voice?"), ("x", "configured are sms, voice")],
)
def test_unknown_account_is_named_with_the_closest(read: Read, name: str, hint: str) -> None:
    """A name that is not configured is answered with the one probably meant, or all."""
    with pytest.raises(UnknownAccount) as caught:
        read(VAULT + SMS + VOICE).account(name)

    assert caught.value.message == f"no account {name!r} is configured"
    assert caught.value.hint == hint


def test_a_fleet_is_not_listed_to_its_end(read: Read) -> None:
    """The first names show how accounts are called here."""
    fleet = [
        f'[[accounts]]\nname = "sms-{number:02}"\napi_key = "aaaa{number:04}"\n'
        f'vault_path = "sms/{number}"\n'
        for number in range(30)
    ]
    with pytest.raises(UnknownAccount) as caught:
        read(VAULT + "".join(fleet)).account("voice")

    assert (caught.value.hint or "").startswith("configured are sms-00, sms-01, ")
    assert (caught.value.hint or "").endswith(", sms-19 and 10 more")


def test_children_are_those_managed(read: Read) -> None:
    """`children` gives the accounts that name the parent, and none for the others."""
    managed = 'managed_by = "parent"\n'
    settings = read(VAULT + PARENT + SMS + managed + VOICE + managed)

    assert [child.name for child in settings.children("parent")] == ["sms", "voice"]
    assert settings.children("sms") == ()
    with pytest.raises(UnknownAccount):
        settings.children("prent")


def test_shown_is_a_configuration(read: Read) -> None:
    """What is shown has the environment applied, paths resolved and no value left out."""
    text = VAULT + SMS + 'cron = "0 3 * * *"\n[vault.auth]\ntoken_file = "token"\n'
    shown = read(text, {"ROTATOR_POLICY__GRACE": "90m"}).shown()

    assert Path(shown["vault"]["auth"]["token_file"]).is_absolute()
    assert shown["policy"]["grace"] == "90m"
    assert shown["accounts"][0]["cron"] == "0 3 * * *"
    assert "every" not in shown["accounts"][0]


def test_tables_can_be_made_in_code(tmp_path: Path) -> None:
    """Without a file, tables take typed values and keep the rules."""
    vault = VaultSettings(
        address="http://127.0.0.1:8200", ca_file=tmp_path, timeout=timedelta(seconds=1)
    )
    with pytest.raises(ValidationError):
        VaultSettings(address="http://vault")

    assert vault.ca_file == tmp_path
    assert vault.timeout == timedelta(seconds=1)
    assert LedgerSettings(url="sqlite:///ledger.db").url == "sqlite:///ledger.db"
