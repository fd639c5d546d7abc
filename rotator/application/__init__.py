"""Builds rotator's objects from its settings. The only module that knows every adapter.

Everything is built on first use, so that a command imports no more than it needs: `status`
reads the ledger and never loads the clients of Vonage and Vault.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING, Self

from rotator.config import Settings, VaultAuthSettings
from rotator.config.urls import sqlite_path
from rotator.errors import ConfigError, LedgerUnusable, RotatorError
from rotator.model import Account
from rotator.model.notification import Event, PendingDelivery, subscribers
from rotator.rotation.ports import NewEntry

if TYPE_CHECKING:
    import sqlalchemy

    from rotator.hooks import HookDispatcher
    from rotator.ledger.copy import CopyResult
    from rotator.ledger.deliveries import Deliveries
    from rotator.ledger.discovery import DiscoveredSubaccounts
    from rotator.ledger.holds import Holds
    from rotator.ledger.reader import LedgerReader, SummaryCache
    from rotator.ledger.writer import LedgerWriter
    from rotator.rotation.reconciler import Reconciler
    from rotator.telemetry.tracing import Tracing
    from rotator.vault import AuthMethod, KvStore, TokenSource, VaultSession
    from rotator.vonage import Accounts, Secrets, Subaccounts, VonageClient

#: Called with `vonage` or `vault`, the operation, its result, and the duration in seconds.
OnCall = Callable[[str, str, str, float], None]


class Application:
    """rotator's objects, built on first use. Close it, or use it in a `with` statement."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        on_call: OnCall | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        is_hasty: bool = False,
    ) -> None:
        """Build from `settings`; `environ` may contain VAULT_TOKEN.

        `is_hasty` is for a person who only looks, and prefers an early error if Vault is
        unreachable. `on_call` is called for every HTTP request to Vonage and Vault. `should_stop`
        is asked between the steps of a pass, and while a hook runs: whether this process is to end.
        """
        self.settings = settings
        self._environ = environ
        self._on_call = on_call
        self._should_stop = should_stop
        self._is_hasty = is_hasty
        self._is_over = Flag()
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        """Return self, for a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything that was opened."""
        self.close()

    def stop_waiting(self) -> None:
        """Stop every wait for an unreachable Vault."""
        self._is_over.set()

    def close(self) -> None:
        """Close everything that was opened. Idempotent."""
        self._cleanup.close()

    # -- The ledger. -----------------------------------------------------------------------

    @cached_property
    def database(self) -> "sqlalchemy.Engine":
        """The ledger's database, whatever its schema."""
        from rotator.ledger.database import open_database  # noqa: PLC0415  # see above

        database = open_database(self.settings.ledger.read_url())
        self._cleanup.callback(database.dispose)
        return database

    @cached_property
    def _ready_database(self) -> "sqlalchemy.Engine":
        """The ledger's database, with this version's schema ensured."""
        from rotator.ledger import schema  # noqa: PLC0415  # see above

        schema.ensure(self.database, auto_upgrade=self.settings.ledger.auto_upgrade)
        return self.database

    @cached_property
    def queries(self) -> "LedgerReader":
        """The reader of the ledger."""
        from rotator.ledger.reader import LedgerReader  # noqa: PLC0415  # see above

        return LedgerReader(self._ready_database)

    @cached_property
    def _pages_database(self) -> "sqlalchemy.Engine":
        """The ledger's database for pages, whose connections no pass has to wait for."""
        from rotator.ledger.readers import open_for_readers  # noqa: PLC0415  # see above

        _ = self._ready_database
        database = open_for_readers(self.settings.ledger.read_url())
        self._cleanup.callback(database.dispose)
        return database

    @cached_property
    def page_queries(self) -> "LedgerReader":
        """The reader of the ledger for pages."""
        from rotator.ledger.reader import LedgerReader  # noqa: PLC0415  # see above

        return LedgerReader(self._pages_database)

    @cached_property
    def survey(self) -> "SummaryCache":
        """Cache of all account summaries, for pages."""
        from rotator.ledger.reader import SummaryCache  # noqa: PLC0415  # see above

        return SummaryCache(self._pages_database)

    @cached_property
    def holds(self) -> "Holds":
        """Operators' holds."""
        from rotator.ledger.holds import Holds  # noqa: PLC0415  # see above

        return Holds(self._ready_database)

    @cached_property
    def found(self) -> "DiscoveredSubaccounts":
        """The subaccounts that were discovered below parents."""
        from rotator.ledger.discovery import DiscoveredSubaccounts  # noqa: PLC0415  # see above

        return DiscoveredSubaccounts(self._ready_database)

    def settings_with_found(self) -> Settings:
        """Return the settings merged with the ledger's subaccounts; creates no ledger.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        from rotator.ledger import schema  # noqa: PLC0415  # see above
        from rotator.ledger.discovery import DiscoveredSubaccounts  # noqa: PLC0415  # see above

        if not self.settings.discover or self.revision() != schema.HEAD:
            return self.settings
        return self.settings.with_found(DiscoveredSubaccounts(self.database).all())

    @cached_property
    def book(self) -> "LedgerWriter":
        """Writer of the ledger."""
        from rotator.ledger.writer import LedgerWriter  # noqa: PLC0415  # see above

        return LedgerWriter(
            self._ready_database, lease_seconds=self._lease_seconds(), hearing=self._hearing
        )

    def _hearing(self, event: Event, name: str) -> tuple[str, ...]:
        return subscribers(self.settings.hooks, event, name)

    @cached_property
    def deliveries(self) -> "Deliveries":
        """Pending deliveries to hooks."""
        from rotator.ledger.deliveries import Deliveries  # noqa: PLC0415  # see above

        return Deliveries(self._ready_database)

    @cached_property
    def present_queries(self) -> "LedgerReader":
        """Reader of an existing ledger, without migrating it.

        Raises:
            LedgerUnusable: the ledger's schema is not this version's.
        """
        from rotator.ledger import schema  # noqa: PLC0415  # see above
        from rotator.ledger.reader import LedgerReader  # noqa: PLC0415  # see above

        schema.ensure(self.database, auto_upgrade=False)
        return LedgerReader(self.database)

    @cached_property
    def present_book(self) -> "LedgerWriter":
        """Ledger for a dry run, without migrating it: a missing one is blank and is not created.

        Raises:
            LedgerUnusable: the ledger's schema is not this version's.
        """
        from rotator.ledger import schema  # noqa: PLC0415  # see above
        from rotator.ledger.writer import LedgerWriter  # noqa: PLC0415  # see above

        is_there = self.revision() is not None
        database = self.database if is_there else self._blank_database()
        schema.ensure(database, auto_upgrade=not is_there)
        return LedgerWriter(database, lease_seconds=self._lease_seconds())

    def _blank_database(self) -> "sqlalchemy.Engine":
        from tempfile import TemporaryDirectory  # noqa: PLC0415  # few need it

        from rotator.ledger.database import open_database  # noqa: PLC0415  # see above

        folder = self._cleanup.enter_context(TemporaryDirectory(prefix="rotator-"))
        database = open_database(f"sqlite:///{folder}/blank.db")
        self._cleanup.callback(database.dispose)
        return database

    def revision(self) -> str | None:
        """Return the revision of the ledger's schema; None where there is no ledger yet."""
        from rotator.ledger import schema  # noqa: PLC0415  # see above

        file = sqlite_path(self.settings.ledger.read_url())
        try:
            # Connecting creates the file.
            is_there = file is None or Path(file).exists()
        except OSError:
            # Its folder may be unreadable: SQLite will report that, and create nothing.
            is_there = True
        return schema.revision(self.database) if is_there else None

    def upgrade(self) -> None:
        """Upgrade the ledger's schema."""
        from rotator.ledger import schema  # noqa: PLC0415  # see above

        schema.upgrade(self.database)

    def copy_ledger(self, url: str) -> "CopyResult":
        """Copy the ledger into the empty database at `url`; see `rotator.ledger.copy.copy`.

        Raises:
            LedgerUnusable: there is no ledger to copy, or it cannot be copied to `url`.
            RotatorError: as `copy`.
        """
        from rotator.ledger.copy import copy  # noqa: PLC0415  # see above
        from rotator.ledger.database import open_database  # noqa: PLC0415  # see above

        if self.revision() is None:
            hint = "check ledger.url; a new ledger is not copied but made: `rotator db upgrade`"
            raise LedgerUnusable("there is no ledger to copy", hint=hint)
        target = open_database(url)
        self._cleanup.callback(target.dispose)
        return copy(self.database, target, now=datetime.now(UTC))

    def _lease_seconds(self) -> float:
        """Return a length beyond the longest single call, including retries at Vonage and Vault."""
        vonage, vault = self.settings.vonage.timeout, self.settings.vault
        hook = max((hook.timeout for hook in self.settings.hooks), default=timedelta())
        longest = 3 * (vonage + vault.timeout) + vault.patience + hook
        return 60 + 2 * longest.total_seconds()

    def undelivered(self, *, for_pages: bool = False) -> dict[str, tuple[PendingDelivery, ...]]:
        """Return each account's pending deliveries, the oldest first; empty without hooks."""
        from rotator.ledger.deliveries import Deliveries  # noqa: PLC0415  # see above

        found: dict[str, tuple[PendingDelivery, ...]] = {}
        if self.settings.hooks:
            deliveries = Deliveries(self._pages_database) if for_pages else self.deliveries
            for each in deliveries.undelivered([hook.name for hook in self.settings.hooks]):
                found[each.account] = (*found.get(each.account, ()), each)
        return found

    # -- Vonage. ---------------------------------------------------------------------------

    @cached_property
    def vonage(self) -> "VonageClient":
        """The shared client of Vonage's APIs."""
        from rotator.vonage import VonageClient  # noqa: PLC0415  # see above

        settings = self.settings.vonage
        return VonageClient(
            api_url=settings.api_url,
            rest_url=settings.rest_url,
            timeout=settings.timeout.total_seconds(),
            max_requests_per_second=settings.max_requests_per_second,
            on_call=self._told_of("vonage"),
        )

    @cached_property
    def secrets(self) -> "Secrets":
        """The Account API's secrets; the reconciler's issuer."""
        from rotator.vonage import Secrets  # noqa: PLC0415  # see above

        return Secrets(self.vonage)

    @cached_property
    def accounts_api(self) -> "Accounts":
        """The Account API's balance, top-up and settings."""
        from rotator.vonage import Accounts  # noqa: PLC0415  # see above

        return Accounts(self.vonage)

    @cached_property
    def subaccounts_api(self) -> "Subaccounts":
        """The Account API's subaccounts."""
        from rotator.vonage import Subaccounts  # noqa: PLC0415  # see above

        return Subaccounts(self.vonage)

    # -- Vault. ----------------------------------------------------------------------------

    @cached_property
    def vault(self) -> "VaultSession":
        """The connection to Vault, with its login."""
        from rotator.vault import Trust, VaultSession  # noqa: PLC0415  # see above

        settings = self.settings.vault
        connection = VaultSession(
            settings.address,
            token_source=self._token_source(),
            namespace=settings.namespace,
            trust=Trust(
                ca_file=_name(settings.ca_file),
                client_cert_file=_name(settings.client_cert_file),
                client_key_file=_name(settings.client_key_file),
            ),
            timeout=settings.timeout.total_seconds(),
            patience=self._store_patience.total_seconds(),
            on_call=self._told_of("vault"),
            should_stop=lambda: self._is_over.is_set() or self._should_stop(),
        )
        self._cleanup.callback(connection.close)
        return connection

    @property
    def _store_patience(self) -> timedelta:
        vault = self.settings.vault
        return min(vault.patience, vault.timeout) if self._is_hasty else vault.patience

    def _token_source(self) -> "TokenSource":
        from rotator.vault import EnvToken, FileToken, LoginToken  # noqa: PLC0415  # see above

        auth = self.settings.vault.auth
        if auth.method != "token":
            return LoginToken(self._way(auth))
        if auth.token_file:
            return FileToken(_name(auth.token_file))
        return EnvToken(self._environ.get("VAULT_TOKEN", ""))

    def _way(self, auth: VaultAuthSettings) -> "AuthMethod":
        from rotator import vault  # noqa: PLC0415  # see above

        mount, role = auth.mount or "", auth.role or ""
        match auth.method:
            case "approle":
                return vault.AppRole(
                    role_id_file=_name(auth.role_id_file),
                    secret_id_file=_name(auth.secret_id_file),
                    wrapped=bool(auth.wrapped),
                    mount=mount,
                )
            case "kubernetes":
                return vault.Kubernetes(role=role, jwt_file=_name(auth.jwt_file), mount=mount)
            case "jwt":
                return vault.Jwt(jwt_file=_name(auth.jwt_file), role=role, mount=mount)
            case "cert":
                return vault.Certificate(role=role, mount=mount)
            case _:
                return vault.Userpass(
                    username=auth.username or "",
                    password_file=_name(auth.password_file),
                    mount=mount,
                )

    @cached_property
    def store(self) -> "KvStore":
        """Vault's KV engine; the reconciler's store."""
        from rotator.vault import KvStore  # noqa: PLC0415  # see above

        return KvStore(self.vault, self.settings.vault.mount)

    def store_failure(self) -> RotatorError | None:
        """Return why Vault cannot be used, checked once instead of for each account."""
        try:
            self.store.check()
        except RotatorError as error:
            return error
        return None

    # -- Hooks. ----------------------------------------------------------------------------

    @cached_property
    def dispatcher(self) -> "HookDispatcher":
        """Dispatcher of hooks, for passes and for deliveries."""
        from rotator.hooks import HookDispatcher  # noqa: PLC0415  # see above
        from rotator.hooks.runner import HookRunner  # noqa: PLC0415  # see above

        file = sqlite_path(self.settings.ledger.read_url())
        return HookDispatcher(
            hooks=self.settings.hooks,
            accounts=self.accounts,
            mount=self.settings.vault.mount,
            # Not before it is needed: a dry run creates no ledger.
            outbox=lambda: self.deliveries,
            caller=HookRunner(
                environ=self._environ,
                should_stop=self._should_stop,
                ledger_file=Path(file) if file else None,
            ),
            now=lambda: datetime.now(UTC),
        )

    def _told_of(self, api: str) -> Callable[[str, str, float], None]:
        """Return a callback that reports the calls of one API to every listener."""
        tracing = self.tracing
        listeners = [self._on_call, tracing.called if tracing else None]

        def told(operation: str, code: str, seconds: float) -> None:
            for listener in filter(None, listeners):
                listener(api, operation, code, seconds)

        return told

    # -- The reconciler. -------------------------------------------------------------------

    @cached_property
    def accounts(self) -> dict[str, Account]:
        """Every configured account by name."""
        return {account.name: account for account in self.settings.accounts}

    def engine(
        self,
        listener: Callable[[str, NewEntry], None] = lambda _name, _draft: None,
        *,
        ledger: "LedgerWriter | None" = None,
    ) -> "Reconciler":
        """Return a reconciler that passes each ledger entry to `listener` once it is committed.

        `ledger` replaces `book`: a reconciler on `present_book` is for dry runs.
        """
        from rotator.rotation.dependencies import NoHooks  # noqa: PLC0415  # see above
        from rotator.rotation.reconciler import Reconciler  # noqa: PLC0415  # see above

        engine = Reconciler(
            issuer=self.secrets,
            store=self.store,
            ledger=ledger or self.book,
            accounts=self.accounts,
            propagation_timeout=self.settings.vonage.propagation_timeout,
            store_patience=self._store_patience,
            listener=listener,
            hooks=self.dispatcher if self.settings.hooks else NoHooks(),
            should_stop=self._should_stop,
        )
        return self.tracing.traced(engine) if self.tracing else engine

    # -- Traces. ---------------------------------------------------------------------------

    @cached_property
    def tracing(self) -> "Tracing | None":
        """Tracing of rotations; None where no collector is configured.

        Raises:
            ConfigError: a collector is configured, and the packages for it are not installed.
        """
        endpoint = self.settings.telemetry.otlp_endpoint
        is_asked = any(self._environ.get(name) for name in _COLLECTOR_VARIABLES)
        is_off = self._environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        if is_off or not (endpoint or is_asked):
            return None
        try:
            from rotator.telemetry.tracing import to_collector  # noqa: PLC0415  # an extra
        except ModuleNotFoundError:
            if not endpoint:
                # The variable is set for all programs on this machine.
                return None
            message = "telemetry.otlp_endpoint needs OpenTelemetry, which is not installed"
            raise ConfigError(message, hint="install `rotator[otel]`") from None
        tracing = to_collector(endpoint)
        self._cleanup.callback(tracing.close)
        return tracing


def _name(path: Path | None) -> str:
    """Return a file's path as text; "" for none."""
    return str(path) if path else ""


#: Standard names of the variables for a trace collector.
_COLLECTOR_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")
