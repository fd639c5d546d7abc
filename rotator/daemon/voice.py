"""How often a thing may be said: at once at first, and then, if it goes on, now and then."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

#: Lines that may come one upon the other, and how long it takes until one more may, in seconds.
AT_ONCE, EVERY = 6, 600.0


@dataclass(kw_only=True)
class Voice:
    """Counts what is said of one thing. Used by one thread at a time."""

    #: Gives seconds that never go back.
    clock: Callable[[], float] = time.monotonic
    _left: float = AT_ONCE
    _counted_at: float = field(default=0.0)

    def may_speak(self) -> bool:
        """Whether one more line may be said; counts it if so."""
        now = self.clock()
        self._left = min(AT_ONCE, self._left + (now - self._counted_at) / EVERY)
        self._counted_at = now
        if self._left < 1:
            return False
        self._left -= 1
        return True
