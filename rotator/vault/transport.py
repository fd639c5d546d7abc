"""One HTTP exchange with Vault: bounded, never redirected, and told as a value.

hvac raises an exception per status that carries the whole body, knows only some statuses, and
trips over an error body of an unexpected shape. urllib3 raises exceptions that carry the path
and the connection. Neither gets past this module: what came back is an `Answer`, and what did
not is a `NoAnswer`.
"""

import math
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cached_property
from json import JSONDecoder, dumps
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar
from urllib.parse import urlencode

from hvac.adapters import RawAdapter
from urllib3.exceptions import (
    ConnectTimeoutError,
    HTTPError,
    NewConnectionError,
    ProxyError,
    ProxySchemeUnknown,
    SSLError,
)
from urllib3.exceptions import (
    TimeoutError as SlowError,
)
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry

from rotator.vault.headers import seconds_of
from rotator.vault.patience import Patience
from rotator.vault.way import Trust, Way

#: Bytes of a body, unpacked. Vault's storage takes entries of 1 MB at most.
LIMIT = 4 * 1024 * 1024

#: Bytes read at once, at most: whatever is there, as the time is checked in between.
_PIECE = 64 * 1024
#: Seconds; urllib3 takes no timeout of zero.
_SHORTEST_TIMEOUT = 0.001
#: Repeats nothing and follows no redirect; errors are raised as they are.
_NONE = Retry(total=False, redirect=False)


_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Answer:
    """Status and body of an HTTP answer."""

    status: int
    #: None where it is not a JSON object. Holds values: never shown.
    body: Mapping[str, Any] | None = field(repr=False)
    #: The Date header.
    date: str | None = None
    #: Seconds that the server asks to wait before the next try; None where it does not.
    retry_after: float | None = None
    #: What a cluster calls the state that this answer made or was made of; None for nothing.
    index: str | None = None

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


class Transport(RawAdapter):  # type: ignore[misc]  # hvac has no type hints
    """hvac's adapter, giving an `Outcome` for every request and raising nothing.

    It sends with urllib3 itself: what requests does around it for each request takes longer than
    the request, and follows redirects, by which the token would go to whatever host is named.
    """

    #: The budget of the exchanges to come; set by the connection before each.
    patience: Patience
    #: Sent with the exchange to come, besides what hvac sends; set likewise.
    extra: Mapping[str, str] = MappingProxyType({})

    def __init__(self, *, trust: Trust, **options: Any) -> None:  # noqa: ANN401  # hvac's
        """Trust `trust` alone, and not what hvac finds in the environment."""
        super().__init__(**options)
        self._trust = trust

    @cached_property
    def _way(self) -> Way:
        return Way(self.base_uri, self._trust)

    def request(  # noqa: PLR0913  # hvac's signature
        self,
        method: str,
        url: str,
        headers: Mapping[str, str] | None = None,
        raise_exception: bool = True,  # noqa: ARG002, FBT001, FBT002  # hvac's signature
        *,
        params: Mapping[str, Any] | None = None,
        json: object = None,
        wrap_ttl: None = None,  # noqa: ARG002  # likewise; nothing here asks for it
    ) -> Outcome:
        """Send one request and read its answer.

        The budget bounds each wait for the server, and the body as a whole.
        """
        body = None if json is None else dumps(json, allow_nan=False).encode()
        query = f"?{urlencode(params)}" if params else ""
        try:
            with self._way.pool.urlopen(
                method.upper(),
                f"{self._way.base}/{_single_slashed(url)}{query}",
                body=body,
                headers={**self._headers(has_body=body is not None), **(headers or {})},
                timeout=max(self.patience.left, _SHORTEST_TIMEOUT),
                retries=_NONE,
                redirect=False,
                assert_same_host=False,
                preload_content=False,
            ) as response:
                return self._answer(response)
        except (OSError, ValueError, HTTPError) as error:
            return _no_answer(error)

    def _headers(self, *, has_body: bool) -> dict[str, str]:
        headers = {"X-Vault-Request": "true"}
        if self.token:
            headers["X-Vault-Token"] = self.token
        if self.namespace:
            headers["X-Vault-Namespace"] = self.namespace
        if has_body:
            headers["Content-Type"] = "application/json"
        return headers | dict(self.extra)

    def _answer(self, response: BaseHTTPResponse) -> Outcome:
        body = bytearray()
        while piece := response.read1(_PIECE):
            body += piece
            if len(body) > LIMIT:
                return NoAnswer.OVERSIZE
            if self.patience.left <= 0:
                return NoAnswer.TIMEOUT
        return Answer(
            status=response.status,
            body=_json_object(bytes(body)),
            date=response.headers.get("Date"),
            retry_after=seconds_of(response.headers.get("Retry-After")),
            index=response.headers.get("X-Vault-Index"),
        )


def _single_slashed(path: str) -> str:
    """Give a path as hvac and the vault command send it: `a//b/` is `a/b`."""
    return "/".join(part for part in path.split("/") if part)


def _json_object(body: bytes) -> Mapping[str, Any] | None:
    try:
        document = _DECODER.decode(body.decode())
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    """Refuse what JSON does not know and what could not be written back."""
    raise ValueError(text)


#: Made once: that takes as long as to read a body.
_DECODER = JSONDecoder(parse_float=_finite, parse_constant=_refuse)


def _no_answer(error: Exception) -> NoAnswer:
    if isinstance(error, ProxyError | ProxySchemeUnknown):
        return NoAnswer.PROXY
    causes = list(_causes(error))
    if any(isinstance(cause, ConnectionRefusedError) for cause in causes):
        return NoAnswer.REFUSED
    if any(isinstance(cause, socket.gaierror) for cause in causes):
        return NoAnswer.UNRESOLVED
    if any(isinstance(cause, FileNotFoundError | PermissionError) for cause in causes):
        return NoAnswer.CERTIFICATES
    match error:
        case SSLError():
            return NoAnswer.TLS
        case NewConnectionError():  # a kind of timeout to urllib3, whatever the reason
            return NoAnswer.DROPPED
        case ConnectTimeoutError():
            return NoAnswer.CONNECT_TIMEOUT
        case SlowError():
            return NoAnswer.TIMEOUT
        case OSError():  # not of a connection: those urllib3 wraps
            return NoAnswer.CERTIFICATES
        case _:
            return NoAnswer.DROPPED


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
