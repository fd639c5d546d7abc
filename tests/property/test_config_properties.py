import json
import tomllib
from collections.abc import Callable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st

from rotator.config import Settings, load, parse_duration
from rotator.config.loader import overrides
from rotator.config.validation import TABLES
from rotator.errors import ConfigError
from rotator.model.times import format_duration
from tests.support.samples import next_due

#: A value that no error may ever repeat.
CANARY = "Canary7canary"
LONGEST = 36500 * 86400

LoadText = Callable[[str, Mapping[str, str]], Settings | ConfigError]

fuzz = settings(
    max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.fixture
def outcome(tmp_path: Path) -> LoadText:
    """Load a text; give the settings or the error, and let any other exception through."""

    def loaded(text: str, environ: Mapping[str, str]) -> Settings | ConfigError:
        path = tmp_path / "config.toml"
        path.write_bytes(text.encode())
        try:
            return load(path, environ)
        except ConfigError as error:
            return error

    return loaded


def toml(value: object) -> str:
    """Write a value as TOML, tables inline."""
    match value:
        case dict():
            return (
                "{" + ", ".join(f"{toml(key)} = {toml(item)}" for key, item in value.items()) + "}"
            )
        case list():
            return "[" + ", ".join(map(toml, value)) + "]"
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case datetime() | date() | time():
            return value.isoformat()
        case float() | int():
            return str(value).lower()
        case _:
            raise TypeError(value)


def document(tables: Mapping[str, object]) -> str:
    """Write a whole file, one line for each of its tables."""
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in tables.items())


texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
durations = st.builds("{}{}".format, st.integers(0, 99), st.sampled_from("smhdx"))
plausible = st.sampled_from(
    [
        "https://vault.example.com/",
        "http://[::1]:8200",
        "https://me:pw@host/?a#b",
        "http://[",
        "postgresql://h/db",
        "sqlite:///x",
        "0 3 * * sun",
        "*/5 1-3,7 31 feb 8",
        "Europe/Berlin",
        "America",
        "refuse",
        "token",
        "~/x",
        "$CREDENTIALS_DIRECTORY/x",
        "${HOME}",
        "127.0.0.1:9470",
        "sms",
        "voice",
        "a/b",
        "rotator/pending/sms",
    ]
)
scalars = (
    texts
    | durations
    | plausible
    | st.booleans()
    | st.integers()
    | st.integers(0, 30)
    | st.just(10**400)
    | st.floats()
    | st.datetimes()
    | st.dates()
    | st.times()
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=4,
)


def table(name: str) -> st.SearchStrategy[dict[str, Any]]:
    """Draw a table that has some of its keys, and sometimes others."""
    keys = st.sampled_from(list(TABLES[name].model_fields))
    return st.dictionaries(keys | keys | keys | texts, scalars | values, max_size=8)


tables = {name: values | table(name) | table(name) for name in TABLES if "." not in name}
tables["accounts"] = values | st.lists(table("accounts"), max_size=3)
documents = st.fixed_dictionaries({}, optional=tables)
environs = st.dictionaries(
    st.sampled_from([*overrides(), "VAULT_ADDR", "VAULT_NAMESPACE", "VAULT_CACERT", "HOME"])
    | texts.map("ROTATOR_{}__X".format)
    | texts,
    texts | durations | plausible | st.just("\udcff"),
    max_size=4,
)


@fuzz
@given(documents, environs)
def test_any_document_is_settings_or_a_config_error(
    outcome: LoadText, tables: dict[str, object], environ: dict[str, str]
) -> None:
    """Whatever a file and the environment hold, nothing but ConfigError comes of it."""
    result = outcome(document(tables), environ)

    assert isinstance(result, Settings) or result.message


@fuzz
@given(st.text(st.characters(exclude_categories=["Cs"])))
@example("[[accounts")
def test_any_text_is_settings_or_a_config_error(outcome: LoadText, text: str) -> None:
    """A file that is no TOML is a ConfigError."""
    assert isinstance(outcome(text, {}), ConfigError)


@fuzz
@given(st.binary())
def test_any_bytes_are_a_config_error(tmp_path: Path, content: bytes) -> None:
    """A file that is no text is a ConfigError."""
    path = tmp_path / "config.toml"
    path.write_bytes(content)

    with pytest.raises(ConfigError):
        load(path, {})


words = st.sampled_from(["token", "secret", "api_secret", "PASSWORD", "secret_id", "role_id"])


@fuzz
@given(
    name=st.sampled_from([name for name in TABLES if "." not in name]),
    key=st.tuples(texts, words, texts).map("".join),
    wrap=st.sampled_from([str, lambda value: [value], lambda value: {"x": value}]),
)
def test_inline_secret_is_never_repeated(
    outcome: LoadText, name: str, key: str, wrap: Callable[[str], object]
) -> None:
    """The value under a name with a secret's word in it is in no message, hint or repr."""
    inner = {key: wrap(CANARY)}
    result = outcome(document({name: [inner] if name == "accounts" else inner}), {})

    assert isinstance(result, ConfigError)
    assert CANARY not in result.message + str(result.hint) + repr(result)


@fuzz
@given(
    user=texts,
    scheme=st.sampled_from(
        ["https", "http", "postgresql", "postgresql+psycopg", "mysql", "sqlite"]
    ),
    end=st.sampled_from(["host/db", "host:5432/db", "/db", "", "[", "host?x=@", "\t"]) | texts,
    key=st.sampled_from(["vonage.api_url", "vonage.rest_url", "vault.address", "ledger.url"]),
)
@example(user="a/b", scheme="https", end="host", key="vault.address")
@example(user="a/b", scheme="postgresql", end="host", key="ledger.url")
def test_password_in_a_url_is_never_taken(
    outcome: LoadText, user: str, scheme: str, end: str, key: str
) -> None:
    """A URL with a password in the usual place is refused and not repeated, whatever it is."""
    assume(not f"{scheme}://{user}".startswith("sqlite:///"))  # a file may have any name
    name, _, field = key.partition(".")
    result = outcome(document({name: {field: f"{scheme}://{user}:{CANARY}@{end}"}}), {})

    assert isinstance(result, ConfigError)
    assert f"{key}: the value " in result.message
    assert CANARY not in result.message + str(result.hint) + repr(result)


accounts = st.fixed_dictionaries(
    {
        "name": st.from_regex("[a-z0-9][a-z0-9_-]{0,9}", fullmatch=True),
        "api_key": st.from_regex("[A-Za-z0-9]{8}", fullmatch=True),
        "vault_path": st.from_regex("v/[a-z]{1,9}", fullmatch=True),
    },
    optional={
        "every": st.sampled_from(["31d", "33d"]),
        "timezone": st.sampled_from(["UTC", "Asia/Kolkata"]),
        "jitter": st.integers(0, 10**6).map("{}s".format),
        "grace": st.integers(0, 29 * 24).map("{}h".format),
        "length": st.integers(8, 25),
        "on_foreign": st.sampled_from(["refuse", "evict-oldest"]),
    },
)
unique_accounts = st.lists(
    accounts,
    min_size=1,
    max_size=5,
    unique_by=(
        lambda account: account["name"],
        lambda account: account["api_key"],
        lambda account: account["vault_path"],
    ),
)


@pytest.mark.slow
@fuzz
@given(unique_accounts, st.data())
def test_shown_settings_are_a_configuration_with_the_same_effect(
    outcome: LoadText, drawn: list[dict[str, Any]], data: st.DataObject
) -> None:
    """What `shown` gives is JSON, and written as TOML it loads to the same settings."""
    for account in drawn[1:]:
        account["managed_by"] = data.draw(st.sampled_from(["", drawn[0]["name"]]))
    first = outcome(document({"vault": {"address": "https://v"}, "accounts": drawn}), {})

    assert isinstance(first, Settings)
    assert outcome(document(json.loads(json.dumps(first.shown()))), {}) == first


numbers = st.integers(0, 60).map(str)
cron_fields = st.one_of(
    st.just("*"),
    numbers | st.sampled_from(["jan", "dec", "sun", "sat"]),
    st.builds("{}-{}".format, numbers, numbers),
    st.builds("*/{}".format, numbers),
    st.builds("{},{}-{}/{}".format, numbers, numbers, numbers, numbers),
)


@fuzz
@given(
    st.tuples(*[st.just("*") | cron_fields] * 5).map(" ".join), st.datetimes(timezones=st.just(UTC))
)
@example("0 0 29 2 *", datetime(2096, 3, 1, tzinfo=UTC))
@example("* * * * 7", datetime(2026, 1, 1, tzinfo=UTC))
def test_cron_that_is_taken_has_a_next_time(outcome: LoadText, cron: str, after: datetime) -> None:
    """The schedule can compute from every expression that the configuration lets through."""
    policy = {"cron": cron, "grace": "0s", "max_age": "36500d"}
    account = {"name": "a", "api_key": "a", "vault_path": "a", **policy}
    result = outcome(document({"vault": {"address": "https://v"}, "accounts": [account]}), {})
    after = after.replace(year=2000 + after.year % 100)

    assert isinstance(result, ConfigError) or next_due(result.accounts[0], after) > after


@given(st.integers(0, LONGEST))
def test_duration_survives_the_round_trip(seconds: int) -> None:
    """A duration that was written is read as the same duration."""
    duration = timedelta(seconds=seconds)

    assert parse_duration(format_duration(duration)) == duration


@given(st.integers(1, 10**12), st.sampled_from("smhd"))
def test_written_duration_is_the_shortest(number: int, unit: str) -> None:
    """What is written for a duration is never longer than what was read."""
    text = f"{number}{unit}"
    try:
        duration = parse_duration(text)
    except ConfigError:
        return

    assert len(format_duration(duration)) <= len(text)


@given(st.text() | st.from_regex(r"\d+[smhd]", fullmatch=True))
def test_any_text_is_a_duration_or_a_config_error(text: str) -> None:
    """No text makes reading a duration fail in another way."""
    try:
        duration = parse_duration(text)
    except ConfigError as error:
        assert error.hint or "longer" in error.message  # noqa: PT017  # either outcome is right
        return

    assert timedelta() <= duration <= timedelta(seconds=LONGEST)


@fuzz
@given(st.ip_addresses())
def test_plain_http_is_for_loopback_only(outcome: LoadText, address: object) -> None:
    """Only 127.0.0.0/8 and ::1 may be reached without TLS."""
    host = str(address) if isinstance(address, IPv4Address) else f"[{address}]"
    text = document(
        {
            "vault": {"address": f"http://{host}:8200"},
            "accounts": [{"name": "a", "api_key": "a", "vault_path": "a"}],
        }
    )
    loopback = IPv4Network("127.0.0.0/8")
    expected = address in loopback if isinstance(address, IPv4Address) else host == "[::1]"

    assert isinstance(outcome(text, {}), Settings) == expected


@given(values)
def test_the_writer_of_these_tests_writes_toml(value: object) -> None:
    """What these tests call a document is one: it is read as what was written."""
    read = tomllib.loads(document({"x": value}))["x"]

    assert read == value or repr(read) == repr(value)
