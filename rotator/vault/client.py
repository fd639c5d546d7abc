"""Requests to Vault without a token of their own: retried where that is safe, within a deadline."""

import time
from collections.abc import Callable, Mapping

from rotator.errors import StoreError, StoreNotReady, StoreSealed, StoreUnavailable
from rotator.model.retry import Backoff, Budget
from rotator.vault.errors import interpret, is_passing
from rotator.vault.response import VaultOutcome, VaultResponse
from rotator.vault.transport import ConnectionPool, VaultRequest

#: Pauses, in seconds. A starting mount and a lagging standby are both ready within a few of these.
_PAUSES = Backoff(0.05, 1.0)
#: How often a request is retried after a failure that will hardly pass: another node behind the
#: same address may not have it.
_REPEATS = 3
#: Seconds during which other nodes than the issuing one may not know a new token yet.
SETTLING = 10.0
#: Seconds that may be missing at the end of `SETTLING`: no pause between tries is longer.
_SETTLED = _PAUSES.longest


class Deadline(Budget):
    """The time budget of one call, shared by all its tries. Not for several threads."""

    def __init__(
        self,
        seconds: float,
        *,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        should_stop: Callable[[], bool] = lambda: False,
    ) -> None:
        """Start a budget of `seconds` by `clock`; it ends early once `should_stop` returns true."""
        super().__init__(seconds, clock)
        self._sleep = sleep
        self._should_stop = should_stop
        self._pauses = 0

    def renewed(self, seconds: float) -> "Deadline":
        """Start another budget by the same clock."""
        return Deadline(
            seconds, clock=self._clock, sleep=self._sleep, should_stop=self._should_stop
        )

    def pause(self, at_least: float = 0.0) -> bool:
        """Sleep, longer each time; False, at once, if there is no time for it."""
        pause = max(_PAUSES.after(self._pauses + 1), at_least)
        if self.left <= pause or self._should_stop():
            return False
        self._pauses += 1
        while pause > 0 and not self._should_stop():
            # In short pieces, so that a stop takes effect soon.
            piece = min(pause, _PAUSES.longest)
            self._sleep(piece)
            pause -= piece
        return not self._should_stop()


class VaultClient:
    """Sends the requests of one call, which share its deadline. Not for several threads."""

    def __init__(self, pool: ConnectionPool, deadline: Deadline, *, timeout: float) -> None:
        """Spend `deadline`, with `timeout` seconds at most for one try."""
        self._pool = pool
        self._deadline = deadline
        #: Longest duration of one try, in seconds.
        self.timeout = timeout
        #: Budget that starts with the first denial of a token; None before it.
        self._settling: Deadline | None = None
        self._had_token = False

    @property
    def is_over(self) -> bool:
        """Whether no time is left to start anything."""
        return self._deadline.left <= 0

    def ask(self, request: VaultRequest, token: str = "") -> VaultResponse:
        """Send `request` with `token`, retry where that is safe, and return the answer.

        Raises:
            StoreError: no answer that `repeat` accepts was received.
        """
        return self.repeat(request, lambda: self.send(request, token))

    def send(
        self, request: VaultRequest, token: str, headers: Mapping[str, str] | None = None
    ) -> VaultOutcome:
        """Send `request` once and return the outcome."""
        self._had_token = bool(token)
        return self._pool.exchange(request, token, timeout=self.timeout, headers=headers or {})

    def repeat(self, request: VaultRequest, send: Callable[[], VaultOutcome]) -> VaultResponse:
        """Send `request` by `send` until it is answered, or trying again is no use.

        An answer is a 200 with a JSON object, a 204, a 404 for "no such entry", or one of the
        request's expected statuses.

        Raises:
            StoreError: anything else was received, or nothing.
        """
        repeats = 0
        while True:
            outcome = send()
            if isinstance(outcome, VaultResponse) and outcome.status in request.expected_statuses:
                return outcome
            meaning = interpret(outcome, str(request), with_token=self._had_token)
            if isinstance(meaning, VaultResponse):
                return meaning
            if not _may_repeat(request, outcome, meaning, repeats):
                raise meaning
            wait = outcome.retry_after if isinstance(outcome, VaultResponse) else None
            if not self._deadline.pause(wait or 0.0):
                raise meaning
            repeats += 1

    def settle(self) -> bool:
        """Wait a little for nodes to learn of a token; False once each should know it."""
        self._settling = self._settling or self._deadline.renewed(SETTLING)
        return not self.has_settled and self._deadline.pause()

    @property
    def has_settled(self) -> bool:
        """Whether every node should know by now a token that was first denied here."""
        return self._settling is not None and self._settling.left <= _SETTLED

    def reconnect(self) -> None:
        """Use new connections from now on."""
        self._pool.reconnect()


def _may_repeat(
    request: VaultRequest, outcome: VaultOutcome, failure: StoreError, repeats: int
) -> bool:
    """Return whether `request` may be retried: a write only if it certainly had no effect."""
    if not isinstance(failure, StoreUnavailable):
        return False
    has_no_effect = isinstance(failure, StoreNotReady | StoreSealed)
    if not (request.repeatable or has_no_effect):
        return False
    will_pass = is_passing(outcome) and not isinstance(failure, StoreSealed)
    return will_pass or repeats < _REPEATS
