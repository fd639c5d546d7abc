"""How long a call may take, and the pauses between its tries."""

from collections.abc import Callable

#: Seconds. A mount that starts up and a standby that lags are both ready within a few of these.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class Patience:
    """A budget of time that one call spends on all its tries. Not for several threads."""

    def __init__(
        self, seconds: float, *, clock: Callable[[], float], sleep: Callable[[float], None]
    ) -> None:
        """Start now: `seconds` by `clock` are all there is."""
        self._clock = clock
        self._sleep = sleep
        self._ends_at = clock() + seconds
        self._pause = _FIRST_PAUSE

    @property
    def left(self) -> float:
        """Seconds that are left, negative once they are overdrawn."""
        return self._ends_at - self._clock()

    def pause(self) -> bool:
        """Sleep, each time twice as long; False, at once, where there is no time for it."""
        if self.left <= self._pause:
            return False
        self._sleep(self._pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return True
