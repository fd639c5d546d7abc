import base64
import json
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rotator.errors import (
    AccountNotFound,
    CredentialRefused,
    Forbidden,
    IssuerError,
    IssuerUnavailable,
    LastSecret,
    NotSent,
    RateLimited,
    RequestRefused,
    SecretNotFound,
    SecretRejected,
    SlotsFull,
    UnexpectedAnswer,
)
from rotator.model import Credential, SecretValue
from rotator.network import ExchangeFailed, HttpResponse, TransportFailure
from rotator.vonage.errors import failure, one_line, refusal
from rotator.vonage.request import Host, VonageRequest

SECRET, VALUE = "CurrentSecret01", "BrandNewSecret2"
NOW = 1_700_000_000.0
PORTAL = "https://developer.nexmo.com/api-errors"
NEWER_PORTAL = "https://developer.vonage.com/en/api-errors"
SECRET_ERRORS = f"{PORTAL}/account/secret-management"


def calling(operation: str, secret: str = SECRET) -> VonageRequest:
    """Make the call of that name."""
    creates = operation == "secrets.create"
    return VonageRequest(
        operation=operation,
        method={"secrets.create": "POST", "secrets.delete": "DELETE"}.get(operation, "GET"),
        host=Host.API,
        path="/",
        credential=Credential(api_key="abcd1234", secret=SecretValue(secret)),
        api_key="abcd1234",
        success=frozenset({200}),
        value=SecretValue(VALUE) if creates else None,
        names_secret=operation in ("secrets.get", "secrets.delete"),
    )


def refused(
    status: int,
    body: object = b"",
    *,
    operation: str = "secrets.list",
    headers: Mapping[str, str | bytes] | None = None,
) -> IssuerError:
    """Return the error for an answer; a body that is not bytes is sent as JSON."""
    sent = body if isinstance(body, bytes) else json.dumps(body).encode()
    wire = {
        name.lower(): value.decode("latin-1") if isinstance(value, bytes) else value
        for name, value in (headers or {}).items()
    }
    answer = HttpResponse(status=status, headers=wire, body=sent)
    return refusal(calling(operation), answer, now=NOW)


def problem(kind: str, title: str = "Title", detail: str | None = "Detail") -> dict[str, Any]:
    """Make a problem document."""
    document = {"type": kind, "title": title, "detail": detail, "instance": "bf0ca0bf927b"}
    return {key: value for key, value in document.items() if value is not None}


FULL_403 = problem(
    f"{SECRET_ERRORS}#add-excess-secret",
    "Secret Addition Forbidden",
    "Account reached maximum number [2] of allowed secrets",
)
FULL_OLD = problem(
    f"{SECRET_ERRORS}#maximum-secrets-allowed",
    "Maxmimum number of secrets already met",
)
COMPLEXITY = {
    **problem(f"{SECRET_ERRORS}#validation", "Bad Request", "The request failed"),
    "invalid_parameters": [{"name": "secret", "reason": "Does not meet complexity requirements"}],
}
LAST = problem(f"{SECRET_ERRORS}#delete-last-secret", "Secret Deletion Forbidden")
NO_ID = problem(f"{PORTAL}#invalid-id", "Invalid ID")
NO_KEY = problem(f"{PORTAL}#invalid-api-key", "Invalid API Key")
HTML = b"<html><body>Not Found</body></html>"


@pytest.mark.parametrize(
    ("operation", "status", "body", "kind"),
    [
        ("secrets.list", 401, problem(f"{PORTAL}#unauthorized"), CredentialRefused),
        ("secrets.list", 401, problem(f"{PORTAL}#unathorized"), CredentialRefused),
        ("secrets.list", 401, b"", CredentialRefused),
        ("secrets.list", 401, HTML, CredentialRefused),
        ("secrets.list", 401, problem(f"{PORTAL}#unprovisioned"), Forbidden),
        ("secrets.list", 401, problem(f"{NEWER_PORTAL}#invalid-ip"), Forbidden),
        (
            "account.balance",
            401,
            {"error-code": "401", "error-code-label": "authentication failed"},
            CredentialRefused,
        ),
        (
            "account.top-up",
            401,
            {"error-code": "401", "error-code-label": "not auto-reload enabled"},
            RequestRefused,
        ),
        ("account.update", 420, {"error-code": 420, "error-code-label": "bad"}, RequestRefused),
        ("subaccounts.list", 403, problem(f"{PORTAL}#unprovisioned"), Forbidden),
        ("secrets.create", 403, FULL_403, SlotsFull),
        ("secrets.create", 403, FULL_OLD, SlotsFull),
        ("secrets.create", 403, problem(f"{NEWER_PORTAL}#add-excess-secret"), SlotsFull),
        ("secrets.create", 403, problem(f"{PORTAL}#maximum-secrets-allowed"), SlotsFull),
        ("secrets.create", 400, {**FULL_403, "type": f"{SECRET_ERRORS}#validation"}, SlotsFull),
        ("secrets.create", 400, {**FULL_OLD, "type": PORTAL}, SlotsFull),
        ("secrets.create", 400, COMPLEXITY, SecretRejected),
        ("secrets.create", 400, problem(PORTAL), SecretRejected),
        ("secrets.create", 403, problem(f"{PORTAL}#other"), Forbidden),
        ("secrets.create", 403, LAST, Forbidden),
        ("secrets.create", 422, problem(f"{PORTAL}#validation"), RequestRefused),
        ("secrets.list", 403, FULL_403, Forbidden),
        ("secrets.list", 400, COMPLEXITY, RequestRefused),
        ("secrets.delete", 403, LAST, LastSecret),
        ("secrets.delete", 403, {**LAST, "type": "x#DELETE-LAST-SECRET"}, LastSecret),
        ("secrets.delete", 403, problem(PORTAL), Forbidden),
        ("secrets.delete", 400, problem(PORTAL), RequestRefused),
        ("secrets.delete", 404, NO_ID, SecretNotFound),
        ("secrets.delete", 404, {**NO_ID, "type": f"{NEWER_PORTAL}#invalid-id"}, SecretNotFound),
        ("secrets.get", 404, NO_ID, SecretNotFound),
        ("secrets.list", 404, NO_ID, UnexpectedAnswer),
        ("secrets.create", 404, NO_ID, UnexpectedAnswer),
        ("secrets.delete", 404, NO_KEY, AccountNotFound),
        ("secrets.list", 404, NO_KEY, AccountNotFound),
        ("secrets.delete", 404, problem(PORTAL, "Not Found"), UnexpectedAnswer),
        ("secrets.delete", 404, {"type": "invalid-id-ish", "title": "x"}, UnexpectedAnswer),
        ("secrets.delete", 404, HTML, UnexpectedAnswer),
        ("secrets.delete", 404, b"", UnexpectedAnswer),
        ("secrets.delete", 404, [NO_ID], UnexpectedAnswer),
        ("secrets.delete", 404, {"detail": "#invalid-id"}, UnexpectedAnswer),
        ("secrets.create", 400, HTML, UnexpectedAnswer),
        ("secrets.create", 403, HTML, UnexpectedAnswer),
        ("secrets.create", 409, b"", UnexpectedAnswer),
        ("secrets.list", 302, b"", UnexpectedAnswer),
        ("secrets.list", 302, NO_KEY, UnexpectedAnswer),
        ("secrets.create", 202, {"id": "x"}, UnexpectedAnswer),
        ("secrets.list", 204, b"", UnexpectedAnswer),
        ("secrets.create", 408, b"", IssuerUnavailable),
        ("secrets.create", 500, problem(f"{PORTAL}#internal-error"), IssuerUnavailable),
        ("secrets.create", 500, problem(PORTAL, "Internal Error", None), IssuerUnavailable),
        ("secrets.create", 502, HTML, IssuerUnavailable),
        ("secrets.create", 503, b"", IssuerUnavailable),
        ("secrets.create", 429, problem(f"{PORTAL}#rate-limit"), RateLimited),
        ("secrets.create", 429, HTML, RateLimited),
    ],
)
def test_what_an_answer_means(
    operation: str, status: int, body: object, kind: type[IssuerError]
) -> None:
    """Status, fragment and call together decide, and only what Vonage's words say is definite."""
    error = refused(status, body, operation=operation)

    assert type(error) is kind
    assert f"(HTTP {status}" in error.message


def test_the_media_type_does_not_matter() -> None:
    """A problem document is one by its shape."""
    error = refused(404, NO_KEY, headers={"content-type": "text/plain"})

    assert isinstance(error, AccountNotFound)


def test_the_message_says_what_vonage_said() -> None:
    """Title, detail and the reasons are in the message, after what it means."""
    error = refused(400, COMPLEXITY, operation="secrets.create")

    assert error.message == (
        "Vonage rejected the new secret (HTTP 400: Bad Request: The request failed:"
        " Does not meet complexity requirements)"
    )


@pytest.mark.parametrize("operation", ["secrets.create", "secrets.list"])
@pytest.mark.parametrize(
    "detail",
    [
        f"secret '{SECRET}' is wrong",
        base64.b64encode(f"abcd1234:{SECRET}".encode()).decode(),
        f"\n\t{SECRET}\n",
        f"{SECRET}{SECRET}",
    ],
)
def test_no_value_in_a_message(operation: str, detail: str) -> None:
    """What Vonage echoes of a credential is masked before the message is shortened."""
    error = refused(400, problem(PORTAL, detail=detail), operation=operation)

    assert SECRET[:8] not in error.message
    assert base64.b64encode(f"abcd1234:{SECRET}".encode()).decode()[:20] not in error.message
    assert "***" in error.message


@pytest.mark.parametrize(
    ("secret", "echo"),
    [
        ("two  Spaces1", "two  Spaces1"),
        ("one Space1", "one\nSpace1"),
        ("tab\tInside1", "tab\tInside1"),
        ("dots...", "dots..."),
    ],
)
def test_a_value_is_masked_as_sent_and_as_shown(secret: str, echo: str) -> None:
    """Making a line of a text neither hides a value from the mask nor brings one about."""
    line = one_line(calling("secrets.list", secret), f"bad value: {echo}")

    assert line == "bad value: ***"


def test_no_half_of_a_value_where_a_message_is_cut() -> None:
    """Values are masked before a message is shortened, so that none is cut in two and missed."""
    messages = [refused(400, problem(PORTAL, detail="x" * n + SECRET)).message for n in range(200)]

    assert not any(SECRET[:4] in message for message in messages)
    assert len(messages[-1]) == 200


def test_the_new_value_is_masked_too() -> None:
    """An echo of the value being created is masked."""
    error = refused(400, problem(PORTAL, title=f"'{VALUE}'?"), operation="secrets.create")

    assert VALUE not in error.message


def test_a_message_is_one_short_printable_line() -> None:
    """Whatever Vonage says, the message cannot disturb a terminal or a log."""
    error = refused(400, problem(PORTAL, detail="a\x1b[2Jb\r\nc\u202e\ud800" + "long " * 100))

    assert error.message.isprintable()
    assert "a\ufffd[2Jb c" in error.message
    assert len(error.message) <= 200


@pytest.mark.parametrize(
    ("headers", "body", "request_id"),
    [
        ({"X-Request-Id": "from-header"}, NO_KEY, "from-header"),
        ({}, NO_KEY, "bf0ca0bf927b"),
        ({"X-Request-Id": "has space"}, NO_KEY, "bf0ca0bf927b"),
        ({"X-Request-Id": f"id-{SECRET}"}, NO_KEY, "id-***"),
        ({}, {**NO_KEY, "instance": 7}, None),
        ({"X-Request-Id": "x" * 101}, b"", None),
    ],
)
def test_the_request_id(headers: dict[str, str], body: object, request_id: str | None) -> None:
    """The id for Vonage's support comes from the header, else the document, if it is one."""
    assert refused(404, body, headers=headers).request_id == request_id


def test_a_hint_where_another_credential_would_not_help() -> None:
    """An account that may not use the API is told to ask Vonage."""
    error = refused(403, problem(f"{PORTAL}#unprovisioned"), operation="subaccounts.list")

    assert error.hint is not None
    assert "ask Vonage" in error.hint


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "15"}, 15),
        ({"Retry-After": " 0 "}, 0),
        ({"Retry-After": "1.5"}, 1.5),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:50 GMT"}, 30),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:50 -0000"}, 30),
        ({"Retry-After": "Mon, 13 Nov 2023 22:13:50 GMT"}, 1),
        ({"Retry-After": "-5"}, 1),
        ({"Retry-After": "soon"}, 1),
        ({"Retry-After": "\u0661".encode()}, 1),
        ({"Retry-After": "999999999999999"}, 86_400),
        ({"Retry-After": "Tue, 14 Nov 2023 22:13:50 +99999999999999"}, 1),
        ({"X-RateLimit-Reset": "1700000020"}, 20),
        ({"X-RateLimit-Reset": "1700000020000", "X-RateLimit-Remaining": "0"}, 20),
        ({"X-RateLimit-Reset": "1700000020", "X-RateLimit-Remaining": "3"}, 1),
        ({"X-RateLimit-Reset": "1600000000"}, 1),
        ({"X-RateLimit-Reset": "never"}, 1),
        ({"Retry-After": "5", "X-RateLimit-Reset": "1700000020"}, 5),
        ({}, 1),
    ],
)
def test_how_long_a_rate_limit_asks_to_wait(
    headers: dict[str, str | bytes], seconds: float
) -> None:
    """Seconds, a date or a reset in seconds or milliseconds; anything else is a second."""
    error = refused(429, headers=headers)

    assert isinstance(error, RateLimited)
    assert error.retry_after == seconds


@given(st.text(max_size=60) | st.from_regex(r"\w{3}, \d+ \w{3} \d+ \d+:\d+:\d+ .\d+"), st.text())
def test_any_retry_after_is_some_wait(after: str, reset: str) -> None:
    """No header makes waiting fail, negative or endless."""
    headers = {"retry-after": after, "x-ratelimit-reset": reset}
    answer = HttpResponse(status=429, headers=headers, body=b"")
    error = refusal(calling("secrets.list"), answer, now=NOW)

    assert isinstance(error, RateLimited)
    assert 0 <= error.retry_after <= 86_400


@pytest.mark.parametrize(
    ("failed", "code", "kind"),
    [
        (ExchangeFailed(TransportFailure.REFUSED, "refused"), "unreachable", NotSent),
        (ExchangeFailed(TransportFailure.PROXY, "the proxy answers 407"), "unreachable", NotSent),
        (ExchangeFailed(TransportFailure.TLS, f"odd {SECRET}"), "unreachable", NotSent),
        (ExchangeFailed(TransportFailure.DROPPED, "no usable answer"), "unreachable", NotSent),
        (ExchangeFailed(TransportFailure.CONNECT_TIMEOUT), "timeout", NotSent),
        (ExchangeFailed(TransportFailure.TIMEOUT, sent=True), "timeout", IssuerUnavailable),
        (ExchangeFailed(TransportFailure.DROPPED, SECRET, sent=True), "dropped", IssuerUnavailable),
        (ExchangeFailed(TransportFailure.TLS, SECRET, sent=True), "dropped", IssuerUnavailable),
        (ExchangeFailed(TransportFailure.OVERSIZE, sent=True), "dropped", IssuerUnavailable),
    ],
)
def test_what_a_failed_exchange_means(
    failed: ExchangeFailed, code: str, kind: type[IssuerError]
) -> None:
    """Only where the first byte never left is it certain that nothing was sent."""
    word, error = failure(calling("secrets.create"), failed)

    assert (word, type(error)) == (code, kind)
    assert SECRET not in error.message


def test_why_there_is_no_connection_is_said() -> None:
    """A certificate that does not verify is named, so that the operator can cure it."""
    _, error = failure(
        calling("secrets.list"), ExchangeFailed(TransportFailure.TLS, "[SSL] self-signed\ncert.")
    )

    assert error.message == "no connection to Vonage could be made: [SSL] self-signed cert"
