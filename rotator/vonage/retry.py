"""Retries: which requests to repeat, and when. One that changes something is tried once."""

from collections.abc import Callable

from rotator.errors import IssuerError, IssuerUnavailable, NotSent, RateLimited, UnexpectedAnswer
from rotator.model.retry import Backoff, Budget
from rotator.vonage.request import VonageRequest

TRIES = 4
#: Longest wait for a rate limit that is worth occupying a thread, in seconds.
_LONGEST = 60.0
#: Upper bounds of the pauses, in seconds.
_BACKOFF = Backoff(0.5, _LONGEST)
#: Time limit of a request with all its retries, in timeouts.
_TIMEOUTS = 3


class Retries:
    """The tries of one request, within three timeouts: decides on retries and never sleeps."""

    def __init__(
        self,
        request: VonageRequest,
        *,
        timeout: float,
        clock: Callable[[], float],
        random: Callable[[], float],
    ) -> None:
        """Start the budget now."""
        self._request = request
        self._random = random
        self._budget = Budget(_TIMEOUTS * timeout, clock)
        self._tries = 0
        self._was_unexpected = False

    @property
    def left(self) -> float:
        """Seconds left of the budget."""
        return self._budget.left

    def pause_after(self, error: IssuerError) -> float | None:
        """Return the seconds to wait before the next try; None where there is to be none."""
        self._tries += 1
        if not self._may_repeat(error):
            return None
        # Full jitter: requests that failed together do not retry together.
        pause = self._random() * _BACKOFF.after(self._tries)
        if isinstance(error, RateLimited):
            pause = max(pause, min(error.retry_after, _LONGEST))
        return pause if pause < self.left else None

    def _may_repeat(self, error: IssuerError) -> bool:
        is_last = self._request.is_tried_once or self._tries >= TRIES
        if not self._request.reads or is_last:
            return False
        if isinstance(error, UnexpectedAnswer):
            # Once: it may have been truncated on its way. The second time it is deliberate.
            is_first, self._was_unexpected = not self._was_unexpected, True
            return is_first
        return isinstance(error, NotSent | IssuerUnavailable | RateLimited)
