"""The connection below HTTP: each wait on it is bounded by what is left of the exchange.

An HTTP library bounds each single wait. A server that sends a byte now and then never exceeds
that and would hold a thread for a day, be it in its status line, in a header, in the extension
of a chunk, or with one `100 Continue` after the other. So what waits asks the exchange.
"""

import select
import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any, TypeVar

import httpcore

from rotator.network.connect import Resolve, connected
from rotator.network.exchange import Exchange
from rotator.network.failure import ExchangeFailed, NoAnswer, worded

T = TypeVar("T")

#: Bytes read at once, at most.
_PIECE = 64 * 1024


class Backend(httpcore.NetworkBackend):
    """Connects for one client, whose exchanges come one at a time."""

    #: The one that is under way.
    exchange: Exchange

    def __init__(self, resolve: Resolve) -> None:
        """Find the addresses of a name by `resolve`."""
        self._resolve = resolve

    def connect_tcp(  # httpcore's
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002  # the exchange knows
        local_address: str | None = None,  # noqa: ARG002  # none is ever given
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002  # likewise
    ) -> httpcore.NetworkStream:
        """Connect to whichever of a host's addresses takes it first."""
        addresses = self._resolve(host, port, self.exchange)
        return _Plain(connected(addresses, self.exchange), self)


class _Plain(httpcore.NetworkStream):
    """A TCP connection."""

    def __init__(self, connection: socket.socket, backend: Backend) -> None:
        self._socket = connection
        self._backend = backend

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        exchange = self._backend.exchange
        try:
            received = self._wait(lambda: self._socket.recv(max_bytes))
        except OSError as error:
            raise exchange.lost(worded(error)) from None
        exchange.took(len(received))
        return received

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        rest = memoryview(buffer)
        try:
            while rest:
                rest = rest[self._wait(lambda: self._socket.send(rest)) :]  # noqa: B023  # at once
        except OSError as error:
            # It may have answered before it hung up: httpcore goes on to read.
            raise httpcore.WriteError(worded(error)) from None

    def _wait(self, step: Callable[[], T]) -> T:
        exchange = self._backend.exchange
        while True:
            seconds = exchange.patience()
            self._socket.settimeout(seconds)
            try:
                return step()
            except TimeoutError:
                exchange.waited(seconds)

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> "_Encrypted":
        return _Encrypted.over(self, ssl_context, server_hostname)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # httpcore's
        return _is_readable(self._socket) if info == "is_readable" else None

    def close(self) -> None:
        self._socket.close()

    def __del__(self) -> None:
        self._socket.close()


class _Encrypted(httpcore.NetworkStream):
    """TLS over another stream, which may be a proxy's TLS."""

    def __init__(self, below: httpcore.NetworkStream, context: ssl.SSLContext, host: str) -> None:
        self._below = below
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_hostname=host)

    @classmethod
    def over(
        cls, below: httpcore.NetworkStream, context: ssl.SSLContext, host: str | None
    ) -> "_Encrypted":
        """Shake hands."""
        try:
            # A name's final dot, which makes it absolute, is in no certificate.
            stream = cls(below, context, (host or "").rstrip("."))
            stream._do(stream._tls.do_handshake)
        except BaseException as error:
            below.close()
            if isinstance(error, ssl.SSLError | httpcore.WriteError):
                raise ExchangeFailed(NoAnswer.TLS, str(error)) from None
            raise
        return stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        try:
            return self._do(lambda: self._tls.read(max_bytes))
        except (ssl.SSLEOFError, ssl.SSLZeroReturnError):
            # Closed without a word, as many do. HTTP's own framing says whether all is there.
            return b""
        except ssl.SSLError as error:
            raise ExchangeFailed(NoAnswer.TLS, str(error)) from None

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        try:
            self._do(lambda: self._tls.write(buffer))
        except ssl.SSLError as error:
            raise httpcore.WriteError(str(error)) from None

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> "_Encrypted":
        return _Encrypted.over(self, ssl_context, server_hostname)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # httpcore's
        if info == "ssl_object":
            return self._tls
        if info == "is_readable" and (self._received.pending or self._tls.pending()):
            return True
        return self._below.get_extra_info(info)

    def close(self) -> None:
        self._below.close()

    def _do(self, step: Callable[[], T]) -> T:
        """Take a step of TLS, carrying to and fro what it wants to have carried."""
        while True:
            try:
                result = step()
            except ssl.SSLWantReadError:
                self._flush()
                received = self._below.read(_PIECE)
                if received:
                    self._received.write(received)
                else:
                    self._received.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if to_send := self._to_send.read():
            self._below.write(to_send)


def _is_readable(connection: socket.socket) -> bool:
    """Return whether something came, or the other side hung up, while nothing was asked."""
    poller = select.poll()
    try:
        poller.register(connection, select.POLLIN)
    except (OSError, ValueError):  # it is closed
        return True
    return bool(poller.poll(0))
