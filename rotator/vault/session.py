"""Vault requests with a valid token; logs in or renews as needed."""

import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from rotator.errors import StoreNotReady
from rotator.network import Trust
from rotator.rotation.ports import Observer
from rotator.vault.auth.token import TokenInfo, TokenSource, look_up
from rotator.vault.client import Deadline, VaultClient
from rotator.vault.errors import is_denied, is_index_refused
from rotator.vault.response import VaultOutcome, VaultResponse, index_headers
from rotator.vault.transport import ConnectionPool, VaultRequest

#: Longest wait of a write for a retry, in seconds: the observation it is based on grows old.
_LONGEST_WRITE_RETRY = 1.0
#: Other tokens that one request is tried with after its first was denied.
_OTHER_TOKENS = 4
#: Longest duration of each request that revokes a token on closing, in seconds.
_REVOKE_TIMEOUT = 1.0


class VaultSession:
    """Sends requests: `timeout` is for each try, `patience` for starting tries, both in seconds.

    May be shared by threads.
    """

    def __init__(  # noqa: PLR0913  # settings, all but one by name
        self,
        address: str,
        *,
        token_source: TokenSource,
        timeout: float,
        patience: float | None = None,
        namespace: str = "",
        trust: Trust | None = None,
        observer: Observer | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Store the settings; the first login happens with the first call.

        `patience` is the same as `timeout` where it is None. No further try starts once
        `should_stop` returns true.

        Raises:
            ConfigError: the address or the namespace is invalid.
        """
        self._pool = ConnectionPool(
            address, namespace=namespace, trust=trust, observer=observer, clock=clock
        )
        self._token_source = token_source
        self._timeout = timeout
        self._patience = timeout if patience is None else patience
        self._sleep = sleep
        self._clock = clock
        self._should_stop = should_stop

    def deadline(self, seconds: float | None = None) -> Deadline:
        """Start the time budget of one call, or of several that share it; `seconds` at most."""
        return Deadline(
            self._patience if seconds is None else min(seconds, self._patience),
            clock=self._clock,
            sleep=self._sleep,
            should_stop=self._should_stop,
        )

    def call(self, request: VaultRequest, deadline: Deadline | None = None) -> VaultResponse:
        """Send `request`, retry where that is safe, and return its answer.

        A write is not sent later than a second from now: the observation it is based on grows old.
        An answer is a 200 with a JSON object, a 204, a 404 for "no such entry", or one of the
        request's expected statuses.

        Raises:
            TokenRefused: Vault does not accept the token, and there is no other.
            LoginFailed: there is no token, as neither Vault nor a file provided one.
            StoreError: anything else was received, or nothing.
        """
        deadline = deadline or self.deadline()
        if not request.repeatable:
            deadline = deadline.renewed(_LONGEST_WRITE_RETRY)
        client = self._client(deadline)
        return client.repeat(request, lambda: self._send(request, client))

    def ask(self, request: VaultRequest) -> VaultResponse:
        """Send `request` without a token, whether or not a login is possible. Never retried.

        Raises:
            StoreError: as `call`.
        """
        return self._client(self.deadline(0)).ask(request)

    @property
    def token_expires_at(self) -> datetime | None:
        """When the token expires; None where it never does, or nothing is known of it yet.

        Sends no request. A supplied token's expiry is known after `keep_token`, a login's from the
        first call on.
        """
        lifetime = self._token_source.lifetime
        if lifetime is None or lifetime.expires_at is None:
            return None
        return datetime.fromtimestamp(lifetime.expires_at, UTC)

    @property
    def token_lifetime(self) -> timedelta | None:
        """The token's lifetime from its issue or last renewal; None as in `token_expires_at`."""
        lifetime = self._token_source.lifetime
        if lifetime is None or lifetime.expires_at is None:
            return None
        return timedelta(seconds=lifetime.span)

    def keep_token(self) -> bool:
        """Keep the token alive while no calls are made: renew it, or log in again, if it is time.

        May be called as often as desired. Returns whether Vault renewed or issued a token.

        Raises:
            TokenRefused: Vault does not accept the token, and there is no other.
            StoreError: a renewal or login was due and failed.
        """
        return self._token_source.keep(self._client())

    def look_up_token(self) -> TokenInfo:
        """Look the token up at Vault; log in first if necessary.

        Raises:
            TokenRefused: Vault does not accept it.
            StoreError: Vault does not answer.
        """
        client = self._client()
        return look_up(self._token_source.token(client), client)

    def close(self) -> None:
        """Revoke the token of the login, if Vault is reachable. Never raises.

        Takes about a second at most. No thread may use the session afterwards.
        """
        if not self._pool.is_unreachable:
            self._token_source.revoke(self._client(self.deadline(0), _REVOKE_TIMEOUT))

    def _client(
        self, deadline: Deadline | None = None, timeout: float | None = None
    ) -> VaultClient:
        return VaultClient(
            self._pool, deadline or self.deadline(), timeout=timeout or self._timeout
        )

    def _send(self, request: VaultRequest, client: VaultClient) -> VaultOutcome:
        """Send `request`, and again with another token while Vault denies it and there is one."""
        token = self._token_source.token(client)
        outcome, tokens = self._exchange(request, token, client), 0
        while is_denied(outcome) and tokens < _OTHER_TOKENS:
            # The cause may be the token rather than the policy; the token source determines that.
            other = self._token_source.after_denial(token, outcome, client)
            if other is None:
                break
            tokens += other != token
            token = other
            outcome = self._exchange(request, token, client)
        return outcome

    def _exchange(self, request: VaultRequest, token: str, client: VaultClient) -> VaultOutcome:
        """Send `request` to a node that has the required state, or forwards to one that does."""
        if not request.repeatable and client.is_over:
            # The observation that it is based on may be outdated.
            raise StoreNotReady(
                f"Vault took too long to issue a token: {request}",
                hint="nothing was sent; see why Vault is slow",
            )
        headers = index_headers(request.index or self._token_source.index)
        outcome = client.send(request, token, headers)
        if headers and is_index_refused(outcome):
            # The index is from another kind of server that was there before, and means nothing to
            # this one.
            outcome = client.send(request, token)
        return outcome
