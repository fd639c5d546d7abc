"""Builds rotator's objects from its settings. The only package that knows every adapter.

Everything is built and imported on first use, so that a command loads no more than it needs:
`status` reads the ledger and never loads the clients of Vonage and Vault.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from functools import cached_property
from pathlib import Path
from threading import Event as Flag
from typing import TYPE_CHECKING, Self

from rotator.config import Settings
from rotator.config.urls import sqlite_path
from rotator.errors import ConfigError
from rotator.model import PassResult
from rotator.rotation.ports import NewEntry, NoObserver, Observer

if TYPE_CHECKING:
    from rotator.application.clients import Clients
    from rotator.application.ledger import LedgerAccess
    from rotator.application.witness import WitnessAccess
    from rotator.hooks import HookDispatcher
    from rotator.ledger.writer import LedgerWriter
    from rotator.rotation.origins import Origins
    from rotator.rotation.reconciler import Reconciler
    from rotator.telemetry.tracing import Tracing

#: Standard names of the variables for a trace collector.
_COLLECTOR_VARIABLES = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT")


class Observers(Observer):
    """Several observers as one, told in their order."""

    def __init__(self, *observers: Observer) -> None:
        """Pass on to these, and to those that are added later."""
        self._observers = observers

    def add(self, observer: Observer) -> None:
        """Pass on to `observer` as well, from now on."""
        self._observers = (*self._observers, observer)

    def call_finished(self, api: str, operation: str, code: str, seconds: float) -> None:
        """See `Observer.call_finished`."""
        for each in self._observers:
            each.call_finished(api, operation, code, seconds)

    def entry_recorded(self, account: str, entry: NewEntry) -> None:
        """See `Observer.entry_recorded`."""
        for each in self._observers:
            each.entry_recorded(account, entry)

    def pass_started(self, account: str) -> None:
        """See `Observer.pass_started`."""
        for each in self._observers:
            each.pass_started(account)

    def pass_finished(self, account: str, result: PassResult | None) -> None:
        """See `Observer.pass_finished`."""
        for each in self._observers:
            each.pass_finished(account, result)

    def balance_read(self, account: str, euros: Decimal) -> None:
        """See `Observer.balance_read`."""
        for each in self._observers:
            each.balance_read(account, euros)


class Application:
    """rotator's objects, built on first use. Close it, or use it in a `with` statement."""

    def __init__(
        self,
        settings: Settings,
        environ: Mapping[str, str],
        *,
        observer: Observer | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        is_hasty: bool = False,
    ) -> None:
        """Build from `settings`; `environ` may contain VAULT_TOKEN.

        `is_hasty` is for a person who only looks, and prefers an early error if Vault is
        unreachable. `observer` is told of everything that is done. `should_stop` is asked between
        the steps of a pass, and while a hook runs: whether this process is to end.
        """
        self.settings = settings
        #: Every configured account by name.
        self.accounts = {account.name: account for account in settings.accounts}
        vault = settings.vault
        self._store_patience = min(vault.patience, vault.timeout) if is_hasty else vault.patience
        self._environ = environ
        self._observer = observer or NoObserver()
        self._should_stop = should_stop
        self._must_not_wait = Flag()
        self._cleanup = ExitStack()

    def __enter__(self) -> Self:
        """Return self, for a `with` block."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close everything that was opened."""
        self.close()

    def stop_waiting(self) -> None:
        """Stop every wait for an unreachable Vault."""
        self._must_not_wait.set()

    def close(self) -> None:
        """Close everything that was opened. Idempotent."""
        self._cleanup.close()

    @cached_property
    def ledger(self) -> "LedgerAccess":
        """The ledger's readers and writers."""
        from rotator.application.ledger import LedgerAccess  # noqa: PLC0415  # see above

        return LedgerAccess(self.settings, self._cleanup)

    @cached_property
    def clients(self) -> "Clients":
        """The clients of Vonage and Vault."""
        from rotator.application.clients import Clients  # noqa: PLC0415  # see above

        return Clients(
            self.settings,
            self._environ,
            observer=self.observer,
            store_patience=self._store_patience,
            should_stop=lambda: self._must_not_wait.is_set() or self._should_stop(),
            cleanup=self._cleanup,
        )

    @cached_property
    def witness(self) -> "WitnessAccess":
        """The publication of the ledger's checkpoints."""
        from rotator.application.witness import WitnessAccess  # noqa: PLC0415  # see above

        return WitnessAccess(
            self.settings,
            ledger=self.ledger,
            clients=lambda: self.clients,
            should_stop=self._should_stop,
        )

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
            namespace=self.settings.vault.namespace,
            # Not before it is needed: a dry run creates no ledger.
            outbox=lambda: self.ledger.deliveries,
            runner=HookRunner(
                environ=self._environ,
                should_stop=self._should_stop,
                ledger_file=Path(file) if file else None,
            ),
            now=lambda: datetime.now(UTC),
        )

    def reconciler(
        self, *observers: Observer, ledger: "LedgerWriter | None" = None
    ) -> "Reconciler":
        """Return a reconciler whose passes are observed by `observers`, too.

        `ledger` replaces the usual writer: one on `ledger.dry_run_writer` is for dry runs.
        """
        from rotator.rotation.dependencies import NoHooks  # noqa: PLC0415  # see above
        from rotator.rotation.reconciler import Reconciler  # noqa: PLC0415  # see above

        return Reconciler(
            issuer=self.clients.secrets,
            store=self.clients.store,
            ledger=ledger or self.ledger.writer,
            accounts=self.accounts,
            propagation_timeout=self.settings.vonage.propagation_timeout,
            store_patience=self._store_patience,
            observer=Observers(self.observer, *observers),
            hooks=self.dispatcher if self.settings.hooks else NoHooks(),
            should_stop=self._should_stop,
            origins=self.origins,
        )

    @cached_property
    def origins(self) -> "Origins | None":
        """Who made the secrets that rotator did not, by Vonage's Audit API; None unless wanted."""
        from rotator.rotation.origins import Origins  # noqa: PLC0415  # see above

        return Origins(trail=self.clients.audit) if self.settings.vonage.audit else None

    @cached_property
    def observer(self) -> Observer:
        """Observer of everything: the one that was given, and traces."""
        return Observers(self.tracing, self._observer) if self.tracing else self._observer

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
            raise ConfigError(message, hint="install `vonage-rotator[otel]`") from None
        tracing = to_collector(endpoint)
        self._cleanup.callback(tracing.close)
        return tracing
