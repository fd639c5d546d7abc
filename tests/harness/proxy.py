"""What stands between rotator and PostgreSQL, and hangs up when told to."""

import contextlib
import select
import socket
import threading
from collections.abc import Callable
from pathlib import Path

SOCKET = ".s.PGSQL.5432"


class Proxy:
    """Stands between rotator and the server, and hangs up when told to."""

    #: Called when it hangs up, before the other side knows.
    when_hanging_up: Callable[[], object]

    def __init__(self, folder: Path, server: Path) -> None:
        """Listen in `folder` for the server whose socket is in the folder `server`."""
        self._server = server
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / SOCKET))
        self._listener.listen()
        self.folder = folder
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()
        #: How many messages of rotator's are still let through; None for all.
        self.left: int | None = None
        #: Whether the message that is not answered reaches the server all the same.
        self.delivers_last = False
        self.has_hung_up = False
        self.when_hanging_up = lambda: None

    def hang_up_after(self, messages: int, *, delivers_last: bool) -> None:
        """Hang up once, after so many more messages of rotator's."""
        self.left, self.delivers_last, self.has_hung_up = messages, delivers_last, False

    def close(self) -> None:
        """Take no more connections and wait for those that are left to end."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                thread = threading.Thread(target=self._relay, args=[client])
                self._threads.append(thread)
                thread.start()

    def _relay(self, client: socket.socket) -> None:
        # Either side may hang up while it is being sent something.
        with client, socket.socket(socket.AF_UNIX) as server, contextlib.suppress(OSError):
            server.connect(str(self._server / SOCKET))
            while True:
                ready, _, _ = select.select([client, server], [], [])
                data = ready[0].recv(65536)
                if not data:
                    return
                if ready[0] is server:
                    client.sendall(data)
                elif self._is_last():
                    self.has_hung_up = True
                    self.when_hanging_up()
                    if self.delivers_last:
                        server.sendall(data)
                    _end(server)
                    return
                else:
                    server.sendall(data)

    def _is_last(self) -> bool:
        """Count a message of rotator's."""
        if self.left is None:
            return False
        self.left -= 1
        if self.left >= 0:
            return False
        self.left = None
        return True


def _end(server: socket.socket) -> None:
    """Let the server know that nothing more comes, and wait until it has done with the rest."""
    server.shutdown(socket.SHUT_WR)
    # A server that was given half a message waits for the rest.
    server.settimeout(10)
    with contextlib.suppress(TimeoutError):
        while server.recv(65536):
            pass
