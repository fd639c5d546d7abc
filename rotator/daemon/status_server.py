"""The daemon's page and metrics: served at the configured address."""

import time
from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

import structlog

from rotator.application import Wiring
from rotator.config import Settings
from rotator.daemon.health import Heart
from rotator.model import Report
from rotator.rotation.ports import Draft

if TYPE_CHECKING:
    from rotator.telemetry.metrics import Metrics
    from rotator.web.access import Guard
    from rotator.web.app import Site
    from rotator.web.listener import Address
    from rotator.web.server import Server


_log = structlog.get_logger(__name__)


class Front:
    """Serves the daemon's status page and metrics, from what it is told; nothing until `show`."""

    def __init__(self, heart: Heart, away: Callable[[], list[str]]) -> None:
        """Take liveness from `heart` and the unreachable components from `away`."""
        self._heart = heart
        self._away = away
        self._metrics: Metrics | None = None
        self._site: Site | None = None
        self._address: Address | None = None
        self._guard: Guard | None = None
        self._server: Server | None = None

    def show(self, wiring: Wiring) -> None:
        """Show the accounts of `wiring`, at the address in its settings, from now on.

        Raises:
            ConfigError: it cannot listen there. Nothing has changed.
        """
        daemon = wiring.settings.daemon
        if not daemon.listen:
            self.close(time.monotonic())
            return
        token = daemon.read_listen_token()
        if self._guard and self._address and self._address.text == daemon.listen:
            self._guard.token, self._guard.allowed_hosts = token, daemon.allowed_hosts
            self._ready_site().show(wiring)
        else:
            self._move(wiring, wiring.settings)
        self._keep_expiry(wiring)

    def follow(self, wiring: Wiring) -> None:
        """Show the accounts of `wiring` if the page is served; the address stays the same."""
        if self._site and self._server:
            self._site.show(wiring)
        self._keep_expiry(wiring)

    def _keep_expiry(self, wiring: Wiring) -> None:
        if self._metrics:
            self._metrics.set_token_expiry(lambda: wiring.vault.token_expires_at)

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

    # -- Observed events; ignored if no page is served. ------------------------------------

    def called(self, api: str, operation: str, code: str, seconds: float) -> None:
        """Count a request to Vonage or Vault."""
        if self._metrics:
            self._metrics.called(api, operation, code, seconds)

    def recorded(self, name: str, draft: Draft) -> None:
        """Take in a committed ledger entry."""
        if self._metrics:
            self._metrics.recorded(name, draft)

    def reported(self, report: Report) -> None:
        """Take in the result of a pass."""
        if self._metrics:
            self._metrics.reported(report)

    # -- Parts; imported only by a daemon that listens. ------------------------------------

    def _ready_site(self) -> "Site":
        if self._site is None:
            from rotator.telemetry.metrics import Metrics  # noqa: PLC0415  # see above
            from rotator.web.app import Pulse, Site  # noqa: PLC0415  # see above

            own = _own_version()
            self._metrics = self._metrics or Metrics(own)
            pulse = Pulse(is_live=self._heart.is_live, away=self._away)
            self._site = Site(metrics=self._metrics, pulse=pulse, version=own)
        return self._site

    def _move(self, wiring: Wiring, settings: Settings) -> None:
        from rotator.web.access import Guard  # noqa: PLC0415  # see above
        from rotator.web.listener import Address, shown  # noqa: PLC0415  # see above
        from rotator.web.server import Server  # noqa: PLC0415  # see above

        address = Address(text=settings.daemon.listen)
        token = settings.daemon.read_listen_token()
        listening = address.listen()
        site = self._ready_site()
        site.show(wiring)
        # Not waited for: it is at another address.
        self.close(time.monotonic())
        self._address = address
        hosts = settings.daemon.allowed_hosts
        self._guard = Guard(site.app, address=address, token=token, allowed_hosts=hosts)
        self._server = Server(self._guard, listening)
        self._server.start()
        _log.info("serving", url=shown(listening))


def _own_version() -> str:
    try:
        return version("rotator")
    except PackageNotFoundError:  # # runs from a checkout
        return "unreleased"
