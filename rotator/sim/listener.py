"""A listener on loopback with one thread per connection."""

import socket
import ssl
import threading
import weakref
from collections.abc import Callable
from contextlib import suppress

from rotator.sim.connection import Connection

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
        """Give a socket that listens there; one at a time gets the connections."""
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
