"""Answers that drip, never end, or are too long to be one."""

import gzip
import time

import pytest

from rotator.errors import IssuerUnavailable, UnexpectedAnswer
from rotator.model import SecretValue
from rotator.vonage import Secrets, VonageClient
from rotator.vonage.response import LIMIT
from tests.support.clock import FakeTimer
from tests.support.endless_server import BODIES, HEADS, EndlessServer
from tests.support.observers import CallObserver
from tests.support.scripted_server import ScriptedServer, reply
from tests.unit.vonage.client import CREDENTIAL, KEY, LIST, VALUE, transport


def impatient(server: ScriptedServer, shared: VonageClient, timeout: float, answer: bytes) -> None:
    """Make a client wait so long, in seconds, for `answer`, now that it is connected.

    To connect may take a busy machine longer than that.
    """
    server.keep_alive = True
    server.replies = [reply(200, LIST, Connection="keep-alive"), answer]
    Secrets(shared).list_secrets(CREDENTIAL, KEY)
    shared._timeout = timeout


@pytest.mark.parametrize("headers", [{}, {f"X-{n}": "y" for n in range(9)}])
@pytest.mark.parametrize("timeout", [0.25])
def test_a_server_that_drips_does_not_hold_a_thread(
    server: ScriptedServer, headers: dict[str, str], timeout: float
) -> None:
    """Each byte comes in time, the whole does not: the attempt ends at its deadline."""
    answer = reply(200, LIST + b" " * 3000, **headers)
    shared = transport(server.url, time.monotonic)
    impatient(server, shared, timeout, answer)
    server.drip = 0.02
    started = time.monotonic()
    with pytest.raises(IssuerUnavailable, match="in time"):
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))
    took = time.monotonic() - started

    assert timeout * 0.9 < took < len(answer) * server.drip / 2


@pytest.mark.parametrize("part", sorted({*HEADS, *BODIES} - {"silence"}))
def test_whatever_drips_is_given_up(part: str) -> None:
    """In whatever part of an answer the drops come."""
    elapsed = iter(range(100_000))
    with EndlessServer(*{**HEADS, **BODIES}[part]) as dripping:
        shared = transport(dripping.url, lambda: float(next(elapsed)), timeout=60)
        with pytest.raises(IssuerUnavailable, match="in time"):
            Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))


def test_a_server_that_says_nothing(server: ScriptedServer, clock: FakeTimer) -> None:
    """Silence ends with the timeout, and the outcome is unknown."""
    codes: list[str] = []
    shared = transport(
        server.url, clock, observer=CallObserver(lambda _, code, __: codes.append(code))
    )
    impatient(server, shared, 0.1, b"H" * 2)
    server.drip = 60
    with pytest.raises(IssuerUnavailable):
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))

    assert codes == ["200", "timeout"]


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, LIST + b" " * LIMIT),
        b"HTTP/1.1 200 OK\r\n\r\n" + LIST + b" " * LIMIT,
        reply(200, gzip.compress(LIST + b" " * LIMIT), Content_Encoding="gzip"),
    ],
)
def test_an_answer_too_long_to_be_one(
    server: ScriptedServer, secrets: Secrets, answer: bytes
) -> None:
    """More than a megabyte, as sent or unpacked, is no list, even if one stands in it."""
    server.replies = [answer]

    with pytest.raises(UnexpectedAnswer, match="longer than 1 MB"):
        secrets.list_secrets(CREDENTIAL, KEY)


def test_an_answer_without_end(server: ScriptedServer, secrets: Secrets) -> None:
    """Of an answer that never ends no more than the limit is read."""
    server.endless = True
    server.replies = [b"HTTP/1.1 200 OK\r\n\r\n" + b" " * 65536]

    with pytest.raises(UnexpectedAnswer, match="longer than 1 MB"):
        secrets.list_secrets(CREDENTIAL, KEY)
