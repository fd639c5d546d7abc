"""The HTTP server, in a thread of the daemon's process."""

import asyncio
import errno
import logging
import socket
import threading
import time
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp

from rotator.web.connections import ClientConnection

_log = structlog.get_logger(__name__)

#: Length of the queue of connections to accept.
_BACKLOG = 128
#: How long running requests may take at the end, in seconds.
_PATIENCE = 2
#: Seconds between two warnings that no connection can be accepted.
_TOLD_EVERY = 60.0
#: No descriptor or memory is left for another connection.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Server:
    """Serves until it is stopped."""

    def __init__(self, app: ASGIApp, listening: socket.socket) -> None:
        """Prepare to serve `app` at `listening`, which is closed at the end."""
        # The application logs errors of requests.
        logging.getLogger("uvicorn").setLevel(logging.CRITICAL)
        config = uvicorn.Config(
            app,
            # Accepted one at a time: while no descriptor is left, asyncio reports every attempt to
            # accept of a batch.
            backlog=1,
            callback_notify=self._let_more_wait,
            # Logged like everything else: as one line on rotator's stream.
            log_config=None,
            access_log=False,
            http=ClientConnection,
            interface="asgi3",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_PATIENCE,
            ws="none",
        )
        self._server = uvicorn.Server(config)
        self._listening = listening
        # A daemon thread, as the end does not wait for it for ever: a request may wait for Vault.
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._told_at = float("-inf")

    def start(self) -> None:
        """Start serving."""
        self._thread.start()

    def stop(self) -> None:
        """Accept nothing more; end once the running requests have ended."""
        self._server.should_exit = True

    def join(self, deadline: float) -> bool:
        """Wait for the end, until `deadline` (monotonic seconds); return whether it came."""
        self._thread.join(max(0.0, deadline - time.monotonic()))
        return not self._thread.is_alive()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        asyncio.get_running_loop().set_exception_handler(self._complain)
        # Signals are left alone, as this is not the main thread.
        await self._server.serve(sockets=[self._listening])

    async def _let_more_wait(self) -> None:
        """Lengthen the queue; called once it serves, and now and then."""
        self._listening.listen(_BACKLOG)

    def _complain(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Warn that no connection can be accepted, but not at each attempt, once a second."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _EXHAUSTED):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._told_at >= _TOLD_EVERY:
            self._told_at = time.monotonic()
            reason = (error.strerror or "no reason given").lower()
            _log.warning("no connection can be accepted", reason=reason, hint="raise LimitNOFILE")
