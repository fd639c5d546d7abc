"""One client's connection: HTTP/1.1 with keep-alive, read and written by hand.

`http.server` parses headers with the email package and writes a response in several sends;
both cost more than all else that a simulator does.
"""

import json
import socket
import ssl
import struct
import threading
import time
import weakref
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http import HTTPStatus
from typing import Self
from urllib.parse import parse_qsl, unquote

JSON = "application/json"


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One HTTP request, read to its end."""

    method: str
    #: percent-decoded, without the query
    path: str
    #: the first value of each name; blank values are kept
    query: Mapping[str, str]
    #: names in lower case; of a repeated header the last one
    headers: Mapping[str, str]
    body: bytes = b""
    keep_alive: bool = True
    #: the client's certificate in DER, over TLS
    certificate: bytes | None = None

    def document(self) -> object:
        """Parse the body as JSON.

        Raises:
            ValueError: it is not JSON.
        """
        return json.loads(self.body)


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One HTTP response before it is sent."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    #: so many bytes at the body's end are announced in Content-Length and never sent
    withheld: int = 0

    @classmethod
    def json(cls, status: int, document: object, content_type: str = JSON) -> Self:
        """Make a reply whose body is `document` as JSON."""
        body = json.dumps(document, separators=(",", ":")).encode()
        return cls(status=status, body=body, headers={"Content-Type": content_type})

    def with_headers(self, headers: Mapping[str, str]) -> "Reply":
        """Return the same reply with `headers` added; they win over those of the same name."""
        return replace(self, headers={**self.headers, **headers})

    def with_defaults(self, headers: Mapping[str, str]) -> "Reply":
        """Return the same reply with those of `headers` added that it lacks."""
        return replace(self, headers={**headers, **self.headers})

    def encoded(self, method: str, *, keep_alive: bool) -> bytes:
        """Return the reply to a request of `method`, as bytes."""
        lines = [f"HTTP/1.1 {self.status} {_phrase(self.status)}"]
        lines += [f"{name}: {value}" for name, value in self.headers.items()]
        if self.status != HTTPStatus.NO_CONTENT:
            lines.append(f"Content-Length: {len(self.body)}")
        if not keep_alive:
            lines.append("Connection: close")
        head = "\r\n".join([*lines, "", ""]).encode("latin-1")
        if method == "HEAD":
            return head
        return head + self.body[: len(self.body) - self.withheld]


class Refused(Exception):
    """The call ends here, with this reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


def _phrase(status: int) -> str:
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        # Vault's 472 to 474 and 530 are in no registry.
        return "Unknown"


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


HOST = "127.0.0.1"

_BACKLOG = 128

#: how long `close` waits for a thread that an observer holds
_JOIN_SECONDS = 2.0

#: and for the one that accepts, which nothing holds but a busy machine
_ACCEPTOR_SECONDS = 60.0


class Port:
    """A port on loopback that stays this object's own, whether or not anybody listens there.

    A socket that is bound and does not listen holds it: who connects meanwhile is refused, and
    the system gives the number to nobody else.

    Raises:
        OSError: there is none to be had.
    """

    def __init__(self) -> None:
        holder = _bound(0)
        self.number: int = holder.getsockname()[1]
        weakref.finalize(self, holder.close)

    def listen(self) -> socket.socket:
        """Return a listening socket for this port; only one at a time gets the connections."""
        listening = _bound(self.number)
        listening.listen(_BACKLOG)
        return listening


def _bound(port: int) -> socket.socket:
    bound = socket.socket()
    # The one lets two sockets share a port; for 0 the system gives one that nobody has all the
    # same. The other takes it though connections of before linger there.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound


class Listener:
    """Accepts connections until it is closed and hands each to `serve` in its own thread.

    `serve` may raise OSError when its client goes away; the connection is closed after it.
    All threads are daemons. With `tls`, that is what it speaks.
    """

    def __init__(
        self,
        serve: Callable[[Connection], None],
        port: Port,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._serve = serve
        self._tls = tls
        self._socket = port.listen()
        self._port = port.number
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._threads: dict[Connection, threading.Thread] = {}
        self._acceptor = threading.Thread(target=self._accept, name="sim-accept", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Stop listening, break every connection and wait for the threads; idempotent."""
        self._closing.set()
        self._wake()
        # About to accept, it must not do so once the number of this socket is another one's.
        self._acceptor.join(_ACCEPTOR_SECONDS)
        self._socket.close()
        with self._lock:
            open_now = list(self._threads.items())
        for connection, _ in open_now:
            connection.interrupt()
        for _, thread in open_now:
            # An observer may close the simulator from within a connection's own thread.
            if thread is not threading.current_thread():
                thread.join(_JOIN_SECONDS)

    def _wake(self) -> None:
        # A blocked accept does not notice that its socket is closed; a visitor ends it.
        with suppress(OSError), socket.create_connection((HOST, self._port), timeout=1.0):
            pass

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                accepted, _ = self._socket.accept()
            except OSError:
                return
            if self._closing.is_set():
                accepted.close()
                return
            self._open(Connection(accepted, self._closing))

    def _open(self, connection: Connection) -> None:
        thread = threading.Thread(
            target=self._run, args=(connection,), name="sim-connection", daemon=True
        )
        with self._lock:
            self._threads[connection] = thread
        thread.start()

    def _run(self, connection: Connection) -> None:
        try:
            with suppress(OSError):
                if self._tls:
                    connection.secure(self._tls)
                self._serve(connection)
        finally:
            connection.close()
            with self._lock:
                del self._threads[connection]
