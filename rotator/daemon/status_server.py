"""The daemon's page and metrics: served at the configured address."""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import structlog

from rotator import own_version
from rotator.application import Application, Observers
from rotator.daemon.health import Health, Heartbeat
from rotator.daemon.listeners import AddressServer
from rotator.daemon.outages import Outages
from rotator.daemon.workers import WorkerPool
from rotator.model import SecretValue
from rotator.telemetry.vitals import Vitals

if TYPE_CHECKING:
    from rotator.vault import VaultSession
    from rotator.web.access import AccessControl
    from rotator.web.app import WebApp
_log = structlog.get_logger(__name__)

#: Components in the metrics; not the page, as nobody could read that it is down.
_SHOWN = ("ledger", "vault", "vonage", "witness")


class StatusServer(AddressServer):
    """Serves the daemon's status page and metrics; nothing until `show`."""

    def __init__(
        self,
        heartbeat: Heartbeat,
        health: Health,
        outages: Outages,
        observers: Observers,
        *,
        pool: WorkerPool,
    ) -> None:
        """Store what is to be shown; the metrics join `observers` once they are served.

        `pool` reads the accounts before the first request, and is joined before an application
        whose accounts it reads is closed.
        """
        super().__init__()
        self._pool = pool
        self._heartbeat = heartbeat
        self._health = health
        self._outages = outages
        self._observers = observers
        self._vault: VaultSession | None = None
        self._configured_at = datetime.now(UTC)
        self._is_newer_refused = False
        self._app: WebApp | None = None
        self._access: AccessControl | None = None

    def show(self, application: Application) -> None:
        """Show the accounts of `application`, at the address in its settings, from now on.

        Raises:
            ConfigError: it cannot listen there. Nothing has changed.
        """
        daemon = application.settings.daemon
        if not daemon.listen:
            self.close(time.monotonic())
            return
        token = daemon.read_listen_token()
        if self._access and self._address and self._address.text == daemon.listen:
            self._access.token, self._access.allowed_hosts = token, daemon.allowed_hosts
            self._show(application)
        else:
            self._listen(application, token)
        self._vault = application.clients.vault

    def follow(self, application: Application) -> None:
        """Show the accounts of `application` if the page is served; the address stays the same."""
        if self._app and self._server:
            self._show(application)
        self._vault = application.clients.vault

    def note_reload(self, *, is_accepted: bool) -> None:
        """Take note of whether a new configuration is in effect, or was refused."""
        self._is_newer_refused = not is_accepted
        if is_accepted:
            self._configured_at = datetime.now(UTC)

    def _vitals(self) -> Vitals:
        heartbeat, vault = self._heartbeat, self._vault
        known = self._health.components
        return Vitals(
            components={name: known[name] for name in _SHOWN if name in known},
            polled_at=heartbeat.beat_at,
            poll=timedelta(seconds=heartbeat.every) or None,
            configured_at=self._configured_at,
            is_newer_refused=self._is_newer_refused,
            token_expires_at=vault.token_expires_at if vault else None,
            token_lifetime=vault.token_lifetime if vault else None,
        )

    def _show(self, application: Application) -> "WebApp":
        app = self._ready_app()
        warm_up = app.show(application)
        # Where the system has no thread to give, the first request reads the accounts.
        with suppress(RuntimeError):
            self._pool.start("page", "warm-up", application, warm_up)
        return app

    def _ready_app(self) -> "WebApp":
        if self._app is None:
            from rotator.telemetry.metrics import Metrics  # noqa: PLC0415  # only where it listens
            from rotator.web.app import Pulse, WebApp  # noqa: PLC0415  # only where it listens

            version = own_version()
            metrics = Metrics(version)
            metrics.set_vitals(self._vitals)
            self._observers.add(metrics)
            pulse = Pulse(is_live=self._heartbeat.is_live, outages=lambda: self._outages.present)
            self._app = WebApp(metrics=metrics, pulse=pulse, version=version)
        return self._app

    def _listen(self, application: Application, token: SecretValue | None) -> None:
        from rotator.web.access import AccessControl  # noqa: PLC0415  # only where it listens
        from rotator.web.listener import ListenAddress, url_of  # noqa: PLC0415  # only where it listens
        from rotator.web.server import Server  # noqa: PLC0415  # only where it listens

        daemon = application.settings.daemon
        address = ListenAddress(text=daemon.listen)
        listening = address.listen()
        app = self._show(application)
        # Not waited for: it is at another address.
        self.close(time.monotonic())
        self._address = address
        self._access = AccessControl(
            app.app, address=address, token=token, allowed_hosts=daemon.allowed_hosts
        )
        self._server = Server(self._access, listening)
        self._server.start()
        _log.info("serving", url=url_of(listening))
