import pytest

from rotator.errors import (
    CredentialRefused,
    IssuerError,
    IssuerUnavailable,
    LastSecret,
    NotSent,
    RateLimited,
    SecretNotFound,
    UnexpectedAnswer,
)
from rotator.model import Credential, SecretValue
from rotator.vonage.call import Call, Host
from rotator.vonage.retry import TRIES, Course
from tests.unit.vonage.clock import Clock


def course(method: str = "GET", *, clock: Clock | None = None, timeout: float = 10) -> Course:
    """Start a course of a call with `method`, whose jitter is always the longest."""
    call = Call(
        operation="secrets.list",
        method=method,
        host=Host.API,
        path="/accounts/abcd1234/secrets",
        credential=Credential(api_key="abcd1234", secret=SecretValue("Secret01")),
        api_key="abcd1234",
        success=frozenset({200}),
    )
    return Course(call, timeout=timeout, clock=clock or Clock(), random=lambda: 1.0)


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("error", [NotSent(), IssuerUnavailable(), RateLimited(retry_after=0)])
def test_what_may_pass_is_tried_four_times_with_doubled_pauses(
    method: str, error: IssuerError
) -> None:
    """A call that may be repeated is, with exponential backoff, four times in all."""
    subject = course(method)
    pauses = [subject.pause_after(error) for _ in range(TRIES)]

    assert pauses == [0.5, 1.0, 2.0, None]


def test_jitter_is_full() -> None:
    """Chance decides on the whole of the pause, down to none."""
    subject = course()
    subject._random = lambda: 0.0

    assert subject.pause_after(IssuerUnavailable()) == 0


@pytest.mark.parametrize(
    "error", [NotSent(), IssuerUnavailable(), RateLimited(), UnexpectedAnswer()]
)
def test_a_post_is_never_repeated(error: IssuerError) -> None:
    """What is not idempotent is sent once, whatever comes of it."""
    assert course("POST").pause_after(error) is None


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_refusal_is_not_asked_for_twice(method: str) -> None:
    """What Vonage refused it will refuse again."""
    assert course(method).pause_after(CredentialRefused()) is None


def test_a_strange_answer_to_a_read_gets_a_second_chance_only() -> None:
    """An answer may have been cut off once; twice it is meant so."""
    subject = course()

    assert subject.pause_after(UnexpectedAnswer()) == 0.5
    assert subject.pause_after(UnexpectedAnswer()) is None


def test_a_strange_answer_to_a_deletion_is_looked_at_by_the_caller() -> None:
    """A deletion that was answered strangely is not repeated blindly."""
    assert course("DELETE").pause_after(UnexpectedAnswer()) is None


@pytest.mark.parametrize(("asked", "waits"), [(0.1, 0.5), (7, 7), (3600, 60)])
def test_a_rate_limit_is_waited_out_up_to_a_minute(asked: float, waits: float) -> None:
    """The pause is what Vonage asks for, but at least the backoff and at most a minute."""
    subject = course(timeout=100)

    assert subject.pause_after(RateLimited(retry_after=asked)) == waits


def test_a_pause_beyond_the_budget_ends_the_call() -> None:
    """Three timeouts is all the time that a call gets, pauses included."""
    clock = Clock()
    subject = course(clock=clock, timeout=1)
    clock.now += 2.4

    assert subject.left() == pytest.approx(0.6)
    assert subject.pause_after(IssuerUnavailable()) == 0.5
    assert subject.pause_after(IssuerUnavailable()) is None


@pytest.mark.parametrize("last", [CredentialRefused(), LastSecret(), NotSent(), RateLimited()])
def test_a_refusal_after_a_lost_deletion_leaves_it_unknown(last: IssuerError) -> None:
    """A later refusal does not prove that the try before, whose answer was lost, did nothing."""
    subject = course("DELETE")
    lost = IssuerUnavailable()
    subject.pause_after(lost)
    subject.pause_after(last)

    assert subject.verdict(last) is lost


def test_not_found_after_a_lost_deletion_stays_what_it_is() -> None:
    """Gone is what the caller wanted, and wants to know."""
    subject = course("DELETE")
    subject.pause_after(IssuerUnavailable())
    gone = SecretNotFound()

    assert subject.verdict(gone) is gone


def test_a_deletion_that_never_left_stays_definite() -> None:
    """Tries that had no effect leave the last error as it is."""
    subject = course("DELETE")
    subject.pause_after(NotSent())
    refused = LastSecret()
    subject.pause_after(refused)

    assert subject.verdict(refused) is refused


def test_a_read_ends_with_its_last_error() -> None:
    """A read has no effect that could be unknown."""
    subject = course()
    subject.pause_after(IssuerUnavailable())
    refused = CredentialRefused()
    subject.pause_after(refused)

    assert subject.verdict(refused) is refused
