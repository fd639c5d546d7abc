"""How long a call may take, and the pauses between its tries."""

from collections.abc import Callable

#: Seconds. A mount that starts up and a standby that lags are both ready within a few of these.
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


class Patience:
    """A budget of time that one call spends on all its tries. Not for several threads."""

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Start now: `seconds` by `clock` are all there is, and less once `should_stop` says so."""
        self._clock = clock
        self._sleep = sleep
        self._should_stop = should_stop
        self._ends_at = clock() + seconds
        self._pause = _FIRST_PAUSE

    @property
    def left(self) -> float:
        """Seconds that are left, negative once they are overdrawn."""
        return self._ends_at - self._clock()

    def pause(self, at_least: float = 0.0) -> bool:
        """Sleep, each time twice as long; False, at once, where there is no time for it."""
        pause = max(self._pause, at_least)
        if self.left <= pause or self._should_stop():
            return False
        self._doze(pause)
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)
        return not self._should_stop()

    def _doze(self, seconds: float) -> None:
        """Sleep in pieces, so that whoever is told to stop does so soon."""
        while seconds > 0 and not self._should_stop():
            piece = min(seconds, _LONGEST_PAUSE)
            self._sleep(piece)
            seconds -= piece
