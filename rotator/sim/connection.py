"""One client's connection: HTTP/1.1 with keep-alive, read and written by hand.

`http.server` parses headers with the email package and writes a response in several sends;
both cost more than all else that a simulator does.
"""

import socket
import ssl
import struct
import threading
import time
from contextlib import suppress
from urllib.parse import parse_qsl, unquote

from rotator.sim.message import Reply, Request

_CHUNK = 65536
_MAX_HEAD = 65536
#: l_onoff = 1, l_linger = 0: close sends RST
_RESET = struct.pack("ii", 1, 0)


class MalformedRequest(ValueError):
    """The bytes that came are not an HTTP request."""


class Connection:
    """An accepted socket; used by one thread, `interrupt` from any.

    `closing` is set when the server closes.
    """

    def __init__(self, accepted: socket.socket, closing: threading.Event) -> None:
        self._socket = accepted
        self._closing = closing
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._certificate: bytes | None = None
        self._arrived_at = time.monotonic()

    def secure(self, context: ssl.SSLContext) -> None:
        """Speak TLS from here on.

        Raises:
            OSError: the client does not, or not so.
        """
        secured = context.wrap_socket(self._socket, server_side=True)
        self._socket, self._certificate = secured, secured.getpeercert(binary_form=True)

    def receive(self) -> Request | None:
        """Wait for the next request; None once the client has closed.

        Raises:
            MalformedRequest: what came cannot be read as HTTP.
            OSError: the connection broke.
        """
        head = self._head()
        if head is None:
            return None
        line, *rest = head.decode("latin-1").split("\r\n")
        method, target, version = _request_line(line)
        headers = _headers(rest)
        path, _, query = target.partition("?")
        return Request(
            method=method,
            path=unquote(path) if "%" in path else path,
            query=_first_values(query) if query else {},
            headers=headers,
            body=self._body(headers),
            keep_alive=_keeps_alive(version, headers),
            certificate=self._certificate,
        )

    def send(self, reply: Reply, request: Request) -> bool:
        """Send the reply in one call; whether the connection may go on afterwards.

        Raises:
            OSError: the client is gone.
        """
        keep_alive = request.keep_alive and not reply.withheld
        self._socket.sendall(reply.encoded(request.method, keep_alive=keep_alive))
        return keep_alive

    def delay(self, seconds: float) -> None:
        """Sleep until it is so long since the last request arrived, as `pause` does.

        What reading it took is part of that, as it is of a real server's latency.
        """
        if seconds > 0:
            self.pause(self._arrived_at + seconds - time.monotonic())

    def pause(self, seconds: float) -> None:
        """Sleep for so long before the connection goes on.

        Raises:
            ConnectionAbortedError: the server was closed meanwhile, so nothing must follow.
        """
        if seconds > 0 and self._closing.wait(seconds):
            raise ConnectionAbortedError("the simulator was closed")

    def reset(self) -> None:
        """Close with RST, as a crashed peer would."""
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        """Close; repeating it does nothing."""
        self._socket.close()

    def interrupt(self) -> None:
        """Make a `receive` or `send` in another thread end at once."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _head(self) -> bytes | None:
        while b"\r\n\r\n" not in self._buffer:
            if len(self._buffer) > _MAX_HEAD:
                raise MalformedRequest("the head is too long")
            if not self._fill():
                return None
        head, _, self._buffer = self._buffer.partition(b"\r\n\r\n")
        self._arrived_at = time.monotonic()
        return head

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("expect", "").lower() == "100-continue":
            self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if "chunked" in headers.get("transfer-encoding", "").lower():
            return self._chunks()
        return self._exactly(_number(headers.get("content-length", "0"), 10))

    def _chunks(self) -> bytes:
        parts = []
        while size := _number(self._line().partition(b";")[0].decode("latin-1"), 16):
            parts.append(self._exactly(size))
            self._line()
        while self._line():
            pass
        return b"".join(parts)

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            self._fill_or_break()
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _exactly(self, size: int) -> bytes:
        while len(self._buffer) < size:
            self._fill_or_break()
        body, self._buffer = self._buffer[:size], self._buffer[size:]
        return body

    def _fill_or_break(self) -> None:
        if not self._fill():
            raise ConnectionAbortedError("the client closed within a request")

    def _fill(self) -> bool:
        received = self._socket.recv(_CHUNK)
        self._buffer += received
        return bool(received)


def _request_line(line: str) -> tuple[str, str, str]:
    parts = line.split(" ")
    if len(parts) != 3 or not parts[1].startswith("/"):  # noqa: PLR2004
        raise MalformedRequest("no request line")
    return parts[0], parts[1], parts[2]


def _headers(lines: list[str]) -> dict[str, str]:
    pairs = (line.partition(":") for line in lines)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _first_values(query: str) -> dict[str, str]:
    # The pairs are reversed so that of a repeated name the first one stays.
    return dict(reversed(parse_qsl(query, keep_blank_values=True)))


def _keeps_alive(version: str, headers: dict[str, str]) -> bool:
    wish = headers.get("connection", "").lower()
    return wish == "keep-alive" if version == "HTTP/1.0" else wish != "close"


def _number(text: str, base: int) -> int:
    try:
        number = int(text, base)
    except ValueError as error:
        raise MalformedRequest("no length") from error
    if number < 0:
        raise MalformedRequest("a negative length")
    return number
