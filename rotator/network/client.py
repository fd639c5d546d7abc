"""One request and its answer, over a connection of its own or one that is kept."""

import logging
import weakref
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import httpcore

from rotator.network.connect import Resolve, resolve
from rotator.network.exchange import Exchange, Left
from rotator.network.failure import ExchangeFailed, NoAnswer
from rotator.network.proxy import proxy_for
from rotator.network.stream import Backend
from rotator.network.tls import Trust, context

# It logs an answer's headers at DEBUG.
logging.getLogger("httpcore").setLevel(logging.WARNING)

_PORTS = {"http": 80, "https": 443}
_WITHOUT_BODY = frozenset({"GET", "DELETE"})
#: Seconds that a kept connection may idle. Balancers forget one after a minute, some without a
#: word, and a write on it would be lost without a word, too.
_IDLE = 20.0


@dataclass(frozen=True, kw_only=True)
class Request:
    """What is sent, but for the host, which the client knows."""

    method: str
    #: Path and query, percent-encoded.
    target: str = field(repr=False)
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, kw_only=True)
class Reply:
    """Status, headers and body of an HTTP answer."""

    status: int
    #: By their names in lower case; several of one name are parted by commas.
    headers: Mapping[str, str] = field(repr=False)
    #: As sent; None where it is longer than the limit.
    body: bytes | None = field(repr=False)


class Way:
    """The way to one server: straight or through a proxy, and whom to trust. Threads share it."""

    def __init__(self, url: str, trust: Trust | None = None, find: Resolve = resolve) -> None:
        """Look up the environment's proxy, once; connect to nothing yet. Of `url` its host counts.

        Raises:
            ValueError: no lookup would take the host.
            ExchangeFailed: the environment's proxy cannot be used.
        """
        parts = urlsplit(url)
        host = parts.hostname or ""
        default = _PORTS.get(parts.scheme)
        if not host or not default:
            raise ValueError("no host, or a scheme that is not http")
        self._base = httpcore.URL(
            scheme=parts.scheme.encode(), host=host.encode("idna"), port=parts.port, target=b"/"
        )
        bracketed = f"[{host}]" if ":" in host else host
        #: What the Host header says.
        self.authority = f"{bracketed}:{parts.port}" if parts.port else bracketed
        self.find = find
        self._trust = trust or Trust()
        self.proxy = proxy_for(parts.scheme, host, parts.port or default)

    def url(self, target: str) -> httpcore.URL:
        """Return the URL of a path and query there."""
        base = self._base
        return httpcore.URL(
            scheme=base.scheme, host=base.host, port=base.port, target=target.encode("ascii")
        )

    def prepare(self, backend: Backend) -> httpcore.ConnectionInterface:
        """Return a connection that opens with its first request.

        Raises:
            ExchangeFailed: a file of certificates cannot be read, or the key is encrypted.
        """
        tls = context(self._trust) if self._base.scheme == b"https" else None
        pool = httpcore.ConnectionPool(
            ssl_context=tls, proxy=self.proxy, keepalive_expiry=_IDLE, network_backend=backend
        )
        return pool.create_connection(self._base.origin)

    def check(self) -> None:
        """Read the files of certificates, where there is TLS.

        Raises:
            ExchangeFailed: one of them cannot be read, or the key is encrypted.
        """
        if self._base.scheme == b"https":
            context(self._trust)


class _Kept:
    """The connection that a client keeps, and that is closed together with it."""

    connection: httpcore.ConnectionInterface | None = None

    def close(self) -> None:
        if self.connection:
            self.connection.close()
        self.connection = None


class Client:
    """Sends requests to one server, one at a time. Not for several threads.

    No redirect is followed; no cookie is kept; .netrc is not read; nothing is sent again.
    """

    def __init__(self, way: Way, *, keep_alive: bool = False) -> None:
        """Connect anew for each request, unless the connection is to be kept."""
        self._way = way
        self._keeps = keep_alive
        self._backend = Backend(way.find)
        self._kept = _Kept()
        weakref.finalize(self, self._kept.close)

    def send(
        self,
        request: Request,
        *,
        left: Left,
        limit: int,
        before_send: Callable[[], object] | None = None,
        interrupt: Callable[[], object] | None = None,
    ) -> Reply:
        """Send one request and read its answer, all of it within the seconds that are `left`.

        `limit` is the most bytes of a body; with 0 the body is not read. `before_send` is called
        once, right before the first byte of the request; what it raises comes out, and nothing
        was sent. `interrupt` is called several times a second; what it raises comes out.

        Raises:
            ExchangeFailed: no usable answer came. Nothing of it, its cause or its context holds
                a URL, a header or a body.
        """
        exchange = self._backend.exchange = Exchange(
            left=left,
            limit=limit,
            before_send=before_send,
            interrupt=interrupt,
            through_proxy=self._way.proxy is not None,
        )
        try:
            return self._exchange(request, exchange, limit)
        except ExchangeFailed as error:
            failed = exchange.placed(error)
        except httpcore.ProxyError as error:
            failed = ExchangeFailed(NoAnswer.PROXY, f"the proxy answers {error}")
        except (httpcore.ProtocolError, httpcore.NetworkError, ValueError):
            # Their texts quote what was sent or received.
            failed = exchange.placed(ExchangeFailed(NoAnswer.DROPPED, "no usable answer"))
        raise failed

    def close(self) -> None:
        """Close the connection that is kept."""
        self._kept.close()

    def _exchange(self, request: Request, exchange: Exchange, limit: int) -> Reply:
        connection = self._kept.connection
        if not connection or not connection.is_available() or connection.has_expired():
            self._kept.close()
            connection = self._way.prepare(self._backend)
        self._kept.connection = connection
        is_done = False
        try:
            reply = _read(connection.handle_request(self._spelled(request, exchange)), limit)
            is_done = self._keeps and connection.is_idle()
        finally:
            if not is_done:
                self._kept.close()
        return reply

    def _spelled(self, request: Request, exchange: Exchange) -> httpcore.Request:
        headers: dict[bytes | str, bytes | str] = {"Host": self._way.authority}
        headers.update(request.headers.items())
        if request.body or request.method not in _WITHOUT_BODY:
            headers["Content-Length"] = str(len(request.body))
        return httpcore.Request(
            request.method,
            self._way.url(request.target),
            headers=headers,
            content=request.body,
            extensions={"trace": exchange.trace},
        )


def _read(response: httpcore.Response, limit: int) -> Reply:
    headers: dict[str, str] = {}
    for raw_name, raw_value in response.headers:
        name, value = raw_name.decode("latin-1").lower(), raw_value.decode("latin-1")
        headers[name] = f"{headers[name]}, {value}" if name in headers else value
    try:
        body = _body(response, limit)
    finally:
        response.close()
    return Reply(status=response.status, headers=headers, body=body)


def _body(response: httpcore.Response, limit: int) -> bytes | None:
    body = bytearray()
    for piece in response.iter_stream() if limit else ():
        body += piece
        if len(body) > limit:
            return None
    return bytes(body)


def unpacked(reply: Reply, limit: int) -> bytes:
    """Return the body of a reply. None was asked to be packed; some proxies do all the same.

    Raises:
        ValueError: it is longer than `limit`, packed in a way that is not known, or badly; its
            text says which.
    """
    if reply.body is None:
        raise ValueError(f"longer than {limit // 1_000_000} MB")
    encoding = reply.headers.get("content-encoding", "").strip().lower()
    if encoding in ("", "identity"):
        return reply.body
    if encoding not in ("gzip", "x-gzip", "deflate"):
        raise ValueError("packed in a way that was not asked for")
    # Recognises gzip and zlib by their headers.
    inflater = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)
    try:
        content = inflater.decompress(reply.body, limit + 1)
    except zlib.error:
        raise ValueError("badly packed") from None
    if len(content) > limit:
        raise ValueError(f"longer than {limit // 1_000_000} MB")
    if not inflater.eof:
        raise ValueError("cut off")
    return content
