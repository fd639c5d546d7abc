import socket

import pytest
import requests
from requests import exceptions

from rotator.vault.transport import Answer, NoAnswer, _no_answer


def because(error: OSError, *causes: BaseException) -> OSError:
    """Give `error` with a chain of causes, as requests and urllib3 build it."""
    last: BaseException = error
    for cause in causes:
        last.__context__ = cause
        last = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("no such CA bundle"), NoAnswer.CERTIFICATES),
        (exceptions.SSLError(), NoAnswer.TLS),
        (exceptions.ProxyError(), NoAnswer.PROXY),
        (because(exceptions.ProxyError(), ConnectionRefusedError()), NoAnswer.PROXY),
        (exceptions.ConnectTimeout(), NoAnswer.CONNECT_TIMEOUT),
        (exceptions.ReadTimeout(), NoAnswer.TIMEOUT),
        (exceptions.ConnectionError(), NoAnswer.DROPPED),
        (exceptions.ChunkedEncodingError(), NoAnswer.DROPPED),
        (because(exceptions.ConnectionError(), ConnectionResetError()), NoAnswer.DROPPED),
        (
            because(exceptions.ConnectionError(), ValueError(), ConnectionRefusedError()),
            NoAnswer.REFUSED,
        ),
        (because(exceptions.ConnectionError(), socket.gaierror()), NoAnswer.UNRESOLVED),
        (exceptions.InvalidHeader(), NoAnswer.DROPPED),
    ],
)
def test_each_exception_is_one_reason(error: OSError, expected: NoAnswer) -> None:
    """What requests raises, and what it leaves to the operating system, is told apart."""
    assert _no_answer(error) is expected


def test_only_what_never_connected_is_unsent() -> None:
    """A request counts as unsent only where there was no connection to send it over."""
    unsent = {reason for reason in NoAnswer if reason.unsent}

    assert unsent == {NoAnswer.REFUSED, NoAnswer.UNRESOLVED, NoAnswer.CONNECT_TIMEOUT}


def test_requests_raises_nothing_else() -> None:
    """All that requests raises is an OSError, which is what the adapter catches."""
    assert issubclass(requests.RequestException, OSError)


@pytest.mark.parametrize("body", [None, {}, {"errors": None}, {"errors": "x"}, {"errors": [1]}])
def test_what_is_no_list_of_texts_is_no_errors(body: dict[str, object] | None) -> None:
    """Errors are a list of texts, as Vault sends them, or are not known."""
    answer = Answer(status=400, body=body)

    assert answer.errors is None
    assert not answer.says("x")
