"""The rate limit of all calls together."""

import threading
from collections.abc import Callable


class RateLimit:
    """A token bucket that all threads share.

    A caller that finds it empty takes a future token and waits for it, so that tokens
    are assigned in the order of arrival.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], object],
    ) -> None:
        """Start full: one second's tokens, at least one."""
        if not per_second > 0:
            raise ValueError("a rate limit is above zero")
        self._per_second = per_second
        self._burst = max(1.0, per_second)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        #: Negative by the number of tokens that waiting threads have taken in advance.
        self._tokens = self._burst
        self._counted_at = clock()

    def acquire(self) -> None:
        """Return when the caller may send one request. Blocks for as long as necessary."""
        wait = self._reserve()
        if wait > 0:
            self._sleep(wait)

    def _reserve(self) -> float:
        with self._lock:
            now = self._clock()
            earned = max(0.0, now - self._counted_at) * self._per_second
            self._counted_at = now
            self._tokens = min(self._burst, self._tokens + earned) - 1
            return max(0.0, -self._tokens / self._per_second)
