"""The HTTP server, in a thread of the daemon's process."""

import asyncio
import errno
import logging
import socket
import threading
import time
from contextlib import suppress
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from rotator.web.connections import Connection

_log = structlog.get_logger(__name__)

#: Connections that wait to be accepted.
_BACKLOG = 128
#: How long requests under way may take at the end, in seconds.
_PATIENCE = 2
#: How often the date is read that answers carry, in seconds.
_TICK = 1.0
#: Seconds between two warnings that no connection can be accepted.
_TOLD_EVERY = 60.0
#: No descriptor or memory is left for another connection.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Server:
    """Serves until it is stopped."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        """Prepare to serve `app` at `listening`, which is closed at the end."""
        # What goes wrong in a request is logged by the application.
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            app,
            # Accepted one at a time: while no descriptor is left, asyncio complains of each one
            # that it tried to accept in a row.
            backlog=1,
            # As anything else would: as one line on rotator's stream.
            log_config=None,
            access_log=False,
            http=Connection,
            interface="asgi3",
            lifespan="off",
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
        self._told_at = float("-inf")

    def end(self) -> None:
        """Have it end soon; from another thread."""
        self.should_exit = True
        if self._loop:
            # Where it has ended already, its loop is closed.
            with suppress(RuntimeError):
                self._loop.call_soon_threadsafe(self._over.set)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept connections."""
        asyncio.get_running_loop().set_exception_handler(self._complain)
        await super().startup(sockets)
        for listening in sockets or []:
            listening.listen(_BACKLOG)

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Warn that no connection can be accepted, but not at each of the tries, one a second."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _EXHAUSTED):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._told_at >= _TOLD_EVERY:
            self._told_at = time.monotonic()
            reason = (error.strerror or "no reason given").lower()
            _log.warning("no connection can be accepted", reason=reason, hint="raise LimitNOFILE")

    async def main_loop(self) -> None:
        """Run until told to end; each tick reads the date."""
        self._loop = asyncio.get_running_loop()
        while not await self.on_tick(counter=0):
            with suppress(TimeoutError):
                await asyncio.wait_for(self._over.wait(), timeout=_TICK)
