"""What to try again, and when. What changes something at Vonage is tried once."""

from collections.abc import Callable

from rotator.errors import IssuerError, IssuerUnavailable, NotSent, RateLimited, UnexpectedAnswer
from rotator.vonage.request import Call

TRIES = 4
#: Seconds; the most that the pause after the first try may be, doubled with each further one.
_BASE = 0.5
#: Seconds; no longer wait for a rate limit is worth holding a thread.
_LONGEST = 60.0
#: The time that a call may take with all its repetitions, in timeouts.
_BUDGET = 3


class Course:
    """One call's tries: knows what came of them and never sleeps."""

    def __init__(
        self,
        call: Call,
        *,
        timeout: float,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        """Start the budget now."""
        self._call = call
        self._clock = clock
        self._random = random
        self._ends_at = clock() + _BUDGET * timeout
        self._tries = 0
        self._was_strange = False

    def left(self) -> float:
        """Give the seconds that are left of the budget."""
        return self._ends_at - self._clock()

    def pause_after(self, error: IssuerError) -> float | None:
        """Give the seconds to wait before the next try; None where there is to be none."""
        self._tries += 1
        if not self._may_repeat(error):
            return None
        # Full jitter: those who failed together do not come back together.
        pause = self._random() * _BASE * 2 ** (self._tries - 1)
        if isinstance(error, RateLimited):
            pause = max(pause, min(error.retry_after, _LONGEST))
        return pause if pause < self.left() else None

    def _may_repeat(self, error: IssuerError) -> bool:
        if not self._call.reads or self._tries >= TRIES:
            return False
        if isinstance(error, UnexpectedAnswer):
            # Once: it may have been cut off on its way. A second time it is meant so.
            first, self._was_strange = not self._was_strange, True
            return first
        return isinstance(error, NotSent | IssuerUnavailable | RateLimited)
