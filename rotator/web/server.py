"""The HTTP server, in a thread of the daemon's process."""

import asyncio
import errno
import logging
import resource
import socket
import threading
import time
from typing import Any

import structlog
import uvicorn
from starlette.types import ASGIApp
from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

from rotator.errors import reason_of
from rotator.web.listener import BACKLOG

_log = structlog.get_logger(__name__)

#: How long running requests may take at the end, in seconds.
_GRACEFUL_SECONDS = 2
#: Seconds between two warnings that no connection can be accepted.
_WARN_EVERY = 60.0
#: No descriptor or memory is left for another connection.
_EXHAUSTED = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)
#: How long a connection may stay open without a complete request, in seconds.
SILENCE = 10.0
#: How long a request may take until its answer has been read, in seconds.
LONGEST = 60.0
#: Maximum number of connections, and the divisor for their share of the process's descriptors.
_MOST_CONNECTIONS, _SHARE = 256, 4
#: Seconds between two checks of a connection.
_CHECK_EVERY = 2.0


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
            callback_notify=self._lengthen_queue,
            # Logged like everything else: as one line on rotator's stream.
            log_config=None,
            access_log=False,
            http=ClientConnection,
            interface="asgi3",
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=_GRACEFUL_SECONDS,
            ws="none",
        )
        self._server = uvicorn.Server(config)
        self._listening = listening
        # A daemon thread, as the end does not wait for it for ever: a request may wait for Vault.
        self._thread = threading.Thread(target=self._run, name="http", daemon=True)
        self._warned_at = float("-inf")

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
        asyncio.get_running_loop().set_exception_handler(self._handle_exception)
        # Signals are left alone, as this is not the main thread.
        await self._server.serve(sockets=[self._listening])

    async def _lengthen_queue(self) -> None:
        """Lengthen the queue; called once it serves, and now and then."""
        self._listening.listen(BACKLOG)

    def _handle_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """Warn that no connection can be accepted, but not at each attempt, once a second."""
        error = context.get("exception")
        if not (isinstance(error, OSError) and error.errno in _EXHAUSTED):
            loop.default_exception_handler(context)
        elif time.monotonic() - self._warned_at >= _WARN_EVERY:
            self._warned_at = time.monotonic()
            reason = reason_of(error)
            _log.warning("no connection can be accepted", reason=reason, hint="raise LimitNOFILE")


class ClientConnection(H11Protocol):
    """A connection with time limits, so that none starves others or rotations.

    A client that sends nothing, or never reads its answer, is disconnected after a while. The
    number of connections is limited; a new one replaces the one that has been silent longest, so
    that requests are answered however many clients are silent.
    """

    #: Earliest possible start of the present request's handling, by the loop's clock, in seconds.
    started_at = 0.0
    #: Start of the present silence, likewise.
    silent_since = 0.0
    _next_check: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; the longest silent connection makes room."""
        super().connection_made(transport)
        self.silent_since = self.started_at = self.loop.time()
        self._next_check = self.loop.call_later(_CHECK_EVERY, self._check)
        if len(self.connections) > most_connections():
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._next_check:
            self._next_check.cancel()
        super().connection_lost(exc)

    @property
    def is_silent(self) -> bool:
        """Return whether no request is being answered, and no answer still being sent."""
        cycle: RequestResponseCycle | None = self.cycle
        is_answered = cycle is None or cycle.response_complete
        return is_answered and not self.transport.get_write_buffer_size()

    def disconnect(self) -> None:
        """Close at once, and no longer count."""
        self.connections.discard(self)
        self.transport.abort()

    def _check(self) -> None:
        now = self.loop.time()
        if self.is_silent:
            self.started_at = now
        else:
            self.silent_since = now
        if now - self.silent_since >= SILENCE or now - self.started_at >= LONGEST:
            self.disconnect()
        else:
            self._next_check = self.loop.call_later(_CHECK_EVERY, self._check)

    def _make_room(self) -> None:
        """Close the connection that is silent longest, else the one whose request takes longest."""
        others = [each for each in self.connections if isinstance(each, ClientConnection)]
        others = [each for each in others if each is not self]
        min(others, key=ClientConnection._priority, default=self).disconnect()

    def _priority(self) -> tuple[bool, float]:
        is_silent = self.is_silent
        return not is_silent, self.silent_since if is_silent else self.started_at


def most_connections() -> int:
    """Return the maximum number of connections: rotations need descriptors, too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return (
        _MOST_CONNECTIONS
        if soft == resource.RLIM_INFINITY
        else max(1, min(_MOST_CONNECTIONS, soft // _SHARE))
    )
