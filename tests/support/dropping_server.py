"""A TLS server that drops connections: at each moment of an exchange, in each manner."""

import contextlib
import socket
import ssl
import struct
from pathlib import Path

from tests.support import certificates
from tests.support.server import LoopbackServer

#: When it drops a connection; from the third moment on, the request was sent.
UNSENT = ("before hands are shaken", "amid the handshake")
SENT = ("before an answer", "amid the headers", "amid the body")
MOMENTS = UNSENT + SENT
#: How: with TLS's end of data, with TCP's alone, or with neither.
MANNERS = ("close_notify", "fin", "reset")

_PIECE = 65536


class DroppingServer(LoopbackServer):
    """Drops its first `times` connections, then answers each request with `answer`.

    Every request that it received is in `requests`.
    """

    def __init__(
        self, certificate: Path, moment: str, manner: str, *, answer: bytes, times: int
    ) -> None:
        """Drop a connection at one of `MOMENTS`, in one of `MANNERS`."""
        # Not of `LoopbackServer`, whose connections are encrypted before they are served.
        self._context = certificates.server_context(certificate)
        if moment in UNSENT:
            # With TLS 1.3 a client has finished its part before it notices the server's end.
            self._context.maximum_version = ssl.TLSVersion.TLSv1_2
        self._moment, self._manner, self._answer = moment, manner, answer
        self._times = times
        self.requests: list[bytes] = []
        #: Number of connections that were dropped.
        self.dropped = 0
        super().__init__()

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"https://127.0.0.1:{self.port}"

    def serve(self, connection: socket.socket) -> None:
        """Drop the connection, or answer on it."""
        self._talk(_Side(connection, self._context))

    def _talk(self, side: "_Side") -> None:
        if self.dropped == self._times:
            side.shake_hands()
            self.requests.append(side.request())
            side.say(self._answer)
            side.leave("close_notify")
            return
        self.dropped += 1
        if self._moment == "amid the handshake":
            side.begin_to_shake_hands()
        elif self._moment == "before hands are shaken":
            side.receive()
        else:
            side.shake_hands()
            self.requests.append(side.request())
            head = self._answer.index(b"\r\n\r\n")
            ends = {"before an answer": 0, "amid the headers": head, "amid the body": head + 5}
            side.say(self._answer[: ends[self._moment]])
        side.leave(self._manner)


class _Side:
    """The server's side of one connection, which can stop in the middle of anything."""

    def __init__(self, connection: socket.socket, context: ssl.SSLContext) -> None:
        self._connection = connection
        self._received, self._to_send = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._received, self._to_send, server_side=True)
        self._has_tls = False

    def receive(self) -> None:
        if not (piece := self._connection.recv(_PIECE)):
            raise ConnectionError
        self._received.write(piece)

    def begin_to_shake_hands(self) -> bool:
        """Read once and go on with the handshake; return whether it is complete."""
        self.receive()
        try:
            self._tls.do_handshake()
        except ssl.SSLWantReadError:
            return False
        finally:
            self._connection.sendall(self._to_send.read())
        return True

    def shake_hands(self) -> None:
        while not self.begin_to_shake_hands():
            pass
        self._has_tls = True

    def request(self) -> bytes:
        """Read a request to its end: closing with something unread would be a reset."""
        request = b""
        while not _is_whole(request):
            try:
                request += self._tls.read(_PIECE)
            except ssl.SSLWantReadError:
                self.receive()
        return request

    def say(self, data: bytes) -> None:
        if data:
            self._tls.write(data)
            self._connection.sendall(self._to_send.read())

    def leave(self, manner: str) -> None:
        if manner == "reset":
            linger = struct.pack("ii", 1, 0)
            self._connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            return
        if manner == "close_notify" and self._has_tls:
            with contextlib.suppress(ssl.SSLWantReadError):
                self._tls.unwrap()
            self._connection.sendall(self._to_send.read())
        self._connection.shutdown(socket.SHUT_WR)
        # Until the client has closed, too: anything it still sends would be answered with a reset.
        while self._connection.recv(_PIECE):
            pass


def _is_whole(request: bytes) -> bool:
    head, found, body = request.partition(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"content-length:")
    return bool(found) and len(body) >= int(length.split()[0] if length else 0)
