"""HTTP/1.1 on one connection: h11 implements the protocol, a stream transports it."""

import time
from contextlib import suppress

import h11

from rotator.network.exchange import ExchangeFailed, TransportFailure
from rotator.network.stream import HungUp, Stream

#: Largest status line with headers, chunk header or trailers that h11 accepts, in bytes.
_MOST = 100 * 1024
#: Longest idle time of a connection, in seconds. Load balancers drop one after a minute, some
#: without a sign, and a write on it would be lost without one.
_IDLE = 20.0
#: Statuses of a proxy that cannot reach the server just now, or is being restarted itself.
_NO_WAY_ON = frozenset({502, 503, 504})
#: Both headers that give a body's end.
_ENDS = frozenset({b"content-length", b"transfer-encoding"})

Headers = list[tuple[str, str]]


class Connection:
    """A connection to a server or a proxy. For one exchange at a time."""

    def __init__(self, stream: Stream) -> None:
        """Use `stream`."""
        self._stream = stream
        self._state = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MOST)
        self._idle_since = time.monotonic()
        self._is_ambiguous = False

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    @property
    def is_usable(self) -> bool:
        """Return whether it can take another request: nothing is left over from the last one."""
        if time.monotonic() - self._idle_since > _IDLE:
            return False
        return self._state.our_state is h11.IDLE and not self._stream.is_readable()

    def send(self, method: str, target: str, headers: Headers, body: bytes) -> None:
        """Send a request. A server that closes the connection meanwhile may still have answered.

        Raises:
            ExchangeFailed: the time is up.
            h11.LocalProtocolError: it is not a valid HTTP request.
        """
        pieces = [self._state.send(h11.Request(method=method, target=target, headers=headers))]
        if body:
            pieces.append(self._state.send(h11.Data(data=body)))
        pieces.append(self._state.send(h11.EndOfMessage()))
        with suppress(HungUp):
            self._stream.write(b"".join(piece for piece in pieces if piece))

    def head(self) -> h11.Response:
        """Wait for the answer's status and headers.

        Raises:
            ExchangeFailed: the time is up, or too much was received.
            h11.RemoteProtocolError: it is not a valid answer.
        """
        while not isinstance(event := self._next(), h11.Response):
            if not isinstance(event, h11.InformationalResponse):
                raise h11.RemoteProtocolError("no answer")
        self._stream.current.exchange.answered()
        self._is_ambiguous = {name for name, _ in event.headers} >= _ENDS
        return event

    def body(self, limit: int) -> bytes | None:
        """Wait for the answer's body; None where it exceeds `limit` bytes.

        Raises:
            ExchangeFailed: the time is up, or too much was received.
            h11.RemoteProtocolError: it is truncated.
        """
        body = bytearray()
        while not isinstance(event := self._next(), h11.EndOfMessage):
            if not isinstance(event, h11.Data):
                raise h11.RemoteProtocolError("no body")
            body += event.data
            if len(body) > limit:
                return None
        return bytes(body)

    def prepare_next(self) -> bool:
        """Prepare for another exchange; False where that is not possible.

        Surplus bytes of one answer are no answer to the next request; nor are those that follow an
        answer whose end is given in two ways, of which a proxy may have read the other.
        """
        is_done = self._state.our_state is h11.DONE and self._state.their_state is h11.DONE
        if not is_done or self._is_ambiguous or self._state.trailing_data != (b"", False):
            return False
        self._state.start_next_cycle()
        self._idle_since = time.monotonic()
        return True

    def tunnel(self, target: str, headers: Headers) -> None:
        """Request a tunnel to `target` from a proxy; the same stream then leads to the target.

        Raises:
            ExchangeFailed: the proxy refuses, or the time is up.
        """
        self.send("CONNECT", target, [("Host", target), *headers], b"")
        status = self.head().status_code
        if not 200 <= status < 300:  # noqa: PLR2004  # HTTP's
            reason = TransportFailure.PROXY_AWAY if status in _NO_WAY_ON else TransportFailure.PROXY
            raise ExchangeFailed(reason, f"the proxy answers {status}")
        if self._state.trailing_data[0]:
            raise ExchangeFailed(
                TransportFailure.PROXY, "the proxy sent data before the tunnel was in use"
            )

    def _next(self) -> object:
        while (event := self._state.next_event()) is h11.NEED_DATA:
            self._state.receive_data(self._stream.read())
        return event
