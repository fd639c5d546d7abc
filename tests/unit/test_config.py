import os
import tomllib
import traceback
from collections.abc import Callable, Mapping
from dataclasses import FrozenInstanceError
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from pydantic import ValidationError

from rotator.config import Ledger, Settings, Vault, format_duration, load, parse_duration
from rotator.config.tables import AUTH_METHODS, TABLES
from rotator.errors import ConfigError, UnknownAccount
from rotator.model import Account, Found, OnForeign, Policy, SubaccountState

EXAMPLE = Path(__file__).parents[2] / "config.example.toml"
NOTHING: Mapping[str, str] = MappingProxyType({})

VAULT = '[vault]\naddress = "https://vault.example.com:8200"\n'
SMS = '[[accounts]]\nname = "sms"\napi_key = "abcd1234"\nvault_path = "vonage/sms"\n'
VOICE = '[[accounts]]\nname = "voice"\napi_key = "efgh5678"\nvault_path = "vonage/voice"\n'
PARENT = '[[accounts]]\nname = "parent"\napi_key = "ijkl9012"\nvault_path = "vonage/parent"\n'

Read = Callable[..., Settings]
Refuse = Callable[..., ConfigError]


@pytest.fixture
def read(tmp_path: Path) -> Read:
    """Load a file of the given text; by default one with nothing but what is required."""

    def reading(text: str = VAULT + SMS, environ: Mapping[str, str] = NOTHING) -> Settings:
        path = tmp_path / "config.toml"
        path.write_text(text, encoding="utf-8")
        return load(path, environ)

    return reading


@pytest.fixture
def refuse(read: Read) -> Refuse:
    """Load such a file, and give the error that must come of it."""

    def refusing(text: str, environ: Mapping[str, str] = NOTHING) -> ConfigError:
        with pytest.raises(ConfigError) as caught:
            read(text, environ)
        assert caught.value.exit_code == 2
        return caught.value

    return refusing


def seen(error: ConfigError) -> str:
    """All that an operator or a log could see of an error."""
    return "".join(traceback.format_exception(error)) + repr(error) + str(error.hint)


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
        },
        "vault": {
            "address": "https://vault.example.com:8200",
            "namespace": "",
            "mount": "secret",
            "pending_prefix": "rotator/pending",
            "timeout": "10s",
            "auth": {"method": "token"},
        },
        "ledger": {"url": "sqlite:////var/lib/rotator/ledger.db", "auto_upgrade": True},
        "policy": POLICY,
        "daemon": {
            "concurrency": 8,
            "poll": "15s",
            "drift_check": "6h",
            "discover_check": "1h",
            "listen": "127.0.0.1:9470",
        },
        "telemetry": {"otlp_endpoint": ""},
        "accounts": [
            {
                "name": "sms",
                "api_key": "abcd1234",
                "vault_path": "vonage/sms",
                "secret_field": "api_secret",
                "key_field": "api_key",
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
    "window": [],
}


def test_files_are_none_by_default(read: Read) -> None:
    """A file that is not configured is None, not a path to nowhere."""
    settings = read()

    assert settings.vault.ca_file is None
    assert settings.vault.auth.token_file is None
    assert settings.ledger.url_file is None


def test_example_shows_the_defaults(read: Read) -> None:
    """The example configuration loads as it is and changes no default."""
    example = load(EXAMPLE, NOTHING)
    defaults = read()

    assert example.vonage == defaults.vonage
    assert example.vault == defaults.vault
    assert example.ledger == defaults.ledger
    assert example.policy == defaults.policy
    assert example.daemon == defaults.daemon
    assert [account.name for account in example.accounts] == ["sms-prod"]
    assert example.accounts[0].policy == defaults.policy


@pytest.mark.parametrize("table", TABLES)
def test_example_has_every_key(table: str) -> None:
    """The example names every key there is, those without default in a comment."""
    lines = EXAMPLE.read_text(encoding="utf-8").replace("\n#", "\n")
    keys = [key for key in TABLES[table].model_fields if f"{table}.{key}" not in TABLES]

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


def test_a_minimum_is_no_debt(refuse: Refuse, read: Read) -> None:
    """A balance to be warned of is a number, not negative; without one nothing is watched."""
    for value in ("-1", '"20"', "inf", "true"):
        assert "min_balance" in refuse(f"{VAULT}{SMS}min_balance = {value}\n").message

    assert read().accounts[0].min_balance is None
    own = read(f"{VAULT}{SMS}min_balance = 0.1\n").accounts[0]
    assert own.min_balance == Decimal("0.1")


def test_a_minimum_for_all(read: Read) -> None:
    """`[policy]`, or the environment, has the one of every account that has none of its own."""
    discover = '[[discover]]\nparent = "sms"\nvault_path = "v/{api_key}"\n'
    text = f"[policy]\nmin_balance = 20\n{VAULT}{SMS}{discover}"
    found = Found(parent="sms", api_key="b1", title="", state=SubaccountState.ACTIVE)
    merged = read(text).with_found([found]).accounts
    other = read(f"{VAULT}{SMS}", {"ROTATOR_POLICY__MIN_BALANCE": "7.5"}).accounts[0]

    assert [account.min_balance for account in merged] == [Decimal(20)] * 2
    assert merged[1].discovered
    assert other.min_balance == Decimal("7.5")
    assert other.is_low(Decimal(7))


@pytest.mark.parametrize(
    ("text", "reasons"),
    [
        ('method = "approle"', ["role_id_file: is required", "secret_id_file: is required"]),
        ('method = "kubernetes"', ["role: is required by method 'kubernetes'"]),
        ('method = "jwt"', ["jwt_file: is required by method 'jwt'"]),
        ('method = "userpass"', ["username: is required", "password_file: is required"]),
        ('method = "cert"', ["vault.client_cert_file: is required by method 'cert'"]),
        ('token_file = ""\nrole = "r"', ["role: belongs to methods 'kubernetes' and"]),
        ('method = "jwt"\njwt_file = "j"\ntoken_file = "t"', ["belongs to method 'token', not"]),
        ("wrapped = false", ["wrapped: belongs to method 'approle', not to method 'token'"]),
        ('mount = "m"', ["vault.auth.mount: belongs to methods"]),
    ],
)
def test_each_login_has_its_keys(refuse: Refuse, text: str, reasons: list[str]) -> None:
    """A key of another way to log in is refused as such, and a missing one is named."""
    error = refuse(f"{VAULT}{SMS}[vault.auth]\n{text}\n")

    assert [reason for reason in reasons if reason not in error.message] == []


@pytest.mark.parametrize(
    ("auth", "found"),
    [
        ("", {"token_file": "vault-token"}),
        (
            'method = "approle"',
            {"role_id_file": "vault-role-id", "secret_id_file": "vault-secret-id"},
        ),
        ('method = "userpass"\nusername = "u"', {"password_file": "vault-password"}),
        ('method = "kubernetes"\nrole = "r"', {}),
        ('token_file = ""', {}),
    ],
)
def test_credentials_of_systemd_are_found(
    read: Read, tmp_path: Path, auth: str, found: dict[str, str]
) -> None:
    """What a login needs and the file does not name is looked for where systemd puts it."""
    folder = tmp_path / "credentials"
    folder.mkdir()
    for name in ("vault-token", "vault-role-id", "vault-secret-id", "vault-password"):
        (folder / name).touch()
    settings = read(f"{VAULT}{SMS}[vault.auth]\n{auth}\n", {"CREDENTIALS_DIRECTORY": str(folder)})
    files = {key: value for key, value in settings.vault.auth if isinstance(value, Path)}

    assert files == {key: folder / name for key, name in found.items()}


def test_a_credential_that_is_named_comes_first(read: Read, tmp_path: Path) -> None:
    """The file's own word counts, and what systemd does not have is not looked for there."""
    (tmp_path / "vault-token").touch()
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    named = read(f'{VAULT}{SMS}[vault.auth]\ntoken_file = "/mine"\n', environ)
    (tmp_path / "vault-token").unlink()

    assert named.vault.auth.token_file == Path("/mine")
    assert read(VAULT + SMS, environ).vault.auth.token_file is None


def test_client_key_without_certificate_is_refused(refuse: Refuse) -> None:
    """A key alone proves nothing."""
    error = refuse(VAULT + 'client_key_file = "key.pem"\n' + SMS)

    assert "vault.client_key_file: is the key of no certificate" in error.message


def test_client_certificate_of_the_environment_is_taken(read: Read) -> None:
    """Vault's own variables name it where the file does not."""
    settings = read(VAULT + SMS, {"VAULT_CLIENT_CERT": "/c.pem", "VAULT_CLIENT_KEY": "/k.pem"})

    assert settings.vault.client_cert_file == Path("/c.pem")
    assert settings.vault.client_key_file == Path("/k.pem")


def test_no_file_is_none(read: Read) -> None:
    """An empty text in a file's place is none, so that an override can take a file away."""
    text = VAULT + SMS + '[vault.auth]\ntoken_file = "a"\n[ledger]\nurl_file = ""\n'
    settings = read(text, {"ROTATOR_VAULT__AUTH__TOKEN_FILE": ""})

    assert settings.vault.auth.token_file is None
    assert settings.ledger.read_url() == "sqlite:////var/lib/rotator/ledger.db"


def test_account_is_complete(read: Read) -> None:
    """An account has its own keys, a pending path and a whole policy."""
    settings = read(VAULT + SMS)

    assert settings.accounts == (
        Account(
            name="sms",
            api_key="abcd1234",
            vault_path="vonage/sms",
            pending_path="rotator/pending/sms",
            secret_field="api_secret",
            key_field="api_key",
            managed_by="",
            policy=Policy(
                every=timedelta(days=30),
                cron=None,
                timezone="UTC",
                jitter=timedelta(hours=1),
                grace=timedelta(hours=24),
                max_age=timedelta(days=45),
                length=25,
                on_foreign=OnForeign.REFUSE,
            ),
        ),
    )


def test_account_overrides_the_policy(read: Read) -> None:
    """Any key of the policy may stand in an account and holds for it alone."""
    own = (
        'every = "10d"\ntimezone = "Europe/Berlin"\njitter = "0s"\ngrace = "1h"\n'
        'max_age = "11d"\nlength = 8\non_foreign = "evict-oldest"\nwindow = "Sun  02:00-05:00"\n'
    )
    settings = read(VAULT + '[policy]\ngrace = "2h"\n' + SMS + own + VOICE)

    assert settings.account("sms").policy == Policy(
        every=timedelta(days=10),
        cron=None,
        timezone="Europe/Berlin",
        jitter=timedelta(),
        grace=timedelta(hours=1),
        max_age=timedelta(days=11),
        length=8,
        on_foreign=OnForeign.EVICT_OLDEST,
        window=("sun 02:00-05:00",),
    )
    assert settings.account("voice").policy == settings.policy
    assert settings.policy.grace == timedelta(hours=2)


@pytest.mark.parametrize(
    ("given", "window"),
    [
        ('""', ()),
        ("[]", ()),
        ('["sun 02:00-05:00", "mon-fri 22:00-04:00"]', ("sun 02:00-05:00", "mon-fri 22:00-04:00")),
    ],
)
def test_windows_of_an_account_replace_the_policy_s(
    read: Read, given: str, window: tuple[str, ...]
) -> None:
    """None, one or a list; none is always."""
    text = VAULT + '[policy]\nwindow = "03:00-04:00"\n' + SMS + f"window = {given}\n" + VOICE
    settings = read(text)

    assert settings.account("sms").policy.window == window
    assert settings.account("voice").policy.window == ("03:00-04:00",)


@pytest.mark.parametrize(
    ("given", "rule"),
    [
        ('"sunday 02:00-05:00"', "'sunday 02:00-05:00' names a day that is none of mon"),
        ('["sun 02:00-05:00", "x"]', "a list has 'x', which is no window"),
        ("5", "5 is neither text nor a list of texts"),
        ("[5]", "a list is neither text nor a list of texts"),
    ],
)
def test_what_is_no_window_is_refused(refuse: Refuse, given: str, rule: str) -> None:
    """The window is named, and how one is written."""
    error = refuse(VAULT + SMS + f"window = {given}\n")

    assert f"accounts[0].window (sms): {rule}" in error.message
    assert "sun 02:00-05:00" in (error.hint or "")


def test_cron_of_an_account_replaces_every(read: Read) -> None:
    """An account that sets `cron` has no `every`, and keeps the default time zone."""
    text = VAULT + '[policy]\ntimezone = "Asia/Tokyo"\n' + SMS + 'cron = "0  3 * * SUN"\n'
    policy = read(text).account("sms").policy

    assert (policy.every, policy.cron, policy.timezone) == (None, "0 3 * * SUN", "Asia/Tokyo")


def test_every_of_an_account_replaces_cron(read: Read) -> None:
    """An account that sets `every` does not inherit `cron`."""
    settings = read(VAULT + '[policy]\ncron = "0 3 * * *"\n' + SMS + 'every = "7d"\n' + VOICE)

    assert settings.account("sms").policy.every == timedelta(days=7)
    assert settings.account("sms").policy.cron is None
    assert settings.account("voice").policy.every is None
    assert settings.account("voice").policy.cron == "0 3 * * *"


@pytest.mark.parametrize("text", [VAULT + "[policy]\n{}" + SMS, VAULT + SMS + "{}"])
def test_every_and_cron_exclude_each_other(refuse: Refuse, text: str) -> None:
    """One table cannot have both `every` and `cron`."""
    error = refuse(text.format('every = "7d"\ncron = "0 3 * * *"\n'))

    assert "every and cron exclude each other" in error.message


def test_settings_are_frozen(read: Read) -> None:
    """Neither the settings nor a table in them can be changed."""
    settings = read()

    with pytest.raises(FrozenInstanceError):
        settings.accounts = ()  # type: ignore[misc]
    with pytest.raises(ValidationError, match="frozen"):
        settings.vault.mount = "kv"


@pytest.mark.parametrize(
    ("text", "duration"),
    [
        ("0s", timedelta()),
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("24h", timedelta(hours=24)),
        ("30d", timedelta(days=30)),
        ("36500d", timedelta(days=36500)),
    ],
)
def test_duration_is_one_number_and_unit(text: str, duration: timedelta) -> None:
    """The documented forms of a duration are read."""
    assert parse_duration(text) == duration


@pytest.mark.parametrize(
    "text",
    [
        "",
        "30",
        "d",
        "-1d",
        "+1d",
        "1.5h",
        "1h30m",
        "30 d",
        " 30d",
        "30d\n",
        "1D",
        "5ms",
        "1w",
        "٣d",
    ],
)
def test_other_durations_are_refused(text: str) -> None:
    """Anything but one whole number and one unit is refused, saying how to write it."""
    with pytest.raises(ConfigError, match="is not a duration") as caught:
        parse_duration(text)

    assert repr(text) in caught.value.message
    assert caught.value.hint == "write one number and one unit: 90s, 15m, 24h or 30d"


@pytest.mark.parametrize("text", ["36501d", "999999999999d"])
def test_duration_has_a_bound(text: str) -> None:
    """A duration that could not be added to a date is refused."""
    with pytest.raises(ConfigError, match="is longer than 36500d"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("duration", "text"),
    [
        (timedelta(), "0s"),
        (timedelta(seconds=90), "90s"),
        (timedelta(seconds=3600), "1h"),
        (timedelta(hours=36), "36h"),
        (timedelta(days=2), "2d"),
        (timedelta(seconds=1.9), "1s"),
        (timedelta(seconds=-90), "-90s"),
    ],
)
def test_duration_is_written_in_its_largest_unit(duration: timedelta, text: str) -> None:
    """The unit is the largest that divides the duration; fractions of a second are dropped."""
    assert format_duration(duration) == text


@pytest.mark.parametrize(
    ("table", "key", "value", "reason"),
    [
        ("vonage", "api_url", '"http://api.nexmo.com"', "is plain http to another machine"),
        ("vonage", "rest_url", "true", "true is not text"),
        ("vonage", "timeout", '"0s"', "'0s' is not within 1s to 5m"),
        ("vonage", "timeout", '"301s"', "'301s' is not within 1s to 5m"),
        ("vonage", "timeout", "10", "10 is not a duration"),
        ("vonage", "max_requests_per_second", "0", "0 is less than 0.001"),
        ("vonage", "max_requests_per_second", "inf", "inf is not a finite number"),
        ("vonage", "max_requests_per_second", "nan", "nan is not a finite number"),
        ("vonage", "max_requests_per_second", '"5"', "'5' is not a number"),
        ("vonage", "propagation_timeout", '"0s"', "'0s' is less than 1s"),
        ("vault", "mount", '"/"', "'/' is empty"),
        ("vault", "namespace", '"a b"', "'a b' has spaces"),
        ("vault", "pending_prefix", '"a//b"', "'a//b' has a segment that is empty, . or .."),
        ("vault", "timeout", '"6m"', "'6m' is not within 1s to 5m"),
        ("vault", "ca_file", "[]", "a list is not text"),
        ("vault", "ca_file", '"a\\u0000"', "'a\\x00' has control characters"),
        ("vault", "auth", '"token"', "'token' is not a table"),
        ("vault.auth", "method", '"aprole"', "'aprole' is not one of token, approle, kubernetes"),
        ("vault.auth", "mount", '"auth/approle"', "'auth/approle' begins with auth/"),
        ("vault.auth", "role", '"a\\u0000"', "has control characters"),
        ("ledger", "url", '"mysql://h/db"', "'mysql://h/db' is no ledger's URL"),
        ("ledger", "auto_upgrade", '"true"', "'true' is not true or false"),
        ("policy", "every", '"0s"', "'0s' is less than 1s"),
        ("policy", "jitter", '"-1s"', "'-1s' is not a duration"),
        ("policy", "length", "7", "7 is not within 8 to 25"),
        ("policy", "length", "40", "40 is not within 8 to 25"),
        ("policy", "length", "25.0", "25.0 is not a whole number"),
        ("policy", "length", "true", "true is not a whole number"),
        ("policy", "length", "{ a = 1 }", "a table is not a whole number"),
        ("policy", "on_foreign", '"evict"', "'evict' is not one of refuse, evict-oldest"),
        ("policy", "timezone", '"Europe/Berlni"', "did you mean Europe/Berlin?"),
        ("policy", "timezone", '"../../etc/passwd"', "is no time zone"),
        ("policy", "timezone", '"Europe"', "'Europe' is no time zone"),
        ("policy", "timezone", '""', "'' is no time zone"),
        ("daemon", "concurrency", "0", "0 is not within 1 to 256"),
        ("daemon", "concurrency", "257", "257 is not within 1 to 256"),
        ("daemon", "poll", '"0s"', "'0s' is less than 1s"),
        ("daemon", "drift_check", '"0s"', "'0s' is less than 1s"),
        ("daemon", "listen", '"9470"', "'9470' is neither HOST:PORT nor unix:/PATH"),
        ("daemon", "listen", '":9470"', "':9470' is neither HOST:PORT nor unix:/PATH"),
        (
            "daemon",
            "listen",
            '"127.0.0.1:65536"',
            "'127.0.0.1:65536' is neither HOST:PORT nor unix:/PATH",
        ),
        ("daemon", "listen", '"unix:http.sock"', "is neither HOST:PORT nor unix:/PATH"),
        ("daemon", "listen", f'"unix:/{"x" * 107}"', "is neither HOST:PORT nor unix:/PATH"),
        ("daemon", "listen", '"0.0.0.0:9470"', "can be reached from other machines"),
        ("daemon", "listen", '"[::]:9470"', "can be reached from other machines"),
        ("daemon", "listen", '"rotator.internal:9470"', "can be reached from other machines"),
        ("telemetry", "otlp_endpoint", '"collector:4318"', "'collector:4318' names no host"),
        ("telemetry", "otlp_endpoint", '"http://u:p@host"', "has a user name, query or fragment"),
    ],
)
def test_value_outside_its_rule_is_refused(
    refuse: Refuse, table: str, key: str, value: str, reason: str
) -> None:
    """A wrong value is refused in one line that has its key's path, the value and the rule."""
    vault = "" if table.startswith("vault") else VAULT
    error = refuse(
        f"{vault}{SMS}[{table}]\n{key} = {value}\n",
        {"VAULT_ADDR": "https://vault.example.com"},
    )

    assert f"config.toml: {table}.{key}: " in error.message
    assert reason in error.message
    assert "\n" not in error.message


@pytest.mark.parametrize(
    ("table", "key", "text", "value"),
    [
        ("vonage", "max_requests_per_second", "1", 1.0),
        ("vonage", "max_requests_per_second", "0.5", 0.5),
        ("vonage", "timeout", '"5m"', timedelta(minutes=5)),
        ("daemon", "listen", '""', ""),
        ("daemon", "listen", '"unix:/run/rotator/http.sock"', "unix:/run/rotator/http.sock"),
        ("daemon", "listen", '"localhost:9470"', "localhost:9470"),
        ("telemetry", "otlp_endpoint", '"http://otel:4318/"', "http://otel:4318"),
        ("daemon", "listen", '"[::1]:0"', "[::1]:0"),
        ("daemon", "poll", '"1s"', timedelta(seconds=1)),
        ("policy", "jitter", '"0s"', timedelta()),
        ("policy", "grace", '"0s"', timedelta()),
        ("policy", "length", "8", 8),
    ],
)
def test_value_at_its_bound_is_taken(
    read: Read, table: str, key: str, text: str, value: object
) -> None:
    """A bound itself is within."""
    settings = read(f"{VAULT}{SMS}[{table}]\n{key} = {text}\n")

    assert getattr(getattr(settings, table), key) == value


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('[policy]\nevery = "12h"', "policy.every: grace (1d) is not less than every (12h)"),
        ('[policy]\nevery = "1d"', "policy.every: grace (1d) is not less than every (1d)"),
        ('[policy]\ngrace = "30d"', "policy.grace: grace (30d) is not less than every (30d)"),
        ('[policy]\nevery = "60d"', "policy.every: max_age (45d) is less than every (60d)"),
        ('[policy]\nmax_age = "29d"', "policy.max_age: max_age (29d) is less than every (30d)"),
    ],
)
def test_policy_must_be_able_to_work(refuse: Refuse, text: str, reason: str) -> None:
    """Rotations that overlap and secrets that are always overdue are refused."""
    assert reason in refuse(f"{VAULT}{SMS}{text}\n").message


def test_policy_of_an_account_must_be_able_to_work(refuse: Refuse) -> None:
    """An account's keys are checked together with the defaults that it keeps."""
    error = refuse(VAULT + SMS + 'grace = "30d"\n' + VOICE)

    assert "accounts[0].grace (sms): grace (30d) is not less than every (30d)" in error.message
    assert "voice" not in error.message


def test_grace_is_not_compared_with_cron(read: Read) -> None:
    """With `cron` there is no interval that grace or max_age could be compared with."""
    settings = read(VAULT + '[policy]\ncron = "0 3 1 * *"\ngrace = "40d"\nmax_age = "1d"\n' + SMS)

    assert settings.policy.grace == timedelta(days=40)


@pytest.mark.parametrize(
    "text",
    [
        "0 3 * * sun",
        "*/15 0-6,22 1,15 jan-mar mon-fri",
        "0 0 29 2 *",
        "0 0 31 * 7",
        "5-10/5 * * * *",
    ],
)
def test_cron_expressions_are_taken(read: Read, text: str) -> None:
    """Five fields of numbers, names, ranges, lists and steps are a cron expression."""
    assert read(f'{VAULT}{SMS}cron = "{text}"\n').accounts[0].policy.cron == text


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "does not have five fields"),
        ("0 3 * *", "does not have five fields"),
        ("0 0 3 * * *", "does not have five fields"),
        ("@daily", "does not have five fields"),
        ("60 * * * *", "has a bad minute"),
        ("0 24 * * *", "has a bad hour"),
        ("0 0 0 * *", "has a bad day-of-month"),
        ("0 0 * 13 *", "has a bad month"),
        ("0 0 * sun *", "has a bad month"),
        ("0 0 * * 8", "has a bad day-of-week"),
        ("0 0 * * fri-mon", "has a bad day-of-week"),
        ("0 0 * * mon,", "has a bad day-of-week"),
        ("*/0 * * * *", "has a bad minute"),
        ("a; * * * *", "has a bad minute"),
        ("0 0 30 2 *", "has a bad day-of-month"),
    ],
)
def test_other_cron_expressions_are_refused(refuse: Refuse, text: str, reason: str) -> None:
    """An expression that cron would not take, or that would never come, is refused."""
    error = refuse(f'{VAULT}{SMS}cron = "{text}"\n')

    assert f"accounts[0].cron (sms): {text!r} {reason}" in error.message


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


def test_children_are_those_managed(read: Read) -> None:
    """`children` gives the accounts that name the parent, and none for the others."""
    managed = 'managed_by = "parent"\n'
    settings = read(VAULT + PARENT + SMS + managed + VOICE + managed)

    assert [child.name for child in settings.children("parent")] == ["sms", "voice"]
    assert settings.children("sms") == ()
    with pytest.raises(UnknownAccount):
        settings.children("prent")


def test_children_come_before_their_parents(read: Read) -> None:
    """`children_first` puts managed accounts first and keeps the order of the file else."""
    settings = read(VAULT + PARENT + SMS + VOICE + 'managed_by = "parent"\n')

    assert [account.name for account in settings.accounts] == ["parent", "sms", "voice"]
    assert [a.name for a in settings.children_first()] == ["voice", "parent", "sms"]


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


@pytest.mark.parametrize(
    "url",
    [
        "postgresql+psycopg://me:hunter2@host/db",
        "postgresql://me:hun/ter2@host/db",
        "postgresql://me:@host/db",
        "postgresql+psycopg://host/db?user=me&password=hunter2",
        "postgresql+psycopg://host/db?sslPassword=hunter2",
        "postgresql+psycopg://host/db?pass%77ord=hunter2",
    ],
)
@pytest.mark.parametrize("by_environment", [False, True])
def test_ledger_url_with_a_password_is_refused(
    refuse: Refuse, url: str, *, by_environment: bool
) -> None:
    """A password is taken neither in the file's URL nor in the environment's."""
    environ = {"ROTATOR_LEDGER__URL": url} if by_environment else {}
    text = "" if by_environment else f'[ledger]\nurl = "{url}"\n'
    error = refuse(VAULT + SMS + text, environ)

    where = "$ROTATOR_LEDGER__URL" if by_environment else "ledger.url"
    assert error.message.endswith(f"config.toml: {where}: the value has a password")
    assert "ledger.url_file" in str(error.hint)
    assert "ter2" not in seen(error)


@pytest.mark.parametrize(
    ("url", "effective"),
    [
        ("sqlite:////srv/ledger.db", "sqlite:////srv/ledger.db"),
        ("postgresql://host/db", "postgresql+psycopg://host/db"),
        ("postgresql+psycopg:///db", "postgresql+psycopg:///db"),
        ("postgresql+psycopg://me@host:5432/db", "postgresql+psycopg://me@host:5432/db"),
        ("postgresql+psycopg://[::1]:5432/db", "postgresql+psycopg://[::1]:5432/db"),
        ("postgresql://h/db?sslmode=require", "postgresql+psycopg://h/db?sslmode=require"),
        ("postgresql:///db?host=/run/postgresql", "postgresql+psycopg:///db?host=/run/postgresql"),
    ],
)
def test_ledger_urls_are_taken(read: Read, url: str, effective: str) -> None:
    """SQLite files and PostgreSQL databases without a password are ledgers."""
    ledger = read(f'{VAULT}{SMS}[ledger]\nurl = "{url}"\n').ledger

    assert ledger.url == effective
    assert ledger.read_url() == effective


def test_ledger_file_is_beside_the_configuration(read: Read, tmp_path: Path) -> None:
    """A relative SQLite file does not depend on where the process was started."""
    ledger = read(f'{VAULT}{SMS}[ledger]\nurl = "sqlite:///ledger.db"\n').ledger

    assert ledger.url == f"sqlite:///{tmp_path}/ledger.db"


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("", "is no ledger's URL"),
        ("sqlite://", "is no ledger's URL"),
        ("sqlite:///:memory:", "is a ledger in memory"),
        ("sqlite:///a.db?mode=memory", "is no ledger's URL"),
        ("postgresql://host", "is no ledger's URL"),
        ("postgresql://host:port/db", "is no ledger's URL"),
        ("postgresql://ho\\tst/db", "has spaces or control characters"),
    ],
)
def test_other_ledger_urls_are_refused(refuse: Refuse, url: str, reason: str) -> None:
    """A URL of no ledger, or of one that would not last, is refused."""
    assert reason in refuse(f'{VAULT}{SMS}[ledger]\nurl = "{url}"\n').message


def test_ledger_url_is_read_from_its_file(read: Read, tmp_path: Path) -> None:
    """`url_file` replaces the URL, is read when asked for, and may hold a password."""
    ledger = read(f'{VAULT}{SMS}[ledger]\nurl_file = "ledger-url"\n').ledger
    (tmp_path / "ledger-url").write_text("postgresql://me:hunter2@host/db\n")

    assert ledger.url is None
    assert ledger.read_url() == "postgresql+psycopg://me:hunter2@host/db"
    assert "hunter2" not in repr(ledger)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "cannot be read: no such file or directory"),
        (b"\xff", "is not UTF-8"),
        (b"hunter2", "is no ledger's URL"),
        (b"", "is no ledger's URL"),
    ],
)
def test_unusable_ledger_url_file_is_refused(
    tmp_path: Path, content: bytes | None, reason: str
) -> None:
    """What is wrong with `url_file` is said without repeating what it holds."""
    file = tmp_path / "ledger-url"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError) as caught:
        Ledger(url_file=file).read_url()

    assert caught.value.message.startswith(f"ledger.url_file: {str(file)!r}")
    assert reason in caught.value.message
    assert "hunter2" not in seen(caught.value)


def test_ledger_url_and_url_file_exclude_each_other(refuse: Refuse) -> None:
    """A file cannot say twice where the ledger is."""
    error = refuse(VAULT + SMS + '[ledger]\nurl = "sqlite:////a"\nurl_file = "b"\n')

    assert "ledger: url and url_file exclude each other; keep one" in error.message


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
            "'\\udcff' has spaces, control characters or one of ? # % \\",
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


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("/run/token", "/run/token"),
        ("$CREDENTIALS_DIRECTORY/token", "/run/credentials/token"),
        ("${CREDENTIALS_DIRECTORY}/token", "/run/credentials/token"),
        ("~/token", "/home/me/token"),
        ("~", "/home/me"),
        ("sub/token", "{base}/sub/token"),
        ("a~b", "{base}/a~b"),
    ],
)
def test_file_is_expanded(read: Read, tmp_path: Path, text: str, path: str) -> None:
    """A file's path is absolute once loaded, whether or not the file exists."""
    environ = {"CREDENTIALS_DIRECTORY": "/run/credentials", "HOME": "/home/me"}
    settings = read(f'{VAULT}{SMS}[vault.auth]\ntoken_file = "{text}"\n', environ)

    assert settings.vault.auth.token_file == Path(path.format(base=tmp_path))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("$CREDENTIALS_DIRECTORY/x", "needs $CREDENTIALS_DIRECTORY, which is not set"),
        ("~/x", "needs $HOME, which is not set"),
        ("~root/x", "begins with another user's home"),
        ("$HOME/x", "holds $HOME: only $CREDENTIALS_DIRECTORY and ~ are expanded"),
        ("${XDG_RUNTIME_DIR}/x", "holds $XDG_RUNTIME_DIR: only"),
        ("$CREDENTIALS_DIRECTORYX/x", "holds $CREDENTIALS_DIRECTORYX: only"),
        ("a$", "holds $: only"),
    ],
)
def test_file_that_cannot_be_expanded_is_refused(refuse: Refuse, text: str, reason: str) -> None:
    """Another variable than systemd's, or one that is not set, is refused."""
    error = refuse(f'{VAULT}{SMS}[ledger]\nurl_file = "{text}"\n')

    assert f"ledger.url_file: {text!r} {reason}" in error.message


def test_relative_configuration_gives_absolute_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Paths are resolved also where the configuration's own path is relative."""
    monkeypatch.chdir(tmp_path)
    Path("config.toml").write_text(VAULT + SMS + '[vault.auth]\ntoken_file = "token"\n')

    assert load(Path("config.toml"), {}).vault.auth.token_file == tmp_path / "token"


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://vault.example.com", "https://vault.example.com"),
        ("https://vault.example.com:8200/", "https://vault.example.com:8200"),
        ("https://proxy/vault//", "https://proxy/vault"),
        ("https://[2001:db8::1]:8200", "https://[2001:db8::1]:8200"),
        ("http://localhost:8200", "http://localhost:8200"),
        ("http://127.9.9.9:8200", "http://127.9.9.9:8200"),
        ("http://[::1]:8200", "http://[::1]:8200"),
    ],
)
def test_urls_are_taken(read: Read, text: str, url: str) -> None:
    """A server is reached by https, on this machine also by http; no slash ends its URL."""
    assert read(f'[vault]\naddress = "{text}"\n{SMS}').vault.address == url


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("http://vault.example.com", "is plain http to another machine"),
        ("http://localhost.example.com", "is plain http to another machine"),
        ("http://128.0.0.1", "is plain http to another machine"),
        ("http://[::ffff:127.0.0.1]", "is plain http to another machine"),
        ("http://2130706433", "is plain http to another machine"),
        ("ftp://vault", "is not an https URL"),
        ("vault.example.com", "names no host"),
        ("vault:8200", "names no host"),
        ("https://", "names no host"),
        ("https:///path", "names no host"),
        ("https://:8200", "names no host"),
        ("https://a\\\\b", "names no host"),
        ("https://host:port", "is not a URL"),
        ("https://host:", "is not a URL"),
        ("https://host:70000", "is not a URL"),
        ("https://[::1", "is not a URL"),
        ("https://vault/?", "the value has a user name, query or fragment"),
        ("https://vault#", "the value has a user name, query or fragment"),
        ("https://vault/me@x", "the value has a user name, query or fragment"),
        ("https://me@vault", "the value has a user name, query or fragment"),
        ("https://va ult", "has spaces or control characters"),
        ("https://va\\tult", "has spaces or control characters"),
    ],
)
def test_other_urls_are_refused(refuse: Refuse, text: str, reason: str) -> None:
    """A URL that would leak a credential, or has more than a place, is refused."""
    error = refuse(f'[vault]\naddress = "{text}"\n{SMS}')

    assert f" {reason}" in error.message


@pytest.mark.parametrize("name", ["a", "0", "sms-prod", "a.b_c-d", "a" * 64])
def test_account_names_are_taken(read: Read, name: str) -> None:
    """Small letters, digits, dot, underscore and hyphen make a name."""
    assert read(VAULT + SMS.replace('"sms"', f'"{name}"')).accounts[0].name == name


@pytest.mark.parametrize("name", ["", "Sms", "-sms", ".sms", "sms.", "s ms", "a/b", "a" * 65, "ä"])
def test_other_account_names_are_refused(refuse: Refuse, name: str) -> None:
    """A name that could not stand in a path, a metric and a command line is refused."""
    assert "is no account name" in refuse(VAULT + SMS.replace('"sms"', f'"{name}"')).message


@pytest.mark.parametrize("key", ["", "abcd-1234", "abcd 1234", "a" * 65, "äbcd"])
def test_other_api_keys_are_refused(refuse: Refuse, key: str) -> None:
    """An api key is letters and digits."""
    assert "is no api key" in refuse(VAULT + SMS.replace("abcd1234", key)).message


def test_vault_path_is_normalised(read: Read) -> None:
    """Slashes around a path in Vault are dropped."""
    text = VAULT + 'mount = "/kv/"\npending_prefix = "p/"\n' + SMS.replace("vonage/sms", "/v/sms/")
    settings = read(text)

    assert settings.accounts[0].vault_path == "v/sms"
    assert settings.accounts[0].pending_path == "p/sms"
    assert settings.vault.mount == "kv"


@pytest.mark.parametrize("path", ["", "/", "a//b", "./a", "a/../b", "a b", "a\\tb", "a?b", "a."])
def test_other_vault_paths_are_refused(refuse: Refuse, path: str) -> None:
    """A path that Vault or a proxy would read differently is refused."""
    error = refuse(VAULT + SMS.replace("vonage/sms", path))

    assert "accounts[0].vault_path (sms): " in error.message


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


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('secret_field = "api_key"', "is the same field as key_field"),
        ('key_field = "api_secret"', "is the same field as key_field"),
        ('secret_field = "rotator"', "is the field where rotator keeps its own note"),
        ('key_field = "rotator"', "is the field where rotator keeps its own note"),
        ('key_field = ""', "is empty"),
        ('key_field = "a\\n"', "has control characters"),
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
        ("[[accounts]]\nname = 5\n", "accounts[0].name: 5 is not text"),
    ],
)
def test_accounts_are_tables(refuse: Refuse, text: str, reason: str) -> None:
    """What stands in the accounts' place but is none is refused."""
    error = refuse(text + VAULT if text.startswith("accounts") else VAULT + text)

    assert reason in error.message


def test_all_problems_are_reported_together(refuse: Refuse) -> None:
    """One error lists everything that is wrong, a line each, with its hint."""
    text = (
        VAULT
        + '[vonage]\ntimeout = "1h"\n[policy]\nlength = 40\n[daemon]\npol = "1s"\n'
        + SMS
        + "vault_pth = 1\nlength = 3\n"
        + VOICE
        + PARENT.replace("ijkl9012", "efgh5678")
    )
    error = refuse(text, {"ROTATOR_X__Y": "1"})
    lines = error.message.splitlines()

    assert lines[0].endswith("config.toml:")
    assert lines[1:] == [
        "  vonage.timeout: '1h' is not within 1s to 5m",
        "  policy.length: 40 is not within 8 to 25",
        "  daemon.pol: unknown key, did you mean poll?",
        "  accounts[0].length (sms): 3 is not within 8 to 25",
        "  accounts[0].vault_pth (sms): unknown key, did you mean vault_path?",
        "  accounts[2].api_key (parent): 'efgh5678' is already that of accounts[1] (voice)",
        "  $ROTATOR_X__Y: unknown variable",
    ]
    assert error.hint is None


def test_hint_is_beside_its_problem_where_there_are_several(refuse: Refuse) -> None:
    """Among several problems each has its own hint in its line."""
    error = refuse(VAULT + SMS + '[vonage]\ntimeout = 5\n[vault.auth]\nrole = "r"\n')

    assert "5 is not a duration (write one number and one unit: 90s" in error.message
    assert "not to method 'token' (set vault.auth.method to the way that is meant" in error.message


def test_long_value_is_cut(refuse: Refuse) -> None:
    """A value of any length leaves the error readable."""
    error = refuse(VAULT + SMS + f'[policy]\ntimezone = "{"x" * 9999}"\n')

    assert len(error.message) < 300


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[vault\n", "line 1, column 7: expected ']' at the end of a table declaration"),
        ("a = 1\nb = x\n", "line 2, column 5: invalid value"),
        ("a = 1\na = 2\n", "line 2, column 6: cannot overwrite a value"),
        ("a = [", "end of document: invalid value"),
        ("a = " + "[" * 9999, "is nested too deeply"),
        ("a = " + "1" * 9999, "exceeds the limit"),
    ],
)
def test_syntax_error_is_located(refuse: Refuse, text: str, reason: str) -> None:
    """A file that is no TOML is refused with the file, the line and the column."""
    assert f"config.toml: {reason}" in refuse(text).message


def test_missing_file_is_answered_with_how_to_name_it(tmp_path: Path) -> None:
    """Where no configuration is, the hint says how to name another."""
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.toml", {})

    assert caught.value.message == f"{tmp_path}/config.toml: there is no such file"
    assert "rotator --config PATH" in str(caught.value.hint)
    assert "$ROTATOR_CONFIG" in str(caught.value.hint)
    assert caught.value.exit_code == 2


def test_directory_is_refused(tmp_path: Path) -> None:
    """A directory is no configuration."""
    with pytest.raises(ConfigError, match="is a directory"):
        load(tmp_path, {})


def test_unreadable_file_is_refused(tmp_path: Path) -> None:
    """A file that the system does not let be read is refused with its reason."""
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="cannot be read: not a directory"):
        load(tmp_path / "file" / "config.toml", {})


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every file")
def test_forbidden_file_is_refused(tmp_path: Path) -> None:
    """A file without permission is refused as such."""
    path = tmp_path / "config.toml"
    path.touch(mode=0)
    with pytest.raises(ConfigError, match="cannot be read: permission denied"):
        load(path, {})


def test_other_encoding_is_refused(tmp_path: Path) -> None:
    """A file that is not UTF-8 is refused with the place."""
    path = tmp_path / "config.toml"
    path.write_bytes(b'a = "\xff"')
    with pytest.raises(ConfigError, match=r"is not UTF-8 \(byte 5\)"):
        load(path, {})


def test_byte_order_mark_is_taken(read: Read) -> None:
    """The mark that some editors put before the text is no error."""
    assert read("\ufeff" + VAULT + SMS) == read()


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
    vault = Vault(address="http://127.0.0.1:8200", ca_file=tmp_path, timeout=timedelta(seconds=1))
    with pytest.raises(ValidationError):
        Vault(address="http://vault")

    assert vault.ca_file == tmp_path
    assert vault.timeout == timedelta(seconds=1)
    assert Ledger(url="sqlite:///ledger.db").url == "sqlite:///ledger.db"


def test_example_is_toml_with_one_account() -> None:
    """The example stands for a single account, under the documented key."""
    example: dict[str, Any] = tomllib.loads(EXAMPLE.read_text(encoding="utf-8"))

    assert [account["api_key"] for account in example["accounts"]] == ["abcd1234"]


def test_path_with_the_mount_in_front_is_refused(refuse: Refuse) -> None:
    """A Vault path as policies have it, mount and `data` included, would lead nowhere."""
    error = refuse(
        f'{VAULT}[[accounts]]\nname = "a"\napi_key = "a"\nvault_path = "secret/data/x/a"\n'
    )

    assert "begins with the mount" in error.message
    assert error.hint == "write x/a"


# -- Who may read the page. ----------------------------------------------------------------


@pytest.mark.parametrize("address", ["0.0.0.0:9470", "10.1.2.3:9470", "rotator.internal:9470"])
def test_other_machines_may_be_let_in_with_a_token(
    read: Read, tmp_path: Path, address: str
) -> None:
    """An address beyond loopback is taken where a token file is named, wherever that stands."""
    token = tmp_path / "token"
    token.write_text("0123456789abcdef\n")
    lines = [f'listen = "{address}"', f'listen_token_file = "{token}"']
    for order in (lines, lines[::-1]):
        daemon = read(VAULT + SMS + "\n".join(["[daemon]", *order])).daemon

        assert daemon.listen == address
        shown = daemon.read_listen_token()
        assert shown is not None
        assert shown.reveal() == "0123456789abcdef"


def test_without_a_token_file_there_is_no_token(read: Read) -> None:
    """Readers on this machine have to show nothing."""
    assert read().daemon.read_listen_token() is None


@pytest.mark.parametrize(
    "content", ["", "0123456789abcde", "two words of some length", "\xfc" * 20]
)
def test_a_bad_token_is_refused(read: Read, tmp_path: Path, content: str) -> None:
    """One that is short or cannot be sent in a header; it is not repeated."""
    token = tmp_path / "token"
    token.write_text(content)
    daemon = read(f'{VAULT}{SMS}[daemon]\nlisten_token_file = "{token}"').daemon

    with pytest.raises(ConfigError, match="holds no token") as caught:
        daemon.read_listen_token()
    assert not content or content not in caught.value.message


def test_a_token_file_that_is_not_there_is_named(read: Read, tmp_path: Path) -> None:
    """With the reason."""
    daemon = read(f'{VAULT}{SMS}[daemon]\nlisten_token_file = "{tmp_path / "none"}"').daemon

    with pytest.raises(ConfigError, match="cannot be read: no such file or directory"):
        daemon.read_listen_token()
