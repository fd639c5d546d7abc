"""An HTTP proxy that makes tunnels, spoken to in TLS if it has a certificate."""

import selectors
import socket
import ssl
import threading
from contextlib import suppress
from pathlib import Path
from typing import Self

from tests.support import certificates


class Tunnel:
    """Takes CONNECT and leads every tunnel to one port of this machine."""

    def __init__(self, port: int, certificate: Path | None = None) -> None:
        """Lead to `port`, whatever host is asked for."""
        self._port = port
        self._tls = certificates.server_context(certificate) if certificate else None
        #: What came before each tunnel stood.
        self.heads: list[bytes] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        scheme = "https" if certificate else "http"
        self.url = f"{scheme}://127.0.0.1:{self._listener.getsockname()[1]}"
        self._threads = [threading.Thread(target=self._serve)]
        self._threads[0].start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for thread in self._threads:
            thread.join()

    def _serve(self) -> None:
        with suppress(OSError):
            while True:
                accepted = self._listener.accept()[0]
                thread = threading.Thread(target=self._relay, args=[accepted])
                self._threads.append(thread)
                thread.start()

    def _relay(self, accepted: socket.socket) -> None:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self._port)) as server:
            client = self._tls.wrap_socket(accepted, server_side=True) if self._tls else accepted
            with client:
                self.heads.append(client.recv(65536))
                client.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
                _carry(client, server)


def _carry(client: socket.socket, server: socket.socket) -> None:
    """Carry bytes to and fro until one side hangs up."""
    with selectors.PollSelector() as waiting:
        for each in (client, server):
            waiting.register(each, selectors.EVENT_READ)
        while True:
            is_pending = isinstance(client, ssl.SSLSocket) and client.pending()
            ready = [client] if is_pending else [key.fileobj for key, _ in waiting.select(60)]
            received = client.recv(65536) if client in ready[:1] else server.recv(65536)
            if not received:
                return
            (server if client in ready[:1] else client).sendall(received)
