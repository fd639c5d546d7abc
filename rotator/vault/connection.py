"""The connection to Vault: whoever calls, the token is taken care of."""

import time
from collections.abc import Callable
from datetime import UTC, datetime
from http import HTTPStatus

from rotator.network import Trust
from rotator.vault.call import Call
from rotator.vault.endpoint import Endpoint, Line, OnCall
from rotator.vault.login.lease import Standing
from rotator.vault.login.source import TokenSource, look_up
from rotator.vault.patience import Patience
from rotator.vault.transport import Answer, Outcome

#: Tokens that one request is tried with after its first was denied.
_OTHER_TOKENS = 4


class Connection:
    """Makes calls, each within `timeout` seconds. May be shared by threads."""

    def __init__(  # noqa: PLR0913  # settings, all but one by name
        self,
        address: str,
        *,
        token_source: TokenSource,
        timeout: float,
        namespace: str = "",
        trust: Trust | None = None,
        on_call: OnCall | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect to nothing yet, and log in only when there is something to ask.

        Raises:
            ConfigError: the address or the namespace cannot be one.
        """
        self._token_source = token_source
        self._endpoint = Endpoint(
            address,
            timeout=timeout,
            namespace=namespace,
            trust=trust,
            on_call=on_call,
            sleep=sleep,
            clock=clock,
        )

    def patience(self) -> Patience:
        """Start the budget of one call, or of several that are to share it."""
        return self._endpoint.patience()

    def call(self, call: Call, patience: Patience | None = None) -> Answer:
        """Make `call`, repeating what is safe to repeat, and give its answer.

        That is a 200 with a JSON object, a 204, a 404 for "no such entry", or a status that is
        welcome to this call.

        Raises:
            TokenRefused: Vault does not accept the token, and there is no other.
            LoginFailed: there is no token, as Vault or a file gave none.
            StoreError: anything else came back, or nothing.
        """
        line = Line(self._endpoint, patience)
        return line.repeat(call, lambda: self._send(call, line))

    def ask(self, call: Call) -> Answer:
        """Make `call` without a token, whoever may or may not log in.

        Raises:
            StoreError: as `call`.
        """
        return Line(self._endpoint).ask(call)

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

    def _send(self, call: Call, line: Line) -> Outcome:
        """Send `call`, and again while Vault denies it and there is another token to try."""
        token = self._token_source.token(line)
        outcome = line.send(call, token)
        for _ in range(_OTHER_TOKENS):
            if not _is_denied(outcome):
                break
            other = self._token_source.after_denial(token, line)
            if other is None:
                break
            token = other
            outcome = line.send(call, token)
        return outcome


def _is_denied(outcome: Outcome) -> bool:
    """Whether Vault denied it, not something before it."""
    return (
        isinstance(outcome, Answer)
        and outcome.status == HTTPStatus.FORBIDDEN
        and outcome.errors is not None
    )
