"""From a name to a connection: every address gets a share of the time."""

import errno
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack

import pytest

from rotator.network import Client, ExchangeFailed, HttpRequest, Route, TransportFailure
from rotator.network.connect import Address, _taking_turns
from rotator.network.exchange import Exchange
from rotator.sim.http import Port
from tests.support.webhook_receiver import WebhookReceiver, receiving

REQUEST = HttpRequest(method="POST", target="/", headers={}, body=b"{}")


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """A server at 127.0.0.1."""
    with receiving() as server:
        yield server


@pytest.fixture
def swallowing() -> Iterator[Address]:
    """An address that answers no attempt to connect, as its queue is full."""
    with ExitStack() as opened:
        listener = opened.enter_context(socket.socket())
        listener.bind(("127.0.0.2", 0))
        listener.listen(0)
        address = listener.getsockname()
        for _ in range(4):
            waiting = opened.enter_context(socket.socket())
            waiting.settimeout(0)
            assert waiting.connect_ex(address) == errno.EINPROGRESS
        yield socket.AF_INET, address


def refusing() -> Address:
    """Return an address that nobody listens at."""
    return socket.AF_INET, ("127.0.0.1", Port().number)


def at(receiver: WebhookReceiver) -> Address:
    """Return the server's address."""
    host, _, port = receiver.url.removeprefix("http://").partition(":")
    return socket.AF_INET, (host, int(port))


def ask(*addresses: Address, seconds: float = 30) -> int:
    """Send a request to a host of these addresses and return the status."""

    def find(_host: str, _port: int, _exchange: Exchange) -> Sequence[Address]:
        return addresses

    client = Client(Route("http://vault.test:8200", find=find))
    return client.send(REQUEST, left=lambda: seconds, limit=100).status


@pytest.mark.parametrize("seconds", [30, 0.5])
def test_an_address_that_swallows_packets_does_not_hide_the_next(
    receiver: WebhookReceiver, swallowing: Address, seconds: float
) -> None:
    """The next one is asked after a moment, however little time there is."""
    assert ask(swallowing, at(receiver), seconds=seconds) == 204
    assert len(receiver.taken) == 1


def test_many_dead_addresses_do_not_hide_the_last(
    receiver: WebhookReceiver, swallowing: Address
) -> None:
    """Each gets its share, whether it refuses or says nothing."""
    assert ask(swallowing, refusing(), swallowing, refusing(), at(receiver)) == 204


def test_an_address_of_a_family_that_is_not_there_is_passed_over(receiver: WebhookReceiver) -> None:
    """As IPv6 may be, of which the name server knows all the same."""
    assert ask((999, ("::1", 1)), (socket.AF_INET, ("255.255.255.255", 1)), at(receiver)) == 204


def test_the_first_that_answers_gets_the_request(
    receiver: WebhookReceiver, swallowing: Address
) -> None:
    """And nobody else does."""
    assert ask(at(receiver), swallowing) == 204
    assert len(receiver.taken) == 1


@pytest.mark.parametrize("seconds", [0.3])
def test_where_no_address_answers_the_time_is_kept(swallowing: Address, seconds: float) -> None:
    """It is known that nothing was sent."""
    with pytest.raises(ExchangeFailed) as caught:
        ask(swallowing, swallowing, seconds=seconds)

    assert caught.value.reason is TransportFailure.CONNECT_TIMEOUT
    assert not caught.value.sent


def test_a_refusal_tells_more_than_what_cannot_be_reached() -> None:
    """One host said no; that another's network is away is not the news."""
    with pytest.raises(ExchangeFailed) as caught:
        ask(refusing(), (999, ("::1", 1)))

    assert caught.value.reason is TransportFailure.REFUSED


def test_a_host_that_cannot_be_reached_is_said_to_be() -> None:
    """With what the operating system says of it."""
    with pytest.raises(ExchangeFailed) as caught:
        ask((socket.AF_INET, ("255.255.255.255", 1)))

    assert caught.value.reason is TransportFailure.UNREACHABLE
    assert caught.value.detail


def test_families_take_turns() -> None:
    """A family that leads nowhere delays by one address, not by all it has."""
    six = [(socket.AF_INET6, (f"::{n}",)) for n in range(3)]
    four = [(socket.AF_INET, (f"10.0.0.{n}",)) for n in range(2)]
    ordered: list[Address] = _taking_turns([*six, *four])

    assert [address[0] for _, address in ordered] == ["::0", "10.0.0.0", "::1", "10.0.0.1", "::2"]


# -- Look-ups. -----------------------------------------------------------------------------


def test_a_name_is_looked_up(receiver: WebhookReceiver) -> None:
    """By the system."""
    client = Client(Route(receiver.url.replace("127.0.0.1", "localhost")))

    assert client.send(REQUEST, left=lambda: 30, limit=100).status == 204


@pytest.mark.parametrize("host", ["no-such-host.invalid", f"{'x' * 64}.test"])
def test_a_name_that_nobody_knows_is_said_to_be_unknown(host: str) -> None:
    """Be it that no look-up takes it."""
    with pytest.raises((ExchangeFailed, ValueError)) as caught:
        Client(Route(f"http://{host}")).send(REQUEST, left=lambda: 30, limit=100)

    if isinstance(caught.value, ExchangeFailed):
        assert caught.value.reason is TransportFailure.UNRESOLVED


def test_a_name_server_that_says_nothing_holds_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing bounds a look-up. Whoever waits is free at the deadline, and the next one joins."""
    asked, is_over, real = threading.Semaphore(0), threading.Event(), socket.getaddrinfo

    def look_up(host: str, port: int, *, type: int, flags: int) -> object:  # noqa: A002
        if flags & socket.AI_NUMERICHOST:
            return real(host, port, type=type, flags=flags)
        asked.release()
        is_over.wait(60)
        raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")

    way = Route("http://slow.test")
    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    reasons = []
    for _ in range(3):
        with pytest.raises(ExchangeFailed) as caught:
            Client(way).send(REQUEST, left=lambda: 0.02, limit=100)
        reasons.append(caught.value.reason)
    looking = [thread for thread in threading.enumerate() if thread.name == "look-up"]
    is_over.set()
    for thread in looking:
        thread.join()

    assert reasons == [TransportFailure.CONNECT_TIMEOUT] * 3
    assert asked.acquire(blocking=False)
    assert not asked.acquire(blocking=False)
    assert len(looking) == 1
