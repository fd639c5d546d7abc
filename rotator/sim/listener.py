"""A listener on loopback with one thread per connection."""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress

from rotator.sim.connection import Connection

HOST = "127.0.0.1"
_BACKLOG = 128
#: how long `close` waits for a thread that an observer holds
_JOIN_SECONDS = 2.0


class Listener:
    """Accepts connections until it is closed and hands each to `serve` in its own thread.

    `serve` may raise OSError when its client goes away; the connection is closed after it.
    All threads are daemons. With `tls`, that is what it speaks.

    Raises:
        OSError: the port is taken.
    """

    def __init__(
        self,
        serve: Callable[[Connection], None],
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self._serve = serve
        self._tls = tls
        self._socket = socket.create_server((HOST, port), backlog=_BACKLOG)
        self.port: int = self._socket.getsockname()[1]
        self._closing = threading.Event()
        self._lock = threading.Lock()
        self._threads: dict[Connection, threading.Thread] = {}
        self._acceptor = threading.Thread(target=self._accept, name="sim-accept", daemon=True)
        self._acceptor.start()

    def close(self) -> None:
        """Stop listening, break every connection and wait for the threads; idempotent."""
        self._closing.set()
        self._wake()
        self._acceptor.join(_JOIN_SECONDS)
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
        with suppress(OSError), socket.create_connection((HOST, self.port), timeout=1.0):
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
