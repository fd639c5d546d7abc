"""What the tests themselves rely on, where a busy machine would show a slip now and then."""

import socket

from tests.support.server import read_head


def test_a_head_that_comes_in_pieces_is_read_to_its_end() -> None:
    """However little each read returns; packets keep the pieces apart."""
    client, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with client, server:
        for piece in (b"CONNECT vault:443 HTTP/1.1\r\n", b"Host: vault\r\n\r", b"\n"):
            client.send(piece)

        assert read_head(server) == b"CONNECT vault:443 HTTP/1.1\r\nHost: vault\r\n\r\n"


def test_a_head_that_never_ends_is_none() -> None:
    """The client hangs up in its middle."""
    client, server = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with server:
        with client:
            client.send(b"GET / HTTP/1.1\r\n")

        assert read_head(server) == b""
