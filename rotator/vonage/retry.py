"""Retries: which calls to repeat, and when. A call that changes something is tried once."""

from collections.abc import Callable

from rotator.errors import IssuerError, IssuerUnavailable, NotSent, RateLimited, UnexpectedAnswer
from rotator.vonage.request import VonageRequest

TRIES = 4
#: Upper bound of the pause after the first try, in seconds; doubled with each further one.
_BASE = 0.5
#: Longest wait for a rate limit that is worth occupying a thread, in seconds.
_LONGEST = 60.0
#: Time limit of a call with all its retries, in timeouts.
_BUDGET = 3


class RetryBudget:
    """The tries of one call: decides on retries and never sleeps."""

    def __init__(
        self,
        call: VonageRequest,
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
        """Return the seconds left of the budget."""
        return self._ends_at - self._clock()

    def pause_after(self, error: IssuerError) -> float | None:
        """Return the seconds to wait before the next try; None where there is to be none."""
        self._tries += 1
        if not self._may_repeat(error):
            return None
        # Full jitter: calls that failed together do not retry together.
        pause = self._random() * _BASE * 2 ** (self._tries - 1)
        if isinstance(error, RateLimited):
            pause = max(pause, min(error.retry_after, _LONGEST))
        return pause if pause < self.left() else None

    def _may_repeat(self, error: IssuerError) -> bool:
        if not self._call.reads or self._tries >= TRIES:
            return False
        if isinstance(error, UnexpectedAnswer):
            # Once: it may have been truncated on its way. The second time it is deliberate.
            first, self._was_strange = not self._was_strange, True
            return first
        return isinstance(error, NotSent | IssuerUnavailable | RateLimited)
