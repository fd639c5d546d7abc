import pytest

from rotator.errors import (
    CredentialRefused,
    IssuerError,
    IssuerUnavailable,
    NotSent,
    RateLimited,
    UnexpectedAnswer,
)
from rotator.model import Credential, SecretValue
from rotator.vonage.request import Host, VonageRequest
from rotator.vonage.retry import TRIES, Retries
from tests.support.clock import FakeTimer


def retries(method: str = "GET", *, clock: FakeTimer | None = None, timeout: float = 10) -> Retries:
    """Return the tries of a request with `method`, whose jitter is always the longest."""
    request = VonageRequest(
        operation="secrets.list",
        method=method,
        host=Host.API,
        path="/accounts/abcd1234/secrets",
        credential=Credential(api_key="abcd1234", secret=SecretValue("Secret01")),
        api_key="abcd1234",
        success=frozenset({200}),
    )
    return Retries(request, timeout=timeout, clock=clock or FakeTimer(), random=lambda: 1.0)


@pytest.mark.parametrize("error", [NotSent(), IssuerUnavailable(), RateLimited(retry_after=0)])
def test_what_may_pass_is_tried_four_times_with_doubled_pauses(error: IssuerError) -> None:
    """A read is repeated, with exponential backoff, four times in all."""
    subject = retries()
    pauses = [subject.pause_after(error) for _ in range(TRIES)]

    assert pauses == [0.5, 1.0, 2.0, None]


def test_jitter_is_full() -> None:
    """Chance decides on the whole of the pause, down to none."""
    subject = retries()
    subject._random = lambda: 0.0

    assert subject.pause_after(IssuerUnavailable()) == 0


@pytest.mark.parametrize("method", ["POST", "DELETE"])
@pytest.mark.parametrize(
    "error", [NotSent(), IssuerUnavailable(), RateLimited(), UnexpectedAnswer()]
)
def test_what_has_an_effect_is_never_repeated(method: str, error: IssuerError) -> None:
    """It is sent once, whatever comes of it: whoever asked for it looks before the next try."""
    assert retries(method).pause_after(error) is None


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_refusal_is_not_asked_for_twice(method: str) -> None:
    """What Vonage refused it will refuse again."""
    assert retries(method).pause_after(CredentialRefused()) is None


def test_an_unexpected_answer_to_a_read_gets_a_second_chance_only() -> None:
    """An answer may have been cut off once; twice it is meant so."""
    subject = retries()

    assert subject.pause_after(UnexpectedAnswer()) == 0.5
    assert subject.pause_after(UnexpectedAnswer()) is None


@pytest.mark.parametrize(("asked", "waits"), [(0.1, 0.5), (7, 7), (3600, 60)])
def test_a_rate_limit_is_waited_out_up_to_a_minute(asked: float, waits: float) -> None:
    """The pause is what Vonage asks for, but at least the backoff and at most a minute."""
    subject = retries(timeout=100)

    assert subject.pause_after(RateLimited(retry_after=asked)) == waits


def test_a_pause_beyond_the_budget_ends_the_call() -> None:
    """Three timeouts is all the time that a call gets, pauses included."""
    clock = FakeTimer()
    subject = retries(clock=clock, timeout=1)
    clock.now += 2.4

    assert subject.left == pytest.approx(0.6)
    assert subject.pause_after(IssuerUnavailable()) == 0.5
    assert subject.pause_after(IssuerUnavailable()) is None
