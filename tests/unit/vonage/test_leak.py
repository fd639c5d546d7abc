"""Where no value may show: logs, errors, and the frames of errors."""

import logging
import traceback

import pytest
from structlog.testing import capture_logs

from rotator.errors import IssuerError
from rotator.model import SecretValue
from rotator.vonage import Accounts, RestAuth, Secrets
from tests.support.clock import FakeTimer
from tests.support.scripted_server import ScriptedServer, reply
from tests.unit.vonage.client import CREDENTIAL, KEY, LIST, PAIR, SECRET, VALUE, transport


@pytest.mark.parametrize(
    "answer",
    [
        reply(200, b"<html>"),
        reply(400, b'{"error-code": "400", "error-code-label": "Current%2BSecret%2F1"}'),
        reply(302, Location=f"https://elsewhere/?api_secret={SECRET}"),
        b"HTTP/1.1 Current+Secret/1\r\n\r\n",
        b"",
    ],
)
def test_nothing_shows_a_url_with_a_credential(
    server: ScriptedServer, clock: FakeTimer, caplog: pytest.LogCaptureFixture, answer: bytes
) -> None:
    """Neither log nor exception nor what hangs on it shows the query that holds the secret."""
    server.replies = [answer]
    caplog.set_level(logging.DEBUG)
    shared = transport(server.url, clock, rest_auth=RestAuth.QUERY)
    with capture_logs() as events, pytest.raises(IssuerError) as caught:
        Accounts(shared).balance(CREDENTIAL)
    error = caught.value
    told = "".join(traceback.format_exception(error)) + repr(error) + str(events) + caplog.text

    assert SECRET not in told
    assert "Current%2BSecret" not in told
    assert "api_secret" not in told
    assert error.__cause__ is None
    assert error.__context__ is None


@pytest.mark.parametrize(
    "answer",
    [
        reply(400, b'{"title": "Bad Request"}'),
        reply(201, b'{"id": 7, "secret": "BrandNewSecret2"}'),
        reply(201, b"BrandNewSecret2"),
        b"BrandNewSecret2",
    ],
)
def test_no_frame_of_an_exception_holds_a_value(
    server: ScriptedServer, secrets: Secrets, answer: bytes
) -> None:
    """Even a debugger's traceback, with local variables, shows no value, header or body."""
    server.replies = [answer]
    with pytest.raises(IssuerError) as caught:
        secrets.create_secret(CREDENTIAL, KEY, SecretValue(VALUE))
    ours = caught.value.__traceback__.tb_next if caught.value.__traceback__ else None
    rendered = "".join(
        traceback.TracebackException(
            type(caught.value), caught.value, ours, capture_locals=True
        ).format()
    )

    assert "request = VonageRequest(" in rendered
    assert not any(value in rendered for value in (VALUE, SECRET, PAIR))


def test_no_library_logs_what_is_sent(
    server: ScriptedServer, secrets: Secrets, caplog: pytest.LogCaptureFixture
) -> None:
    """Also where the root logs everything."""
    caplog.set_level(logging.DEBUG)
    server.replies = [reply(200, LIST)]
    secrets.list_secrets(CREDENTIAL, KEY)

    assert PAIR not in caplog.text
    assert server.url not in caplog.text


def test_each_attempt_is_logged_without_a_value(server: ScriptedServer, secrets: Secrets) -> None:
    """One debug event per attempt says which call, how it went and its request id."""
    server.replies = [reply(200, LIST, X_Request_Id=f"id-{SECRET}")]
    with capture_logs() as events:
        secrets.list_secrets(CREDENTIAL, KEY)

    assert events == [
        {
            "event": "vonage call",
            "log_level": "debug",
            "operation": "secrets.list",
            "api_key": KEY,
            "status": "200",
            "milliseconds": 0,
            "request_id": "id-***",
        }
    ]
