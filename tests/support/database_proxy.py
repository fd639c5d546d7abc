"""A proxy between rotator and PostgreSQL that hangs up on demand."""

import contextlib
import selectors
import socket
from collections.abc import Callable, Iterator
from pathlib import Path

from tests.support.server import LoopbackServer

SOCKET = ".s.PGSQL.5432"
#: A client that asks for early results, which arrive early or not, as timing has it.
_FLUSH = b"H\0\0\0\4"
#: Types of messages after which a client waits, or ends: Sync, Query, Terminate, Flush. Those
#: before them may come in one piece or in several.
_LAST_OF_ROUND = b"SQXH"


class DatabaseProxy(LoopbackServer):
    """Passes on what rotator and the server send each other, and hangs up on demand."""

    #: Called when it hangs up, before the other side knows.
    when_hanging_up: Callable[[], object]

    def __init__(self, folder: Path, server: Path) -> None:
        """Listen in `folder` for the server whose socket is in the folder `server`."""
        self._server = server
        self.folder = folder
        #: How many more of rotator's rounds are let through; None for all.
        self.left: int | None = None
        #: Whether the round that is not answered still reaches the server.
        self.delivers_last = False
        self.has_hung_up = False
        self.when_hanging_up = lambda: None
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(folder / SOCKET))
        listener.listen()
        super().__init__(listener=listener)

    def hang_up_after(self, rounds: int, *, delivers_last: bool) -> None:
        """Hang up once, after `rounds` more of rotator's: messages up to a wait."""
        self.left, self.delivers_last, self.has_hung_up = rounds, delivers_last, False

    def serve(self, connection: socket.socket) -> None:
        """Connect to the server, and relay until either side or this proxy hangs up."""
        with (
            socket.socket(socket.AF_UNIX) as server,
            selectors.DefaultSelector() as selector,
        ):
            server.connect(str(self._server / SOCKET))
            for side in (connection, server):
                selector.register(side, selectors.EVENT_READ)
            rounds = _Rounds()
            while True:
                ready = selector.select()[0][0].fileobj
                data = (connection if ready is connection else server).recv(65536)
                if not data:
                    return
                if ready is server:
                    connection.sendall(data)
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
    """Reassembles the messages that a client sends (protocol version 3)."""

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
    """Tell the server that nothing more follows, and wait until it is done with the rest."""
    server.shutdown(socket.SHUT_WR)
    # A server that was given half a message waits for the rest.
    server.settimeout(10)
    with contextlib.suppress(TimeoutError):
        while server.recv(65536):
            pass
