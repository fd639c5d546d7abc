"""Resolution of names, and connecting: each address of a host gets a share of the time."""

import errno
import os
import select
import socket
import threading
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from contextlib import suppress
from itertools import chain, zip_longest

from rotator.network.exchange import Exchange
from rotator.network.failure import ExchangeFailed, TransportFailure, reason_of

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
