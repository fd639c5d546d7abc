"""A server that sends the bytes that a test gives it, whether or not they are HTTP."""

import socket
from typing import BinaryIO

from tests.support.server import LoopbackServer


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Spell an answer; underscores in header names stand for hyphens."""
    named = {"Content-Length": str(len(body)), "Connection": "close", **headers}
    lines = [f"HTTP/1.1 {status} Some Reason"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class ScriptedServer(LoopbackServer):
    """Answers each request with the next of `replies` verbatim; the last one repeats.

    An empty reply closes the connection. With `drip` seconds, a reply is sent byte by byte with
    such a pause; with `endless`, over and over.
    """

    def __init__(self) -> None:
        """Listen; `replies` have to be given before a request arrives."""
        self.replies: list[bytes] = []
        self.requests: list[bytes] = []
        self.keep_alive = False
        self.endless = False
        self.drip = 0.0
        super().__init__()

    def serve(self, connection: socket.socket) -> None:
        """Answer requests until an empty reply, or the first one without `keep_alive`."""
        with connection.makefile("rb") as stream:
            while request := _request(stream):
                self.requests.append(request)
                answer = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                self._answer(connection, answer)
                if not answer or not self.keep_alive:
                    return

    def _answer(self, connection: socket.socket, answer: bytes) -> None:
        if not self.drip:
            connection.sendall(answer)
            while self.endless:
                connection.sendall(answer)
            return
        for byte in answer:
            connection.sendall(bytes([byte]))
            if self.is_over.wait(self.drip):
                return


def _request(stream: BinaryIO) -> bytes:
    """Read a request to its end; b"" where the client sends no more.

    Closing a connection with something unread would reset it.
    """
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        line = stream.readline()
        if not line:
            return b""
        head += line
    _, _, length = head.lower().partition(b"\r\ncontent-length:")
    return head + stream.read(int(length.split()[0]) if length else 0)
