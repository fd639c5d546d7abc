"""The last look before an effect: on an open connection, right before the first byte."""

import socket
import ssl
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from rotator.errors import NotSent, RotatorError, Withdrawn
from rotator.model import SecretValue
from rotator.vonage import Accounts, Secrets, VonageClient
from tests.support.certificates import certificate, server_context
from tests.unit.vonage.client import CREDENTIAL, KEY, LIST, ONE, PAIR, SECRET, VALUE, transport
from tests.unit.vonage.clock import Clock
from tests.unit.vonage.scripted_server import Canned, reply

Look = Callable[[], object]
#: What has an effect, by its method.
EFFECTS: dict[str, Callable[[VonageClient, Look], object]] = {
    "create": lambda shared, look: Secrets(shared).create_secret(
        CREDENTIAL, KEY, SecretValue(VALUE), before_send=look
    ),
    "delete": lambda shared, look: Secrets(shared).delete_secret(
        CREDENTIAL, KEY, "one", before_send=look
    ),
    "top up": lambda shared, look: Accounts(shared).top_up(
        CREDENTIAL, "8ef2447e", before_send=look
    ),
    "callbacks": lambda shared, look: Accounts(shared).update_callbacks(
        CREDENTIAL, inbound_sms_url="", before_send=look
    ),
}


class Ear:
    """Accepts one connection, speaks TLS if it is to, and hears what comes."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        """Listen on loopback."""
        self.heard = b""
        self.is_open = threading.Event()
        self._context = context
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """See the connection end."""
        self._thread.join()
        self._listener.close()

    def _listen(self) -> None:
        connection, _ = self._listener.accept()
        if self._context:
            connection = self._context.wrap_socket(connection, server_side=True)
        # The client may end it rudely.
        with connection, suppress(OSError):
            self.is_open.set()
            while piece := connection.recv(4096):
                self.heard += piece


@contextmanager
def tunnelling(target: int) -> Iterator[tuple[int, list[bytes]]]:
    """Yield the port of a proxy that opens one tunnel to `target`, and what it was asked."""
    asked: list[bytes] = []
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        connection, _ = listener.accept()
        with connection, socket.create_connection(("127.0.0.1", target)) as onward:
            asked.append(connection.recv(4096))
            connection.sendall(b"HTTP/1.1 200 Connection established\r\n\r\n")
            back = threading.Thread(target=_pipe, args=(onward, connection), daemon=True)
            back.start()
            _pipe(connection, onward)
            back.join()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    with closing(listener):
        yield listener.getsockname()[1], asked
        thread.join()


def _pipe(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(4096):
            target.sendall(piece)
        target.shutdown(socket.SHUT_WR)


def refuse() -> None:
    """Find that the effect is not right any more."""
    raise Withdrawn


@pytest.mark.parametrize("effect", EFFECTS)
def test_what_a_last_look_refuses_sends_no_byte(clock: Clock, effect: str) -> None:
    """The connection is open, the look raises, and the server never hears anything."""
    ear = Ear()

    def look() -> None:
        assert ear.is_open.wait(15)
        raise Withdrawn

    with transport(f"http://127.0.0.1:{ear.port}", clock) as shared, pytest.raises(Withdrawn):
        EFFECTS[effect](shared, look)
    ear.close()

    assert ear.heard == b""


def test_not_over_tls_either(clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The handshake is over, and nothing is sent on what it has opened."""
    trusted = certificate(tmp_path, "vonage")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    ear = Ear(server_context(trusted))

    def look() -> None:
        assert ear.is_open.wait(15)
        raise Withdrawn

    with transport(f"https://127.0.0.1:{ear.port}", clock) as shared, pytest.raises(Withdrawn):
        EFFECTS["delete"](shared, look)
    ear.close()

    assert ear.heard == b""


def test_not_through_a_tunnel_either(
    clock: Clock, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy's tunnel is opened before the look, and carries nothing after it."""
    trusted = certificate(tmp_path, "vonage", hosts="DNS:vonage.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    ear = Ear(server_context(trusted))
    looks: list[bool] = []

    def look() -> None:
        looks.append(ear.is_open.wait(15))
        raise Withdrawn

    with tunnelling(ear.port) as (port, asked):
        monkeypatch.setenv("https_proxy", f"http://127.0.0.1:{port}")
        monkeypatch.delenv("no_proxy", raising=False)
        with transport("https://vonage.test", clock) as shared, pytest.raises(Withdrawn):
            EFFECTS["delete"](shared, look)
    ear.close()

    assert [request.split(b" ")[0] for request in asked] == [b"CONNECT"]
    assert looks == [True]
    assert ear.heard == b""


def test_not_to_a_proxy_either(
    server: Canned, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that forwards what is not encrypted hears nothing."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    with transport("http://vonage.test", clock) as shared, pytest.raises(Withdrawn):
        EFFECTS["delete"](shared, refuse)

    assert server.requests == []


@pytest.mark.parametrize("effect", EFFECTS)
def test_a_look_is_made_once_for_what_is_sent(server: Canned, clock: Clock, effect: str) -> None:
    """Where it raises nothing, the request follows it."""
    answers = {"create": ONE, "delete": b"", "top up": b'{"error-code": "200"}'}
    server.replies = [reply(200, answers.get(effect, b'{"mo-callback-url": ""}'))]
    seen: list[int] = []
    with transport(server.url, clock) as shared:
        EFFECTS[effect](shared, lambda: seen.append(len(server.requests)))

    assert seen == [0]
    assert len(server.requests) == 1


@pytest.mark.parametrize("effect", EFFECTS)
def test_no_look_without_a_connection(clock: Clock, effect: str) -> None:
    """What never could be sent asks nobody whether it may."""
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        with transport(url, clock) as shared, pytest.raises(NotSent):
            EFFECTS[effect](shared, refuse)


def test_the_turn_is_waited_for_before_the_look(server: Canned, clock: Clock) -> None:
    """However long the rate limit takes, nothing waits between the look and the first byte."""
    server.replies = [reply(200, LIST), reply(204)]
    slept: list[list[float]] = []
    with transport(server.url, clock, max_requests_per_second=0.01) as shared:
        Secrets(shared).list_secrets(CREDENTIAL, KEY)
        EFFECTS["delete"](shared, lambda: slept.append([*clock.slept]))

    assert slept == [[pytest.approx(100)]]
    assert clock.slept == slept[0]


def test_what_a_look_raised_holds_nothing_of_the_wire(server: Canned, clock: Clock) -> None:
    """It comes out as it was raised, without the frames in which headers and values lie."""
    with transport(server.url, clock) as shared, pytest.raises(RotatorError) as caught:
        EFFECTS["create"](shared, refuse)

    error = caught.value
    ours = error.__traceback__.tb_next if error.__traceback__ else None
    told = traceback.TracebackException(type(error), error, ours, capture_locals=True)
    rendered = "".join(told.format())

    assert type(error) is Withdrawn
    assert error.__cause__ is None
    assert "request = VonageRequest(" in rendered
    assert not any(value in rendered for value in (SECRET, VALUE, PAIR))
