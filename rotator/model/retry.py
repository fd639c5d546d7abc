"""Waits that double, and a budget of time, for all that retries. Neither sleeps."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Generic, TypeVar

#: Seconds, or a timedelta.
Span = TypeVar("Span", float, timedelta)

#: Doublings after which every wait has reached its limit.
_MOST_DOUBLINGS = 16


@dataclass(frozen=True)
class Backoff(Generic[Span]):
    """Waits between tries: `first`, doubled after each further failure, up to `longest`."""

    first: Span
    longest: Span

    def after(self, failures: int) -> Span:
        """Return the wait after `failures` failures in a row; after none, as after one."""
        doublings = max(0, min(failures - 1, _MOST_DOUBLINGS))
        return min(self.first * (1 << doublings), self.longest)


class Budget:
    """A span of time that all tries of one call share."""

    def __init__(self, seconds: float, clock: Callable[[], float]) -> None:
        """Start a budget of `seconds` by `clock`."""
        self._clock = clock
        self._ends_at = clock() + seconds

    @property
    def left(self) -> float:
        """Seconds left; negative once overdrawn."""
        return self._ends_at - self._clock()
