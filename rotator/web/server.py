"""The HTTP server, in a thread of the daemon's process."""

import asyncio
import logging
import socket
import threading
import time
from contextlib import suppress

import uvicorn
from starlette.types import ASGIApp

#: Requests at once; more are told to come again.
_MOST_AT_ONCE = 64
#: How long requests under way may take at the end, in seconds.
_PATIENCE = 2
#: How often the date is read that answers carry, in seconds.
_TICK = 1.0


class Server:
    """Serves until it is stopped."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        """Prepare to serve `app` at `listening`, which is closed at the end."""
        # What goes wrong in a request is logged by the application.
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            app,
            # As anything else would: as one line on rotator's stream.
            log_config=None,
            access_log=False,
            http="h11",
            interface="asgi3",
            lifespan="off",
            limit_concurrency=_MOST_AT_ONCE,
            loop="asyncio",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_PATIENCE,
            ws="none",
        )
        self._server = _Patient(config)
        self._listening = listening
        # Not waited for for ever: a request may wait for Vault.
        self._thread = threading.Thread(target=self._serve, name="http", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def stop(self) -> None:
        """Accept nothing more and end when what is under way has ended."""
        self._server.end()

    def join(self, deadline: float) -> bool:
        """Wait for the end, until `deadline` at most (monotonic); give whether it has come."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    def _serve(self) -> None:
        # It leaves signals alone, as it is not in the main thread.
        self._server.run(sockets=[self._listening])


class _Patient(uvicorn.Server):
    """Waits to be told to end: uvicorn's own looks ten times a second, and each look wakes it."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self._loop: asyncio.AbstractEventLoop | None = None
        self._over = asyncio.Event()

    def end(self) -> None:
        """Have it end soon; from another thread."""
        self.should_exit = True
        if self._loop:
            # Where it has ended already, its loop is closed.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._over.set)

    async def main_loop(self) -> None:
        """Run until told to end; each tick reads the date."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(counter=0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), timeout=_TICK)
