"""The connection to Vault: whoever calls, the token is taken care of."""

import time
from collections.abc import Callable
from datetime import UTC, datetime

from rotator.errors import StoreNotReady
from rotator.network import Trust
from rotator.vault.auth.token import Standing, TokenSource, look_up
from rotator.vault.client import Endpoint, Line, OnCall
from rotator.vault.errors import is_denied, is_index_refused
from rotator.vault.headers import asking_for
from rotator.vault.transport import Answer, Call, Outcome, Patience

#: Tokens that one request is tried with after its first was denied.
_OTHER_TOKENS = 4
#: Seconds that each call may take by which a token is given back.
_FAREWELL = 1.0


class Connection:
    """Makes calls, each try within `timeout` seconds, tries being begun for `patience` seconds.

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
        on_call: OnCall | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect to nothing yet, and log in only when there is something to ask.

        No try is begun any more once `should_stop` says so.

        Raises:
            ConfigError: the address or the namespace cannot be one.
        """
        self._token_source = token_source
        self._endpoint = Endpoint(
            address,
            timeout=timeout,
            patience=patience,
            namespace=namespace,
            trust=trust,
            on_call=on_call,
            should_stop=should_stop,
            sleep=sleep,
            clock=clock,
        )

    def patience(self, seconds: float | None = None) -> Patience:
        """Start the budget of one call, or of several that are to share it; `seconds` at most."""
        return self._endpoint.patience(seconds)

    def call(self, call: Call, patience: Patience | None = None) -> Answer:
        """Make `call`, repeating what is safe to repeat, and return its answer.

        A write is not sent later than a second from now: it was decided on by a look, which
        grows old. An answer is a 200 with a JSON object, a 204, a 404 for "no such entry", or a
        status that is welcome to this call.

        Raises:
            TokenRefused: Vault does not accept the token, and there is no other.
            LoginFailed: there is no token, as Vault or a file gave none.
            StoreError: anything else came back, or nothing.
        """
        line = Line.for_call(self._endpoint, call, patience)
        return line.repeat(call, lambda: self._send(call, line))

    def ask(self, call: Call) -> Answer:
        """Make `call` without a token, whether or not a login is possible. Tried without waiting.

        Raises:
            StoreError: as `call`.
        """
        return Line(self._endpoint, self._endpoint.patience(0)).ask(call)

    # -- The token. ------------------------------------------------------------------------

    @property
    def token_expires_at(self) -> datetime | None:
        """When the token ends; None where it never does, or nothing is known of it yet.

        Asks nobody. A token that was handed in is known after `keep_token`, one that was
        logged in for from the first call on.
        """
        lease = self._token_source.lease
        if lease is None or lease.expires_at is None:
            return None
        return datetime.fromtimestamp(lease.expires_at, UTC)

    def keep_token(self) -> bool:
        """Keep the token alive although nobody calls: renew it, or log in anew, if it is time.

        May be called as often as one likes. Gives whether Vault did something for it.

        Raises:
            TokenRefused: Vault does not accept the token, and there is no other.
            StoreError: it is time, and Vault did not do it.
        """
        return self._token_source.keep(Line(self._endpoint))

    def look_up_token(self) -> Standing:
        """Ask Vault about the token; log in first, where that was not done yet.

        Raises:
            TokenRefused: Vault does not accept it.
            StoreError: Vault does not say.
        """
        line = Line(self._endpoint)
        return look_up(self._token_source.token(line), line)

    def close(self) -> None:
        """Revoke the token that was logged in for, if Vault is there to do it. Never raises.

        Takes about a second at most. No thread may use the connection any more.
        """
        if not self._endpoint.is_away:
            line = Line(self._endpoint, self._endpoint.patience(0), timeout=_FAREWELL)
            self._token_source.give_back(line)

    def _send(self, call: Call, line: Line) -> Outcome:
        """Send `call`, and again while Vault denies it and there is another token to try."""
        token = self._token_source.token(line)
        outcome, tokens = self._exchange(call, token, line), 0
        while is_denied(outcome) and tokens < _OTHER_TOKENS:
            # Denied like this was one whose token is taken care of here, not by the policy.
            other = self._token_source.after_denial(token, outcome, line)
            if other is None:
                break
            tokens += other != token
            token = other
            outcome = self._exchange(call, token, line)
        return outcome

    def _exchange(self, call: Call, token: str, line: Line) -> Outcome:
        """Send `call`, to a node that knows what it is about or asks one that does."""
        if not call.repeatable and line.is_over:
            # What it was decided on may have changed meanwhile.
            raise StoreNotReady(
                f"Vault took its time to give a token: {call}", hint="nothing was sent; try again"
            )
        headers = asking_for(call.index or self._token_source.index)
        outcome = line.send(call, token, headers)
        if headers and is_index_refused(outcome):
            # The index is of another kind of server that was there before, and means nothing to
            # this one.
            outcome = line.send(call, token)
        return outcome
