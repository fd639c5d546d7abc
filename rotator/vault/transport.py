"""One HTTP exchange with Vault: bounded, never redirected, and told as a value.

hvac raises an exception per status that carries the whole body, knows only some statuses, and
trips over an error body of an unexpected shape. requests raises exceptions that carry the
request, token included. Neither gets past this module: what came back is an `Answer`, and
what did not is a `NoAnswer`.
"""

import json
import math
import os
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NoReturn, TypeVar

import requests
from hvac.adapters import RawAdapter

from rotator.vault.patience import Patience

#: Bytes of a body, unpacked. Vault's storage takes entries of 1 MB at most.
LIMIT = 4 * 1024 * 1024

#: Bytes read at once. Small, as the time is checked in between.
_PIECE = 256
#: Seconds; requests takes no timeout of zero.
_SHORTEST_TIMEOUT = 0.001


_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status and body of an HTTP answer."""

    status: int
    #: None where it is not a JSON object. Holds values: never shown.
    body: Mapping[str, Any] | None = field(repr=False)
    #: The Date header.
    date: str | None = None

    @property
    def code(self) -> str:
        """The status, for metrics and logs."""
        return str(self.status)

    @property
    def errors(self) -> tuple[str, ...] | None:
        """What Vault complains of; None where the answer has no list of errors, as Vault's have."""
        errors = self.part("errors", list)
        if errors is None or not all(isinstance(error, str) for error in errors):
            return None
        return tuple(errors)

    def part(self, key: str, kind: type[_T]) -> _T | None:
        """Give the value at `key`; None where it is not of this kind."""
        value = (self.body or {}).get(key)
        return value if isinstance(value, kind) else None

    def says(self, text: str) -> bool:
        """Whether Vault complains in these words, in whatever case."""
        return any(text.lower() in error.lower() for error in self.errors or ())


class NoAnswer(StrEnum):
    """Why nothing usable came back. The value is the code in metrics and logs."""

    REFUSED = "refused"
    UNRESOLVED = "unresolved"
    CONNECT_TIMEOUT = "connect-timeout"
    CERTIFICATES = "certificates"
    TLS = "tls"
    PROXY = "proxy"
    TIMEOUT = "timeout"
    DROPPED = "dropped"
    OVERSIZE = "oversize"

    @property
    def code(self) -> str:
        """The reason, for metrics and logs."""
        return self.value

    @property
    def unsent(self) -> bool:
        """Whether the request certainly never left, for lack of a connection."""
        return self in (NoAnswer.REFUSED, NoAnswer.UNRESOLVED, NoAnswer.CONNECT_TIMEOUT)


Outcome = Answer | NoAnswer


class Session(requests.Session):
    """A requests session that sends what it is told to send, and only there."""

    def __init__(self, address: str, ca_file: str) -> None:
        """Trust the certificates in `ca_file`; "" for the environment's, or the system's.

        Proxy and certificates of the environment are looked up here, once: requests would go
        through all of it at each request, which takes longer than the request.
        """
        super().__init__()
        self.trust_env = False
        self.proxies = requests.utils.get_environ_proxies(address)
        of_environment = os.environ.get("REQUESTS_CA_BUNDLE") or os.environ.get("CURL_CA_BUNDLE")
        # Here, since hvac ignores its own `verify` where it is given a session.
        self.verify = ca_file or of_environment or True

    def get_redirect_target(self, resp: requests.Response) -> None:
        """Follow none: requests would send the token to whatever host it is pointed to."""


class Transport(RawAdapter):  # type: ignore[misc]  # hvac has no type hints
    """hvac's adapter, giving an `Outcome` for every request and raising nothing."""

    #: The budget of the exchanges to come; set by the connection before each.
    patience: Patience

    def request(
        self,
        method: str,
        url: str,
        headers: dict[str, str] | None = None,
        raise_exception: bool = True,  # noqa: ARG002, FBT001, FBT002  # hvac's signature
        **kwargs: Any,  # noqa: ANN401  # handed through to requests
    ) -> Outcome:
        """Send one request and read its answer.

        The budget bounds each wait for the server, and the body as a whole.
        """
        kwargs["timeout"] = max(self.patience.left, _SHORTEST_TIMEOUT)
        try:
            with super().request(method, url, headers, False, stream=True, **kwargs) as response:  # noqa: FBT003
                return self._answer(response)
        except OSError as error:  # the root of requests' exceptions, too
            return _no_answer(error)

    def _answer(self, response: requests.Response) -> Outcome:
        body = bytearray()
        for piece in response.iter_content(_PIECE):
            body += piece
            if len(body) > LIMIT:
                return NoAnswer.OVERSIZE
            if self.patience.left <= 0:
                return NoAnswer.TIMEOUT
        return Answer(
            status=response.status_code,
            body=_json_object(bytes(body)),
            date=response.headers.get("Date"),
        )


def _json_object(body: bytes) -> Mapping[str, Any] | None:
    try:
        document = json.loads(body.decode(), parse_float=_finite, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    """Refuse what JSON does not know and what could not be written back."""
    raise ValueError(text)


def _no_answer(error: OSError) -> NoAnswer:
    if not isinstance(error, requests.RequestException):
        return NoAnswer.CERTIFICATES
    if isinstance(error, requests.exceptions.ProxyError):
        return NoAnswer.PROXY
    causes = list(_causes(error))
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return NoAnswer.REFUSED
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return NoAnswer.UNRESOLVED
    if any(isinstance(cause, FileNotFoundError | PermissionError) for cause in causes):
        return NoAnswer.CERTIFICATES
    match error:
        case requests.exceptions.SSLError():
            return NoAnswer.TLS
        case requests.exceptions.ConnectTimeout():
            return NoAnswer.CONNECT_TIMEOUT
        case requests.exceptions.Timeout():
            return NoAnswer.TIMEOUT
        case _:
            return NoAnswer.DROPPED


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
