"""The tables of the file: their keys, types, defaults and what each value may be.

A value that has a rule of its own is checked here; what depends on other tables is checked
in `accounts`. Values are as typed as TOML makes them: "25" is no number.
"""

import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Annotated, Any, TypeVar
from zoneinfo import ZoneInfo, available_timezones

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationInfo

from rotator.composition import MAX_LENGTH, MIN_LENGTH
from rotator.config import path, url
from rotator.config.cron import cron_expression
from rotator.config.duration import duration, format_duration
from rotator.config.problem import Unfit, did_you_mean
from rotator.errors import ConfigError
from rotator.model import OnForeign

Ordered = TypeVar("Ordered", int, float, timedelta)

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


def _plain(value: float | timedelta) -> str:
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


def _on_foreign(value: object) -> OnForeign:
    for known in OnForeign:
        if value == known:
            return known
    raise Unfit(f"is not one of {', '.join(OnForeign)}")


def _timezone(text: str) -> str:
    try:
        ZoneInfo(text)
    except (ValueError, LookupError, OSError):
        meant = did_you_mean(text, sorted(available_timezones()))
        hint = "write an IANA name, as Europe/Berlin or UTC"
        raise Unfit(f"is no time zone{meant}", hint=hint) from None
    return text


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
VaultPath = Annotated[str, AfterValidator(path.vault_path)]
FieldName = Annotated[str, AfterValidator(_field_name)]
Name = Annotated[
    str,
    AfterValidator(
        partial(
            _written_as,
            r"[a-z0-9]([a-z0-9._-]{0,62}[a-z0-9_-])?",
            "is no account name: at most 64 of a-z 0-9 . _ -, "
            "the first a letter or digit, the last no dot",
        )
    ),
]
ApiKey = Annotated[
    str,
    AfterValidator(
        partial(_written_as, "[A-Za-z0-9]{1,64}", "is no api key: letters and digits, at most 64")
    ),
]


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
    #: HOST:PORT of the status page and metrics; "" for none.
    listen: Annotated[str, AfterValidator(url.listen_address)] = "127.0.0.1:9470"


class AccountTable(PolicyTable):
    """`[[accounts]]`: one account, with the keys of its policy that differ."""

    name: Name
    api_key: ApiKey
    vault_path: VaultPath
    secret_field: FieldName = "api_secret"  # noqa: S105  # a field's name
    key_field: FieldName = "api_key"
    #: Name of the parent account; "" for none.
    managed_by: str = ""


#: Every table by its path.
TABLES: Mapping[str, type[Table]] = {
    "vonage": Vonage,
    "vault": Vault,
    "vault.auth": VaultAuth,
    "ledger": Ledger,
    "policy": PolicyTable,
    "daemon": Daemon,
    "accounts": AccountTable,
}

#: Keys of one table of which only one may be given.
EXCLUSIVE: Mapping[str, tuple[str, str]] = {
    "ledger": ("url", "url_file"),
    "policy": ("every", "cron"),
    "accounts": ("every", "cron"),
}


def keys_of(table: str) -> list[str]:
    """Give the keys of a table; of the whole file for ""."""
    if not table:
        return [name for name in TABLES if "." not in name]
    return list(TABLES[table].model_fields) if table in TABLES else []


def paths_of(key: str) -> list[str]:
    """Give every path at which `key` is known."""
    return [f"{table}.{key}" for table, model in TABLES.items() if key in model.model_fields]
