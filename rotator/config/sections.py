"""The tables of single sections, `[vault]` to `[telemetry]`, as in the file."""

import re
from collections.abc import Iterator, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Annotated

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
)

from rotator.config import types, urls
from rotator.config.errors import ConfigProblem, InvalidValue, Location, did_you_mean
from rotator.config.types import (
    File,
    PathContext,
    Patience,
    Positive,
    Table,
    Timeout,
    VaultPath,
    WebUrl,
    form,
)
from rotator.config.witness import WitnessSettings
from rotator.errors import ConfigError, reason_of
from rotator.model import SecretValue

#: Auth methods, each with its required and its optional keys.
AUTH_METHODS: Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "token": ((), ("token_file",)),
    "approle": (("role_id_file",), ("secret_id_file", "wrapped", "mount")),
    "kubernetes": (("role",), ("jwt_file", "mount")),
    "jwt": (("jwt_file",), ("role", "mount")),
    "cert": ((), ("role", "mount")),
    "userpass": (("username", "password_file"), ("mount",)),
}


def _method(text: str) -> str:
    if text not in AUTH_METHODS:
        raise InvalidValue(
            f"is not one of {', '.join(AUTH_METHODS)}{did_you_mean(text, AUTH_METHODS)}"
        )
    return text


def _plain_text(text: str | None) -> str | None:
    if text is not None and not text.isprintable():
        raise InvalidValue("has control characters")
    return text or None


def _auth_mount(text: str | None) -> str | None:
    if not (text or "").strip("/"):
        return None
    mount = types.vault_path(text or "")
    if mount == "auth" or mount.startswith("auth/"):
        raise InvalidValue("begins with auth/, which is implied: leave it out")
    return mount


class VaultAuthSettings(Table):
    """`[vault.auth]`: how rotator logs in to Vault.

    `AUTH_METHODS` says which keys go together.
    """

    method: Annotated[
        str,
        AfterValidator(_method),
        WithJsonSchema({"type": "string", "enum": list(AUTH_METHODS)}),
    ] = "token"
    #: Mount of the auth method; None for its default, the method's name.
    mount: Annotated[
        str | None,
        AfterValidator(_auth_mount),
        form(f"/*|{types.VAULT_PATH_FORM}", **{"not": {"pattern": "^/*auth/*($|/)"}}),
    ] = None
    #: None: $VAULT_TOKEN is read at login.
    token_file: File = None
    role_id_file: File = None
    #: None for a role that needs none.
    secret_id_file: File = None
    #: Whether `secret_id_file` contains a wrapping token for the secret id.
    wrapped: bool | None = None
    #: None for the method's default role.
    role: Annotated[str | None, AfterValidator(_plain_text)] = None
    #: None for Kubernetes: its default path of a service account's token.
    jwt_file: File = None
    username: Annotated[str | None, AfterValidator(_plain_text)] = None
    password_file: File = None


class VaultSettings(Table):
    """`[vault]`: how to reach Vault, and where the entries are."""

    address: Annotated[WebUrl, form(f"|{urls.WEB_FORM}")]
    #: "" for the root namespace.
    namespace: Annotated[
        str,
        AfterValidator(types.namespace),
        form(f"/*|{types.VAULT_PATH_FORM}", **{"not": {"pattern": " "}}),
    ] = ""
    #: Mount of a KV version 2 engine.
    mount: VaultPath = "secret"
    pending_prefix: VaultPath = "rotator/pending"
    #: None: the system's certificate authorities.
    ca_file: File = None
    #: rotator's own certificate for TLS; None for none.
    client_cert_file: File = None
    #: Its key; None where it is in the certificate's file.
    client_key_file: File = None
    #: For one request.
    timeout: Timeout = timedelta(seconds=10)
    #: How long a request is retried while Vault is unreachable.
    patience: Patience = timedelta(minutes=1)
    auth: VaultAuthSettings = Field(default_factory=VaultAuthSettings)


class VonageSettings(Table):
    """`[vonage]`: how to reach Vonage."""

    api_url: WebUrl = "https://api.nexmo.com"
    rest_url: WebUrl = "https://rest.nexmo.com"
    #: For one request.
    timeout: Timeout = timedelta(seconds=10)
    #: For all accounts together.
    max_requests_per_second: Annotated[float, Field(allow_inf_nan=False, ge=0.001)] = 5.0
    #: How long Vonage may take until it accepts a new secret everywhere.
    propagation_timeout: Positive = timedelta(minutes=2)
    #: Whether Vonage's Audit API is asked who made or revoked a secret that rotator did not.
    audit: bool = False


def auth_problems(vault: VaultSettings, place: Location) -> Iterator[ConfigProblem]:
    """Yield the keys that the method lacks, and those that belong to another one."""
    auth = vault.auth
    required, optional = AUTH_METHODS[auth.method]
    given = [key for key, value in dict(auth).items() if key != "method" and value is not None]
    for key in given:
        if key not in (*required, *optional):
            methods = AUTH_METHODS.items()
            owners = [repr(each) for each, (must, may) in methods if key in (*must, *may)]
            several = "s" if len(owners) > 1 else ""
            yield place.problem(
                f"auth.{key}",
                f"belongs to method{several} {' and '.join(owners)}, not to method {auth.method!r}",
                "set vault.auth.method to the one that is meant, or remove the key",
            )
    for key in required:
        if key not in given:
            yield place.problem(f"auth.{key}", f"is required by method {auth.method!r}")
    if auth.wrapped and auth.secret_id_file is None:
        yield place.problem(
            "auth.wrapped",
            "is true, and there is no secret_id_file",
            "name the file that holds the wrapping token",
        )
    if vault.client_cert_file is None and auth.method == "cert":
        yield place.problem("client_cert_file", "is required by method 'cert'")
    elif vault.client_cert_file is None and vault.client_key_file is not None:
        hint = "set vault.client_cert_file too"
        yield place.problem("client_key_file", "is the key of no certificate", hint)


def _listen(text: str, info: ValidationInfo) -> str:
    return urls.listen_address(text, has_token=info.data.get("listen_token_file") is not None)


#: A host in a Host header, without a port (RFC 1123, RFC 9110 section 7.2).
_HOST = r"(?!-)[a-z0-9_-]{1,63}(\.[a-z0-9_-]{1,63})*|\[[0-9a-f:.]+\]"

_HOST_ITEM = {"type": "string", "pattern": r"^([A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\]\.*)$"}
_HOST_TEXT = {"type": "string", "pattern": r"^[A-Za-z0-9_.:\[\],\s-]*$"}

_HOW_TO_WRITE_HOSTS = 'write ["rotator.example.com"]: names alone, without scheme and port'


def _hosts(value: object) -> tuple[str, ...]:
    """Accept a list of hosts, or a text separated by blanks or commas, as from a variable."""
    texts = re.findall(r"[^\s,]+", value) if isinstance(value, str) else value
    if not isinstance(texts, list | tuple) or not all(isinstance(text, str) for text in texts):
        raise InvalidValue("is not a list of hosts", hint=_HOW_TO_WRITE_HOSTS)
    hosts = [text.lower().rstrip(".") for text in texts]
    for host in hosts:
        if not re.fullmatch(_HOST, host):
            raise InvalidValue("has an entry that is not a host name", hint=_HOW_TO_WRITE_HOSTS)
    return tuple(dict.fromkeys(hosts))


class DaemonSettings(Table):
    """`[daemon]`: settings of the daemon."""

    #: Concurrent rotations.
    concurrency: Annotated[int, Field(ge=1, le=256)] = 8
    #: Interval for polling due accounts.
    poll: Positive = timedelta(seconds=15)
    #: Interval for comparing each account with Vonage and Vault between rotations.
    drift_check: Positive = timedelta(hours=6)
    #: Interval for listing the subaccounts of each `[[discover]]`.
    discover_check: Positive = timedelta(hours=1)
    #: A file whose only line is the token for readers of the page; None: no token is required.
    listen_token_file: File = None
    #: HOST:PORT or unix:/PATH of the status page and metrics; "" for none.
    listen: Annotated[str, AfterValidator(_listen), form(urls.LISTEN_FORM)] = "127.0.0.1:9470"
    #: Other host names in requests for the page; a request with the token may use any.
    allowed_hosts: Annotated[
        tuple[str, ...],
        BeforeValidator(_hosts),
        WithJsonSchema({"anyOf": [_HOST_TEXT, {"type": "array", "items": _HOST_ITEM}]}),
    ] = ()

    def read_listen_token(self) -> SecretValue | None:
        """Read the token in `listen_token_file`; None where that is not set.

        Raises:
            ConfigError: the file cannot be read, or does not contain a token.
        """
        if self.listen_token_file is None:
            return None
        where = f"daemon.listen_token_file: {str(self.listen_token_file)!r}"
        try:
            text = self.listen_token_file.read_text(encoding="ascii").strip()
        except OSError as error:
            raise ConfigError(f"{where} cannot be read: {reason_of(error)}") from None
        except UnicodeDecodeError:
            text = ""
        if not re.fullmatch("[!-~]{16,}", text):
            hint = "write one there: openssl rand -hex 32"
            raise ConfigError(
                f"{where} does not contain a token of at least 16 characters", hint=hint
            )
        return SecretValue(text)


_SQLITE_DEFAULT = "sqlite:////var/lib/rotator/ledger.db"


def _ledger_url(text: str, info: ValidationInfo) -> str:
    if urls.has_password(text):
        raise InvalidValue(
            "has a password",
            hint="put the whole URL into a file that ledger.url_file names; "
            "or use peer authentication, or $PGPASSFILE",
        )
    found = urls.ledger_url(text)
    file = urls.sqlite_path(found)
    return found if file is None else f"sqlite:///{types.around(info).resolve(file)}"


class LedgerSettings(Table):
    """`[ledger]`: where the ledger is kept."""

    #: A file whose only line is the URL, for a URL with a password.
    url_file: File = None
    #: None where `url_file` contains it; `read_url` returns the effective one.
    url: Annotated[
        str | None,
        AfterValidator(_ledger_url),
        form(urls.LEDGER_FORM, **{"not": {"pattern": urls.NO_LEDGER_FORM}}),
    ] = Field(default_factory=lambda given: None if given.get("url_file") else _SQLITE_DEFAULT)
    #: Whether the schema is upgraded at start.
    auto_upgrade: bool = True
    witness: WitnessSettings = Field(default_factory=WitnessSettings)

    def read_url(self) -> str:
        """Return the URL, which may hold a password; read from `url_file` where that is set.

        Raises:
            ConfigError: the file cannot be read, or does not contain a ledger's URL.
        """
        if self.url_file is None:
            return self.url or _SQLITE_DEFAULT
        where = f"ledger.url_file: {str(self.url_file)!r}"
        try:
            return urls.ledger_url(self.url_file.read_text(encoding="utf-8").strip())
        except OSError as error:
            reason, hint = f"cannot be read: {reason_of(error)}", None
        except UnicodeDecodeError:
            reason, hint = "is not UTF-8", None
        except InvalidValue as invalid:
            reason, hint = f"contains a URL that {invalid}", invalid.hint
        raise ConfigError(f"{where} {reason}", hint=hint)


class TelemetrySettings(Table):
    """`[telemetry]`: where traces are sent."""

    #: An OpenTelemetry collector's base URL for OTLP over HTTP; "" for none.
    otlp_endpoint: Annotated[
        str, AfterValidator(urls.collector_url), form(f"|{urls.SERVER_FORM}")
    ] = ""


def ledger_at(url: str | None, url_file: Path | None) -> LedgerSettings:
    """Return the ledger at `url`, or at the URL in the file `url_file`; one of them is given.

    Relative paths refer to the working directory.

    Raises:
        ConfigError: it is not a ledger's URL, or contains a password, which other users could see.
    """
    given = {"url": url} if url_file is None else {"url_file": url_file.absolute()}
    try:
        return LedgerSettings.model_validate(
            given, context=PathContext(base=Path.cwd(), environ={})
        )
    except ValidationError as error:
        [detail] = error.errors(include_url=False)
    invalid = detail.get("ctx", {}).get("error")
    rule = str(invalid) if isinstance(invalid, InvalidValue) else "is not valid"
    hint = getattr(invalid, "hint", None)
    if rule == "has a password":
        hint = "put the whole URL into a file and name that with --to-file"
    # Not repeated: the fault may be that it contains a secret.
    raise ConfigError(f"the target's URL {rule}", hint=hint)
