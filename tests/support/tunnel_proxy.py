"""An HTTP proxy that opens tunnels, over TLS if it has a certificate."""

import selectors
import socket
import ssl
from pathlib import Path

from tests.support.server import LoopbackServer, read_head


class TunnelProxy(LoopbackServer):
    """Accepts CONNECT for any host, and leads every tunnel to one port of this machine."""

    def __init__(self, target: int, certificate: Path | None = None) -> None:
        """Lead to the port `target`."""
        self._target = target
        #: What was received before each tunnel was open.
        self.heads: list[bytes] = []
        super().__init__(certificate)

    def serve(self, connection: socket.socket) -> None:
        """Open a tunnel, and carry bytes until one side hangs up."""
        with socket.create_connection(("127.0.0.1", self._target)) as server:
            self.heads.append(read_head(connection))
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            _carry(connection, server)


def _carry(client: socket.socket, server: socket.socket) -> None:
    """Carry bytes both ways until one side hangs up."""
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
