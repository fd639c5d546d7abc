"""A server on a socket of this machine, with a thread for each connection."""

import socket
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.support import certificates

_PIECE = 65536


def read_head(connection: socket.socket) -> bytes:
    """Read a request to the end of its head, which may come in pieces.

    Returns nothing where the client hangs up before that.
    """
    head = b""
    while b"\r\n\r\n" not in head:
        if not (piece := connection.recv(_PIECE)):
            return b""
        head += piece
    return head


class LoopbackServer:
    """Accepts connections from its start to `close`; a subclass serves them.

    With a certificate it speaks TLS.
    """

    def __init__(
        self, certificate: Path | None = None, *, listener: socket.socket | None = None
    ) -> None:
        """Listen on a free port of 127.0.0.1, or accept from `listener`."""
        #: Set by `close`, for a subclass that waits.
        self.is_over = threading.Event()
        #: Number of connections that were accepted.
        self.connections = 0
        self._tls = certificates.server_context(certificate) if certificate else None
        self._listener = listener or socket.create_server(("127.0.0.1", 0))
        address = self._listener.getsockname()
        #: Its port; 0 if it listens elsewhere than on TCP.
        self.port: int = address[1] if self._listener.family == socket.AF_INET else 0
        self._open: dict[threading.Thread, socket.socket] = {}
        self._acceptor = threading.Thread(target=self._accept)
        self._acceptor.start()

    def serve(self, connection: socket.socket) -> None:
        """Serve one connection, which is closed afterwards. It may raise OSError."""
        raise NotImplementedError

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def encrypt(self, certificate: Path) -> None:
        """Speak TLS from now on."""
        self._tls = certificates.server_context(certificate)

    def close(self) -> None:
        """Stop listening, break every connection, and wait for the threads."""
        self.is_over.set()
        self._stop_accepting()
        for thread, connection in self._open.items():
            # A client's process may have a copy of it, so closing would not be enough.
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join()

    def wait_for_clients(self) -> None:
        """Stop listening, and wait until every connection has ended by itself."""
        self._stop_accepting()
        for thread in self._open:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _stop_accepting(self) -> None:
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        # An `accept` that began later could take a connection of whoever gets the number next.
        self._acceptor.join()
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                accepted = self._listener.accept()[0]
            except OSError:
                return
            self.connections += 1
            thread = threading.Thread(target=self._run, args=[accepted])
            self._open[thread] = accepted
            thread.start()

    def _run(self, accepted: socket.socket) -> None:
        connection = accepted
        with suppress(OSError), accepted:
            if self._tls:
                connection = self._tls.wrap_socket(accepted, server_side=True)
                self._open[threading.current_thread()] = connection
            with connection:
                self.serve(connection)
