"""The clients of Vonage and Vault that the settings describe."""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import timedelta
from functools import cached_property
from pathlib import Path

from rotator.config import Settings, VaultAuthSettings
from rotator.errors import RotatorError
from rotator.rotation.ports import Observer
from rotator.vault import (
    AppRole,
    AuthMethod,
    Certificate,
    EnvToken,
    FileToken,
    Jwt,
    Kubernetes,
    KvStore,
    LoginToken,
    TokenSource,
    Trust,
    Userpass,
    VaultSession,
)
from rotator.vonage import Accounts, Audit, Secrets, Subaccounts, VonageClient


class Clients:
    """The clients of Vonage and Vault, built on first use."""

    def __init__(  # noqa: PLR0913  # the application's parts, by name
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        observer: Observer,
        store_patience: timedelta,
        should_stop: Callable[[], bool],
        cleanup: ExitStack,
    ) -> None:
        """Connect nothing yet; what is connected is closed by `cleanup`.

        `environ` may contain VAULT_TOKEN. Calls of Vault are retried for `store_patience` while it
        is unreachable, but not once `should_stop` returns true.
        """
        self._settings = settings
        self._environ = environ
        self._observer = observer
        self._store_patience = store_patience
        self._should_stop = should_stop
        self._cleanup = cleanup

    @cached_property
    def vonage(self) -> VonageClient:
        """The client of Vonage's APIs that all others share."""
        settings = self._settings.vonage
        return VonageClient(
            api_url=settings.api_url,
            rest_url=settings.rest_url,
            timeout=settings.timeout.total_seconds(),
            max_requests_per_second=settings.max_requests_per_second,
            observer=self._observer,
        )

    @cached_property
    def secrets(self) -> Secrets:
        """The Account API's secrets; the reconciler's issuer."""
        return Secrets(self.vonage)

    @cached_property
    def accounts(self) -> Accounts:
        """The Account API's balance, top-up and settings."""
        return Accounts(self.vonage)

    @cached_property
    def subaccounts(self) -> Subaccounts:
        """The Account API's subaccounts."""
        return Subaccounts(self.vonage)

    @cached_property
    def audit(self) -> Audit:
        """The Audit API."""
        return Audit(self.vonage)

    @cached_property
    def vault(self) -> VaultSession:
        """The session with Vault, with its login."""
        settings = self._settings.vault
        session = VaultSession(
            settings.address,
            token_source=self._token_source(settings.auth),
            namespace=settings.namespace,
            trust=Trust(
                ca_file=_text(settings.ca_file),
                client_cert_file=_text(settings.client_cert_file),
                client_key_file=_text(settings.client_key_file),
            ),
            timeout=settings.timeout.total_seconds(),
            patience=self._store_patience.total_seconds(),
            observer=self._observer,
            should_stop=self._should_stop,
        )
        self._cleanup.callback(session.close)
        return session

    def _token_source(self, auth: VaultAuthSettings) -> TokenSource:
        if auth.method != "token":
            return LoginToken(_auth_method(auth))
        if auth.token_file:
            return FileToken(_text(auth.token_file))
        return EnvToken(self._environ.get("VAULT_TOKEN", ""))

    @cached_property
    def store(self) -> KvStore:
        """Vault's KV engine; the reconciler's store."""
        return KvStore(self.vault, self._settings.vault.mount)

    def store_failure(self) -> RotatorError | None:
        """Return why Vault cannot be used, checked once instead of for each account."""
        try:
            self.store.check()
        except RotatorError as error:
            return error
        return None


def _auth_method(auth: VaultAuthSettings) -> AuthMethod:
    mount, role = auth.mount or "", auth.role or ""
    match auth.method:
        case "approle":
            return AppRole(
                role_id_file=_text(auth.role_id_file),
                secret_id_file=_text(auth.secret_id_file),
                wrapped=bool(auth.wrapped),
                mount=mount,
            )
        case "kubernetes":
            return Kubernetes(role=role, jwt_file=_text(auth.jwt_file), mount=mount)
        case "jwt":
            return Jwt(jwt_file=_text(auth.jwt_file), role=role, mount=mount)
        case "cert":
            return Certificate(role=role, mount=mount)
        case _:
            return Userpass(
                username=auth.username or "",
                password_file=_text(auth.password_file),
                mount=mount,
            )


def _text(path: Path | None) -> str:
    """Return a file's path as text; "" for none."""
    return str(path) if path else ""
