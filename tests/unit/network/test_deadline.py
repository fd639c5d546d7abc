"""Answers that drip or never end: given up in time, and before they are too large."""

import pytest

from rotator.network import Client, ExchangeFailed, HttpRequest, Route, TransportFailure
from tests.support.endless_server import BODIES, HEADS, EndlessServer

ENDLESS = {**HEADS, **BODIES}
LIMIT = 1_000_000


class Countdown:
    """A budget of which each look at it takes a second."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def __call__(self) -> float:
        """Return what is left."""
        self.seconds -= 1
        return self.seconds


def ask(url: str, seconds: float = 60, limit: int = LIMIT) -> ExchangeFailed:
    """Send a request and return why there is no answer to it."""
    request = HttpRequest(method="POST", target="/", headers={}, body=b"{}")
    with pytest.raises(ExchangeFailed) as caught:
        Client(Route(url)).send(request, left=Countdown(seconds), limit=limit)
    return caught.value


@pytest.mark.parametrize("part", sorted(set(ENDLESS) - {"silence"}))
def test_whatever_drips_is_given_up_at_the_deadline(part: str) -> None:
    """Each byte comes in time, the whole does not."""
    with EndlessServer(*ENDLESS[part]) as server:
        failed = ask(server.url)

    assert failed.reason is TransportFailure.TIMEOUT
    assert failed.sent


def test_silence_lasts_no_longer_than_the_deadline() -> None:
    """Where nothing comes, one wait takes all that is left."""
    with EndlessServer(*HEADS["silence"]) as server:
        request = HttpRequest(method="GET", target="/", headers={})
        with pytest.raises(ExchangeFailed) as caught:
            Client(Route(server.url)).send(request, left=lambda: 0.05, limit=LIMIT)

    assert caught.value.reason is TransportFailure.TIMEOUT


@pytest.mark.parametrize(
    "part", sorted(set(ENDLESS) - {"silence", "body", "body without a length"})
)
def test_whatever_floods_is_given_up_by_its_size(part: str) -> None:
    """Long before the deadline: nobody's headers or framing are that large."""
    with EndlessServer(*ENDLESS[part], fast=True) as server:
        failed = ask(server.url, seconds=100_000, limit=50_000)

    assert failed.reason in (TransportFailure.OVERSIZE, TransportFailure.DROPPED)
    assert failed.sent


@pytest.mark.parametrize("part", ["body", "body without a length", "chunks"])
def test_a_body_is_read_to_its_limit_only(part: str) -> None:
    """What is longer has no body to be read."""
    with EndlessServer(*BODIES[part], fast=True) as server:
        request = HttpRequest(method="GET", target="/", headers={})
        reply = Client(Route(server.url)).send(request, left=lambda: 60, limit=1000)

    assert reply.body is None


def test_nothing_is_begun_once_the_time_is_up() -> None:
    """And it is known that nothing was sent."""
    failed = ask("http://127.0.0.1:9", seconds=0)

    assert failed.reason is TransportFailure.CONNECT_TIMEOUT
    assert not failed.sent


def test_a_server_that_does_not_shake_hands_got_no_request() -> None:
    """TLS that never comes about is bounded like the rest, and nothing was sent."""
    with EndlessServer(*HEADS["silence"]) as server:
        request = HttpRequest(method="GET", target="/", headers={})
        way = Route(server.url.replace("http:", "https:"))
        with pytest.raises(ExchangeFailed) as caught:
            Client(way).send(request, left=lambda: 0.05, limit=LIMIT)

    assert caught.value.reason is TransportFailure.CONNECT_TIMEOUT
    assert not caught.value.sent


@pytest.mark.parametrize("part", sorted(set(HEADS) - {"silence"}))
def test_a_proxy_that_drips_is_given_up(part: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before its tunnel stands nothing was sent, however it answers."""
    with EndlessServer(*HEADS[part]) as server:
        monkeypatch.setenv("https_proxy", server.url)
        monkeypatch.setenv("no_proxy", "")
        failed = ask("https://vault.example.com")

    assert failed.reason is TransportFailure.PROXY_AWAY
    assert failed.reason.unsent
    assert not failed.sent
