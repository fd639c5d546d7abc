"""A token that rotator obtains by logging in, keeps alive, and replaces."""

import math
import threading
import time
from collections.abc import Callable

import structlog

from rotator.errors import LoginFailed, StoreError, StoreUnavailable, TokenRefused
from rotator.vault.auth.methods import AuthMethod
from rotator.vault.auth.token import TokenLifetime, not_settled, renew, renewed, revoke
from rotator.vault.client import SETTLING, TimedClient
from rotator.vault.errors import is_token_unknown
from rotator.vault.transport import VaultResponse

#: Pause after a failed renewal, while the token still works, and after a refused login, in seconds:
#: requests for many accounts meanwhile share the refusal. Vault may lock out a user that is refused
#: too often.
_RETRY = 15.0
#: Seconds in which a denial causes one new login and no more: a new token does not help
#: against a denial that comes after it.
_PACE = 60.0
_log = structlog.get_logger(__name__)


class LoginToken:
    """One token for all threads, obtained by `way`, renewed or replaced before it expires.

    Nothing happens in the background: the thread that needs the token renews it, and `keep` is for
    times without requests. While one thread renews, the others continue with the token that still
    works; while one logs in, they wait and share its result.
    """

    def __init__(self, way: AuthMethod, clock: Callable[[], float] = time.time) -> None:
        """Log in when a token is needed; `clock` returns seconds since the epoch."""
        self._way = way
        self._clock = clock
        self._lock = threading.Lock()
        self._lease: TokenLifetime | None = None
        #: How many requests it is still good for; counted only where that is limited.
        self._left = 0
        self._counting = threading.Lock()
        #: Tokens that were replaced while they still worked, each with the time of that.
        self._retired: list[tuple[TokenLifetime, float]] = []
        #: Number of completed logins, successful or not, and the error of the last one.
        self._logins = 0
        self._failure: StoreError | None = None
        self._failed_at = -math.inf
        self._logged_in_at = -math.inf
        self._retry_at = -math.inf
        #: Time of the last login that a denial caused.
        self._replaced_at = -math.inf

    @property
    def lease(self) -> TokenLifetime | None:
        """The token and its lifetime; None before the first login. Sends no request."""
        return self._lease

    @property
    def index(self) -> str:
        """The cluster's name for the state with the token; "" once all nodes should have it."""
        lease = self._lease
        return lease.index if lease is not None and self._is_settling(lease.token) else ""

    def token(self, line: TimedClient) -> str:
        """Return the token, logging in or renewing first if it is time."""
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

    def after_denial(self, denied: str, answer: VaultResponse, line: TimedClient) -> str | None:
        """Return another token if Vault no longer accepts `denied`, or does not know it yet."""
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
                # Another thread has already replaced it.
                return lease.token
            return self._replaced(line)

    def keep(self, line: TimedClient) -> bool:
        """Renew or replace the token if it is due; return whether that was done."""
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

    def give_back(self, line: TimedClient) -> None:
        """Revoke the token in use, and those it replaced that still work."""
        lease, now = self._lease, self._clock()
        in_use = [lease] if lease is not None and not self._is_used_up(lease) else []
        for each in (*in_use, *(retired for retired, _ in self._retired)):
            if not each.is_over(now):
                revoke(each, line)
        self._lease, self._retired = None, []

    def _give_back_retired(self, line: TimedClient) -> None:
        """Revoke tokens that were replaced so long ago that no request still uses them."""
        used_until = self._clock() - line.timeout
        for each in [each for each in self._retired if each[1] < used_until]:
            self._retired.remove(each)
            if not each[0].is_over(self._clock()):
                revoke(each[0], line)

    def _is_settling(self, token: str) -> bool:
        """Return whether some node of Vault may not know `token` yet."""
        lease = self._lease
        is_current = lease is not None and lease.token == token
        return is_current and self._clock() - self._logged_in_at < SETTLING

    def _is_used_up(self, lease: TokenLifetime) -> bool:
        return bool(lease.uses) and self._left <= 0

    def _may_be_used(self, lease: TokenLifetime) -> bool:
        """Count one request; False where another thread has used the last one."""
        if not lease.uses:
            return True
        with self._counting:
            if self._lease is not lease or self._left <= 0:
                return False
            self._left -= 1
            return True

    def _replaced(self, line: TimedClient) -> str:
        """Log in again after a denial, unless that was done just now. The caller has the lock."""
        is_limited = self._lease is not None and self._lease.uses
        if self._clock() - self._replaced_at < _PACE and not is_limited:
            raise self._same_failure() or TokenRefused()
        _log.info("vault token refused", method=self._way.method)
        self._replaced_at = self._clock()
        self._lease = None
        return self._log_in(line).token

    def _obtained(self, line: TimedClient) -> TokenLifetime:
        """Log in, or share the result of another thread's login."""
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
        """Return the last login's failure, to be raised once more; None where there was none."""
        failure = self._failure
        return failure and type(failure)(failure.message, hint=failure.hint)

    def _was_refused(self) -> bool:
        """Return whether the last login was refused just now. The caller has the lock."""
        is_recent = self._clock() < self._failed_at + _RETRY
        return is_recent and isinstance(self._failure, LoginFailed)

    def _log_in(self, line: TimedClient) -> TokenLifetime:
        """Log in. The caller has the lock."""
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

    def _prolonged(self, lease: TokenLifetime, line: TimedClient) -> TokenLifetime:
        """Renew or replace a token that still works. The caller has the lock."""
        now = self._clock()
        if not lease.is_due(now) or now < self._retry_at:
            return lease
        try:
            return self._renewed(lease, line) if lease.renewable else self._log_in(line)
        except StoreError as error:
            self._retry_at = now + _RETRY
            _log.warning("vault token not renewed", code=error.code, reason=error.message)
            return lease

    def _renewed(self, lease: TokenLifetime, line: TimedClient) -> TokenLifetime:
        """Renew, or log in again where Vault refuses to renew."""
        try:
            self._lease = renewed(lease, renew(lease, line, self._clock()))
        except StoreUnavailable:
            raise
        except StoreError:
            return self._log_in(line)
        _log.debug("vault token renewed", seconds=round(self._lease.span))
        return self._lease
