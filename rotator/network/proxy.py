"""The environment's proxy for an address, and the addresses that never use one."""

import os
import re
import socket
import ssl
from base64 import b64encode
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from urllib.parse import unquote, urlsplit

from rotator.network.failure import ExchangeFailed, TransportFailure
from rotator.network.tls import Trust, context

_PORTS = {"http": 80, "https": 443}
_UNUSABLE = "the proxy that the environment names cannot be used"


@dataclass(frozen=True, kw_only=True)
class Proxy:
    """A proxy, and rotator's credentials for it."""

    host: str
    port: int
    #: None for a connection to it without TLS.
    tls: ssl.SSLContext | None
    #: Contain the password.
    headers: list[tuple[str, str]] = field(repr=False)

    @property
    def address(self) -> tuple[str, int]:
        """Host and port."""
        return self.host, self.port


def is_loopback(host: str) -> bool:
    """Return whether traffic to `host` stays on this machine.

    A name or address, with or without brackets, in any spelling that a look-up accepts.
    """
    name = host.strip("[]").rstrip(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    address = _number(name)
    return address is not None and (address.is_loopback or address.is_unspecified)


def proxy_for(scheme: str, host: str, port: int) -> Proxy | None:
    """Return the environment's proxy for an address; None to connect directly.

    Raises:
        ExchangeFailed: it cannot be used. Its URL may contain a password and is not repeated.
    """
    if is_loopback(host) or _is_exempt(host, port):
        return None
    url = _variable(f"{scheme}_proxy") or _variable("all_proxy")
    if not url:
        return None
    try:
        return _proxy(url if "://" in url else f"http://{url}")
    except ValueError:
        # Raised outside of the handler, as the error's context would contain the URL.
        pass
    raise ExchangeFailed(TransportFailure.PROXY, _UNUSABLE)


def _proxy(url: str) -> Proxy:
    parts = urlsplit(url)
    host = (parts.hostname or "").encode("idna").decode("ascii")
    if parts.scheme not in _PORTS or not host:
        raise ValueError
    headers = []
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        headers.append(("Proxy-Authorization", f"Basic {b64encode(pair.encode()).decode()}"))
    return Proxy(
        host=host,
        port=parts.port or _PORTS[parts.scheme],
        tls=context(Trust()) if parts.scheme == "https" else None,
        headers=headers,
    )


def _variable(name: str) -> str:
    """Read a variable as curl and Python do: the lower-case one first, even if it is empty."""
    return os.environ.get(name, os.environ.get(name.upper(), "")).strip()


def _is_exempt(host: str, port: int) -> bool:
    """Return whether NO_PROXY has `host`, by a name or parent domain, an address or a network."""
    name = host.strip("[]").rstrip(".").lower()
    entries = re.split(r"[,\s]+", _variable("no_proxy").lower())
    return any(_covers(entry, name, port) for entry in entries if entry)


def _covers(entry: str, name: str, port: int) -> bool:
    with_port = re.fullmatch(r"(\[[0-9a-f:.]+\]|[^:]*):([0-9]+)", entry)
    if with_port:
        entry = with_port[1]
        if int(with_port[2]) != port:
            return False
    if entry == "*":
        return True
    entry = entry.strip("[]").partition("%")[0]
    address = _number(name)
    if address is not None:
        try:
            return address in ip_network(entry, strict=False)
        except ValueError:
            return False
    domain = entry.removeprefix("*").strip(".")
    return bool(domain) and (name == domain or name.endswith(f".{domain}"))


def _number(name: str) -> IPv4Address | IPv6Address | None:
    """Parse an address as a look-up does, which also accepts `127.1` and `::ffff:127.0.0.1%lo`."""
    try:
        found = socket.getaddrinfo(name, None, flags=socket.AI_NUMERICHOST)
    except (OSError, ValueError):
        return None
    address = ip_address(str(found[0][4][0]).partition("%")[0])
    return getattr(address, "ipv4_mapped", None) or address
