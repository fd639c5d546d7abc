"""A bound on the whole of one attempt, however slowly the other side drips.

httpx bounds each single read. A server that sends one byte of its headers a second never
exceeds that and would hold a thread for a day. So the network stream below httpx asks, before
each read and write, how much is left of the attempt that the thread is making.
"""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import inf
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from httpcore import NetworkBackend, NetworkStream


class Deadline:
    """When the attempt that the current thread is making has to be over."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """Measure with `clock`."""
        self._clock = clock
        self._of_thread = threading.local()

    @contextmanager
    def within(self, seconds: float) -> Iterator[None]:
        """Bound what the current thread does inside to `seconds`."""
        self._of_thread.at = self._clock() + seconds
        try:
            yield
        finally:
            del self._of_thread.at

    def bound(self, timeout: float | None, late: type[httpx.TimeoutException]) -> float | None:
        """Cut `timeout` to what is left.

        Raises:
            httpx.TimeoutException: nothing is left; `late` says of which kind.
        """
        left = getattr(self._of_thread, "at", inf) - self._clock()
        if left <= 0:
            raise late("the attempt took too long")
        shorter = min(left, inf if timeout is None else timeout)
        return None if shorter == inf else shorter


class BoundedBackend:
    """An httpcore `NetworkBackend` whose streams keep to a deadline."""

    def __init__(self, backend: "NetworkBackend", deadline: Deadline) -> None:
        """Connect as `backend` does."""
        self._backend = backend
        self._deadline = deadline

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        **options: Any,  # noqa: ANN401  # handed through
    ) -> "BoundedStream":
        """Connect. Each of a name's addresses is tried for what was left at the start."""
        timeout = self._deadline.bound(timeout, httpx.ConnectTimeout)
        stream = self._backend.connect_tcp(host, port, timeout=timeout, **options)
        return BoundedStream(stream, self._deadline)


class BoundedStream:
    """An httpcore `NetworkStream` that keeps to a deadline."""

    def __init__(self, stream: "NetworkStream", deadline: Deadline) -> None:
        """Read and write through `stream`."""
        self._stream = stream
        self._deadline = deadline

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        """Read what is there, or wait for it."""
        return self._stream.read(max_bytes, self._deadline.bound(timeout, httpx.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        """Write all of `buffer`."""
        self._stream.write(buffer, self._deadline.bound(timeout, httpx.WriteTimeout))

    def close(self) -> None:
        """Close the connection."""
        self._stream.close()

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> "BoundedStream":
        """Go on encrypted."""
        timeout = self._deadline.bound(timeout, httpx.ConnectTimeout)
        stream = self._stream.start_tls(ssl_context, server_hostname, timeout)
        return BoundedStream(stream, self._deadline)

    def get_extra_info(self, info: str) -> Any:  # noqa: ANN401  # as httpcore has it
        """Give what httpcore asks of the socket."""
        return self._stream.get_extra_info(info)
