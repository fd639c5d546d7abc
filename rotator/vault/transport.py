"""One HTTP exchange with Vault: bounded, never redirected, and returned as a value.

hvac raises an exception per status that carries the whole body, knows only some statuses, and fails
on an error body of an unexpected shape. So it gets an adapter over `rotator.network` that raises
nothing: an answer is returned as a `VaultResponse`, a failure as a `TransportFailure`.
"""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from json import dumps
from types import MappingProxyType
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

import hvac
import structlog
from hvac.adapters import RawAdapter

from rotator.errors import ConfigError
from rotator.model.redaction import is_plain
from rotator.model.retry import Budget
from rotator.network import (
    Client,
    ExchangeFailed,
    HttpRequest,
    HttpResponse,
    Route,
    TransportFailure,
    Trust,
    retry_after,
)
from rotator.rotation.ports import NoObserver, Observer
from rotator.vault.response import VaultOutcome, VaultResponse

#: Bytes of a decompressed body. Vault's storage accepts entries of 1 MB at most.
LIMIT = 4 * 1024 * 1024
#: Longest wait that a server can ask for, in seconds.
_LONGEST_WAIT = 3600.0
#: Characters that a path keeps unencoded; a percent sign starts an existing encoding.
_PLAIN = "/%:@!$&'()*+,;=~"

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class VaultRequest:
    """One request to Vault's API as data."""

    #: Its name in metrics and logs: `read-current`.
    operation: str
    #: Path below /v1/, for logs.
    path: str
    #: What it does, for messages: `reading secret/data/vonage/sms`.
    purpose: str
    #: Sends the request with the hvac client that is passed in, which has no types.
    send: Callable[[Any], VaultOutcome]
    #: Safe to retry when its outcome is unknown: a read.
    repeatable: bool
    #: Statuses that are no failure for this request. A 404 for "no such entry" never is.
    expected_statuses: frozenset[int] = frozenset()
    #: False for what Vault only answers outside of namespaces.
    in_namespace: bool = True
    #: Called right before each try of a write is sent. Its exceptions propagate unchanged, and
    #: nothing was sent.
    before_send: Callable[[], object] | None = None
    #: A state of the cluster that the answer must not be older than; "" where none is known.
    index: str = ""

    def __str__(self) -> str:
        """Return what it does, for messages."""
        return self.purpose


class VaultTransport(RawAdapter):  # type: ignore[misc]  # hvac has no type hints
    """hvac's adapter; returns an `VaultOutcome` for every request and raises nothing of its own.

    Its connection is kept for the next request, but not for long, and never one that Vault has
    closed: a write on it could be lost without a sign of whether it arrived.
    """

    #: The budget of the next exchange; set by the pool before each.
    budget: Budget
    #: Called right before the next request is sent; set likewise. Its exceptions propagate.
    before_send: Callable[[], object] | None = None
    #: Headers added to hvac's for the next exchange; set likewise.
    extra_headers: Mapping[str, str] = MappingProxyType({})

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
    ) -> VaultOutcome:
        """Send one request and read its answer within the budget."""
        # As hvac and the vault command send a path: `a//b/` is `a/b`.
        path = "/".join(part for part in url.split("/") if part)
        query = f"?{urlencode(params)}" if params else ""
        request = HttpRequest(
            method=method.upper(),
            target=f"{self._base}/{quote(path, safe=_PLAIN, errors='replace')}{query}",
            headers={**self._headers(has_body=json is not None), **(headers or {})},
            body=b"" if json is None else dumps(json, allow_nan=False).encode(),
        )
        try:
            response = self._client.send(
                request,
                left=lambda: self.budget.left,
                limit=LIMIT,
                before_send=self.before_send,
            )
        except ExchangeFailed as error:
            return error.reason
        except ValueError:  # the address contains a name that no lookup accepts
            return TransportFailure.UNRESOLVED
        return _outcome(response)

    def _headers(self, *, has_body: bool) -> dict[str, str]:
        headers = {"Accept-Encoding": "identity", "X-Vault-Request": "true"}
        if self.token:
            headers["X-Vault-Token"] = self.token
        if self.namespace:
            headers["X-Vault-Namespace"] = self.namespace
        if has_body:
            headers["Content-Type"] = "application/json"
        return headers | dict(self.extra_headers)


def _outcome(response: HttpResponse) -> VaultOutcome:
    if response.body is None:
        return TransportFailure.OVERSIZE
    try:
        body = response.json_object(LIMIT)
    except ValueError:
        body = None
    wait = retry_after(response.headers.get("retry-after"), time.time())
    return VaultResponse(
        status=response.status,
        body=body,
        date=response.headers.get("date"),
        retry_after=None if wait is None else min(max(wait, 0.0), _LONGEST_WAIT),
        index=response.headers.get("x-vault-index"),
    )


class ConnectionPool:
    """Connections to a Vault server, each with its hvac client. May be shared by threads."""

    def __init__(
        self,
        address: str,
        *,
        namespace: str = "",
        trust: Trust | None = None,
        observer: Observer | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Store the settings; nothing is connected yet.

        Raises:
            ConfigError: the address or the namespace is invalid.
        """
        self._address = _checked_address(address)
        if not is_plain(namespace):
            raise ConfigError(
                "vault.namespace is not one that a header can carry",
                hint="name it in printable ASCII without spaces",
            )
        self._namespace = namespace
        self._trust = trust or Trust()
        self._observer = observer or NoObserver()
        self._clock = clock
        #: Whether the last request got no answer at all.
        self.is_unreachable = False
        self._idle: list[Any] = []

    def exchange(
        self, request: VaultRequest, token: str, *, timeout: float, headers: Mapping[str, str]
    ) -> VaultOutcome:
        """Send `request` once, with `token` (none if ""), and with `headers` added."""
        # hvac does not promise that threads can share a client: each thread takes one from the
        # list. There is none per thread, as a thread may only live for one rotation.
        idle = self._idle
        try:
            client = idle.pop()
        except IndexError:
            client = self._client()
        client.token = token
        client.adapter.namespace = self._namespace if request.in_namespace else None
        client.adapter.budget = Budget(timeout, self._clock)
        client.adapter.before_send = request.before_send
        client.adapter.extra_headers = headers
        started = self._clock()
        try:
            outcome = request.send(client)
        finally:
            idle.append(client)
        self.is_unreachable = not isinstance(outcome, VaultResponse)
        self._report(request, outcome.code, self._clock() - started)
        return outcome

    def reconnect(self) -> None:
        """Close idle connections, so that all connect anew with a changed client certificate."""
        # A client in use is returned to the former list, and discarded with it.
        former, self._idle = self._idle, []
        while former:
            with suppress(IndexError):  # another thread took the last one
                former.pop().adapter.close()

    def _report(self, request: VaultRequest, code: str, seconds: float) -> None:
        _log.debug(
            "vault call",
            operation=request.operation,
            path=request.path,
            code=code,
            milliseconds=round(seconds * 1000, 1),
        )
        self._observer.call_finished("vault", request.operation, code, seconds)

    def _client(self) -> Any:  # noqa: ANN401  # hvac has no type hints
        return hvac.Client(
            url=self._address,
            # Never None: hvac would then read VAULT_TOKEN and ~/.vault-token.
            token="",
            namespace=self._namespace or None,
            adapter=VaultTransport,
            trust=self._trust,
        )


def _checked_address(address: str) -> str:
    with suppress(ValueError):
        parts = urlsplit(address)
        _ = parts.port  # parsed only on access
        is_server = parts.scheme in ("http", "https") and parts.hostname and is_plain(address)
        if is_server and parts.username is None and not parts.query and not parts.fragment:
            return address
    raise ConfigError(
        "vault.address is not an address of the form https://host:port",
        hint="set vault.address, or VAULT_ADDR; credentials and queries have no place in it",
    )
