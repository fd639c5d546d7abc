"""A server whose answer never ends, in whatever part of it."""

import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

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


class Endless:
    """Listens on loopback, reads a request and answers without end.

    Piece by piece, slowly, so that each read of a client is short; or as fast as it is taken.
    """

    def __init__(self, first: bytes, piece: bytes, *, fast: bool = False) -> None:
        """Answer with `first`, then with `piece` over and over."""
        self._first, self._piece = first, piece * (10_000 if fast else 1)
        self._pause = 0.0 if fast else 0.002
        self._is_over = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._is_over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                thread = threading.Thread(target=self._answer, args=[self._listener.accept()[0]])
                self._threads.append(thread)
                thread.start()

    def _answer(self, accepted: socket.socket) -> None:
        # Ends where the client has had enough, as all do.
        with accepted, suppress(OSError):
            accepted.settimeout(60)
            # Of what is no request, as TLS to a server without it, no end is to be seen.
            while b"\r\n\r\n" not in (received := accepted.recv(65536)):
                if not received:
                    return
            accepted.sendall(self._first)
            while not self._is_over.wait(self._pause):
                if self._piece:
                    accepted.sendall(self._piece)
                elif not accepted.recv(65536):
                    return
