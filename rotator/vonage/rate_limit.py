"""The pace of all calls together."""

import threading
from collections.abc import Callable


class RateLimit:
    """A token bucket that all threads share.

    Who comes while it is empty takes a token of the future and waits for it, so that tokens
    go out in the order of asking.
    """

    def __init__(
        self,
        per_second: float,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], object],
    ) -> None:
        """Start full: as many tokens as a second brings, at least one."""
        if not per_second > 0:
            raise ValueError("a rate limit is above zero")
        self._per_second = per_second
        self._burst = max(1.0, per_second)
        self._clock = clock
        self._sleep = sleep
        self._lock = threading.Lock()
        #: Below zero by what is promised to those who wait.
        self._tokens = self._burst
        self._counted_at = clock()

    def acquire(self) -> None:
        """Return when the caller may send one request. Blocks for as long as it takes."""
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
