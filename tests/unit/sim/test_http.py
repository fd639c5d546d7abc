"""HTTP as the simulators speak it, to one client and to many."""

import json
import socket
import threading
from contextlib import closing
from urllib.parse import urlsplit

import pytest

from rotator.sim import VonageSimulator
from tests.unit.sim.vonage import KEY, SECOND, SECRET, SECRETS, ask, basic, call, connect


def test_a_connection_serves_many_requests(vonage: VonageSimulator) -> None:
    """HTTP/1.1 keep-alive: one connection, many requests, until the client closes it."""
    with closing(connect(vonage)) as connection:
        first = ask(connection, "GET", SECRETS)
        used = connection.sock
        second = ask(connection, "POST", SECRETS, {"secret": SECOND})

        assert (first.status, second.status) == (200, 201)
        assert connection.sock is used


def converse(simulator: VonageSimulator, sent: bytes) -> bytes:
    """Send raw bytes and give all that comes back."""
    host, port = urlsplit(simulator.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(sent)
        return b"".join(iter(lambda: client.recv(65536), b""))


def test_a_chunked_body_is_read(vonage: VonageSimulator) -> None:
    """A client may send its body in chunks, and ask before it sends it."""
    body = json.dumps({"secret": SECOND}).encode()
    head = (
        f"POST {SECRETS} HTTP/1.1\r\nHost: v\r\n"
        f"Authorization: {basic(KEY, SECRET)['Authorization']}\r\n"
        "Transfer-Encoding: chunked\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    ).encode()
    chunks = b"5\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (body[:5], len(body) - 5, body[5:])

    answer = converse(vonage, head + chunks)

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 201 Created\r\n")


@pytest.mark.parametrize(
    "sent",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: v\r\nContent-Length: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: v\r\nContent-Length: -1\r\n\r\n",
        b"x" * 70000,
    ],
    ids=["no request", "no length", "negative length", "too long"],
)
def test_what_is_not_http_is_400(vonage: VonageSimulator, sent: bytes) -> None:
    """Bytes that are no request are answered 400 and the connection is closed."""
    assert converse(vonage, sent).startswith(b"HTTP/1.1 400 ")


def test_a_request_that_breaks_off_is_not_carried_out(vonage: VonageSimulator) -> None:
    """A client that is killed within its request leaves no exchange, and hurts nobody."""
    host, port = urlsplit(vonage.url).netloc.split(":")
    with socket.create_connection((host, int(port)), timeout=60) as client:
        client.sendall(f"POST {SECRETS} HTTP/1.1\r\nHost: v\r\nContent-Length: 9\r\n\r\n".encode())

    assert call(vonage, "GET", SECRETS).status == 200
    assert len(vonage.exchanges) == 1


def test_http_1_0_closes(vonage: VonageSimulator) -> None:
    """An HTTP/1.0 client that does not ask for more gets one answer."""
    answer = converse(vonage, b"HEAD /nowhere HTTP/1.0\r\n\r\n")

    assert b"Connection: close" in answer
    assert answer.endswith(b"\r\n\r\n")


def test_many_clients_at_once(vonage: VonageSimulator) -> None:
    """Requests of many connections are all answered and numbered without a gap."""

    def work() -> None:
        with closing(connect(vonage)) as connection:
            for _ in range(20):
                ask(connection, "GET", SECRETS)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()

    assert [exchange.number for exchange in vonage.exchanges] == list(range(1, 161))
    assert {exchange.status for exchange in vonage.exchanges} == {200}
