"""A limit on requests per second."""

from rotator.sim.instant import NANOSECONDS


class RateLimit:
    """A token bucket per API key that holds one second's requests, at least one."""

    def __init__(self, per_second: float) -> None:
        self.per_second = per_second
        self._capacity = max(1.0, per_second)
        self._buckets: dict[str, tuple[float, int]] = {}

    def wait(self, key: str, now: int) -> float:
        """Take one request of `key` at `now` (nanoseconds).

        Returns the seconds until it would be admitted; 0.0 means that it is.
        """
        level, since = self._buckets.get(key, (self._capacity, now))
        level = min(self._capacity, level + (now - since) / NANOSECONDS * self.per_second)
        admitted = level >= 1
        self._buckets[key] = (level - 1 if admitted else level, now)
        return 0.0 if admitted else (1 - level) / self.per_second
