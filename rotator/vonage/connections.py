"""The connection pools: one for each way to the hosts, straight or through a proxy."""

import ipaddress
import ssl
from collections.abc import Iterable
from typing import TYPE_CHECKING, cast
from urllib.request import getproxies, proxy_bypass

import httpx

from rotator.errors import ConfigError
from rotator.vonage.deadline import BoundedBackend, Deadline

if TYPE_CHECKING:
    from httpcore import NetworkBackend

#: No bound on connections, as the number of threads is bounded, and none is used twice. On one
#: that the server closes just then, a POST would be lost without a word whether it arrived; and
#: what a confused proxy sent too much for one account's call would answer another account's.
#: A handshake more per call is nothing beside the rate limit.
_LIMITS = httpx.Limits(max_connections=None, max_keepalive_connections=0)
_LAST_PORT = 65_535


class Connections:
    """Pools for a fixed set of base URLs. Threads may share it."""

    def __init__(self, urls: Iterable[str], deadline: Deadline) -> None:
        """Read the environment's proxies and CA certificates, once.

        Raises:
            ConfigError: one of them cannot be used.
        """
        self._proxies = {_origin(url): _proxy_of(url) for url in map(httpx.URL, urls)}
        context = _tls()
        self._pools = {
            proxy: _pool(proxy, context, deadline) for proxy in set(self._proxies.values())
        }

    def of(self, url: httpx.URL) -> httpx.HTTPTransport:
        """Give the pool that leads to `url`."""
        return self._pools[self._proxies[_origin(url)]]

    def close(self) -> None:
        """Close all connections."""
        for pool in self._pools.values():
            pool.close()


def parsed(url: str) -> httpx.URL:
    """Parse a URL that can be connected to.

    Raises:
        ValueError: it is none, or its host or port is one that no lookup takes.
    """
    try:
        address = httpx.URL(url)
    except httpx.InvalidURL:
        raise ValueError("no URL") from None
    # What a lookup does first; it fails with a ValueError, which no caller of a lookup expects.
    address.raw_host.decode("ascii").encode("idna")
    if not address.host or (address.port or 0) > _LAST_PORT:
        raise ValueError("no host or no port")
    return address


def _tls() -> ssl.SSLContext:
    try:
        return httpx.create_ssl_context()
    except OSError as error:
        raise ConfigError(
            f"the certificates in SSL_CERT_FILE or SSL_CERT_DIR cannot be read: {error}",
        ) from None


def _pool(proxy: str | None, context: ssl.SSLContext, deadline: Deadline) -> httpx.HTTPTransport:
    try:
        if proxy is not None:
            parsed(proxy)
        transport = httpx.HTTPTransport(verify=context, limits=_LIMITS, proxy=proxy, retries=0)
    except (ValueError, ImportError):
        # The URL may hold a password and is not repeated.
        raise ConfigError(
            "the proxy that the environment names cannot be used",
            hint="set HTTPS_PROXY to http://HOST:PORT, or NO_PROXY to Vonage's hosts",
        ) from None
    # httpcore takes a backend as an argument, httpx does not hand one on.
    pool = transport._pool  # noqa: SLF001
    backend = BoundedBackend(pool._network_backend, deadline)  # noqa: SLF001
    pool._network_backend = cast("NetworkBackend", backend)  # noqa: SLF001
    return transport


def _origin(url: httpx.URL) -> tuple[str, str, int | None]:
    return url.scheme, url.host, url.port


def _proxy_of(url: httpx.URL) -> str | None:
    """Give the environment's proxy for `url`; None to connect straight."""
    if _is_loopback(url.host) or proxy_bypass(url.netloc.decode("ascii")):
        return None
    proxies = getproxies()
    proxy = proxies.get(url.scheme) or proxies.get("all")
    return proxy if not proxy or "://" in proxy else f"http://{proxy}"


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
