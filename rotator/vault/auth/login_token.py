"""A token that rotator obtains by logging in, keeps alive, and replaces."""

import math
import threading
import time
from collections.abc import Callable
from typing import TypeGuard

import structlog

from rotator.errors import LoginFailed, StoreError, StoreUnavailable, TokenRefused
from rotator.vault.auth.methods import AuthMethod
from rotator.vault.auth.token import TokenLifetime, not_settled, renew, renewed, revoke
from rotator.vault.client import SETTLING, VaultClient
from rotator.vault.errors import is_token_unknown
from rotator.vault.response import VaultResponse

#: Pause after a failed renewal, while the token still works, and after a refused login, in seconds:
#: requests for many accounts meanwhile share the refusal. Vault may lock out a user that is refused
#: too often.
_RETRY = 15.0
#: Seconds in which a denial causes one new login and no more: a new token does not help
#: against a denial that comes after it.
_REPLACE_INTERVAL = 60.0
_log = structlog.get_logger(__name__)


class LoginToken:
    """One token for all threads, obtained by `method`, renewed or replaced before it expires.

    Nothing happens in the background: the thread that needs the token renews it, and `keep` is for
    times without requests. While one thread renews, the others continue with the token that still
    works; while one logs in, they wait and share its result.
    """

    def __init__(self, method: AuthMethod, clock: Callable[[], float] = time.time) -> None:
        """Log in when a token is needed; `clock` returns seconds since the epoch."""
        self._method = method
        self._clock = clock
        self._lock = threading.Lock()
        self._lifetime: TokenLifetime | None = None
        #: How many requests it is still good for; counted only where that is limited.
        self._uses_left = 0
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
    def lifetime(self) -> TokenLifetime | None:
        """The token and its lifetime; None before the first login. Sends no request."""
        return self._lifetime

    @property
    def index(self) -> str:
        """The cluster's name for the state with the token; "" once all nodes should have it."""
        lifetime = self._lifetime
        return lifetime.index if lifetime is not None and self._is_settling(lifetime.token) else ""

    def token(self, client: VaultClient) -> str:
        """Return the token, logging in or renewing first if it is time."""
        while not self._may_be_used(lifetime := self._usable(client)):
            pass
        return lifetime.token

    def after_denial(self, denied: str, response: VaultResponse, client: VaultClient) -> str | None:
        """Return another token if Vault no longer accepts `denied`, or does not know it yet."""
        if not is_token_unknown(response):
            return None
        if self._is_settling(denied):
            if client.settle():
                return denied
            if not client.has_settled:
                raise not_settled()
        with self._lock:
            lifetime = self._lifetime
            if lifetime is not None and lifetime.token != denied:
                # Another thread has already replaced it.
                return lifetime.token
            return self._replaced(client)

    def keep(self, client: VaultClient) -> bool:
        """Renew or replace the token if it is due; return whether that was done."""
        self._revoke_retired(client)
        before = self._lifetime
        self._usable(client)
        return self._lifetime is not before

    def revoke(self, client: VaultClient) -> None:
        """Revoke the token in use, and those it replaced that still work."""
        if self._is_usable(self._lifetime):
            self._retired.append((self._lifetime, -math.inf))
        self._lifetime = None
        # No request uses any of them, however recently it was replaced.
        self._retired = [(each, -math.inf) for each, _ in self._retired]
        self._revoke_retired(client)

    def _revoke_retired(self, client: VaultClient) -> None:
        """Revoke tokens that were replaced so long ago that no request still uses them."""
        used_until = self._clock() - client.timeout
        for each in [each for each in self._retired if each[1] < used_until]:
            self._retired.remove(each)
            if not each[0].is_over(self._clock()):
                revoke(each[0], client)

    def _usable(self, client: VaultClient) -> TokenLifetime:
        """Return a token that works, logging in or renewing first if it is time."""
        lifetime = self._lifetime
        if not self._is_usable(lifetime):
            return self._obtained(client)
        if lifetime.is_due(self._clock()) and self._lock.acquire(blocking=False):
            try:
                return self._prolonged(self._lifetime or lifetime, client)
            finally:
                self._lock.release()
        return lifetime

    def _is_usable(self, lifetime: TokenLifetime | None) -> TypeGuard[TokenLifetime]:
        """Return whether there is a token that has neither expired nor been used up."""
        if lifetime is None or lifetime.is_over(self._clock()):
            return False
        return not lifetime.uses or self._uses_left > 0

    def _is_settling(self, token: str) -> bool:
        """Return whether some node of Vault may not know `token` yet."""
        lifetime = self._lifetime
        is_current = lifetime is not None and lifetime.token == token
        return is_current and self._clock() - self._logged_in_at < SETTLING

    def _may_be_used(self, lifetime: TokenLifetime) -> bool:
        """Count one request; False where another thread has used the last one."""
        if not lifetime.uses:
            return True
        with self._counting:
            if self._lifetime is not lifetime or self._uses_left <= 0:
                return False
            self._uses_left -= 1
            return True

    def _replaced(self, client: VaultClient) -> str:
        """Log in again after a denial, unless that was done just now. The caller has the lock."""
        is_limited = self._lifetime is not None and self._lifetime.uses
        if self._clock() - self._replaced_at < _REPLACE_INTERVAL and not is_limited:
            raise self._same_failure() or TokenRefused()
        _log.info("vault token refused", method=self._method.method)
        self._replaced_at = self._clock()
        self._lifetime = None
        return self._log_in(client).token

    def _obtained(self, client: VaultClient) -> TokenLifetime:
        """Log in, or share the result of another thread's login."""
        logins = self._logins
        with self._lock:
            if self._is_usable(self._lifetime):
                return self._lifetime
            failure = self._same_failure()
            if failure is not None and (self._logins != logins or self._was_refused()):
                raise failure
            return self._log_in(client)

    def _same_failure(self) -> StoreError | None:
        """Return the last login's failure, to be raised once more; None where there was none."""
        failure = self._failure
        return failure and type(failure)(failure.message, hint=failure.hint)

    def _was_refused(self) -> bool:
        """Return whether the last login was refused just now. The caller has the lock."""
        is_recent = self._clock() < self._failed_at + _RETRY
        return is_recent and isinstance(self._failure, LoginFailed)

    def _log_in(self, client: VaultClient) -> TokenLifetime:
        """Log in. The caller has the lock."""
        former = self._lifetime
        try:
            lifetime = self._method.log_in(client, self._clock())
            if self._is_usable(former):
                self._retired.append((former, self._clock()))
            self._uses_left, self._lifetime = lifetime.uses, lifetime
            self._logged_in_at = self._clock()
            self._failure = None
        except StoreError as error:
            self._failure, self._failed_at = error, self._clock()
            raise
        finally:
            self._logins += 1
        _log.debug("logged in to vault", method=self._method.method, seconds=lifetime.span)
        return lifetime

    def _prolonged(self, lifetime: TokenLifetime, client: VaultClient) -> TokenLifetime:
        """Renew or replace a token that still works. The caller has the lock."""
        now = self._clock()
        if not lifetime.is_due(now) or now < self._retry_at:
            return lifetime
        try:
            return self._renewed(lifetime, client) if lifetime.renewable else self._log_in(client)
        except StoreError as error:
            self._retry_at = now + _RETRY
            _log.warning("vault token not renewed", code=error.code, reason=error.message)
            return lifetime

    def _renewed(self, lifetime: TokenLifetime, client: VaultClient) -> TokenLifetime:
        """Renew, or log in again where Vault refuses to renew."""
        try:
            self._lifetime = renewed(lifetime, renew(lifetime, client, self._clock()))
        except StoreUnavailable:
            raise
        except StoreError:
            return self._log_in(client)
        _log.debug("vault token renewed", seconds=round(self._lifetime.span))
        return self._lifetime
