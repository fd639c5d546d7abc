"""A token that rotator logs in for, keeps alive, and replaces."""

import math
import threading
import time
from collections.abc import Callable

import structlog

from rotator.errors import LoginFailed, StoreError, StoreUnavailable, TokenRefused
from rotator.vault.auth.methods import Way
from rotator.vault.auth.token import Lease, not_settled, renew, renewed, revoke
from rotator.vault.client import SETTLING, Line
from rotator.vault.errors import is_token_unknown
from rotator.vault.transport import Answer

#: Seconds until a renewal that failed is tried again, while the token still works, and a login
#: that was refused: what many accounts ask for in that time is refused with it. Vault may lock
#: out who is refused too often.
_RETRY = 15.0
#: Seconds in which a denial causes one new login and no more: whatever denies after that, a
#: token does not cure it.
_PACE = 60.0
_log = structlog.get_logger(__name__)


class LoggedIn:
    """One token for all threads, got by `way`, renewed or replaced before it ends.

    Nothing happens in the background: whoever needs the token sees to it, and `keep` is for
    times when nobody does. While one thread renews, the others go on with what still works;
    while one logs in, they wait, and what it meets is their answer too.
    """

    def __init__(self, way: Way, clock: Callable[[], float] = time.time) -> None:
        """Log in when a token is needed; `clock` gives seconds since the epoch."""
        self._way = way
        self._clock = clock
        self._lock = threading.Lock()
        self._lease: Lease | None = None
        #: How many requests it is good for yet; counted where that is bounded alone.
        self._left = 0
        self._counting = threading.Lock()
        #: Tokens that were replaced while they still worked, and when.
        self._retired: list[tuple[Lease, float]] = []
        #: Logins that ended, well or not, and the error of the last one.
        self._logins = 0
        self._failure: StoreError | None = None
        self._failed_at = -math.inf
        self._logged_in_at = -math.inf
        self._retry_at = -math.inf
        #: When a denial last caused a login.
        self._replaced_at = -math.inf

    @property
    def lease(self) -> Lease | None:
        """The token and its life; None before the first login. Asks nobody."""
        return self._lease

    @property
    def index(self) -> str:
        """What Vault's cluster calls the state that knows the token; "" once all nodes should."""
        lease = self._lease
        return lease.index if lease is not None and self._is_settling(lease.token) else ""

    def token(self, line: Line) -> str:
        """Give the token, logging in or renewing first if it is time."""
        while True:
            lease, now = self._lease, self._clock()
            if lease is None or lease.is_over(now) or self._is_used_up(lease):
                lease = self._obtained(line)
            elif lease.is_due(now) and self._lock.acquire(blocking=False):
                try:
                    lease = self._prolonged(self._lease or lease, line)
                finally:
                    self._lock.release()
            if self._may_be_used(lease):
                return lease.token

    def after_denial(self, denied: str, answer: Answer, line: Line) -> str | None:
        """Return another token where Vault no longer accepts `denied`, or not yet that one."""
        if not is_token_unknown(answer):
            return None
        if self._is_settling(denied):
            if line.settle():
                return denied
            if not line.has_settled:
                raise not_settled()
        with self._lock:
            lease = self._lease
            if lease is not None and lease.token != denied:
                # Another thread was here before.
                return lease.token
            return self._replaced(line)

    def keep(self, line: Line) -> bool:
        """Renew or replace the token if it is time; give whether that was done."""
        self._give_back_retired(line)
        before = self._lease
        if before is not None and not before.is_due(self._clock()):
            return False
        if before is None or before.is_over(self._clock()):
            self._obtained(line)
        elif self._lock.acquire(blocking=False):
            try:
                self._prolonged(self._lease or before, line)
            finally:
                self._lock.release()
        return self._lease is not before

    def give_back(self, line: Line) -> None:
        """Revoke the token that is used, and those that it has replaced and that still work."""
        lease, now = self._lease, self._clock()
        in_use = [lease] if lease is not None and not self._is_used_up(lease) else []
        for each in (*in_use, *(retired for retired, _ in self._retired)):
            if not each.is_over(now):
                revoke(each, line)
        self._lease, self._retired = None, []

    def _give_back_retired(self, line: Line) -> None:
        """Revoke tokens that were replaced so long ago that no request with them is under way."""
        used_until = self._clock() - line.timeout
        for each in [each for each in self._retired if each[1] < used_until]:
            self._retired.remove(each)
            if not each[0].is_over(self._clock()):
                revoke(each[0], line)

    def _is_settling(self, token: str) -> bool:
        """Whether a node of Vault may not know `token` yet."""
        lease = self._lease
        is_current = lease is not None and lease.token == token
        return is_current and self._clock() - self._logged_in_at < SETTLING

    def _is_used_up(self, lease: Lease) -> bool:
        return bool(lease.uses) and self._left <= 0

    def _may_be_used(self, lease: Lease) -> bool:
        """Count one request; False where another thread has had the last one."""
        if not lease.uses:
            return True
        with self._counting:
            if self._lease is not lease or self._left <= 0:
                return False
            self._left -= 1
            return True

    def _replaced(self, line: Line) -> str:
        """Log in anew after a denial, unless that was done just now. The lock is held."""
        is_limited = self._lease is not None and self._lease.uses
        if self._clock() - self._replaced_at < _PACE and not is_limited:
            raise self._same_failure() or TokenRefused()
        _log.info("vault token refused", method=self._way.method)
        self._replaced_at = self._clock()
        self._lease = None
        return self._log_in(line).token

    def _obtained(self, line: Line) -> Lease:
        """Log in, or share what another thread's login has come to meanwhile."""
        logins = self._logins
        with self._lock:
            lease = self._lease
            is_over = lease is None or lease.is_over(self._clock()) or self._is_used_up(lease)
            if lease is not None and not is_over:
                return lease
            failure = self._same_failure()
            if failure is not None and (self._logins != logins or self._was_refused()):
                raise failure
            return self._log_in(line)

    def _same_failure(self) -> StoreError | None:
        """Give what the last login failed of, to be raised once more; None where it did not."""
        failure = self._failure
        return failure and type(failure)(failure.message, hint=failure.hint)

    def _was_refused(self) -> bool:
        """Whether the last login was refused, and just now. The lock is held."""
        is_recent = self._clock() < self._failed_at + _RETRY
        return is_recent and isinstance(self._failure, LoginFailed)

    def _log_in(self, line: Line) -> Lease:
        """Log in. The lock is held."""
        former = self._lease
        try:
            lease = self._way.log_in(line, self._clock())
            if former is not None and not self._is_used_up(former):
                self._retired.append((former, self._clock()))
            self._left, self._lease = lease.uses, lease
            self._logged_in_at = self._clock()
            self._failure = None
        except StoreError as error:
            self._failure, self._failed_at = error, self._clock()
            raise
        finally:
            self._logins += 1
        _log.debug("logged in to vault", method=self._way.method, seconds=lease.span)
        return lease

    def _prolonged(self, lease: Lease, line: Line) -> Lease:
        """Renew or replace a token that still works. The lock is held."""
        now = self._clock()
        if not lease.is_due(now) or now < self._retry_at:
            return lease
        try:
            return self._renewed(lease, line) if lease.renewable else self._log_in(line)
        except StoreError as error:
            self._retry_at = now + _RETRY
            _log.warning("vault token not renewed", code=error.code, reason=error.message)
            return lease

    def _renewed(self, lease: Lease, line: Line) -> Lease:
        """Renew, or where Vault does not do that, log in anew."""
        try:
            self._lease = renewed(lease, renew(lease, line, self._clock()))
        except StoreUnavailable:
            raise
        except StoreError:
            return self._log_in(line)
        _log.debug("vault token renewed", seconds=round(self._lease.span))
        return self._lease
