"""The last look before an effect: on an open connection, right before the first byte."""

import socket
import threading
import traceback
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from rotator.errors import NotSent, RotatorError, Withdrawn
from rotator.model import SecretValue
from rotator.vonage import Accounts, Secrets, VonageClient
from tests.support.certificates import certificate
from tests.support.clock import FakeTimer
from tests.support.scripted_server import ScriptedServer, reply
from tests.support.server import LoopbackServer
from tests.support.tunnel_proxy import TunnelProxy
from tests.unit.vonage.client import CREDENTIAL, KEY, LIST, ONE, PAIR, SECRET, VALUE, transport

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


class SilentServer(LoopbackServer):
    """Answers nothing and keeps what it receives."""

    def __init__(self, certificate: Path | None = None) -> None:
        """Listen, for TLS with a certificate."""
        self.received = b""
        #: Set once a connection is open, with TLS after its handshake.
        self.is_open = threading.Event()
        super().__init__(certificate)

    def serve(self, connection: socket.socket) -> None:
        """Read until the client hangs up."""
        self.is_open.set()
        while piece := connection.recv(4096):
            self.received += piece


def refuse() -> None:
    """Find that the effect is not right any more."""
    raise Withdrawn


@pytest.mark.parametrize("effect", EFFECTS)
def test_what_a_last_look_refuses_sends_no_byte(clock: FakeTimer, effect: str) -> None:
    """The connection is open, the look raises, and the server never hears anything."""
    silent = SilentServer()

    def look() -> None:
        assert silent.is_open.wait(15)
        raise Withdrawn

    shared = transport(f"http://127.0.0.1:{silent.port}", clock)
    with pytest.raises(Withdrawn):
        EFFECTS[effect](shared, look)
    silent.wait_for_clients()

    assert silent.received == b""


def test_not_over_tls_either(
    clock: FakeTimer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The handshake is over, and nothing is sent on what it has opened."""
    trusted = certificate(tmp_path, "vonage")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    silent = SilentServer(trusted)

    def look() -> None:
        assert silent.is_open.wait(15)
        raise Withdrawn

    shared = transport(f"https://127.0.0.1:{silent.port}", clock)
    with pytest.raises(Withdrawn):
        EFFECTS["delete"](shared, look)
    silent.wait_for_clients()

    assert silent.received == b""


def test_not_through_a_tunnel_either(
    clock: FakeTimer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The proxy's tunnel is opened before the look, and carries nothing after it."""
    trusted = certificate(tmp_path, "vonage", hosts="DNS:vonage.test")
    monkeypatch.setenv("SSL_CERT_FILE", str(trusted))
    silent = SilentServer(trusted)
    looks: list[bool] = []

    def look() -> None:
        looks.append(silent.is_open.wait(15))
        raise Withdrawn

    with TunnelProxy(silent.port) as tunnel:
        monkeypatch.setenv("https_proxy", tunnel.url)
        monkeypatch.delenv("no_proxy", raising=False)
        shared = transport("https://vonage.test", clock)
        with pytest.raises(Withdrawn):
            EFFECTS["delete"](shared, look)
    silent.wait_for_clients()

    assert [request.split(b" ")[0] for request in tunnel.heads] == [b"CONNECT"]
    assert looks == [True]
    assert silent.received == b""


def test_not_to_a_proxy_either(
    server: ScriptedServer, clock: FakeTimer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that forwards what is not encrypted hears nothing."""
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{server.port}")
    monkeypatch.delenv("no_proxy", raising=False)
    shared = transport("http://vonage.test", clock)
    with pytest.raises(Withdrawn):
        EFFECTS["delete"](shared, refuse)

    assert server.requests == []


@pytest.mark.parametrize("effect", EFFECTS)
def test_a_look_is_made_once_for_what_is_sent(
    server: ScriptedServer, clock: FakeTimer, effect: str
) -> None:
    """Where it raises nothing, the request follows it."""
    answers = {"create": ONE, "delete": b"", "top up": b'{"error-code": "200"}'}
    server.replies = [reply(200, answers.get(effect, b'{"mo-callback-url": ""}'))]
    seen: list[int] = []
    shared = transport(server.url, clock)
    EFFECTS[effect](shared, lambda: seen.append(len(server.requests)))

    assert seen == [0]
    assert len(server.requests) == 1


@pytest.mark.parametrize("effect", EFFECTS)
def test_no_look_without_a_connection(clock: FakeTimer, effect: str) -> None:
    """What never could be sent asks nobody whether it may."""
    with closing(socket.socket()) as nobody:
        nobody.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        shared = transport(url, clock)
        with pytest.raises(NotSent):
            EFFECTS[effect](shared, refuse)


def test_the_turn_is_waited_for_before_the_look(server: ScriptedServer, clock: FakeTimer) -> None:
    """However long the rate limit takes, nothing waits between the look and the first byte."""
    server.replies = [reply(200, LIST), reply(204)]
    slept: list[list[float]] = []
    shared = transport(server.url, clock, max_requests_per_second=0.01)
    Secrets(shared).list_secrets(CREDENTIAL, KEY)
    EFFECTS["delete"](shared, lambda: slept.append([*clock.slept]))

    assert slept == [[pytest.approx(100)]]
    assert clock.slept == slept[0]


def test_what_a_look_raised_holds_nothing_of_the_wire(
    server: ScriptedServer, clock: FakeTimer
) -> None:
    """It comes out as it was raised, without the frames in which headers and values lie."""
    shared = transport(server.url, clock)
    with pytest.raises(RotatorError) as caught:
        EFFECTS["create"](shared, refuse)

    error = caught.value
    ours = error.__traceback__.tb_next if error.__traceback__ else None
    told = traceback.TracebackException(type(error), error, ours, capture_locals=True)
    rendered = "".join(told.format())

    assert type(error) is Withdrawn
    assert error.__cause__ is None
    assert "request = VonageRequest(" in rendered
    assert not any(value in rendered for value in (SECRET, VALUE, PAIR))
