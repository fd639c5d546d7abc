"""A token that rotator logs in for, keeps alive, and replaces."""

import math
import threading
import time
from collections.abc import Callable

import structlog

from rotator.errors import LoginFailed, StoreError, StoreUnavailable, TokenRefused
from rotator.vault.endpoint import Line
from rotator.vault.login.lease import Lease, renewed
from rotator.vault.login.source import is_refused, renew
from rotator.vault.login.way import Way

#: Seconds until a renewal that failed is tried again, while the token still works, and a login
#: that was refused: what many accounts ask for in that time is refused with it. Vault may lock
#: out who is refused too often.
_RETRY = 15.0
#: Seconds in which a denial causes one new login and no more: whatever denies after that, a
#: token does not cure it.
_PACE = 60.0
#: Seconds in which another node than the one that issued a token may not know it yet.
_SETTLING = 5.0
#: How often it is asked again in that time; the pauses are a third of a second together.
_SETTLING_PAUSES = 3

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

    def token(self, line: Line) -> str:
        """Give the token, logging in or renewing first if it is time."""
        lease, now = self._lease, self._clock()
        if lease is None or lease.is_over(now):
            return self._obtained(line).token
        if lease.is_due(now) and self._lock.acquire(blocking=False):
            try:
                lease = self._prolonged(self._lease or lease, line)
            finally:
                self._lock.release()
        return lease.token

    def after_denial(self, denied: str, line: Line) -> str | None:
        """Give another token where Vault no longer accepts `denied`."""
        with self._lock:
            lease = self._lease
            if lease is not None and lease.token != denied:
                # Another thread was here before.
                return lease.token
            pauses = 0
            while is_refused(denied, line):
                if pauses == self._pauses() or not line.pause():
                    return self._replaced(line)
                pauses += 1
            return denied if pauses else None

    def keep(self, line: Line) -> bool:
        """Renew or replace the token if it is time; give whether that was done."""
        before = self._lease
        if before is not None and not before.is_due(self._clock()):
            return False
        self.token(line)
        return self._lease is not before

    def _pauses(self) -> int:
        """How often to ask again before a token is taken for refused."""
        is_settling = self._clock() - self._logged_in_at < _SETTLING
        return _SETTLING_PAUSES if is_settling else 0

    def _replaced(self, line: Line) -> str:
        """Log in anew after a denial, unless that was done just now. The lock is held."""
        if self._clock() - self._replaced_at < _PACE:
            raise self._same_failure() or TokenRefused()
        _log.info("vault token refused", method=self._way.method)
        self._replaced_at = self._clock()
        return self._log_in(line).token

    def _obtained(self, line: Line) -> Lease:
        """Log in, or share what another thread's login has come to meanwhile."""
        logins = self._logins
        with self._lock:
            lease = self._lease
            if lease is not None and not lease.is_over(self._clock()):
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
        try:
            self._lease = self._way.log_in(line, self._clock())
            self._logged_in_at = self._clock()
            self._failure = None
        except StoreError as error:
            self._failure, self._failed_at = error, self._clock()
            raise
        finally:
            self._logins += 1
        _log.debug("logged in to vault", method=self._way.method, seconds=self._lease.span)
        return self._lease

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
