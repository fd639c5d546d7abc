"""One request and its answer: what is sent, when it is sent, and over which connection."""

import gc
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.network import (
    Client,
    ExchangeFailed,
    HttpRequest,
    HttpResponse,
    Route,
    TransportFailure,
    Trust,
)
from rotator.network.connection import Connection
from rotator.network.exchange import Exchange
from rotator.network.stream import CurrentExchange, HungUp
from rotator.sim.http import Port
from tests.support import certificates
from tests.support.scripted_server import ScriptedServer, reply
from tests.support.tunnel_proxy import TunnelProxy

REQUEST = HttpRequest(method="POST", target="/path?a=b", headers={"X-One": "1"}, body=b"{}")


class Denied(Exception):
    """What a caller raises in the last moment."""


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that answers what it is told."""
    server = ScriptedServer()
    server.replies = [reply(200, b"{}")]
    yield server
    server.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for 127.0.0.1, and for a name."""
    return certificates.certificate(tmp_path_factory.mktemp("tls"), "server")


def send(client: Client, **options: object) -> HttpResponse:
    """Send the request with time to spare."""
    return client.send(REQUEST, left=lambda: 60, limit=1000, **options)  # type: ignore[arg-type]


def test_what_is_sent(server: ScriptedServer) -> None:
    """A request as HTTP has it, with nothing that was not asked for."""
    answer = send(Client(Route(server.url)))

    assert answer.status == 200
    assert answer.body == b"{}"
    assert answer.headers["content-length"] == "2"
    head, _, body = server.requests[0].partition(b"\r\n\r\n")
    assert body == b"{}"
    assert head.split(b"\r\n") == [
        b"POST /path?a=b HTTP/1.1",
        f"Host: 127.0.0.1:{server.port}".encode(),
        b"X-One: 1",
        b"Content-Length: 2",
    ]


def test_headers_of_one_name_are_joined(server: ScriptedServer) -> None:
    """And found in lower case."""
    server.replies = [b"HTTP/1.1 204 No\r\nVia: a\r\nVIA: b\r\nConnection: close\r\n\r\n"]

    assert send(Client(Route(server.url))).headers["via"] == "a, b"


# -- The moment before. --------------------------------------------------------------------


def test_the_moment_before_comes_once_and_on_an_open_connection(server: ScriptedServer) -> None:
    """When the connection stands, and nothing was sent yet."""
    seen: list[int] = []
    send(Client(Route(server.url)), before_send=lambda: seen.append(len(server.requests)))

    assert seen == [0]
    assert len(server.requests) == 1


def refuse() -> None:
    """Change one's mind."""
    raise Denied


@pytest.mark.parametrize("keep_alive", [False, True])
def test_what_the_moment_before_raises_comes_out_and_nothing_is_sent(
    server: ScriptedServer, *, keep_alive: bool
) -> None:
    """Unchanged; and the client can be used again."""
    server.keep_alive = True
    server.replies = [reply(200, b"{}", Connection="keep-alive")]
    client = Client(Route(server.url), keep_alive=keep_alive)
    send(client)
    with pytest.raises(Denied):
        send(client, before_send=refuse)
    send(client)

    assert len(server.requests) == 2


def test_a_moment_before_that_takes_all_the_time_has_nothing_sent(server: ScriptedServer) -> None:
    """It is no answer that is missing then, and whoever asked knows that."""
    left = [60.0]
    with pytest.raises(ExchangeFailed) as caught:
        Client(Route(server.url)).send(
            REQUEST, left=lambda: left[0], limit=1000, before_send=lambda: left.insert(0, 0.0)
        )

    assert caught.value.reason is TransportFailure.CONNECT_TIMEOUT
    assert not caught.value.sent
    assert server.requests in ([], [b""])


def test_the_moment_before_is_not_wanted_where_there_is_no_connection() -> None:
    """As nothing is about to be sent."""
    seen: list[str] = []
    with pytest.raises(ExchangeFailed) as caught:
        send(
            Client(Route(f"http://127.0.0.1:{Port().number}")), before_send=lambda: seen.append("x")
        )

    assert caught.value.reason is TransportFailure.REFUSED
    assert seen == []


# -- Proxies. ------------------------------------------------------------------------------


@pytest.mark.parametrize("is_encrypted", [False, True])
def test_a_proxy_sees_who_is_asked_and_nothing_of_what(
    tmp_path: Path, server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, *, is_encrypted: bool
) -> None:
    """Through its tunnel goes TLS, also where the way to the proxy itself is TLS."""
    own = certificates.certificate(tmp_path, "server", "DNS:vault.test,IP:127.0.0.1")
    server.encrypt(own)
    seen: list[int] = []
    with TunnelProxy(server.port, own if is_encrypted else None) as tunnel:
        monkeypatch.setenv("https_proxy", tunnel.url.replace("//", "//user:pa55@"))
        monkeypatch.setenv("no_proxy", "")
        monkeypatch.setenv("SSL_CERT_FILE", str(own))
        client = Client(Route("https://vault.test.:8200", Trust(ca_file=str(own))))
        answer = send(client, before_send=lambda: seen.append(len(tunnel.heads)))

    assert answer.body == b"{}"
    assert len(server.requests) == 1
    assert b"X-One" not in tunnel.heads[0]
    assert b"Proxy-Authorization: Basic dXNlcjpwYTU1" in tunnel.heads[0]
    assert b"Proxy-Authorization" not in server.requests[0]
    # Not before the request by which the tunnel was made.
    assert seen == [1]


def test_a_host_behind_a_proxy_has_to_prove_who_it_is(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch, certificate: Path
) -> None:
    """A proxy that leads elsewhere gets no request."""
    server.encrypt(certificate)
    with TunnelProxy(server.port) as tunnel:
        monkeypatch.setenv("https_proxy", tunnel.url)
        monkeypatch.setenv("no_proxy", "")
        client = Client(Route("https://vault.test:8200", Trust(ca_file=str(certificate))))
        with pytest.raises(ExchangeFailed) as caught:
            send(client)

    assert caught.value.reason is TransportFailure.TLS
    assert not caught.value.sent
    assert server.requests == []


# -- Connections that are kept. ------------------------------------------------------------


def test_a_connection_is_kept_where_that_is_wanted(server: ScriptedServer) -> None:
    """One connection for many requests."""
    server.keep_alive = True
    server.replies = [reply(200, b"{}", Connection="keep-alive")]
    client = Client(Route(server.url), keep_alive=True)
    for _ in range(3):
        send(client)

    assert server.connections == 1
    client.close()


def test_a_connection_that_the_server_closed_takes_no_request(server: ScriptedServer) -> None:
    """A write on it would be lost without a word whether it arrived."""
    server.replies = [reply(200, b"{}", Connection="keep-alive")]
    client = Client(Route(server.url), keep_alive=True)
    for _ in range(3):
        send(client)
        kept = client._kept.connection
        if kept:
            # Not until it is unusable: it would be so as well once it has idled for long.
            _until(kept._stream.is_readable)

    assert server.connections == 3
    assert len(server.requests) == 3


def test_a_connection_with_something_unasked_for_takes_no_request(server: ScriptedServer) -> None:
    """What came too much for one request does not answer the next."""
    server.keep_alive = True
    kept = reply(200, b"{}", Connection="keep-alive")
    server.replies = [kept + reply(200, b"bad"), kept]
    client = Client(Route(server.url), keep_alive=True)

    assert [send(client).body for _ in range(2)] == [b"{}", b"{}"]
    assert server.connections == 2
    client.close()


def test_a_connection_that_idled_takes_no_request(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A balancer may have forgotten it without a word."""
    now = [1000.0]
    monkeypatch.setattr("rotator.network.connection.time.monotonic", lambda: now[0])
    server.keep_alive = True
    server.replies = [reply(200, b"{}", Connection="keep-alive")]
    client = Client(Route(server.url), keep_alive=True)
    for seconds in (0, 19, 21):
        now[0] += seconds
        send(client)

    assert server.connections == 2
    client.close()


def test_a_connection_is_closed_with_its_client(server: ScriptedServer) -> None:
    """Whoever forgets a client leaves no connection open."""
    server.keep_alive = True
    server.replies = [reply(200, b"{}", Connection="keep-alive")]
    client = Client(Route(server.url), keep_alive=True)
    send(client)
    kept = client._kept
    del client

    assert kept.connection is None


class Curt:
    """A stream to a server that answers before it has read, and hangs up."""

    def __init__(self, answer: bytes) -> None:
        self.current = CurrentExchange()
        self.current.exchange = Exchange(
            left=lambda: 60, limit=100, before_send=None, interrupt=None, through_proxy=False
        )
        self._answers = [answer, b""]

    def write(self, _data: bytes) -> None:
        """Take nothing."""
        raise HungUp("broken pipe")

    def read(self) -> bytes:
        """Answer all the same."""
        return self._answers.pop(0)

    def is_readable(self) -> bool:
        """Report that the connection was hung up."""
        return True

    def close(self) -> None:
        """Do nothing: the connection was hung up already."""


def test_who_answers_and_hangs_up_is_heard() -> None:
    """As a server does to which a request is too large."""
    connection = Connection(Curt(reply(413, b"{}")))
    connection.send("POST", "/", [("Host", "h"), ("Content-Length", "2")], b"{}")

    assert connection.head().status_code == 413
    assert connection.body(100) == b"{}"
    assert not connection.is_usable


def _until(is_so: object) -> None:
    """Wait until the server has hung up."""
    over = threading.Event()
    while not is_so():  # type: ignore[operator]
        over.wait(0.001)


# -- Giving up. ----------------------------------------------------------------------------


def test_a_wait_may_be_interrupted(server: ScriptedServer) -> None:
    """What the interruption raises comes out, also while nothing comes."""
    server.replies = [b"H"]
    server.drip = 60

    def interrupt() -> None:
        if server.requests:
            raise Denied

    with pytest.raises(Denied):
        send(Client(Route(server.url)), interrupt=interrupt)


@pytest.mark.parametrize(
    ("answer", "is_sent"),
    [(b"", True), (b"SSH-2.0\r\n", True), (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", True)],
)
def test_what_is_no_answer_says_nothing_of_what_came(
    server: ScriptedServer, answer: bytes, *, is_sent: bool
) -> None:
    """Neither the error nor what it drags along quotes anything."""
    server.replies = [answer]
    with pytest.raises(ExchangeFailed) as caught:
        send(Client(Route(server.url)))

    assert caught.value.reason is TransportFailure.DROPPED
    assert caught.value.sent is is_sent
    assert "SSH" not in repr(caught.value)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "url", ["http://", "ftp://host", "http://a..b", "host", f"http://{'x' * 64}"]
)
def test_an_address_that_leads_nowhere_is_refused(url: str) -> None:
    """At once."""
    with pytest.raises(ValueError):  # noqa: PT011  # whatever it says
        Route(url)


def test_a_client_that_is_dropped_closes_what_it_kept(server: ScriptedServer) -> None:
    """Though whoever asked holds it, and was asked how much time is left."""

    class Asker:
        def __init__(self) -> None:
            self.client = Client(Route(server.url), keep_alive=True)
            self.client.send(REQUEST, left=self.left, limit=1000)

        def left(self) -> float:
            return 60

    server.keep_alive = True
    server.replies = [reply(200, b"{}", Connection="keep-alive")]
    asker = Asker()
    kept = asker.client._kept
    was_kept = kept.connection is not None
    del asker
    gc.collect()

    assert was_kept
    assert kept.connection is None
