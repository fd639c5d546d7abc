"""Connecting: proxies, name resolution, and a share of the time for each address of a host."""

import errno
import os
import re
import select
import socket
import ssl
import threading
from base64 import b64encode
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network
from itertools import chain, zip_longest
from urllib.parse import unquote, urlsplit

from rotator.network.exchange import Exchange, ExchangeFailed, TransportFailure, reason_of
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


#: Family and address, as in the `socket` module.
Address = tuple[int, tuple[object, ...]]

#: Finds the addresses of a host and port within an exchange's time.
Resolve = Callable[[str, int, Exchange], Sequence[Address]]

#: Head start of each address over the next one, in seconds (RFC 8305).
_HEAD_START = 0.25


#: Running look-ups by name. A name has one at a time, so that an unreachable name server occupies
#: no more threads than there are names.
_running: dict[tuple[str, int], Future[list[Address]]] = {}

_running_lock = threading.Lock()


def _begin_look_up(host: str, port: int) -> Future[list[Address]]:
    """Join the running look-up of a name, or start one in a thread, as it has no time limit."""
    key = host, port
    with _running_lock:
        if key not in _running:
            found: Future[list[Address]] = Future()
            threading.Thread(
                target=_run_look_up, args=(key, found), name="look-up", daemon=True
            ).start()
            _running[key] = found
        return _running[key]


def _run_look_up(key: tuple[str, int], found: Future[list[Address]]) -> None:
    try:
        found.set_result(_look_up(*key))
    except (OSError, ValueError) as error:
        found.set_exception(error)
    with _running_lock:
        del _running[key]


def resolve(host: str, port: int, exchange: Exchange) -> Sequence[Address]:
    """Return the addresses of a host, alternating families, the preferred family first.

    Raises:
        ExchangeFailed: there is no address, or the time is up.
    """
    with suppress(OSError):
        # A numeric address needs no look-up.
        return _look_up(host, port, socket.AI_NUMERICHOST)
    try:
        found = _begin_look_up(host, port)
        while True:
            seconds = exchange.longest_wait()
            try:
                return _interleaved(found.result(seconds))
            except TimeoutError:
                exchange.waited(seconds)
    except OSError as error:
        raise ExchangeFailed(TransportFailure.UNRESOLVED, reason_of(error)) from None
    except (ValueError, RuntimeError):
        raise ExchangeFailed(TransportFailure.UNRESOLVED, "it cannot be looked up") from None


def _look_up(host: str, port: int, flags: int = 0) -> list[Address]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=flags)
    return [(family, address) for family, _, _, _, address in found]


def _interleaved(addresses: Sequence[Address]) -> list[Address]:
    """Interleave the families of addresses, so that an unreachable family causes little delay."""
    first = [address for address in addresses if address[0] == addresses[0][0]]
    others = [address for address in addresses if address[0] != addresses[0][0]]
    return [each for each in chain(*zip_longest(first, others)) if each]


def connected(addresses: Sequence[Address], exchange: Exchange) -> socket.socket:
    """Connect to the first address that accepts.

    Each next address is tried once the previous one has failed or not answered for a moment; the
    previous attempt continues meanwhile. However short the time, each address is tried within it.

    Raises:
        ExchangeFailed: no address accepts, or the time is up.
    """
    race = _Race(addresses)
    try:
        while race.goes_on:
            if winner := race.begin_next() or race.wait(exchange):
                return winner
    finally:
        race.close()
    raise race.failed()


class _Race:
    """Connection attempts to the addresses of one host."""

    def __init__(self, addresses: Sequence[Address]) -> None:
        self._waiting = deque(addresses)
        self._running: dict[int, socket.socket] = {}
        self._poller = select.poll()
        self._errors: list[int] = []

    @property
    def goes_on(self) -> bool:
        """Return whether any attempt may still succeed."""
        return bool(self._waiting or self._running)

    def begin_next(self) -> socket.socket | None:
        """Start connecting to the next address, if any; return a socket that connected at once."""
        if not self._waiting:
            return None
        family, address = self._waiting.popleft()
        try:
            connection = socket.socket(family, socket.SOCK_STREAM)
        except OSError as error:
            self._errors.append(error.errno or 0)
            return None
        connection.settimeout(0)
        result = connection.connect_ex(address)
        if result == 0:
            return _ready(connection)
        if result == errno.EINPROGRESS:
            self._running[connection.fileno()] = connection
            self._poller.register(connection, select.POLLOUT)
        else:
            self._lost(connection, result)
        return None

    def wait(self, exchange: Exchange) -> socket.socket | None:
        """Wait until an attempt succeeds, or the next one is to start."""
        if not self._running:
            return None
        seconds = exchange.longest_wait()
        share = min(seconds, _HEAD_START, seconds / (len(self._waiting) + 1))
        pause = share if self._waiting else seconds
        events = self._poller.poll(max(1, pause * 1000))
        if not events and not self._waiting:
            exchange.waited(seconds)
        for number, _ in events:
            if winner := self._settled(number):
                return winner
        return None

    def _settled(self, number: int) -> socket.socket | None:
        self._poller.unregister(number)
        connection = self._running.pop(number)
        if result := connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
            self._lost(connection, result)
            return None
        return _ready(connection)

    def _lost(self, connection: socket.socket, result: int) -> None:
        connection.close()
        self._errors.append(result)

    def close(self) -> None:
        """Close all attempts but the successful one."""
        for connection in self._running.values():
            connection.close()

    def failed(self) -> ExchangeFailed:
        """Return why no attempt succeeded. A refusal is more informative than silence."""
        if errno.ECONNREFUSED in self._errors:
            return ExchangeFailed(TransportFailure.REFUSED, "connection refused")
        last = self._errors[-1] if self._errors else errno.EHOSTUNREACH
        if last == errno.ETIMEDOUT:
            return ExchangeFailed(TransportFailure.CONNECT_TIMEOUT, "timed out")
        return ExchangeFailed(TransportFailure.UNREACHABLE, os.strerror(last).lower())


def _ready(connection: socket.socket) -> socket.socket:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection
