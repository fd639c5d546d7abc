"""One HTTP exchange with Vault: bounded, never redirected, and returned as a value.

hvac raises an exception per status that carries the whole body, knows only some statuses, and fails
on an error body of an unexpected shape. So it gets an adapter over `rotator.network` that raises
nothing: an answer is returned as a `VaultResponse`, a failure as a `TransportFailure`.
"""

import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from json import JSONDecoder, dumps
from types import MappingProxyType
from typing import Any, NoReturn, TypeVar
from urllib.parse import quote, urlencode, urlsplit

from hvac.adapters import RawAdapter

from rotator.network import (
    Client,
    ExchangeFailed,
    HttpRequest,
    HttpResponse,
    Route,
    TransportFailure,
    Trust,
    unpacked,
)
from rotator.vault.headers import seconds_of

#: Seconds. A starting mount and a lagging standby are both ready within a few of these.
_FIRST_PAUSE = 0.05

_LONGEST_PAUSE = 1.0


class Deadline:
    """The time budget of one call, shared by all its tries. Not for several threads."""

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Start a budget of `seconds` by `clock`; it ends early once `should_stop` returns true."""
        self._clock = clock
        self._sleep = sleep
        self._should_stop = should_stop
        self._ends_at = clock() + seconds
        self._pause = _FIRST_PAUSE

    @property
    def left(self) -> float:
        """Seconds left; negative once overdrawn."""
        return self._ends_at - self._clock()

    def pause(self, at_least: float = 0.0) -> bool:
        """Sleep, doubling each time; False, at once, if there is no time for it."""
        pause = max(self._pause, at_least)
        if self.left <= pause or self._should_stop():
            return False
        self._doze(pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return not self._should_stop()

    def _doze(self, seconds: float) -> None:
        """Sleep in short pieces, so that a stop takes effect soon."""
        while seconds > 0 and not self._should_stop():
            piece = min(seconds, _LONGEST_PAUSE)
            self._sleep(piece)
            seconds -= piece


__all__ = ["LIMIT", "Outcome", "TransportFailure", "VaultResponse", "VaultTransport"]

#: Bytes of a decompressed body. Vault's storage accepts entries of 1 MB at most.
LIMIT = 4 * 1024 * 1024

#: Characters that a path keeps unencoded; a percent sign starts an existing encoding.
_PLAIN = "/%:@!$&'()*+,;=~"

_SECONDS = re.compile("[0-9]{1,9}", re.ASCII)

_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class VaultResponse:
    """Status and body of an HTTP answer."""

    status: int
    #: None where it is not a JSON object. Holds values: never shown.
    body: Mapping[str, Any] | None = field(repr=False)
    #: The Date header.
    date: str | None = None
    #: How long the server asks to wait before the next try, in seconds; None where it does not.
    retry_after: float | None = None
    #: The cluster's name for the state that this answer reflects; None for nothing.
    index: str | None = None

    @property
    def code(self) -> str:
        """The status, for metrics and logs."""
        return str(self.status)

    @property
    def errors(self) -> tuple[str, ...] | None:
        """Vault's error messages; None where the answer has no list of errors."""
        errors = self.part("errors", list)
        if errors is None or not all(isinstance(error, str) for error in errors):
            return None
        return tuple(errors)

    def part(self, key: str, kind: type[_T]) -> _T | None:
        """Return the value at `key`; None where it is not of this kind."""
        value = (self.body or {}).get(key)
        return value if isinstance(value, kind) else None

    def says(self, text: str) -> bool:
        """Return whether an error message of Vault contains `text`, ignoring case."""
        return any(text.lower() in error.lower() for error in self.errors or ())


Outcome = VaultResponse | TransportFailure


class VaultTransport(RawAdapter):  # type: ignore[misc]  # hvac has no type hints
    """hvac's adapter; returns an `Outcome` for every request and raises nothing of its own.

    Its connection is kept for the next request, but not for long, and never one that Vault has
    closed: a write on it could be lost without a sign of whether it arrived.
    """

    #: The budget of the next exchanges; set by the connection before each.
    patience: Deadline
    #: Called right before the next request is sent; set likewise. Its exceptions propagate.
    before_send: Callable[[], object] | None = None
    #: Headers added to hvac's for the next exchange; set likewise.
    extra: Mapping[str, str] = MappingProxyType({})

    def __init__(self, *, trust: Trust, **options: Any) -> None:  # noqa: ANN401  # hvac's
        """Use `trust` alone, not what hvac finds in the environment."""
        super().__init__(**options)
        self._trust = trust
        self._base = quote(urlsplit(self.base_uri).path.rstrip("/"), safe=_PLAIN)

    @cached_property
    def _client(self) -> Client:
        return Client(Route(self.base_uri, self._trust), keep_alive=True)

    def close(self) -> None:
        """Close the connection; the next request opens a new one."""
        self._client.close()
        super().close()

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
        """Send one request and read its answer within the budget."""
        body = b"" if json is None else dumps(json, allow_nan=False).encode()
        path = quote(_single_slashed(url), safe=_PLAIN, errors="replace")
        query = f"?{urlencode(params)}" if params else ""
        request = HttpRequest(
            method=method.upper(),
            target=f"{self._base}/{path}{query}",
            headers={**self._headers(has_body=json is not None), **(headers or {})},
            body=body,
        )
        try:
            reply = self._client.send(
                request,
                left=lambda: self.patience.left,
                limit=LIMIT,
                before_send=self.before_send,
            )
        except ExchangeFailed as error:
            return error.reason
        except ValueError:  # the address contains a name that no lookup accepts
            return TransportFailure.UNRESOLVED
        return _answer(reply)

    def _headers(self, *, has_body: bool) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity", "X-Vault-Request": "true"}
        if self.token:
            headers["X-Vault-Token"] = self.token
        if self.namespace:
            headers["X-Vault-Namespace"] = self.namespace
        if has_body:
            headers["Content-Type"] = "application/json"
        return headers | dict(self.extra)


def _answer(reply: HttpResponse) -> Outcome:
    if reply.body is None:
        return TransportFailure.OVERSIZE
    return VaultResponse(
        status=reply.status,
        body=_json_object(reply),
        date=reply.headers.get("date"),
        retry_after=seconds_of(reply.headers.get("retry-after")),
        index=reply.headers.get("x-vault-index"),
    )


def _single_slashed(path: str) -> str:
    """Return a path as hvac and the vault command send it: `a//b/` is `a/b`."""
    return "/".join(part for part in path.split("/") if part)


def _json_object(reply: HttpResponse) -> Mapping[str, Any] | None:
    try:
        document = _DECODER.decode(unpacked(reply, LIMIT).decode())
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


def _refuse(text: str) -> NoReturn:
    """Reject constants that JSON does not define and that could not be written back."""
    raise ValueError(text)


#: Created once: creating it takes as long as decoding a body.
_DECODER = JSONDecoder(parse_float=_finite, parse_constant=_refuse)


@dataclass(frozen=True, kw_only=True)
class VaultRequest:
    """One call of Vault's API as data."""

    #: Its name in metrics and logs: `read-current`.
    operation: str
    #: Path below /v1/, for messages and logs.
    path: str
    #: Sends the call with the hvac client that is passed in, which has no types.
    send: Callable[[Any], Outcome]
    #: Safe to retry when its outcome is unknown: a read.
    repeatable: bool
    #: Statuses that are no failure for this call. A 404 for "no such entry" never is.
    expected_statuses: frozenset[int] = frozenset()
    #: False for what Vault only answers outside of namespaces.
    in_namespace: bool = True
    #: Called right before each request of a write is sent. Its exceptions propagate unchanged, and
    #: nothing was sent.
    before_send: Callable[[], object] | None = None
    #: A state of the cluster that the answer must not be older than; "" where none is known.
    index: str = ""

    def __str__(self) -> str:
        """Return operation and path, for messages."""
        return f"{self.operation} {self.path}"
