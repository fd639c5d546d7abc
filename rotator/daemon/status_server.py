"""The daemon's page and metrics: served at the configured address."""

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog

from rotator import own_version
from rotator.application import Application, Observers
from rotator.config import Settings
from rotator.daemon.health import Heartbeat

if TYPE_CHECKING:
    from rotator.telemetry.metrics import Metrics
    from rotator.web.access import AccessControl
    from rotator.web.app import WebApp
    from rotator.web.listener import ListenAddress
    from rotator.web.server import Server


_log = structlog.get_logger(__name__)


class StatusServer:
    """Serves the daemon's status page and metrics; nothing until `show`."""

    def __init__(
        self, heart: Heartbeat, away: Callable[[], list[str]], observers: Observers
    ) -> None:
        """Take liveness from `heart`, and the unreachable components from `away`.

        The metrics are added to `observers` once they are served.
        """
        self._heart = heart
        self._away = away
        self._observers = observers
        self._metrics: Metrics | None = None
        self._site: WebApp | None = None
        self._address: ListenAddress | None = None
        self._guard: AccessControl | None = None
        self._server: Server | None = None

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
        if self._guard and self._address and self._address.text == daemon.listen:
            self._guard.token, self._guard.allowed_hosts = token, daemon.allowed_hosts
            self._ready_site().show(application)
        else:
            self._move(application, application.settings)
        self._keep_expiry(application)

    def follow(self, application: Application) -> None:
        """Show the accounts of `application` if the page is served; the address stays the same."""
        if self._site and self._server:
            self._site.show(application)
        self._keep_expiry(application)

    def _keep_expiry(self, application: Application) -> None:
        if self._metrics:
            self._metrics.set_token_expiry(lambda: application.clients.vault.token_expires_at)

    def close(self, deadline: float) -> bool:
        """Stop serving; return whether all requests ended by `deadline` (monotonic seconds)."""
        server, self._server, self._guard = self._server, None, None
        if self._address:
            self._address.leave()
            self._address = None
        if server is None:
            return True
        server.stop()
        return server.join(deadline)

    # -- Parts; imported only by a daemon that listens. ------------------------------------

    def _ready_site(self) -> "WebApp":
        if self._site is None:
            from rotator.telemetry.metrics import Metrics  # noqa: PLC0415  # see above
            from rotator.web.app import Pulse, WebApp  # noqa: PLC0415  # see above

            version = own_version()
            self._metrics = Metrics(version)
            self._observers.add(self._metrics)
            pulse = Pulse(is_live=self._heart.is_live, away=self._away)
            self._site = WebApp(metrics=self._metrics, pulse=pulse, version=version)
        return self._site

    def _move(self, application: Application, settings: Settings) -> None:
        from rotator.web.access import AccessControl  # noqa: PLC0415  # see above
        from rotator.web.listener import ListenAddress, shown  # noqa: PLC0415  # see above
        from rotator.web.server import Server  # noqa: PLC0415  # see above

        address = ListenAddress(text=settings.daemon.listen)
        token = settings.daemon.read_listen_token()
        listening = address.listen()
        site = self._ready_site()
        site.show(application)
        # Not waited for: it is at another address.
        self.close(time.monotonic())
        self._address = address
        hosts = settings.daemon.allowed_hosts
        self._guard = AccessControl(site.app, address=address, token=token, allowed_hosts=hosts)
        self._server = Server(self._guard, listening)
        self._server.start()
        _log.info("serving", url=shown(listening))
