"""Connections to the page: none may keep others, or rotations, from what they need.

A client that says nothing, or never takes its answer, is left after a while. There are only so
many connections; a new one takes the place of the one that has been silent for longest, so that
whoever asks is answered however many are silent.
"""

import asyncio
import resource

from uvicorn.protocols.http.h11_impl import H11Protocol, RequestResponseCycle

#: How long a connection may be open without a request, in seconds; a request half sent is none.
SILENCE = 10.0
#: How long a request may take until its answer has been taken, in seconds.
LONGEST = 60.0
#: Connections at once, and of the process's descriptors at most this part.
_MOST, _PART = 256, 4
#: Seconds between two searches for silent connections.
_LOOK = 2.0


class Connection(H11Protocol):
    """A connection that ends by itself."""

    #: Since when the request that is being answered may have been so, by the loop's clock.
    begun_at = 0.0
    #: Since when there has been none.
    silent_since = 0.0
    _next_look: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin; one that has long been silent makes room."""
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
        """Whether no request is being answered, nor an answer on its way."""
        cycle: RequestResponseCycle | None = self.cycle
        is_answered = cycle is None or cycle.response_complete
        return is_answered and not self.transport.get_write_buffer_size()

    def end(self) -> None:
        """End at once, and be counted no more."""
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
        """End the one that has been silent for longest, else the one that takes longest."""
        others = [each for each in self.connections if isinstance(each, Connection)]
        others = [each for each in others if each is not self]
        min(others, key=Connection._worth, default=self).end()

    def _worth(self) -> tuple[bool, float]:
        is_silent = self.is_silent
        return not is_silent, self.silent_since if is_silent else self.begun_at


def most() -> int:
    """Return how many connections there may be: rotations need descriptors, too."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _MOST if soft == resource.RLIM_INFINITY else max(1, min(_MOST, soft // _PART))
