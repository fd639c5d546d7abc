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
from dataclasses import dataclass
from http import HTTPStatus

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
from rotator.network import ExchangeFailed, TransportFailure
from rotator.vonage.request import VonageRequest
from rotator.vonage.response import Document, VonageResponse, timestamp

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
    def of(cls, answer: VonageResponse) -> "ErrorBody | None":
        """Recognise either shape; None for anything else."""
        try:
            document = answer.document()
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


def refusal(call: VonageRequest, answer: VonageResponse, *, now: float) -> IssuerError:
    """Return the error for `answer`, whose status is not one of success.

    `now` is the time in seconds since 1970.
    """
    complaint = ErrorBody.of(answer)
    kind = _kind(call, answer.status, complaint)
    message = _message(call, kind, answer.status, complaint)
    request_id = request_id_of(call, answer, complaint)
    if kind is RateLimited:
        wait = _wait(answer, now)
        return RateLimited(message, request_id=request_id, retry_after=wait)
    hint = _NOT_THE_CREDENTIAL.get(complaint.fragment) if complaint and kind is Forbidden else None
    return kind(message, request_id=request_id, hint=hint)


def _kind(call: VonageRequest, status: int, complaint: ErrorBody | None) -> type[IssuerError]:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return RateLimited
    # 408: the server or a proxy stopped waiting; how far the request came is unknown.
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        return IssuerUnavailable
    if status == HTTPStatus.UNAUTHORIZED:
        return _unauthorized(complaint)
    if complaint is None or status < HTTPStatus.BAD_REQUEST:
        return UnexpectedAnswer
    if status == HTTPStatus.NOT_FOUND:
        return _not_found(call, complaint)
    if status in (HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN):
        return _refused(call, status, complaint)
    return RequestRefused


def _unauthorized(complaint: ErrorBody | None) -> type[IssuerError]:
    if complaint and complaint.text.strip().lower() == _NO_AUTO_RELOAD:
        return RequestRefused
    if complaint and complaint.fragment in _NOT_THE_CREDENTIAL:
        return Forbidden
    return CredentialRefused


def _not_found(call: VonageRequest, complaint: ErrorBody) -> type[IssuerError]:
    if complaint.fragment == "invalid-api-key":
        return AccountNotFound
    if complaint.fragment == "invalid-id" and call.names_secret:
        return SecretNotFound
    return UnexpectedAnswer


def _refused(call: VonageRequest, status: int, complaint: ErrorBody) -> type[IssuerError]:
    """Return the kind of error for a 400 or a 403."""
    if call.value:
        if complaint.fragment in _FULL or _FULL_TEXT.search(complaint.text):
            return SlotsFull
        if status == HTTPStatus.BAD_REQUEST:
            return SecretRejected
    if status == HTTPStatus.BAD_REQUEST:
        return RequestRefused
    if complaint.fragment == "delete-last-secret" and call.names_secret:
        return LastSecret
    return Forbidden


def failure(call: VonageRequest, failed: ExchangeFailed) -> tuple[str, IssuerError]:
    """Return the metrics' code for a failed exchange, and the error that it means."""
    if failed.sent:
        if failed.reason is TransportFailure.TIMEOUT:
            return "timeout", IssuerUnavailable("Vonage did not answer in time")
        message = "the connection to Vonage was lost before the answer was complete"
        return "dropped", IssuerUnavailable(message)
    if failed.reason is TransportFailure.CONNECT_TIMEOUT:
        return "timeout", NotSent(f"{NotSent().message} in time")
    why = f"{NotSent().message}: {one_line(call, failed.detail)}"
    hint = TooManyFiles.default_hint if are_spent() else None
    return "unreachable", NotSent(why[:_LONGEST_MESSAGE], hint=hint)


def request_id_of(
    call: VonageRequest, answer: VonageResponse, complaint: ErrorBody | None = None
) -> str | None:
    """Return the request's id for Vonage's support; None where there is none."""
    for candidate in (answer.headers.get("x-request-id"), complaint and complaint.instance):
        if candidate and _REQUEST_ID.fullmatch(candidate):
            shown = call.mask(candidate)
            return None if reveals(shown) else shown
    return None


def one_line(call: VonageRequest, text: str) -> str:
    """Return foreign text made fit for a message: no value in it, nothing a terminal obeys."""
    return call.mask(" ".join(printable(call.mask(text)).split())).rstrip(".")


def _message(
    call: VonageRequest, kind: type[IssuerError], status: int, complaint: ErrorBody | None
) -> str:
    said = f": {one_line(call, complaint.text)}" if complaint and complaint.text else ""
    whole = f"{kind().message} (HTTP {status}{said})"
    return whole if len(whole) <= _LONGEST_MESSAGE else f"{whole[: _LONGEST_MESSAGE - 2]}…)"


def _problem_text(document: Document) -> str:
    invalid = document.get("invalid_parameters")
    parameters = invalid if isinstance(invalid, list) else []
    reasons = [_text_of(item, "reason") for item in parameters if isinstance(item, dict)]
    said = (_text_of(document, "title"), _text_of(document, "detail"), *reasons)
    return ": ".join(filter(None, said))


def _text_of(document: Document, key: str) -> str:
    value = document.get(key)
    return value if isinstance(value, str) else ""


def _wait(answer: VonageResponse, now: float) -> float:
    """Return the wait that a 429 asks for, in seconds: from `Retry-After`, else the reset.

    `X-RateLimit-Reset` is documented as a unix timestamp; the example beside it is in milliseconds.
    """
    wait = _after(answer.headers.get("retry-after", "").strip(), now)
    reset = answer.headers.get("x-ratelimit-reset", "").strip()
    remaining = answer.headers.get("x-ratelimit-remaining", "0").strip()
    if wait is None and remaining == "0" and _SECONDS.fullmatch(reset):
        at = float(reset)
        wait = (at / 1000 if at >= _MILLISECONDS else at) - now
    if wait is None or wait < 0:
        return RateLimited().retry_after
    return min(wait, _LONGEST_WAIT)


def _after(value: str, now: float) -> float | None:
    """Parse `Retry-After`: seconds, or a date."""
    if _SECONDS.fullmatch(value):
        return float(value)
    date = timestamp(value)
    return None if date is None else date - now
