"""Answers, and proxies, that an attacker would make, or a balancer that has gone mad."""

import socket
import threading
import traceback
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
from tests.support import certificates
from tests.support.scripted_server import ScriptedServer, reply

#: What was sent, and what comes back of it.
VALUE = "Abcdefgh1SecretValue"
TOKEN = "hvs.SecretToken"
REQUEST = HttpRequest(
    method="POST", target="/path", headers={"X-Vault-Token": TOKEN}, body=VALUE.encode()
)
KEPT = b"Connection: keep-alive\r\n"
GOOD = reply(200, b"{}", Connection="keep-alive")
HEAD = b"HTTP/1.1 200 OK\r\n" + KEPT


def chunked(*pieces: bytes) -> bytes:
    """Spell a body in chunks."""
    return b"".join(b"%x\r\n%s\r\n" % (len(piece), piece) for piece in (*pieces, b""))


#: By what is odd with them: answers that are none.
NONE_AT_ALL = {
    "two lengths": HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "two lengths in one": HEAD + b"Content-Length: 2, 3\r\n\r\n{}",
    "a negative length": HEAD + b"Content-Length: -2\r\n\r\n{}",
    "a length with a sign": HEAD + b"Content-Length: +2\r\n\r\n{}",
    "a length without end": HEAD + b"Content-Length: 2" + b"0" * 30 + b"\r\n\r\n{}",
    "a coding that nobody asked for": HEAD + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "a coding in another's dress": HEAD + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "a chunk of negative size": HEAD + b"Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n",
    "a chunk that is longer": HEAD + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}x\r\n0\r\n\r\n",
    "a blank in a header's name": HEAD + b"Content-Length : 2\r\n\r\n{}",
    "a header without a name": HEAD + b": x\r\nContent-Length: 2\r\n\r\n{}",
    "a zero in a header": HEAD + b"X: \0\r\nContent-Length: 2\r\n\r\n{}",
    "another protocol": b"HTTP/1.1 101 Switching\r\nUpgrade: x\r\n" + KEPT + b"\r\n{}",
    "another version": b"HTTP/2 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "no protocol": b"ICY 200 OK\r\nContent-Length: 2\r\n\r\n{}",
    "no status": b"HTTP/1.1 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a status of two digits": b"HTTP/1.1 20 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a status of four digits": b"HTTP/1.1 2000 OK\r\nContent-Length: 2\r\n\r\n{}",
    "a body alone": b'{"value": "' + VALUE.encode() + b'"}\r\n\r\n',
}
#: By what is odd with them: answers all the same, with their status and body, which are the last
#: on their connection.
THE_LAST = {
    "a surplus": (GOOD + VALUE.encode(), 200, b"{}"),
    "a second answer": (GOOD + reply(200, b"{!}", Connection="keep-alive"), 200, b"{}"),
    "an end told twice": (
        HEAD + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(b"{}"),
        200,
        b"{}",
    ),
    "a 204 with a body": (
        b"HTTP/1.1 204 No\r\n" + KEPT + b"Content-Length: 2\r\n\r\n{}",
        204,
        b"",
    ),
    "a 304 with a body": (
        b"HTTP/1.1 304 No\r\n" + KEPT + b"Content-Length: 2\r\n\r\n{}",
        304,
        b"",
    ),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
    "HTTP/1.0 that stays": (
        b"HTTP/1.0 200 OK\r\n" + KEPT + b"Content-Length: 2\r\n\r\n{}",
        200,
        b"{}",
    ),
}
#: Likewise, but for that.
ODD = {
    "one length twice": (HEAD + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
    "a header on two lines": (HEAD + b"X: a\r\n b\r\nContent-Length: 2\r\n\r\n{}", 200, b"{}"),
    "lines without returns": (GOOD.replace(b"\r\n", b"\n"), 200, b"{}"),
    "hints before": (b"HTTP/1.1 103 Early\r\nLink: x\r\n\r\n" + GOOD, 200, b"{}"),
    "trailers": (
        HEAD
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + chunked(b"{", b"}").removesuffix(b"\r\n")
        + b"X: y\r\n\r\n",
        200,
        b"{}",
    ),
}


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """A server that answers what it is told, and hangs up for nothing."""
    server = ScriptedServer()
    server.keep_alive = True
    yield server
    server.close()


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for a name alone."""
    folder = tmp_path_factory.mktemp("tls")
    return certificates.certificate(folder, "server", "DNS:vault.example.com")


def send(client: Client) -> HttpResponse:
    """Send the request with time to spare."""
    return client.send(REQUEST, left=lambda: 60, limit=1000)


def failed(client: Client) -> ExchangeFailed:
    """Send it in vain; see that nothing of it or of what came is told."""
    with pytest.raises(ExchangeFailed) as caught:
        send(client)
    told = "".join(traceback.format_exception(caught.value)) + repr(caught.value)
    assert caught.value.__context__ is None
    assert VALUE not in told
    assert TOKEN not in told
    return caught.value


@pytest.mark.parametrize("odd", NONE_AT_ALL)
def test_what_is_no_answer_is_none(server: ScriptedServer, odd: str) -> None:
    """The request was sent, and what became of it is unknown. The next has its own connection."""
    server.replies = [NONE_AT_ALL[odd], GOOD]
    client = Client(Route(server.url), keep_alive=True)
    lost = failed(client)

    assert (lost.reason, lost.sent) == (TransportFailure.DROPPED, True)
    assert send(client).body == b"{}"
    assert server.connections == 2


@pytest.mark.parametrize("odd", [*THE_LAST, *ODD])
def test_an_odd_answer_is_one_and_answers_nothing_else(server: ScriptedServer, odd: str) -> None:
    """What it leaves behind, or may be read to leave, never meets the next request."""
    raw, status, body = (THE_LAST | ODD)[odd]
    server.replies = [raw, reply(200, b"[]", Connection="keep-alive")]
    client = Client(Route(server.url), keep_alive=True)
    first, second = send(client), send(client)

    assert (first.status, first.body) == (status, body)
    assert second.body == b"[]"
    assert server.connections == (2 if odd in THE_LAST else 1)


def test_a_body_without_a_length_ends_with_its_connection(server: ScriptedServer) -> None:
    """As HTTP/1.0 has it."""
    server.keep_alive = False
    server.replies = [b"HTTP/1.0 200 OK\r\n\r\n{}"]

    assert send(Client(Route(server.url))).body == b"{}"


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server: ScriptedServer, status: int) -> None:
    """Token and value go to no other host, nor a second time to this one."""
    other = ScriptedServer()
    other.replies = [GOOD]
    server.replies = [reply(status, Location=f"{other.url}/path", Connection="keep-alive")]
    answer = send(Client(Route(server.url)))
    other.close()

    assert answer.status == status
    assert len(server.requests) == 1
    assert other.connections == 0


def test_nobodys_netrc_is_read(
    server: ScriptedServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the home's nor one that the environment names."""
    netrc = tmp_path / ".netrc"
    netrc.write_text("default login somebody password something\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("NETRC", str(netrc))
    server.replies = [GOOD]
    send(Client(Route(server.url)))

    assert b"authorization" not in server.requests[0].lower()


def test_a_connection_that_ends_as_a_request_goes_out_leaves_it_unknown() -> None:
    """Only what was not sent is known as that."""
    may_end, has_ended = threading.Event(), threading.Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        accepted, _ = listener.accept()
        accepted.recv(65536)
        accepted.sendall(GOOD)
        may_end.wait()
        accepted.close()
        has_ended.set()

    def end() -> None:
        may_end.set()
        has_ended.wait()

    thread = threading.Thread(target=serve)
    thread.start()
    client = Client(Route(f"http://127.0.0.1:{listener.getsockname()[1]}"), keep_alive=True)
    send(client)
    with pytest.raises(ExchangeFailed) as caught:
        client.send(REQUEST, left=lambda: 60, limit=1000, before_send=end)
    thread.join()
    listener.close()

    assert (caught.value.reason, caught.value.sent) == (TransportFailure.DROPPED, True)


def test_a_certificate_for_another_name_is_none(server: ScriptedServer, certificate: Path) -> None:
    """However well it is signed."""
    server.encrypt(certificate)
    lost = failed(Client(Route(server.url, Trust(ca_file=str(certificate)))))

    assert (lost.reason, lost.sent) == (TransportFailure.TLS, False)
    assert server.requests == []


# -- Proxies. ------------------------------------------------------------------------------

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n"


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        (ESTABLISHED + b"\r\njunk", TransportFailure.PROXY),
        (ESTABLISHED + b"Content-Length: 4\r\n\r\njunk", TransportFailure.PROXY),
        (reply(407, b"{}", Proxy_Authenticate="Basic"), TransportFailure.PROXY),
        (reply(403, VALUE.encode()), TransportFailure.PROXY),
        (reply(302, Location="http://127.0.0.1:1/"), TransportFailure.PROXY),
        (reply(502), TransportFailure.PROXY_AWAY),
        (reply(503), TransportFailure.PROXY_AWAY),
        (b"HTTP/1.1 101 Switching\r\n\r\n", TransportFailure.PROXY_AWAY),
        (b"junk\r\n\r\n", TransportFailure.PROXY_AWAY),
        (b"", TransportFailure.PROXY_AWAY),
        # From here on the server itself is spoken to, and it is not there.
        (ESTABLISHED + b"\r\n", TransportFailure.UNREACHABLE),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + ESTABLISHED + b"\r\n", TransportFailure.UNREACHABLE),
        (b"HTTP/1.0 200 OK\r\n\r\n", TransportFailure.UNREACHABLE),
    ],
)
def test_a_proxy_that_makes_no_tunnel_sees_no_request(
    server: ScriptedServer, said: bytes, reason: TransportFailure, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It learns whom it is to reach, and nothing was sent."""
    monkeypatch.setenv("https_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    server.keep_alive = False
    server.replies = [said]
    lost = failed(Client(Route("https://vault.example.com:8200")))

    assert (lost.reason, lost.sent) == (reason, False)
    assert lost.reason.unsent
    assert server.requests == [
        b"CONNECT vault.example.com:8200 HTTP/1.1\r\nHost: vault.example.com:8200\r\n\r\n"
    ]


def test_a_proxy_that_wants_to_know_who_asks_is_heard(
    server: ScriptedServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where there is no TLS its refusal is an answer like another, and not asked for again."""
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv("no_proxy", "")
    server.replies = [reply(407, Proxy_Authenticate="Basic", Connection="keep-alive")]
    answer = send(Client(Route("http://vault.example.com:8200")))

    assert answer.status == 407
    assert len(server.requests) == 1


@pytest.mark.parametrize("zone", ["%lo", "%25lo"])
def test_a_zone_is_this_machines_alone(zone: str) -> None:
    """It tells where to connect, spelled as in a URL or not, and is told to nobody."""
    way = Route(f"https://[fe80::1{zone}]:8200")

    assert way.address == ("fe80::1%lo", 8200)
    assert way.authority == "[fe80::1]:8200"
