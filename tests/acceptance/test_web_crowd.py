"""The page of the real daemon, with more clients than it has to offer anything."""

import resource
import socket
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.acceptance.service import Build, building, get, until

LISTEN = 'listen = "127.0.0.1:0"'
#: What the daemon may open, and clients that say nothing: more than that.
DESCRIPTORS, CROWD = 64, 150
#: Lines that a daemon may log meanwhile.
FEW = 100

pytestmark = pytest.mark.parametrize("kind", ["sqlite"])


@pytest.fixture
def build(ledger_url: str, tmp_path: Path) -> Iterator[Build]:
    """Yield a builder of a world with one account, and of a service in it that listens."""
    with building(tmp_path, ledger_url, LISTEN) as build:
        yield build


class Crowd:
    """Clients that connect and say nothing, or half a request."""

    def __init__(self, url: str, size: int) -> None:
        """Connect so many."""
        parts = urlsplit(url)
        self._address = (str(parts.hostname), int(parts.port or 0))
        self._members: list[socket.socket] = []
        self._size = size
        self.gather()

    def gather(self) -> None:
        """Replace those that were sent away."""
        over = [each for each in self._members if _is_over(each)]
        for each in over:
            each.close()
            self._members.remove(each)
        while len(self._members) < self._size:
            member = socket.create_connection(self._address, timeout=60)
            member.setblocking(False)  # noqa: FBT003  # its signature
            with suppress(OSError):
                member.send(b"GET / HTTP/1.1\r\nHost" if len(self._members) % 2 else b"")
            self._members.append(member)

    def is_alone(self) -> bool:
        """Whether all were sent away."""
        return all(map(_is_over, self._members))

    def leave(self) -> None:
        """Disconnect all."""
        for each in self._members:
            each.close()


def _is_over(member: socket.socket) -> bool:
    try:
        return member.recv(1) == b""
    except BlockingIOError:
        return False
    except OSError:
        return True


def limit_descriptors(count: int) -> None:
    """Let this process open so many files and no more."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (count, count))


def test_silent_clients_keep_nobody_waiting(build: Build) -> None:
    """Whoever asks is answered, however many others have connected and say nothing."""
    run = build()
    run.start()
    crowd = Crowd(run.url(), 70)
    answers = [get(run.url() + path).status_code for path in ("/healthz", "/metrics", "/")]
    crowd.leave()

    assert answers == [200, 200, 200]


def test_a_crowd_keeps_no_rotation_from_its_descriptors(build: Build) -> None:
    """With more silent clients than descriptors, what becomes due is rotated, in a quiet log."""
    run = build()
    run.run("db", "upgrade")
    assert run.run("hold", "account-1", "--reason", "not yet").returncode == 0
    run.start(partial(limit_descriptors, DESCRIPTORS))
    crowd = Crowd(run.url(), CROWD)
    assert run.run("release", "account-1").returncode == 0

    def is_done() -> bool:
        crowd.gather()
        return run.are_done()

    until(is_done, pause=0.5)
    health = get(f"{run.url()}/healthz").status_code
    crowd.leave()

    assert health == 200
    assert len(run.log.read_text().splitlines()) < FEW


def test_silent_clients_are_sent_away(build: Build) -> None:
    """After a while the daemon has ended each connection without a whole request."""
    run = build()
    run.start()
    crowd = Crowd(run.url(), 10)
    until(crowd.is_alone)
    crowd.leave()
