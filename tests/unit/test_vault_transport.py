import socket
import ssl

import pytest
from urllib3 import HTTPConnectionPool
from urllib3.connection import HTTPConnection
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NameResolutionError,
    NewConnectionError,
    ProtocolError,
    ProxyError,
    ProxySchemeUnknown,
    ReadTimeoutError,
    SSLError,
)

from rotator.vault.transport import Answer, NoAnswer, _no_answer

POOL, CONNECTION = HTTPConnectionPool("vault.invalid"), HTTPConnection("vault.invalid")


def because(error: Exception, *causes: BaseException) -> Exception:
    """Give `error` with a chain of causes, as urllib3 builds it."""
    last: BaseException = error
    for cause in causes:
        last.__context__ = cause
        last = cause
    return error


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (OSError("no such CA bundle"), NoAnswer.CERTIFICATES),
        (because(ProtocolError(), FileNotFoundError()), NoAnswer.CERTIFICATES),
        (SSLError(), NoAnswer.TLS),
        (because(SSLError(), ssl.SSLError()), NoAnswer.TLS),
        (ProxyError("no", OSError()), NoAnswer.PROXY),
        (because(ProxyError("no", OSError()), ConnectionRefusedError()), NoAnswer.PROXY),
        (ProxySchemeUnknown("socks9"), NoAnswer.PROXY),
        (ConnectTimeoutError(), NoAnswer.CONNECT_TIMEOUT),
        (ReadTimeoutError(POOL, "/v1", "slow"), NoAnswer.TIMEOUT),
        (ProtocolError(), NoAnswer.DROPPED),
        (because(ProtocolError(), ConnectionResetError()), NoAnswer.DROPPED),
        (NewConnectionError(CONNECTION, "no route"), NoAnswer.DROPPED),
        (
            because(NewConnectionError(CONNECTION, "no"), ConnectionRefusedError()),
            NoAnswer.REFUSED,
        ),
        (
            because(NameResolutionError("h", CONNECTION, socket.gaierror()), socket.gaierror()),
            NoAnswer.UNRESOLVED,
        ),
        (HTTPError(), NoAnswer.DROPPED),
        (ValueError("Invalid header value"), NoAnswer.DROPPED),
    ],
)
def test_each_exception_is_one_reason(error: Exception, expected: NoAnswer) -> None:
    """What urllib3 raises, and what it leaves to the operating system, is told apart."""
    assert _no_answer(error) is expected


def test_only_what_never_connected_is_unsent() -> None:
    """A request counts as unsent only where there was no connection to send it over."""
    unsent = {reason for reason in NoAnswer if reason.unsent}

    assert unsent == {NoAnswer.REFUSED, NoAnswer.UNRESOLVED, NoAnswer.CONNECT_TIMEOUT}


@pytest.mark.parametrize("body", [None, {}, {"errors": None}, {"errors": "x"}, {"errors": [1]}])
def test_what_is_no_list_of_texts_is_no_errors(body: dict[str, object] | None) -> None:
    """Errors are a list of texts, as Vault sends them, or are not known."""
    answer = Answer(status=400, body=body)

    assert answer.errors is None
    assert not answer.says("x")
