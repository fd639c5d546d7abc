"""Which calls are sent again, how often, and within which time."""

import pytest

from rotator.errors import (
    CredentialRefused,
    IssuerError,
    IssuerUnavailable,
    NotSent,
    RateLimited,
    SecretNotFound,
    UnexpectedAnswer,
)
from rotator.model import SecretValue
from rotator.network import HttpResponse
from rotator.sim.http import Port
from rotator.vonage import Accounts, Secrets, VonageClient
from rotator.vonage.request import VonageRequest
from tests.support.clock import FakeTimer
from tests.support.observers import CallObserver
from tests.support.scripted_server import ScriptedServer, reply
from tests.unit.vonage.client import CREDENTIAL, KEY, LIST, ONE, VALUE, transport

GONE = b'{"type": "x#invalid-id", "title": "Invalid ID"}'


@pytest.mark.parametrize("failure", [b"", reply(503), reply(200, LIST)[:-3]])
def test_a_read_is_repeated(
    server: ScriptedServer, secrets: Secrets, clock: FakeTimer, failure: bytes
) -> None:
    """A dropped, failed or cut off answer to a read is asked for again, with growing pauses."""
    server.replies = [failure, failure, failure, reply(200, LIST)]
    listed = secrets.list_secrets(CREDENTIAL, KEY)

    assert [secret.id for secret in listed] == ["one"]
    assert clock.slept == [0.5, 1.0, 2.0]


def test_a_read_gives_up_after_four_tries(server: ScriptedServer, secrets: Secrets) -> None:
    """What does not pass is reported."""
    server.replies = [reply(503)]
    with pytest.raises(IssuerUnavailable, match="HTTP 503"):
        secrets.list_secrets(CREDENTIAL, KEY)

    assert len(server.requests) == 4


def test_a_strange_answer_is_asked_for_once_more(server: ScriptedServer, secrets: Secrets) -> None:
    """A read that gets a web page twice is reported as such."""
    server.replies = [reply(200, b"<html>")]
    with pytest.raises(UnexpectedAnswer, match="not JSON"):
        secrets.list_secrets(CREDENTIAL, KEY)

    assert len(server.requests) == 2


def test_the_budget_ends_a_call(server: ScriptedServer, clock: FakeTimer) -> None:
    """Tries that eat up three timeouts are the last."""

    def slow(*_: object) -> None:
        clock.now += 6

    server.replies = [reply(503)]
    shared = transport(server.url, clock, observer=CallObserver(slow), timeout=5.0)
    with pytest.raises(IssuerUnavailable):
        Secrets(shared).list_secrets(CREDENTIAL, KEY)

    assert len(server.requests) == 3


def test_the_last_try_gets_what_is_left(
    server: ScriptedServer, clock: FakeTimer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A try may not take longer than the rest of the budget."""
    given: list[float] = []

    def slow(*_: object) -> None:
        clock.now += 12

    server.replies = [reply(503)]
    shared = transport(server.url, clock, observer=CallObserver(slow), timeout=5.0)
    exchange = shared._exchange

    def noted(call: VonageRequest, seconds: float) -> tuple[str, HttpResponse | IssuerError]:
        given.append(seconds)
        return exchange(call, seconds)

    monkeypatch.setattr(shared, "_exchange", noted)
    with pytest.raises(IssuerUnavailable):
        Secrets(shared).list_secrets(CREDENTIAL, KEY)

    assert given == [5.0, 2.5]


def test_a_wait_for_the_pace_counts_into_the_budget(
    server: ScriptedServer, clock: FakeTimer
) -> None:
    """A retry whose turn comes after the budget is not made."""
    server.replies = [reply(503)]
    shared = transport(server.url, clock, max_requests_per_second=0.01)
    with pytest.raises(IssuerUnavailable):
        Secrets(shared).list_secrets(CREDENTIAL, KEY)

    assert len(server.requests) == 1
    assert clock.slept == [0.5, pytest.approx(99.5)]


def test_a_rate_limit_is_waited_out(
    server: ScriptedServer, secrets: Secrets, clock: FakeTimer
) -> None:
    """A read comes back when Vonage said."""
    server.replies = [reply(429, Retry_After="7"), reply(200, LIST)]
    secrets.list_secrets(CREDENTIAL, KEY)

    assert clock.slept == [7]


def test_a_long_rate_limit_is_the_callers(server: ScriptedServer, secrets: Secrets) -> None:
    """A wait beyond the budget is reported, with its length."""
    server.replies = [reply(429, Retry_After="900")]
    with pytest.raises(RateLimited) as caught:
        secrets.list_secrets(CREDENTIAL, KEY)

    assert caught.value.retry_after == 900
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (b"", IssuerUnavailable),
        (reply(503), IssuerUnavailable),
        (reply(429, Retry_After="0"), RateLimited),
        (reply(201, b"<html>"), UnexpectedAnswer),
        (reply(201, ONE)[:-4], IssuerUnavailable),
        (reply(307, Location="/accounts/abcd1234/secrets"), UnexpectedAnswer),
        (reply(401), CredentialRefused),
    ],
)
def test_a_post_is_sent_once(
    server: ScriptedServer, shared: VonageClient, failure: bytes, kind: type[IssuerError]
) -> None:
    """Creating, topping up and changing settings are never repeated, whatever the answer."""
    server.replies = [failure]
    with pytest.raises(kind) as created:
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))
    with pytest.raises(kind):
        Accounts(shared).top_up(CREDENTIAL, "8ef2447e")
    with pytest.raises(kind):
        Accounts(shared).update_callbacks(CREDENTIAL, inbound_sms_url="")
    with pytest.raises(kind):
        Accounts(shared).settings(CREDENTIAL)

    assert len(server.requests) == 4
    assert created.value.definite is (kind in (RateLimited, CredentialRefused))


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (b"", IssuerUnavailable),
        (reply(503), IssuerUnavailable),
        (reply(429, Retry_After="0"), RateLimited),
        (reply(404, GONE), SecretNotFound),
        (reply(204)[:-4], IssuerUnavailable),
    ],
)
def test_a_deletion_is_sent_once(
    server: ScriptedServer, secrets: Secrets, failure: bytes, kind: type[IssuerError]
) -> None:
    """What cannot be taken back is never repeated without a look at Vault, hold and lease."""
    server.replies = [failure]
    with pytest.raises(kind):
        secrets.delete_secret(CREDENTIAL, KEY, "one")

    assert len(server.requests) == 1


def test_no_connection_is_definite(clock: FakeTimer) -> None:
    """Where nobody listens, nothing was sent, and a read tries again."""
    nobody = Port()
    url = f"http://127.0.0.1:{nobody.number}"
    shared = transport(url, clock)
    with pytest.raises(NotSent, match="refused") as caught:
        Secrets(shared).create_secret(CREDENTIAL, KEY, SecretValue(VALUE))
    shared = transport(url, clock)
    with pytest.raises(NotSent):
        Secrets(shared).list_secrets(CREDENTIAL, KEY)

    assert caught.value.definite is True
    assert clock.slept == [0.5, 1.0, 2.0]
