"""What stands between rotator and PostgreSQL, and hangs up when told to."""

import contextlib
import selectors
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

SOCKET = ".s.PGSQL.5432"
#: A client that only wants to hear early, which it does or does not as time allows.
_FLUSH = b"H\0\0\0\4"
#: Types of messages after which a client waits, or ends: Sync, Query, Terminate, Flush. Those
#: before them may come in one piece or in several.
_LAST_OF_ROUND = b"SQXH"


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
        #: How many rounds of rotator's are still let through; None for all.
        self.left: int | None = None
        #: Whether the round that is not answered reaches the server all the same.
        self.delivers_last = False
        self.has_hung_up = False
        self.when_hanging_up = lambda: None

    def hang_up_after(self, rounds: int, *, delivers_last: bool) -> None:
        """Hang up once, after so many more rounds of rotator's: messages up to a wait."""
        self.left, self.delivers_last, self.has_hung_up = rounds, delivers_last, False

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
        with (
            client,
            socket.socket(socket.AF_UNIX) as server,
            selectors.DefaultSelector() as selector,
            contextlib.suppress(OSError),
        ):
            server.connect(str(self._server / SOCKET))
            for side in (client, server):
                selector.register(side, selectors.EVENT_READ)
            rounds = _Rounds()
            while True:
                ready = selector.select()[0][0].fileobj
                data = client.recv(65536) if ready is client else server.recv(65536)
                if not data:
                    return
                if ready is server:
                    client.sendall(data)
                    continue
                for each in rounds.of(data):
                    if each != _FLUSH and self._is_last():
                        self.has_hung_up = True
                        self.when_hanging_up()
                        if self.delivers_last:
                            server.sendall(each)
                        _end(server)
                        return
                    server.sendall(each)

    def _is_last(self) -> bool:
        """Count a round of rotator's."""
        if self.left is None:
            return False
        self.left -= 1
        if self.left >= 0:
            return False
        self.left = None
        return True


class _Rounds:
    """Puts what a client sends together again, as the protocol has it (version 3)."""

    def __init__(self) -> None:
        self._rest = b""
        self._round = b""
        #: The very first message has no type.
        self._has_begun = False

    def of(self, data: bytes) -> Iterator[bytes]:
        """Yield every round that is complete with `data`."""
        self._rest += data
        while message := self._message():
            self._round += message
            if not self._has_begun or message[0] in _LAST_OF_ROUND:
                self._has_begun = True
                yield self._round
                self._round = b""

    def _message(self) -> bytes:
        """Take one whole message; b"" where there is none yet."""
        start = 1 if self._has_begun else 0
        if len(self._rest) < start + 4:
            return b""
        end = start + int.from_bytes(self._rest[start : start + 4], "big")
        if len(self._rest) < end:
            return b""
        message, self._rest = self._rest[:end], self._rest[end:]
        return message


def _end(server: socket.socket) -> None:
    """Let the server know that nothing more comes, and wait until it has done with the rest."""
    server.shutdown(socket.SHUT_WR)
    # A server that was given half a message waits for the rest.
    server.settimeout(10)
    with contextlib.suppress(TimeoutError):
        while server.recv(65536):
            pass
