"""Detects that this machine's clock was set back: a sleep until a time on it would be too long."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

#: Seconds. A gradually adjusted clock is not set back by as much at once.
_AT_LEAST = 10.0


@dataclass(kw_only=True)
class ClockWatch:
    """Compares the wall clock with the monotonic one."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    #: By how much the wall clock was ahead at the last comparison.
    _ahead: float = field(init=False)

    def __post_init__(self) -> None:
        """Compare them for the first time."""
        self._ahead = self.wall() - self.monotonic()

    def went_back(self) -> bool:
        """Return whether the clock was set back since the last call. Forward does no harm."""
        ahead = self.wall() - self.monotonic()
        is_back, self._ahead = ahead < self._ahead - _AT_LEAST, ahead
        return is_back
