"""What the tests themselves rely on, where a busy machine would show a slip now and then."""

import socket
from pathlib import Path

from tests.support import core_coverage
from tests.support.server import read_head

TESTS = Path(__file__).parents[1]


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


def test_coverage_is_measured_during_the_tests_of_the_core_alone() -> None:
    """Not in those that go the same ways thousands of times; each name listed is there."""
    places = [TESTS / place for place in core_coverage.PLACES]
    repeating = [path for place in places for path in place.rglob("test_*.py")]
    repeating = [path for path in repeating if not core_coverage.is_of_the_core(path)]

    assert all(place.exists() for place in places)
    assert {path.name for path in repeating} == set(core_coverage.REPEATING)
    assert core_coverage.is_of_the_core(TESTS / "unit/rotation/protocol/test_decision.py")
    assert not core_coverage.is_of_the_core(TESTS / "model_checking/test_model_checking.py")
    assert not core_coverage.is_of_the_core(TESTS / "acceptance/test_cli_status.py")
