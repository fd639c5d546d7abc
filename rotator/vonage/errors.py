"""Maps failures of Vonage's API to the exceptions of `rotator.errors`.

Vonage reports errors in two shapes. The api host sends problem documents (RFC 7807) whose `type` is
a URL; its host and path have changed over the years, its fragment has not, so only the fragment
counts. The rest host sends `error-code` and `error-code-label`. Each is recognised by its shape, as
the media type is not reliable.

A status alone is believed only where a wrong guess does no harm. In particular a 404 that does not
say in Vonage's words that the id is unknown may be a proxy's, and "unknown id" would mean that a
deletion is done.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from rotator.descriptors import are_spent
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
    TooManyFiles,
    UnexpectedAnswer,
)
from rotator.model.redaction import printable, reveals
from rotator.network import ExchangeFailed, HttpResponse, TransportFailure, retry_after
from rotator.vonage.request import VonageRequest
from rotator.vonage.response import document_of

#: Longest error message, in characters.
_LONGEST_MESSAGE = 200
#: Seconds. A limit of more than a day is a broken header.
_LONGEST_WAIT = 86_400.0
#: A timestamp from here on is in milliseconds, not in seconds, since 1970.
_MILLISECONDS = 1e11

_REQUEST_ID = re.compile(r"[!-~]{1,100}")
_SECONDS = re.compile(r"\d{1,15}(\.\d{1,9})?", re.ASCII)

#: Sent with 403 in practice; the OpenAPI document says 400. The second is the older name.
_FULL = frozenset({"add-excess-secret", "maximum-secrets-allowed"})
#: "Account reached maximum number [2] of allowed secrets", "Maxmimum number of secrets …".
_FULL_TEXT = re.compile(r"\bmax\w* number\b.*\bsecrets\b", re.IGNORECASE)

#: Errors with a 401 that another credential would not resolve.
_NOT_THE_CREDENTIAL = {
    "unprovisioned": "ask Vonage to enable this API for the account",
    "invalid-ip": "add this machine's address to the account's allowed addresses at Vonage",
    "account-suspended": "see the account's standing in the Vonage dashboard",
    "multiple-auth-methods": None,
}
_NO_AUTO_RELOAD = "not auto-reload enabled"


@dataclass(frozen=True, kw_only=True)
class ErrorBody:
    """The error that an answer reports."""

    #: The fragment of a problem's `type`, in lower case; "" in the rest host's shape.
    fragment: str
    text: str
    instance: str

    @classmethod
    def of(cls, response: HttpResponse) -> "ErrorBody | None":
        """Recognise either shape; None for anything else."""
        try:
            document = document_of(response)
        except UnexpectedAnswer:
            return None
        label = document.get("error-code-label")
        if "error-code" in document and isinstance(label, str):
            return cls(fragment="", text=label, instance="")
        kind, title = document.get("type"), document.get("title")
        if not isinstance(kind, str) and not isinstance(title, str):
            return None
        return cls(
            fragment=_text_of(document, "type").rpartition("#")[2].strip().lower(),
            text=_problem_text(document),
            instance=_text_of(document, "instance"),
        )


def refusal(request: VonageRequest, response: HttpResponse, *, now: float) -> IssuerError:
    """Return the error for `response`, whose status is not one of success.

    `now` is the time in seconds since 1970.
    """
    error_body = ErrorBody.of(response)
    kind = _kind(request, response.status, error_body)
    message = _message(request, kind, response.status, error_body)
    request_id = request_id_of(request, response, error_body)
    if kind is RateLimited:
        wait = _wait(response, now)
        return RateLimited(message, request_id=request_id, retry_after=wait)
    hint = None
    if error_body and kind is Forbidden:
        hint = _NOT_THE_CREDENTIAL.get(error_body.fragment)
    return kind(message, request_id=request_id, hint=hint)


def _kind(request: VonageRequest, status: int, error_body: ErrorBody | None) -> type[IssuerError]:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited
    # 408: the server or a proxy stopped waiting; how far the request came is unknown.
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return IssuerUnavailable
    if status == HTTPStatus.UNAUTHORIZED:
        return _unauthorized(error_body)
    if error_body is None or status < HTTPStatus.BAD_REQUEST:
        return UnexpectedAnswer
    if status == HTTPStatus.NOT_FOUND:
        return _not_found(request, error_body)
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN):
        return _refused(request, status, error_body)
    return RequestRefused


def _unauthorized(error_body: ErrorBody | None) -> type[IssuerError]:
    if error_body and error_body.text.strip().lower() == _NO_AUTO_RELOAD:
        return RequestRefused
    if error_body and error_body.fragment in _NOT_THE_CREDENTIAL:
        return Forbidden
    return CredentialRefused


def _not_found(request: VonageRequest, error_body: ErrorBody) -> type[IssuerError]:
    if error_body.fragment == "invalid-api-key":
        return AccountNotFound
    if error_body.fragment == "invalid-id" and request.names_secret:
        return SecretNotFound
    return UnexpectedAnswer


def _refused(request: VonageRequest, status: int, error_body: ErrorBody) -> type[IssuerError]:
    """Return the kind of error for a 400 or a 403."""
    if request.value:
        if error_body.fragment in _FULL or _FULL_TEXT.search(error_body.text):
            return SlotsFull
        if status == HTTPStatus.BAD_REQUEST:
            return SecretRejected
    if status == HTTPStatus.BAD_REQUEST:
        return RequestRefused
    if error_body.fragment == "delete-last-secret" and request.names_secret:
        return LastSecret
    return Forbidden


def failure(request: VonageRequest, failed: ExchangeFailed) -> tuple[str, IssuerError]:
    """Return the metrics' code for a failed exchange, and the error that it means."""
    if failed.sent:
        if failed.reason is TransportFailure.TIMEOUT:
            return "timeout", IssuerUnavailable("Vonage did not answer in time")
        message = "the connection to Vonage was lost before the answer was complete"
        return "dropped", IssuerUnavailable(message)
    if failed.reason is TransportFailure.CONNECT_TIMEOUT:
        return "timeout", NotSent(f"{NotSent().message} in time")
    why = f"{NotSent().message}: {one_line(request, failed.detail)}"
    hint = TooManyFiles.default_hint if are_spent() else None
    return "unreachable", NotSent(why[:_LONGEST_MESSAGE], hint=hint)


def request_id_of(
    request: VonageRequest, response: HttpResponse, error_body: ErrorBody | None = None
) -> str | None:
    """Return the request's id for Vonage's support; None where there is none."""
    for candidate in (response.headers.get("x-request-id"), error_body and error_body.instance):
        if candidate and _REQUEST_ID.fullmatch(candidate):
            shown = request.mask(candidate)
            return None if reveals(shown) else shown
    return None


def one_line(request: VonageRequest, text: str) -> str:
    """Return foreign text made fit for a message: no value in it, nothing a terminal obeys."""
    return request.mask(" ".join(printable(request.mask(text)).split())).rstrip(".")


def _message(
    request: VonageRequest, kind: type[IssuerError], status: int, error_body: ErrorBody | None
) -> str:
    reason = f": {one_line(request, error_body.text)}" if error_body and error_body.text else ""
    whole = f"{kind().message} (HTTP {status}{reason})"
    return whole if len(whole) <= _LONGEST_MESSAGE else f"{whole[: _LONGEST_MESSAGE - 2]}…)"


def _problem_text(document: Mapping[str, Any]) -> str:
    invalid = document.get("invalid_parameters")
    parameters = invalid if isinstance(invalid, list) else []
    reasons = [_text_of(item, "reason") for item in parameters if isinstance(item, dict)]
    texts = (_text_of(document, "title"), _text_of(document, "detail"), *reasons)
    return ": ".join(filter(None, texts))


def _text_of(document: Mapping[str, Any], key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _wait(response: HttpResponse, now: float) -> float:
    """Return the wait that a 429 asks for, in seconds: from `Retry-After`, else the reset.

    `X-RateLimit-Reset` is documented as a unix timestamp; the example beside it is in milliseconds.
    """
    wait = retry_after(response.headers.get("retry-after"), now)
    reset = response.headers.get("x-ratelimit-reset", "").strip()
    remaining = response.headers.get("x-ratelimit-remaining", "0").strip()
    if wait is None and remaining == "0" and _SECONDS.fullmatch(reset):
        at = float(reset)
        wait = (at / 1000 if at >= _MILLISECONDS else at) - now
    if wait is None or wait < 0:
        return RateLimited().retry_after
    return min(wait, _LONGEST_WAIT)
