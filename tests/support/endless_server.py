"""A server whose answer never ends, in any part of it."""

import socket
from collections.abc import Mapping

from tests.support.server import LoopbackServer, read_head

_CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"

#: What is sent first, and what is sent over and over, by the part of an answer's head.
HEADS: Mapping[str, tuple[bytes, bytes]] = {
    "silence": (b"", b""),
    "status line": (b"HTTP/1.1 200 ", b"O"),
    "header": (b"HTTP/1.1 200 OK\r\nX: ", b"y"),
    "headers": (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
    "100 Continue": (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
}
#: The same, by the part of its body.
BODIES: Mapping[str, tuple[bytes, bytes]] = {
    "body": (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999\r\n\r\n", b" "),
    "body without a length": (b"HTTP/1.1 200 OK\r\n\r\n", b" "),
    "chunk's extension": (_CHUNKED + b"1;", b"x"),
    "chunks": (_CHUNKED, b"1;" + b"x" * 50 + b"\r\n \r\n"),
    "trailer": (_CHUNKED + b"2\r\n{}\r\n0\r\nX: ", b"y"),
    "trailers": (_CHUNKED + b"2\r\n{}\r\n0\r\n", b"X: y\r\n"),
}


class EndlessServer(LoopbackServer):
    """Reads a request and answers without end.

    It sends piece by piece, slowly, so that each read of a client is short; or, if `fast`, as
    much as the client takes.
    """

    def __init__(self, first: bytes, piece: bytes, *, fast: bool = False) -> None:
        """Answer with `first`, then with `piece` over and over."""
        self._first, self._piece = first, piece * (10_000 if fast else 1)
        self._pause = 0.0 if fast else 0.002
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        """Answer until the client hangs up."""
        # What is not a request, such as TLS to a server without it, has no visible end.
        if not read_head(connection):
            return
        connection.sendall(self._first)
        while not self.is_over.wait(self._pause):
            if self._piece:
                connection.sendall(self._piece)
            elif not connection.recv(65536):
                return
