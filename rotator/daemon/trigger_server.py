"""The trigger's listener: serves it at the configured address, or nothing."""

import time
from typing import TYPE_CHECKING

import structlog

from rotator.application import Application
from rotator.daemon.health import LogThrottle
from rotator.daemon.listeners import AddressServer
from rotator.network.signatures import SigningKey

if TYPE_CHECKING:
    from rotator.web.trigger import Refusal, Trigger

_log = structlog.get_logger(__name__)


class TriggerServer(AddressServer):
    """Serves the trigger; nothing until `show`."""

    def __init__(self) -> None:
        """Listen nowhere yet."""
        super().__init__()
        self._trigger: Trigger | None = None
        self._throttle = LogThrottle()

    def show(self, application: Application) -> None:
        """Take requests for the accounts of `application`, as in its settings, from now on.

        Raises:
            ConfigError: its keys are not usable, or it cannot listen there. Nothing has changed.
        """
        settings = application.settings.trigger
        if not settings.listen:
            self.close(time.monotonic())
            return
        keys = settings.read_keys()
        if self._trigger and self._address and self._address.text == settings.listen:
            self._trigger.application, self._trigger.keys = application, keys
        else:
            self._listen(application, keys)

    def follow(self, application: Application) -> None:
        """Take requests for the accounts of `application`; keys and address stay the same."""
        if self._trigger:
            self._trigger.application = application

    def _listen(self, application: Application, keys: tuple[SigningKey, ...]) -> None:
        from rotator.web.listener import ListenAddress, url_of  # noqa: PLC0415  # only where it listens
        from rotator.web.server import Server  # noqa: PLC0415  # only where it listens
        from rotator.web.trigger import Trigger  # noqa: PLC0415  # only where it listens

        address = ListenAddress(
            text=application.settings.trigger.listen, key="trigger.listen", off="for none"
        )
        listening = address.listen()
        # Not waited for: it is at another address.
        self.close(time.monotonic())
        self._trigger = Trigger(application, keys, refused=self._log_refused)
        self._address, self._server = address, Server(self._trigger, listening)
        self._server.start()
        _log.info("taking requests", url=url_of(listening))

    def _log_refused(self, peer: str, refusal: "Refusal") -> None:
        """Log a request that was not accepted; a flood of them is some lines in an hour."""
        if self._throttle.allows():
            _log.warning("request not accepted", by=peer, status=refusal.status, reason=refusal.why)
