"""One request and its answer, over a new connection or one that is kept open."""

import weakref
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import h11

from rotator.network.connect import Resolve, connected, proxy_for, resolve
from rotator.network.connection import Connection, Headers
from rotator.network.exchange import Exchange, ExchangeFailed, Left
from rotator.network.response import HttpResponse
from rotator.network.stream import CurrentExchange, Encrypted, Plain, Stream
from rotator.network.tls import Trust, context

_PORTS = {"http": 80, "https": 443}
_WITHOUT_BODY = frozenset({"GET", "DELETE"})


@dataclass(frozen=True, kw_only=True)
class HttpRequest:
    """A request without its host, which the client adds."""

    method: str
    #: Path and query, percent-encoded.
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


class Route:
    """The route to one server: direct or through a proxy, and its trust settings. Thread-safe."""

    def __init__(self, url: str, trust: Trust | None = None, find: Resolve = resolve) -> None:
        """Read the environment's proxy; nothing is connected yet. Of `url` only the host counts.

        Raises:
            ValueError: the host is not a valid name to look up.
            ExchangeFailed: the environment's proxy cannot be used.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        default = _PORTS.get(parts.scheme)
        if not host or not default:
            raise ValueError("no host, or a scheme that is not http")
        host, zone = _split_zone(host)
        self._host = host.encode("idna").decode("ascii")
        #: Link of this machine that a link-local address is on; "" for any other address.
        self._zone = zone
        self._port = parts.port or default
        bracketed = f"[{host}]" if ":" in host else host
        #: Value of the Host header.
        self.authority = f"{bracketed}:{parts.port}" if parts.port else bracketed
        self._find = find
        self._trust = trust or Trust()
        self._is_encrypted = parts.scheme == "https"
        self.proxy = proxy_for(parts.scheme, host, self._port)

    def check(self) -> None:
        """Load the certificate files, if TLS is used.

        Raises:
            ExchangeFailed: one of them cannot be read, or the key is encrypted.
        """
        if self._is_encrypted:
            context(self._trust)

    def open(self, current: CurrentExchange) -> Connection:
        """Connect, within the time of the current exchange.

        Raises:
            ExchangeFailed: no connection was made.
        """
        tls = context(self._trust) if self._is_encrypted else None
        exchange, first = current.exchange, self.proxy or self
        addresses = self._find(*first.address, exchange)
        stream: Stream = Plain(connected(addresses, exchange), current)
        try:
            if self.proxy and self.proxy.tls:
                stream = Encrypted(stream, self.proxy.tls, self.proxy.host)
            if self.proxy and tls:
                bracketed = f"[{self._host}]" if ":" in self._host else self._host
                Connection(stream).tunnel(f"{bracketed}:{self._port}", self.proxy.headers)
            exchange.passed_proxy()
            if tls:
                stream = Encrypted(stream, tls, self._host)
        except BaseException:
            stream.close()
            raise
        return Connection(stream)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return f"{self._host}{self._zone}", self._port

    def destination(self, target: str) -> tuple[str, Headers]:
        """Return a request's target, and the headers that state its destination."""
        host = ("Host", self.authority)
        if self.proxy and not self._is_encrypted:
            return f"http://{self.authority}{target}", [host, *self.proxy.headers]
        return target, [host]


def _split_zone(host: str) -> tuple[str, str]:
    """Split an address from its zone, which only this machine understands.

    In a URL the percent sign between them is encoded (RFC 6874); people leave it as it is.
    """
    address, percent, zone = host.partition("%")
    return address, percent + (zone.removeprefix("25") or zone)


class _Kept:
    """The connection that a client keeps open, and closes when it is closed."""

    connection: Connection | None = None

    def close(self) -> None:
        if self.connection:
            self.connection.close()
        self.connection = None


class Client:
    """Sends requests to one server, one at a time. Not for several threads.

    Follows no redirect, keeps no cookie, does not read .netrc, and never retries.
    """

    def __init__(self, route: Route, *, keep_alive: bool = False) -> None:
        """Open a connection per request, unless one is to be kept open."""
        self._route = route
        self._keeps = keep_alive
        self._current = CurrentExchange()
        self._kept = _Kept()
        weakref.finalize(self, self._kept.close)

    def send(
        self,
        request: HttpRequest,
        *,
        left: Left,
        limit: int,
        before_send: Callable[[], object] | None = None,
        interrupt: Callable[[], object] | None = None,
    ) -> HttpResponse:
        """Send one request and read its answer within the `left` seconds.

        `limit` is the maximum size of a body in bytes; with 0 the body is not read. `before_send`
        is called once, right before the first byte of the request; its exceptions propagate, and
        nothing was sent. `interrupt` is called several times a second; its exceptions propagate.

        Raises:
            ExchangeFailed: no usable answer was received. Neither it nor its cause or context
                contains a URL, a header or a body.
        """
        exchange = self._current.exchange = Exchange(
            left=left,
            limit=limit,
            before_send=before_send,
            interrupt=interrupt,
            through_proxy=self._route.proxy is not None,
        )
        try:
            return self._exchange(request, exchange, limit)
        except ExchangeFailed as error:
            failed = exchange.at_stage(error)
        except (h11.ProtocolError, ValueError):
            # Texts of these exceptions quote what was sent or received.
            failed = exchange.lost("no usable answer")
        finally:
            # An exchange kept with the connection would reference its caller, and so this client,
            # which would never be collected and its connection never closed.
            del self._current.exchange
        raise failed

    def close(self) -> None:
        """Close the connection that is kept open."""
        self._kept.close()

    def _exchange(self, request: HttpRequest, exchange: Exchange, limit: int) -> HttpResponse:
        connection = self._kept.connection
        if connection and connection.is_usable:
            exchange.passed_proxy()
        else:
            self._kept.close()
            connection = self._kept.connection = self._route.open(self._current)
        is_kept = False
        try:
            response = self._exchange_over(connection, request, exchange, limit)
            is_kept = self._keeps and connection.prepare_next()
        finally:
            if not is_kept:
                self._kept.close()
        return response

    def _exchange_over(
        self, connection: Connection, request: HttpRequest, exchange: Exchange, limit: int
    ) -> HttpResponse:
        target, headers = self._route.destination(request.target)
        headers += request.headers.items()
        if request.body or request.method not in _WITHOUT_BODY:
            headers.append(("Content-Length", str(len(request.body))))
        exchange.begin()
        connection.send(request.method, target, headers, request.body)
        head = connection.head()
        received: dict[str, str] = {}
        for raw_name, raw_value in head.headers:
            name, value = raw_name.decode("latin-1"), raw_value.decode("latin-1")
            received[name] = f"{received[name]}, {value}" if name in received else value
        body = connection.body(limit) if limit else b""
        return HttpResponse(status=head.status_code, headers=received, body=body)
