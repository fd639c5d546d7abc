"""A server in TLS that goes away: at each moment of an exchange, in each manner."""

import contextlib
import socket
import ssl
import struct
import threading
from pathlib import Path
from typing import Self

from tests.support import certificates

#: When it goes, the request being sent from the third moment on.
UNSENT = ("before hands are shaken", "amid the handshake")
SENT = ("before an answer", "amid the headers", "amid the body")
MOMENTS = UNSENT + SENT
#: How: with TLS's own end of data, with TCP's alone, or with none of them.
MANNERS = ("close_notify", "fin", "reset")

_PIECE = 65536


class Leaving:
    """Goes away `times` times, then answers each request with `answer`.

    Everything that it was asked is in `requests`.
    """

    def __init__(
        self, certificate: Path, moment: str, manner: str, *, answer: bytes, times: int
    ) -> None:
        """Listen on loopback."""
        self._context = certificates.server_context(certificate)
        if moment in UNSENT:
            # Of later ones a client is through with its part before it hears of the server's end.
            self._context.maximum_version = ssl.TLSVersion.TLSv1_2
        self._moment, self._manner, self._answer = moment, manner, answer
        self._times = times
        self.requests: list[bytes] = []
        #: Connections that it left.
        self.left = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"https://127.0.0.1:{self._listener.getsockname()[1]}"
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self._thread.join()

    def _serve(self) -> None:
        while True:
            try:
                accepted = self._listener.accept()[0]
            except OSError:
                return
            with accepted, contextlib.suppress(OSError):
                accepted.settimeout(60)
                self._talk(_Side(accepted, self._context))

    def _talk(self, side: "_Side") -> None:
        if self.left == self._times:
            side.shake_hands()
            self.requests.append(side.request())
            side.say(self._answer)
            side.leave("close_notify")
            return
        self.left += 1
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
    """The server's side of one connection, which can stop amid anything."""

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
        """Do what can be done with what came next; return whether that was all."""
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
        """Read a request to its end: to close with something unread would be a reset."""
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
        # Until the client has closed, too: what it sends yet would be answered with a reset.
        while self._connection.recv(_PIECE):
            pass


def _is_whole(request: bytes) -> bool:
    head, found, body = request.partition(b"\r\n\r\n")
    _, _, length = head.lower().partition(b"content-length:")
    return bool(found) and len(body) >= int(length.split()[0] if length else 0)
