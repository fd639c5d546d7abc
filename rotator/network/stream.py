"""The connection below HTTP: each wait is bounded by the time left for the exchange.

A library bounds each single wait. A server that sends a byte now and then never exceeds that bound
and could occupy a thread for a day: in its status line, in a header, in a chunk extension, or with
one `100 Continue` after another. So each wait asks the exchange.
"""

import select
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from typing import Protocol, TypeVar

from rotator.network.exchange import Exchange, ExchangeFailed, TransportFailure, reason_of

T = TypeVar("T")

#: Most bytes read at once.
PIECE = 64 * 1024


class HungUp(Exception):
    """The other side accepts no more data. It may have answered before."""


class CurrentExchange:
    """The current exchange on a client's connection, which has one at a time."""

    exchange: Exchange


class Stream(Protocol):
    """A byte stream. Every wait raises `ExchangeFailed` when the time is up."""

    @property
    def current(self) -> CurrentExchange:
        """The exchange that bounds the waits."""

    def read(self) -> bytes:
        """Wait for data and return it; b"" where the other side closed the connection."""

    def write(self, data: bytes) -> None:
        """Send all data, or raise `HungUp`."""

    def is_readable(self) -> bool:
        """Return whether data arrived, or the other side closed, while the connection was idle."""

    def close(self) -> None:
        """Close the connection."""


class Plain:
    """A TCP connection."""

    def __init__(self, connection: socket.socket, current: CurrentExchange) -> None:
        """Take ownership of `connection`, and close it in the end."""
        self.current = current
        self._socket = connection

    def read(self) -> bytes:
        """See `Stream`."""
        exchange = self.current.exchange
        try:
            received = self._wait(lambda: self._socket.recv(PIECE))
        except OSError as error:
            raise exchange.lost(reason_of(error)) from None
        exchange.count(len(received))
        return received

    def write(self, data: bytes) -> None:
        """See `Stream`."""
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[self._wait(lambda: self._socket.send(rest)) :]  # noqa: B023  # at once
        except OSError as error:
            raise HungUp(reason_of(error)) from None

    def _wait(self, step: Callable[[], T]) -> T:
        exchange = self.current.exchange
        while True:
            seconds = exchange.longest_wait()
            self._socket.settimeout(seconds)
            try:
                return step()
            except TimeoutError:
                exchange.waited(seconds)

    def is_readable(self) -> bool:
        """See `Stream`."""
        poller = select.poll()
        poller.register(self._socket, select.POLLIN)
        return bool(poller.poll(0))

    def close(self) -> None:
        """See `Stream`."""
        self._socket.close()


class Encrypted:
    """TLS over another stream, which may be a proxy's TLS."""

    def __init__(self, below: Stream, context: ssl.SSLContext, host: str) -> None:
        """Perform the handshake.

        Raises:
            ExchangeFailed: the other side cannot prove that it is `host`, or does not use TLS.
        """
        self.current = below.current
        self._below = below
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        # Certificates omit the final dot that makes a name absolute.
        name = host.rstrip(".")
        self._tls = context.wrap_bio(self._received, self._to_send, server_hostname=name)
        try:
            self._do(self._tls.do_handshake)
            self._flush()
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError, HungUp):
            # It went away, as a server does that is restarted: not a matter of trust.
            raise self.current.exchange.lost("the other side hung up") from None
        except ssl.SSLError as error:
            raise ExchangeFailed(TransportFailure.TLS, str(error)) from None

    def read(self) -> bytes:
        """See `Stream`."""
        try:
            return self._do(lambda: self._tls.read(PIECE))
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            # Closed, with or without notice, as many do. HTTP's own framing says whether all is
            # there.
            return b""
        except ssl.SSLError as error:
            raise ExchangeFailed(TransportFailure.TLS, str(error)) from None

    def write(self, data: bytes) -> None:
        """See `Stream`."""
        try:
            self._do(lambda: self._tls.write(data))
            self._flush()
        except ssl.SSLError as error:
            raise HungUp(str(error)) from None

    def is_readable(self) -> bool:
        """See `Stream`."""
        return bool(self._received.pending or self._tls.pending()) or self._below.is_readable()

    def close(self) -> None:
        """See `Stream`."""
        self._below.close()

    def _do(self, step: Callable[[], T]) -> T:
        """Take a step of TLS, exchanging the bytes it waits for; its own last ones stay unsent."""
        while True:
            try:
                return step()
            except ssl.SSLWantReadError:
                # A side that accepts no more may have answered, or given the reason, before.
                with suppress(HungUp):
                    self._flush()
                if received := self._below.read():
                    self._received.write(received)
                else:
                    self._received.write_eof()

    def _flush(self) -> None:
        if to_send := self._to_send.read():
            self._below.write(to_send)
