"""Connections to the page, limited so that none starves others or rotations.

A client that sends nothing, or never reads its answer, is disconnected after a while. The number of
connections is limited; a new one replaces the one that has been silent longest, so that requests
are answered however many clients are silent.
"""

import asyncio
import resource

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

#: How long a connection may stay open without a complete request, in seconds.
SILENCE = 10.0
#: How long a request may take until its answer has been read, in seconds.
LONGEST = 60.0
#: Maximum number of connections, and the divisor for their share of the process's descriptors.
_MOST, _PART = 256, 4
#: Seconds between two searches for silent connections.
_LOOK = 2.0


class ClientConnection(H11Protocol):
    """A connection with time limits."""

    #: Earliest possible start of the present request's handling, by the loop's clock, in seconds.
    begun_at = 0.0
    #: Start of the present silence, likewise.
    silent_since = 0.0
    _next_look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; the longest silent connection makes room."""
        super().connection_made(transport)
        self.silent_since = self.begun_at = self.loop.time()
        self._next_look = self.loop.call_later(_LOOK, self._look)
        if len(self.connections) > most():
            self._make_room()

    def connection_lost(self, exc: Exception | None) -> None:
        """End."""
        if self._next_look:
            self._next_look.cancel()
        super().connection_lost(exc)

    @property
    def is_silent(self) -> bool:
        """Return whether no request is being answered, and no answer still being sent."""
        cycle: RequestResponseCycle | None = self.cycle
        is_answered = cycle is None or cycle.response_complete
        return is_answered and not self.transport.get_write_buffer_size()

    def end(self) -> None:
        """Close at once, and no longer count."""
        self.connections.discard(self)
        self.transport.abort()

    def _look(self) -> None:
        now = self.loop.time()
        if self.is_silent:
            self.begun_at = now
        else:
            self.silent_since = now
        if now - self.silent_since >= SILENCE or now - self.begun_at >= LONGEST:
            self.end()
        else:
            self._next_look = self.loop.call_later(_LOOK, self._look)

    def _make_room(self) -> None:
        """Close the connection that is silent longest, else the one whose request takes longest."""
        others = [each for each in self.connections if isinstance(each, ClientConnection)]
        others = [each for each in others if each is not self]
        min(others, key=ClientConnection._worth, default=self).end()

    def _worth(self) -> tuple[bool, float]:
        is_silent = self.is_silent
        return not is_silent, self.silent_since if is_silent else self.begun_at


def most() -> int:
    """Return the maximum number of connections: rotations need descriptors, too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(1, min(_MOST, soft // _PART))
