import ssl
import threading
from dataclasses import dataclass, field
from typing import Any, cast

import httpx
import pytest

from rotator.vonage.deadline import BoundedBackend, BoundedStream, Deadline
from tests.unit.vonage.clock import Clock


@dataclass
class Wire:
    """A stream and a backend in one, that notes the timeouts it is given."""

    timeouts: list[float | None] = field(default_factory=list)
    closed: bool = False

    def connect_tcp(self, _host: str, _port: int, timeout: float | None = None) -> "Wire":
        """Connect to itself."""
        self.timeouts.append(timeout)
        return self

    def read(self, _max_bytes: int, timeout: float | None = None) -> bytes:
        """Give one byte."""
        self.timeouts.append(timeout)
        return b"x"

    def write(self, _buffer: bytes, timeout: float | None = None) -> None:
        """Take anything."""
        self.timeouts.append(timeout)

    def start_tls(self, _context: object, _name: str | None, timeout: float | None) -> "Wire":
        """Encrypt nothing."""
        self.timeouts.append(timeout)
        return self

    def get_extra_info(self, info: str) -> str:
        """Give back what is asked for."""
        return info

    def close(self) -> None:
        """Note it."""
        self.closed = True


def bounded(clock: Clock) -> tuple[Wire, Deadline, BoundedStream]:
    """Connect through the bounded backend and forget the timeout of that."""
    wire, deadline = Wire(), Deadline(clock)
    stream = BoundedBackend(cast("Any", wire), deadline).connect_tcp("host", 1, 9)
    wire.timeouts.clear()
    return wire, deadline, stream


def test_each_operation_gets_what_is_left() -> None:
    """Timeouts shrink as the attempt grows old; the connection after TLS is bounded as well."""
    clock = Clock()
    wire, deadline, stream = bounded(clock)
    with deadline.within(10):
        encrypted = stream.start_tls(ssl.create_default_context(), "host", 8)
        clock.now += 4
        encrypted.write(b"request", 8)
        clock.now += 5
        encrypted.read(1, 8)

    assert wire.timeouts == [8, 6, 1]


@pytest.mark.parametrize(
    ("operation", "late"),
    [
        (lambda stream: stream.read(1, 5), httpx.ReadTimeout),
        (lambda stream: stream.write(b"x", 5), httpx.WriteTimeout),
        (lambda stream: stream.start_tls(None, "host", 5), httpx.ConnectTimeout),
    ],
)
def test_a_byte_a_second_does_not_last(operation: Any, late: type[Exception]) -> None:  # noqa: ANN401
    """However willing the other side is, at the deadline the attempt is over."""
    clock = Clock()
    wire, deadline, stream = bounded(clock)
    with deadline.within(3):
        for _ in range(3):
            operation(stream)
            clock.now += 1
        with pytest.raises(late):
            operation(stream)

    assert wire.timeouts == [3, 2, 1]


def test_connecting_is_bounded() -> None:
    """An attempt whose time is up does not connect, and is known not to have been sent."""
    clock = Clock()
    deadline = Deadline(clock)
    wire = Wire()
    with deadline.within(2):
        BoundedBackend(cast("Any", wire), deadline).connect_tcp("host", 1, 9)
        clock.now += 2
        with pytest.raises(httpx.ConnectTimeout):
            BoundedBackend(cast("Any", wire), deadline).connect_tcp("host", 1, 9)

    assert wire.timeouts == [2]


def test_threads_have_their_own_deadlines() -> None:
    """One thread's attempt does not end another's on a shared pool."""
    clock = Clock()
    wire, deadline, stream = bounded(clock)
    with deadline.within(1):
        clock.now += 2
        other = threading.Thread(target=stream.read, args=(1, 7))
        other.start()
        other.join()

    assert wire.timeouts == [7]


def test_no_deadline_leaves_timeouts_alone() -> None:
    """Outside of an attempt nothing is bounded, as when a pool closes its connections."""
    wire, _, stream = bounded(Clock())
    stream.read(1, None)
    stream.close()

    assert wire.timeouts == [None]
    assert wire.closed
    assert stream.get_extra_info("socket") == "socket"
