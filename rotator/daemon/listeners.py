"""What the daemon serves over HTTP, each at an address of its own: the page and the trigger."""

from contextlib import suppress
from typing import TYPE_CHECKING, Protocol

from rotator.application import Application
from rotator.daemon.health import Health
from rotator.errors import AddressTaken, ConfigError

if TYPE_CHECKING:
    from rotator.web.listener import ListenAddress
    from rotator.web.server import Server


class Listener(Protocol):
    """What is served at one address."""

    def show(self, application: Application) -> None:
        """Serve what `application` is configured with, and its accounts, from now on.

        Raises:
            ConfigError: it cannot be served. Nothing has changed.
        """

    def follow(self, application: Application) -> None:
        """Serve the accounts of `application`; all else stays the same."""

    def close(self, deadline: float) -> bool:
        """Stop; return whether all requests ended by `deadline` (monotonic seconds)."""


class AddressServer:
    """The address that a listener has, and the server there; neither until it serves."""

    def __init__(self) -> None:
        """Listen nowhere yet."""
        self._address: ListenAddress | None = None
        self._server: Server | None = None

    def close(self, deadline: float) -> bool:
        """Stop; return whether all requests ended by `deadline` (monotonic seconds)."""
        address, self._address = self._address, None
        server, self._server = self._server, None
        if address:
            address.leave()
        if server is None:
            return True
        server.stop()
        return server.join(deadline)


class Listeners:
    """All listeners, by their names as components: one is down while its address is taken."""

    def __init__(self, health: Health, **listeners: Listener) -> None:
        """Serve nothing yet."""
        self._health = health
        self._listeners = listeners
        self._shown: Application | None = None

    def start(self, application: Application) -> None:
        """Serve `application`; rotations go on without an address that is taken.

        Raises:
            ConfigError: something cannot be served.
        """
        self._show(application, is_start=True)

    def show(self, application: Application) -> None:
        """Serve `application` from now on.

        Raises:
            ConfigError: something cannot be served, and is not already waiting for its address.
                What was served before is served again.
        """
        try:
            self._show(application)
        except ConfigError:
            # One may have changed before another was refused.
            for listener in self._listeners.values():
                with suppress(ConfigError):
                    if self._shown:
                        listener.show(self._shown)
            raise

    def retry(self) -> None:
        """Serve what is down, if its address is free by now."""
        if self._shown and not self._listeners.keys().isdisjoint(self._health.down):
            self._show(self._shown)

    def follow(self, application: Application) -> None:
        """Serve the accounts of `application`; the addresses stay the same."""
        self._shown = application
        for listener in self._listeners.values():
            listener.follow(application)

    def close(self, deadline: float) -> bool:
        """Stop; return whether all requests ended by `deadline` (monotonic seconds)."""
        closed = [listener.close(deadline) for listener in self._listeners.values()]
        return all(closed)

    def _show(self, application: Application, *, is_start: bool = False) -> None:
        for name, listener in self._listeners.items():
            try:
                listener.show(application)
            except AddressTaken as error:
                if is_start:
                    self._health.mark_down(name, error)
                elif name not in self._health.down:
                    raise
            else:
                self._health.mark_up(name)
        self._shown = application
