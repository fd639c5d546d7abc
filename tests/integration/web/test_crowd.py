"""Connections to the page that say nothing, or take no answer, over real sockets."""

import asyncio
import errno
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send
from structlog.testing import capture_logs

from rotator.web import server
from rotator.web.listener import ListenAddress, url_of
from rotator.web.server import Server
from tests.acceptance.service import until

#: More than any system buffers of an answer that nobody takes.
MUCH = "x" * 50_000_000


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in short, or at length."""
    text = MUCH if scope["path"] == "/much" else "ok"
    await PlainTextResponse(text)(scope, receive, send)


class Served:
    """A server, and clients of it."""

    def __init__(self) -> None:
        """Begin to serve."""
        self.listening = ListenAddress(text="127.0.0.1:0").listen()
        self.url = url_of(self.listening)
        self._address = self.listening.getsockname()
        self.server = Server(app, self.listening)
        self.server.start()
        self.clients = ExitStack()

    def connect(self, said: bytes = b"") -> socket.socket:
        """Connect, and say something."""
        client = self.clients.enter_context(socket.create_connection(self._address, timeout=60))
        client.sendall(said)
        return client

    def answer(self) -> int:
        """Ask, as others do."""
        return httpx.get(self.url, timeout=60).status_code

    def close(self) -> None:
        """End it all."""
        self.clients.close()
        self.server.stop()
        assert self.server.join(time.monotonic() + 60)


@pytest.fixture
def served() -> Iterator[Served]:
    """Yield a server."""
    made = Served()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "_CHECK_EVERY", 0.05)


@pytest.mark.parametrize("said", [b"", b"GET / HTTP/1.1\r\nHost: x", b"GET"])
def test_who_says_nothing_is_sent_away(
    served: Served, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    """Also who begins a request and does not end it."""
    monkeypatch.setattr(server, "SILENCE", 0.2)
    client = served.connect(said)

    assert client.recv(100) == b""
    assert served.answer() == 200


def test_who_is_answered_may_ask_again(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """An answer is no silence."""
    monkeypatch.setattr(server, "SILENCE", 5.0)
    request = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    client = served.connect()
    answers = client.makefile("rb")
    for _ in range(2):
        client.sendall(request)

        assert answers.readline() == b"HTTP/1.1 200 OK\r\n"
        while answers.readline() != b"\r\n":
            pass
        assert answers.read(2) == b"ok"
    answers.close()


def test_who_takes_no_answer_is_sent_away(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rest of it is kept for nobody."""
    monkeypatch.setattr(server, "LONGEST", 0.2)
    monkeypatch.setattr(server, "SILENCE", 0.2)
    has_gone, disconnect = threading.Event(), server.ClientConnection.disconnect

    def note(connection: server.ClientConnection) -> None:
        disconnect(connection)
        has_gone.set()

    monkeypatch.setattr(server.ClientConnection, "disconnect", note)
    client = served.connect(b"GET /much HTTP/1.1\r\nHost: x\r\n\r\n")
    assert has_gone.wait(60)
    taken = 0
    try:
        while chunk := client.recv(1_000_000):
            taken += len(chunk)
    except ConnectionResetError:
        pass

    assert taken < len(MUCH)
    assert served.answer() == 200


def test_the_longest_silence_makes_room(served: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there are as many connections as there may be."""
    monkeypatch.setattr(server, "_MOST_CONNECTIONS", 2)
    first, second = served.connect(), served.connect()
    third = served.connect(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

    assert third.makefile("rb").readline() == b"HTTP/1.1 200 OK\r\n"
    assert first.recv(100) == b""
    assert served.answer() == 200
    assert second.fileno() >= 0


@pytest.mark.parametrize(("soft", "most"), [(1024, 256), (100, 25), (1, 1), (-1, 256)])
def test_rotations_keep_most_of_the_descriptors(
    monkeypatch: pytest.MonkeyPatch, soft: int, most: int
) -> None:
    """Connections have a part of what the process may open."""
    monkeypatch.setattr("resource.getrlimit", lambda _which: (soft, soft))

    assert server.most_connections() == most


def test_many_may_wait_to_be_accepted(served: Served) -> None:
    """However few are accepted in a row."""
    # For a socket that listens, the kernel has the length of its queue here.
    what = socket.IPPROTO_TCP, socket.TCP_INFO, 32

    until(lambda: struct.unpack_from("I", served.listening.getsockopt(*what), 28) == (128,))


def test_a_lack_of_descriptors_is_told_once(served: Served) -> None:
    """The event loop tells of it each second; the log has it once a minute, and all else."""
    http, loop = served.server, asyncio.new_event_loop()
    error, passed_on = OSError(errno.EMFILE, "Too many open files"), list[object]()
    loop.default_exception_handler = passed_on.append  # type: ignore[method-assign, assignment]
    with capture_logs() as events:
        for _ in range(5):
            http._handle_exception(loop, {"message": "x", "exception": error})
        http._handle_exception(loop, {"message": "y", "exception": ZeroDivisionError()})
    loop.close()

    assert [event["reason"] for event in events] == ["too many open files"]
    assert len(passed_on) == 1
