"""HTTP/1.1 on loopback: h11 implements the protocol, a thread serves each connection."""

import json
import socket
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

import h11

JSON = "application/json"

HOST = "127.0.0.1"

_CHUNK = 65536

#: Largest head of a request, in bytes.
_MAX_HEAD = 65536

_WITHOUT_BODY = (HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED)

#: Vault's 472 to 474 and 530 are in no registry.
_REASONS = {int(status): status.phrase.encode() for status in HTTPStatus}

#: l_onoff = 1, l_linger = 0: close sends RST
_RESET = struct.pack("ii", 1, 0)

_BACKLOG = 128

#: How long `close` waits for a thread that an observer blocks, in seconds.
_JOIN_SECONDS = 2.0

#: The same for the accepting thread, which only a busy machine delays.
_ACCEPTOR_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One HTTP request, read to its end."""

    method: str
    #: percent-decoded, without the query
    path: str
    #: the first value of each name; blank values are kept
    query: Mapping[str, str]
    #: by lower-case name; the last one of a repeated header
    headers: Mapping[str, str]
    body: bytes = b""

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
    #: number of bytes at the body's end that Content-Length counts but that are never sent
    withheld: int = 0

    @classmethod
    def json(cls, status: int, document: object, content_type: str = JSON) -> Self:
        """Return a reply whose body is `document` as JSON."""
        body = json.dumps(document, separators=(",", ":")).encode()
        return cls(status=status, body=body, headers={"Content-Type": content_type})

    def with_headers(self, headers: Mapping[str, str]) -> "Reply":
        """Return the same reply with `headers` added; they replace those of the same name."""
        return replace(self, headers={**self.headers, **headers})


class Refused(Exception):
    """Ends the call with a reply."""

    def __init__(self, reply: Reply) -> None:
        super().__init__(reply.status)
        self.reply = reply


class Connection:
    """An accepted connection; used by one thread, `interrupt` by any.

    `closing` is set when the server closes.
    """

    def __init__(self, accepted: socket.socket, closing: threading.Event) -> None:
        self._socket = accepted
        self._closing = closing
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._protocol = h11.Connection(h11.SERVER, max_incomplete_event_size=_MAX_HEAD)
        self._is_head = False
        self._arrived_at = time.monotonic()

    def receive(self) -> Request | None:
        """Wait for the next request; return None once the client has closed.

        Raises:
            h11.RemoteProtocolError: what was received is not an HTTP request.
            OSError: the connection broke.
        """
        head = self._next_event()
        if not isinstance(head, h11.Request):
            return None
        self._arrived_at = time.monotonic()
        self._is_head = head.method == b"HEAD"
        if self._protocol.they_are_waiting_for_100_continue:
            carry_on = h11.InformationalResponse(status_code=100, headers=[], reason=b"Continue")
            self._socket.sendall(self._protocol.send(carry_on) or b"")
        body = b""
        while isinstance(event := self._next_event(), h11.Data):
            body += event.data
        path, _, query = head.target.decode("ascii").partition("?")
        return Request(
            method=head.method.decode("ascii"),
            path=unquote(path) if "%" in path else path,
            query=_first_values(query) if query else {},
            headers={name.decode("ascii"): value.decode("latin-1") for name, value in head.headers},
            body=body,
        )

    def send(self, reply: Reply) -> bool:
        """Send the reply to the last request in one call; return whether the connection goes on.

        Raises:
            OSError: the client is gone.
        """
        headers = [(name.encode(), value.encode()) for name, value in reply.headers.items()]
        if reply.status != HTTPStatus.NO_CONTENT:
            headers.append((b"Content-Length", b"%d" % len(reply.body)))
        reason = _REASONS.get(reply.status, b"Unknown")
        events: list[h11.Event] = [
            h11.Response(status_code=reply.status, headers=headers, reason=reason)
        ]
        if not self._is_head and reply.status not in _WITHOUT_BODY:
            events.append(h11.Data(data=reply.body[: len(reply.body) - reply.withheld]))
        if not reply.withheld:
            events.append(h11.EndOfMessage())
        self._socket.sendall(b"".join(self._protocol.send(event) or b"" for event in events))
        goes_on = self._protocol.our_state is self._protocol.their_state is h11.DONE
        if goes_on:
            self._protocol.start_next_cycle()
        return goes_on

    def delay(self, seconds: float) -> None:
        """Sleep until `seconds` after the arrival of the last request, as `pause` does.

        Reading the request is part of that time, as it is of a real server's latency.
        """
        if seconds > 0:
            self.pause(self._arrived_at + seconds - time.monotonic())

    def pause(self, seconds: float) -> None:
        """Sleep before the connection goes on.

        Raises:
            ConnectionAbortedError: the server was closed meanwhile; nothing may follow.
        """
        if seconds > 0 and self._closing.wait(seconds):
            raise ConnectionAbortedError("the simulator was closed")

    def reset(self) -> None:
        """Close with RST, as a crashed peer would."""
        with suppress(OSError):
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.close()

    def close(self) -> None:
        """Close; idempotent."""
        self._socket.close()

    def interrupt(self) -> None:
        """End a `receive` or `send` in another thread at once."""
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def _next_event(self) -> object:
        while (event := self._protocol.next_event()) is h11.NEED_DATA:
            self._protocol.receive_data(self._socket.recv(_CHUNK))
        return event


def _first_values(query: str) -> dict[str, str]:
    # Reversed, so that the first of the pairs with one name stays.
    return dict(reversed(parse_qsl(query, keep_blank_values=True)))


class Port:
    """A port on loopback that stays this object's own, whether or not it is listened on.

    A bound socket that does not listen holds it: connections are refused meanwhile, and the
    system assigns the number to no other socket.

    Raises:
        OSError: there is no free port.
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
    # Lets two sockets share a port; for 0 the system still picks one that is free.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    # Binds although earlier connections of the port are in TIME_WAIT.
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((HOST, port))
    return bound


class Listener:
    """Accepts connections until it is closed, and runs `serve` for each in a daemon thread.

    `serve` may raise OSError when its client goes away; the connection is closed after it.
    """

    def __init__(self, serve: Callable[[Connection], None], port: Port) -> None:
        self._serve = serve
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
        # An `accept` that began later could take a connection of whoever gets the number next.
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
        # A blocked accept does not notice that its socket is closed; a connection ends it.
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
                self._serve(connection)
        finally:
            connection.close()
            with self._lock:
                del self._threads[connection]
