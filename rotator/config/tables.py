"""The tables of the file: their keys, types, defaults and what each value may be.

A value that has a rule of its own is checked here; what depends on other tables is checked
in `accounts`. Values are as typed as TOML makes them: "25" is no number.
"""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from rotator import window
from rotator.composition import MAX_LENGTH, MIN_LENGTH
from rotator.config import path, url
from rotator.config.cron import cron_expression
from rotator.config.duration import duration, format_duration
from rotator.config.problem import Unfit, did_you_mean
from rotator.errors import ConfigError
from rotator.model import OnForeign, SecretValue
from rotator.notice import Event, Format, Hook

Ordered = TypeVar("Ordered", int, float, Decimal, timedelta)

_SQLITE_DEFAULT = "sqlite:////var/lib/rotator/ledger.db"


def _within(low: Ordered, high: Ordered) -> Callable[[Ordered], Ordered]:
    def check(value: Ordered) -> Ordered:
        if not low <= value <= high:
            raise Unfit(f"is not within {_plain(low)} to {_plain(high)}")
        return value

    return check


def _at_least(low: Ordered) -> Callable[[Ordered], Ordered]:
    def check(value: Ordered) -> Ordered:
        if not value >= low:
            raise Unfit(f"is less than {_plain(low)}")
        return value

    return check


def _plain(value: float | Decimal | timedelta) -> str:
    return format_duration(value) if isinstance(value, timedelta) else str(value)


def _written_as(pattern: str, rule: str, text: str) -> str:
    if not re.fullmatch(pattern, text):
        raise Unfit(rule)
    return text


def _field_name(text: str) -> str:
    if not text.strip() or not text.isprintable():
        raise Unfit("is empty or has control characters")
    if text == "rotator":
        raise Unfit("is the field where rotator keeps its own note")
    return text


def _method(text: str) -> str:
    if text not in AUTH_METHODS:
        raise Unfit(f"is not one of {', '.join(AUTH_METHODS)}{did_you_mean(text, AUTH_METHODS)}")
    return text


def _plain_text(text: str | None) -> str | None:
    if text is not None and not text.isprintable():
        raise Unfit("has control characters")
    return text or None


def _auth_mount(text: str | None) -> str | None:
    if not (text or "").strip("/"):
        return None
    mount = path.vault_path(text or "")
    if mount == "auth" or mount.startswith("auth/"):
        raise Unfit("begins with auth/, which goes without saying")
    return mount


def _pattern(check: Callable[[str], str], text: str) -> str:
    """See that a pattern has a place for the api key, and gives what passes `check`."""
    if "{api_key}" not in text:
        raise Unfit("has no {api_key}, so that all subaccounts would share it")
    sample = text.replace("{api_key}", "abcd1234").replace("{parent}", "parent")
    if "{" in sample or "}" in sample:
        raise Unfit("has braces around something else than {api_key} or {parent}")
    checked = check(sample)
    # Slashes around a path are no part of it.
    start = sample.index(checked)
    return text.strip("/") if start or len(checked) < len(sample) else text


def _patterns(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(isinstance(text, str) for text in value):
        raise Unfit("is not a list of texts", hint='write ["*"] or ["prod-*", "abcd1234"]')
    return tuple(value)


def _on_foreign(value: object) -> OnForeign:
    for known in OnForeign:
        if value == known:
            return known
    raise Unfit(f"is not one of {', '.join(OnForeign)}")


def _windows(value: object) -> tuple[str, ...] | None:
    """Take one window or a list of them; none at all, an empty text or list, is always."""
    if value is None:
        return None
    texts = [value] if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise Unfit("is neither text nor a list of texts", hint=_HOW_TO_WRITE_WINDOWS)
    texts = [" ".join(text.lower().split()) for text in texts if text.strip()]
    for text in texts:
        try:
            window.parse(text)
        except ValueError as error:
            rule = str(error) if isinstance(value, str) else f"has {text[:40]!r}, which {error}"
            raise Unfit(rule, hint=_HOW_TO_WRITE_WINDOWS) from None
    return tuple(texts)


_HOW_TO_WRITE_WINDOWS = 'write "sun 02:00-05:00" or "mon-fri 22:00-04:00", or a list of such'


def _euros(value: object) -> Decimal | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Unfit("is not a number")
    # A fraction by its text: 0.1 is not 0.1000000000000000055.
    euros = Decimal(value if isinstance(value, int) else str(value))
    if not euros.is_finite():
        raise Unfit("is not a finite number")
    return _within(Decimal(0), _MOST_EUROS)(euros)


#: More than any account has.
_MOST_EUROS = Decimal(1_000_000_000)


def _events(value: object) -> list[Event]:
    if not isinstance(value, list) or not value:
        raise Unfit("is not a list of events", hint=f"known are {', '.join(Event)}")
    return [_event(item) for item in value]


def _event(value: object) -> Event:
    for known in Event:
        if value == known:
            return known
    meant = did_you_mean(value, Event) if isinstance(value, str) else ""
    raise Unfit(f"names no event{meant}", hint=f"known are {', '.join(Event)}")


def _format(value: object) -> Format:
    for known in Format:
        if value == known:
            return known
    raise Unfit(f"is not one of {', '.join(Format)}")


def _command(command: list[str]) -> list[str]:
    if not command or not command[0].startswith("/"):
        raise Unfit(
            "does not begin with the absolute path of a program",
            hint='write ["/usr/local/bin/PROGRAM", "ARGUMENT"]; there is no shell',
        )
    if any("\0" in word for word in command):
        raise Unfit("holds a zero byte")
    return command


def _hook_name(text: str) -> str:
    return _written_as(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", _NO_HOOK_NAME, text)


_NO_HOOK_NAME = "is no name of a hook: at most 64 letters, digits, . _ -, the first no sign"


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, LookupError, OSError):
        meant = did_you_mean(text, sorted(available_timezones()))
        hint = "write an IANA name, as Europe/Berlin or UTC"
        raise Unfit(f"is no time zone{meant}", hint=hint) from None
    return text


def _listen(text: str, info: ValidationInfo) -> str:
    return url.listen_address(text, has_token=info.data.get("listen_token_file") is not None)


def _ledger_url(text: str, info: ValidationInfo) -> str:
    if url.has_password(text):
        raise Unfit(
            "has a password",
            hint="put the whole URL into a file that ledger.url_file names; "
            "or use peer authentication, or $PGPASSFILE",
        )
    found = url.ledger_url(text)
    file = url.sqlite_path(found)
    return found if file is None else f"sqlite:///{path.around(info).resolve(file)}"


Duration = Annotated[timedelta, BeforeValidator(duration)]
_Some = AfterValidator(_at_least(timedelta(seconds=1)))
Positive = Annotated[Duration, _Some]
Timeout = Annotated[Duration, AfterValidator(_within(timedelta(seconds=1), timedelta(minutes=5)))]
File = Annotated[Path | None, BeforeValidator(path.file_path)]
WebUrl = Annotated[str, AfterValidator(url.web_url)]
HookUrl = Annotated[str, AfterValidator(url.hook_url)]
VaultPath = Annotated[str, AfterValidator(path.vault_path)]
FieldName = Annotated[str, AfterValidator(_field_name)]
ACCOUNT_NAME = r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9_-])?"
API_KEY = "[A-Za-z0-9]{1,64}"
Name = Annotated[
    str,
    AfterValidator(
        partial(
            _written_as,
            ACCOUNT_NAME,
            "is no account name: at most 64 of a-z 0-9 . _ -, "
            "the first a letter or digit, the last no dot",
        )
    ),
]
ApiKey = Annotated[
    str,
    AfterValidator(partial(_written_as, API_KEY, "is no api key: letters and digits, at most 64")),
]


VaultPattern = Annotated[str, AfterValidator(partial(_pattern, path.vault_path))]
NamePattern = Annotated[
    str,
    AfterValidator(partial(_pattern, partial(_written_as, ACCOUNT_NAME, "gives no account name"))),
]
Patterns = Annotated[tuple[str, ...], BeforeValidator(_patterns)]


class Table(BaseModel):
    """What all tables share: frozen, strict about types and about unknown keys."""

    model_config = ConfigDict(
        frozen=True,
        strict=True,
        extra="forbid",
        hide_input_in_errors=True,
        # Commands that read no configuration do not wait for its validators.
        defer_build=True,
    )


class Vonage(Table):
    """`[vonage]`: how Vonage is reached."""

    api_url: WebUrl = "https://api.nexmo.com"
    rest_url: WebUrl = "https://rest.nexmo.com"
    #: Of one request.
    timeout: Timeout = timedelta(seconds=10)
    #: Over all accounts.
    max_requests_per_second: Annotated[
        float, Field(allow_inf_nan=False), AfterValidator(_at_least(0.001))
    ] = 5.0
    #: How long a new secret may take to be accepted everywhere.
    propagation_timeout: Positive = timedelta(minutes=2)


class VaultAuth(Table):
    """`[vault.auth]`: how rotator logs in to Vault. Which keys go together: `AUTH_METHODS`."""

    method: Annotated[str, AfterValidator(_method)] = "token"
    #: Of the auth method; None for its default, its own name.
    mount: Annotated[str | None, AfterValidator(_auth_mount)] = None
    #: None: $VAULT_TOKEN is read at login.
    token_file: File = None
    role_id_file: File = None
    secret_id_file: File = None
    #: Whether `secret_id_file` holds the token that the secret id is wrapped in.
    wrapped: bool | None = None
    #: None for the method's default role.
    role: Annotated[str | None, AfterValidator(_plain_text)] = None
    #: None for Kubernetes: where it puts the token of a service account.
    jwt_file: File = None
    username: Annotated[str | None, AfterValidator(_plain_text)] = None
    password_file: File = None


#: Ways to log in, each with the keys that it needs and those that it may have besides.
AUTH_METHODS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "token": ((), ("token_file",)),
    "approle": (("role_id_file", "secret_id_file"), ("wrapped", "mount")),
    "kubernetes": (("role",), ("jwt_file", "mount")),
    "jwt": (("jwt_file",), ("role", "mount")),
    "cert": ((), ("role", "mount")),
    "userpass": (("username", "password_file"), ("mount",)),
}


class Vault(Table):
    """`[vault]`: how Vault is reached, and where things are in it."""

    address: WebUrl
    #: "" for the root namespace.
    namespace: Annotated[str, AfterValidator(path.namespace)] = ""
    #: Of a KV version 2 engine.
    mount: VaultPath = "secret"
    pending_prefix: VaultPath = "rotator/pending"
    #: None: the system's certificate authorities.
    ca_file: File = None
    #: rotator's own certificate in TLS; None for none.
    client_cert_file: File = None
    #: Its key; None where it is in the same file.
    client_key_file: File = None
    #: Of one request.
    timeout: Timeout = timedelta(seconds=10)
    auth: VaultAuth = Field(default_factory=VaultAuth)


class Ledger(Table):
    """`[ledger]`: where the record is kept."""

    #: A file whose only line is the URL, for one with a password.
    url_file: File = None
    #: None where `url_file` holds it; `read_url` gives the right one.
    url: Annotated[str | None, AfterValidator(_ledger_url)] = Field(
        default_factory=lambda given: None if given.get("url_file") else _SQLITE_DEFAULT
    )
    #: Whether the schema is upgraded at start.
    auto_upgrade: bool = True

    def read_url(self) -> str:
        """Give the URL, which may hold a password; reads `url_file` where that is set.

        Raises:
            ConfigError: the file cannot be read or holds no ledger's URL.
        """
        if self.url_file is None:
            return self.url or _SQLITE_DEFAULT
        where = f"ledger.url_file: {str(self.url_file)!r}"
        try:
            return url.ledger_url(self.url_file.read_text(encoding="utf-8").strip())
        except OSError as error:
            reason, hint = f"cannot be read: {(error.strerror or 'no reason').lower()}", None
        except UnicodeDecodeError:
            reason, hint = "is not UTF-8", None
        except Unfit as unfit:
            reason, hint = f"holds what {unfit}", unfit.hint
        raise ConfigError(f"{where} {reason}", hint=hint)


class PolicyTable(Table):
    """`[policy]`, and the same keys in an account: None where the key is not given."""

    every: Annotated[timedelta | None, BeforeValidator(duration), _Some] = None
    cron: Annotated[str | None, AfterValidator(cron_expression)] = None
    timezone: Annotated[str | None, AfterValidator(_timezone)] = None
    jitter: Annotated[timedelta | None, BeforeValidator(duration)] = None
    grace: Annotated[timedelta | None, BeforeValidator(duration)] = None
    max_age: Annotated[timedelta | None, BeforeValidator(duration)] = None
    length: Annotated[int | None, AfterValidator(_within(MIN_LENGTH, MAX_LENGTH))] = None
    on_foreign: Annotated[OnForeign | None, BeforeValidator(_on_foreign)] = None
    window: Annotated[tuple[str, ...] | None, BeforeValidator(_windows)] = None
    #: None: the balance is not looked at.
    min_balance: Annotated[Decimal | None, BeforeValidator(_euros)] = None

    def given(self) -> dict[str, Any]:
        """Give the keys of a policy that this table sets, with their values."""
        values = {key: getattr(self, key) for key in PolicyTable.model_fields}
        return {key: value for key, value in values.items() if value is not None}


class Daemon(Table):
    """`[daemon]`: how the daemon works."""

    #: Rotations at once.
    concurrency: Annotated[int, AfterValidator(_within(1, 256))] = 8
    #: How often due accounts are looked for.
    poll: Positive = timedelta(seconds=15)
    #: How often each account is compared with Vonage and Vault between rotations.
    drift_check: Positive = timedelta(hours=6)
    #: How often the subaccounts of each `[[discover]]` are listed.
    discover_check: Positive = timedelta(hours=1)
    #: A file whose only line is what readers of the page have to show; None: they show nothing.
    listen_token_file: File = None
    #: HOST:PORT or unix:/PATH of the status page and metrics; "" for none.
    listen: Annotated[str, AfterValidator(_listen)] = "127.0.0.1:9470"

    def read_listen_token(self) -> SecretValue | None:
        """Give the token of `listen_token_file`; None where that is not set.

        Raises:
            ConfigError: the file cannot be read, or what it holds is no token.
        """
        if self.listen_token_file is None:
            return None
        where = f"daemon.listen_token_file: {str(self.listen_token_file)!r}"
        try:
            text = self.listen_token_file.read_text(encoding="ascii").strip()
        except OSError as error:
            reason = (error.strerror or "no reason").lower()
            raise ConfigError(f"{where} cannot be read: {reason}") from None
        except UnicodeDecodeError:
            text = ""
        if not re.fullmatch("[!-~]{16,}", text):
            hint = "write one there: openssl rand -hex 32"
            raise ConfigError(f"{where} holds no token of at least 16 characters", hint=hint)
        return SecretValue(text)


class Telemetry(Table):
    """`[telemetry]`: where traces are sent."""

    #: An OpenTelemetry collector's base URL for OTLP over HTTP; "" for none.
    otlp_endpoint: Annotated[str, AfterValidator(url.collector_url)] = ""


class AccountTable(PolicyTable):
    """`[[accounts]]`: one account, with the keys of its policy that differ."""

    name: Name
    api_key: ApiKey
    vault_path: VaultPath
    secret_field: FieldName = "api_secret"  # noqa: S105  # a field's name
    key_field: FieldName = "api_key"
    #: Name of the parent account; "" for none.
    managed_by: str = ""


class HookTable(Table):
    """`[[hooks]]`: a command or a web address that is told of events, or asked as a gate."""

    #: None: the command's or the address's.
    name: Annotated[str | None, AfterValidator(_hook_name)] = None
    on: Annotated[list[Event], BeforeValidator(_events)]
    #: None: see `url` and `url_file`.
    command: Annotated[list[str] | None, AfterValidator(_command)] = None
    url: HookUrl | None = None
    #: A file whose only line is the URL, for one that holds a token.
    url_file: File = None
    #: A file with the key that signs the body.
    secret_file: File = None
    format: Annotated[Format, BeforeValidator(_format)] = Format.JSON
    #: Names of accounts; empty for all.
    accounts: list[str] = Field(default_factory=list)
    #: Of one call.
    timeout: Timeout = timedelta(seconds=30)

    def hook(self) -> Hook:
        """Give the hook that the table describes."""
        return Hook(
            name=self.name or self._own_name(),
            on=frozenset(self.on),
            accounts=frozenset(self.accounts),
            timeout=self.timeout,
            command=tuple(self.command or ()),
            url=self.url,
            url_file=self.url_file,
            secret_file=self.secret_file,
            format=self.format,
        )

    def _own_name(self) -> str:
        """Name it by what it calls: the program, the host or the file that holds the address."""
        if self.command:
            return Path(self.command[0]).name
        if self.url:
            return urlsplit(self.url).hostname or ""
        return self.url_file.name if self.url_file else ""


class DiscoverTable(PolicyTable):
    """`[[discover]]`: the subaccounts of one parent, with the keys of their policy that differ."""

    parent: str
    vault_path: VaultPattern
    name: NamePattern = "{api_key}"
    include: Patterns = ("*",)
    exclude: Patterns = ()
    secret_field: FieldName = "api_secret"  # noqa: S105  # a field's name
    key_field: FieldName = "api_key"


#: Every table by its path.
TABLES: Mapping[str, type[Table]] = {
    "vonage": Vonage,
    "vault": Vault,
    "vault.auth": VaultAuth,
    "ledger": Ledger,
    "policy": PolicyTable,
    "daemon": Daemon,
    "telemetry": Telemetry,
    "accounts": AccountTable,
    "discover": DiscoverTable,
    "hooks": HookTable,
}

#: Tables of which there may be several, which no variable can name.
LISTS = ("accounts", "discover", "hooks")

#: Keys of one table of which only one may be given.
EXCLUSIVE: Mapping[str, tuple[str, str]] = {
    "ledger": ("url", "url_file"),
    "policy": ("every", "cron"),
    "accounts": ("every", "cron"),
    "discover": ("every", "cron"),
}


def keys_of(table: str) -> list[str]:
    """Give the keys of a table; of the whole file for ""."""
    if not table:
        return [name for name in TABLES if "." not in name]
    return list(TABLES[table].model_fields) if table in TABLES else []


def paths_of(key: str) -> list[str]:
    """Give every path at which `key` is known."""
    return [f"{table}.{key}" for table, model in TABLES.items() if key in model.model_fields]
