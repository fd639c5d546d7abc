"""A server that answers what it is told, be it sense or not."""

import socket
import ssl
import threading
from pathlib import Path
from typing import Any


def reply(status: int, body: bytes = b"", **headers: str) -> bytes:
    """Spell an answer; underscores in header names stand for hyphens."""
    named = {"Content-Length": str(len(body)), "Connection": "close", **headers}
    lines = [f"HTTP/1.1 {status} Some Reason"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in named.items()]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Canned:
    """Answers each request with the next of `replies` verbatim; the last one repeats.

    An empty reply closes the connection. `drip` sends a reply byte by byte, with a pause, and
    `endless` over and over.
    """

    def __init__(self) -> None:
        """Listen on loopback."""
        self.replies: list[bytes] = []
        self.requests: list[bytes] = []
        self.connections = 0
        self.keep_alive = False
        self.endless = False
        self.drip = 0.0
        self.over = threading.Event()
        self._tls: ssl.SSLContext | None = None
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._server = threading.Thread(target=self._serve, daemon=True)
        self._server.start()

    def encrypt(self, certificate: Path) -> None:
        """Speak TLS from now on."""
        self.url = self.url.replace("http:", "https:")
        self._tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        self._tls.load_cert_chain(certificate)

    def close(self) -> None:
        """Stop listening and end every drip.

        Who was about to accept must not do so once the number of this socket is another one's.
        """
        self.over.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._server.join()
        self._listener.close()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._talk, args=(connection,), daemon=True).start()

    def _talk(self, connection: socket.socket) -> None:
        if self._tls:
            try:
                connection = self._tls.wrap_socket(connection, server_side=True)
            except OSError:  # the client does not trust us
                return
        with connection, connection.makefile("rb") as stream:
            while request := self._request(stream):
                self.requests.append(request)
                answer = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
                self._answer(connection, answer)
                if not answer or not self.keep_alive:
                    return

    def _answer(self, connection: socket.socket, answer: bytes) -> None:
        try:
            if not self.drip:
                connection.sendall(answer)
                while self.endless:
                    connection.sendall(answer)
                return
            for byte in answer:
                connection.sendall(bytes([byte]))
                if self.over.wait(self.drip):
                    return
        except OSError:  # the client had enough
            return

    @staticmethod
    def _request(stream: Any) -> bytes:  # noqa: ANN401  # a file of bytes
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            line = stream.readline()
            if not line:
                return b""
            head += line
        _, _, length = head.lower().partition(b"content-length:")
        return head + bytes(stream.read(int(length.split()[0]) if length else 0))
