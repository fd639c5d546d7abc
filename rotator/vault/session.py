"""Vault requests with a valid token; logs in or renews as needed."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rotator.errors import StoreNotReady
from rotator.network import Trust
from rotator.rotation.ports import Observer
from rotator.vault.auth.token import TokenInfo, TokenSource, look_up
from rotator.vault.client import TimedClient, VaultClient
from rotator.vault.errors import is_denied, is_index_refused
from rotator.vault.headers import asking_for
from rotator.vault.transport import Deadline, Outcome, VaultRequest, VaultResponse

#: Other tokens that one request is tried with after its first was denied.
_OTHER_TOKENS = 4
#: Longest duration of each call that revokes a token on closing, in seconds.
_FAREWELL = 1.0


class VaultSession:
    """Sends calls: `timeout` is for each try, `patience` for starting tries, both in seconds.

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

        No further try starts once `should_stop` returns true.

        Raises:
            ConfigError: the address or the namespace is invalid.
        """
        self._token_source = token_source
        self._endpoint = VaultClient(
            address,
            timeout=timeout,
            patience=patience,
            namespace=namespace,
            trust=trust,
            observer=observer,
            should_stop=should_stop,
            sleep=sleep,
            clock=clock,
        )

    def patience(self, seconds: float | None = None) -> Deadline:
        """Start the time budget of one call, or of several that share it; `seconds` at most."""
        return self._endpoint.patience(seconds)

    def call(self, call: VaultRequest, patience: Deadline | None = None) -> VaultResponse:
        """Send `call`, retry where that is safe, and return its answer.

        A write is not sent later than a second from now: the observation it is based on grows old.
        An answer is a 200 with a JSON object, a 204, a 404 for "no such entry", or one of the
        call's expected statuses.

        Raises:
            TokenRefused: Vault does not accept the token, and there is no other.
            LoginFailed: there is no token, as neither Vault nor a file provided one.
            StoreError: anything else was received, or nothing.
        """
        line = TimedClient.for_call(self._endpoint, call, patience)
        return line.repeat(call, lambda: self._send(call, line))

    def ask(self, call: VaultRequest) -> VaultResponse:
        """Send `call` without a token, whether or not a login is possible. Waits for no retry.

        Raises:
            StoreError: as `call`.
        """
        return TimedClient(self._endpoint, self._endpoint.patience(0)).ask(call)

    # -- The token. ------------------------------------------------------------------------

    @property
    def token_expires_at(self) -> datetime | None:
        """When the token expires; None where it never does, or nothing is known of it yet.

        Sends no request. A supplied token's expiry is known after `keep_token`, a login's from the
        first call on.
        """
        lease = self._token_source.lease
        if lease is None or lease.expires_at is None:
            return None
        return datetime.fromtimestamp(lease.expires_at, UTC)

    def keep_token(self) -> bool:
        """Keep the token alive while no calls are made: renew it, or log in again, if it is time.

        May be called as often as desired. Returns whether Vault renewed or issued a token.

        Raises:
            TokenRefused: Vault does not accept the token, and there is no other.
            StoreError: a renewal or login was due and failed.
        """
        return self._token_source.keep(TimedClient(self._endpoint))

    def look_up_token(self) -> TokenInfo:
        """Look the token up at Vault; log in first if necessary.

        Raises:
            TokenRefused: Vault does not accept it.
            StoreError: Vault does not answer.
        """
        line = TimedClient(self._endpoint)
        return look_up(self._token_source.token(line), line)

    def close(self) -> None:
        """Revoke the token of the login, if Vault is reachable. Never raises.

        Takes about a second at most. No thread may use the connection afterwards.
        """
        if not self._endpoint.is_away:
            line = TimedClient(self._endpoint, self._endpoint.patience(0), timeout=_FAREWELL)
            self._token_source.give_back(line)

    def _send(self, call: VaultRequest, line: TimedClient) -> Outcome:
        """Send `call`, and again with another token while Vault denies it and there is one."""
        token = self._token_source.token(line)
        outcome, tokens = self._exchange(call, token, line), 0
        while is_denied(outcome) and tokens < _OTHER_TOKENS:
            # The cause may be the token rather than the policy; the token source determines that.
            other = self._token_source.after_denial(token, outcome, line)
            if other is None:
                break
            tokens += other != token
            token = other
            outcome = self._exchange(call, token, line)
        return outcome

    def _exchange(self, call: VaultRequest, token: str, line: TimedClient) -> Outcome:
        """Send `call` to a node that has the required state, or forwards to one that does."""
        if not call.repeatable and line.is_over:
            # The observation that it is based on may be outdated.
            raise StoreNotReady(
                f"Vault took its time to give a token: {call}", hint="nothing was sent; try again"
            )
        headers = asking_for(call.index or self._token_source.index)
        outcome = line.send(call, token, headers)
        if headers and is_index_refused(outcome):
            # The index is from another kind of server that was there before, and means nothing to
            # this one.
            outcome = line.send(call, token)
        return outcome
