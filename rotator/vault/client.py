"""Vault's address and the hvac clients that ask it, with no token of their own."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

import hvac
import structlog

from rotator.errors import ConfigError, StoreError, StoreNotReady, StoreSealed, StoreUnavailable
from rotator.network import Trust
from rotator.vault.errors import is_passing, judge
from rotator.vault.transport import Answer, Call, Outcome, Patience, Transport

#: How often a call is repeated whose failure will hardly go away by itself: another node behind the
#: same address may not have it.
_REPEATS = 3
#: Seconds that a write may wait for its turn, as what it was decided on is a look that grows old.
_LONGEST_HESITATION = 1.0
#: Seconds in which another node than the one that issued a token may not know it yet.
SETTLING = 10.0
#: Seconds that may be missing at the end of these: no pause between tries is longer.
_SETTLED = 1.0

_log = structlog.get_logger(__name__)

#: Told of every HTTP call: its operation, its status or reason for none, and its seconds.
OnCall = Callable[[str, str, float], None]


class Endpoint:
    """A Vault that can be asked. May be shared by threads."""

    def __init__(  # noqa: PLR0913  # settings, all but one by name
        self,
        address: str,
        *,
        timeout: float,
        patience: float | None = None,
        namespace: str = "",
        trust: Trust | None = None,
        on_call: OnCall | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect to nothing yet.

        `timeout` is how long one try may take, `patience` for how long tries are begun; for None
        it is the same.

        Raises:
            ConfigError: the address or the namespace cannot be one.
        """
        self._address = _checked_address(address)
        self._namespace = _checked_namespace(namespace)
        self._trust = trust or Trust()
        #: Seconds that one try may take.
        self.timeout = timeout
        self._patience = timeout if patience is None else patience
        #: Whether the last try came to no answer at all.
        self.is_away = False
        self._on_call = on_call
        self._should_stop = should_stop
        self._sleep = sleep
        self._clock = clock
        #: Clients that nobody uses at the moment, each with its connection.
        self._idle: list[Any] = []

    def patience(self, seconds: float | None = None) -> Patience:
        """Start the budget of one call, or of several that are to share it."""
        return self.budget(self._patience if seconds is None else min(seconds, self._patience))

    def budget(self, seconds: float) -> Patience:
        """Start a budget, whatever the patience is."""
        return Patience(
            seconds, clock=self._clock, sleep=self._sleep, should_stop=self._should_stop
        )

    def reconnect(self) -> None:
        """Have all connect anew, so that a changed client certificate is presented."""
        # What is used just now goes back to the former list, and with it.
        former, self._idle = self._idle, []
        while former:
            with suppress(IndexError):  # somebody else took the last one
                former.pop().adapter.close()

    def exchange(
        self, call: Call, token: str, *, timeout: float, headers: Mapping[str, str]
    ) -> Outcome:
        """Send `call` once, with `token` or, for "", without one, and with `headers` besides."""
        # hvac promises nothing about threads that share a client: each takes one for itself. Not
        # one for each thread, as a thread may live for no more than a rotation.
        idle = self._idle
        try:
            client = idle.pop()
        except IndexError:
            client = self._client()
        client.token = token
        client.adapter.namespace = self._namespace if call.in_namespace else None
        client.adapter.patience = Patience(timeout, clock=self._clock, sleep=self._sleep)
        client.adapter.before_send = call.before_send
        client.adapter.extra = headers
        started = self._clock()
        try:
            outcome = call.send(client)
        finally:
            idle.append(client)
        self.is_away = not isinstance(outcome, Answer)
        self._report(call, outcome.code, self._clock() - started)
        return outcome

    def _report(self, call: Call, code: str, seconds: float) -> None:
        _log.debug(
            "vault call",
            operation=call.operation,
            path=call.path,
            code=code,
            milliseconds=round(seconds * 1000, 1),
        )
        if self._on_call:
            self._on_call(call.operation, code, seconds)

    def _client(self) -> Any:  # noqa: ANN401  # hvac has no type hints
        return hvac.Client(
            url=self._address,
            # Never None: hvac would look for VAULT_TOKEN and ~/.vault-token by itself.
            token="",
            namespace=self._namespace or None,
            adapter=Transport,
            trust=self._trust,
        )


class Line:
    """An endpoint and one budget of time for all that is asked of it. Not for several threads."""

    def __init__(
        self,
        endpoint: Endpoint,
        patience: Patience | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Spend `patience`, by default a new one; `timeout` is that of one try, if another."""
        self._endpoint = endpoint
        self._patience = patience or endpoint.patience()
        self._timeout = endpoint.timeout if timeout is None else timeout
        #: Seconds that are left from the first denial of a token on; None before it.
        self._settling: Patience | None = None
        self._had_token = False

    @classmethod
    def for_call(cls, endpoint: Endpoint, call: Call, patience: Patience | None = None) -> Self:
        """Spend what `call` may: a write may not wait, as it was decided on by a look."""
        return cls(endpoint, patience if call.repeatable else endpoint.budget(_LONGEST_HESITATION))

    @property
    def timeout(self) -> float:
        """Seconds that one try may take."""
        return self._timeout

    @property
    def is_over(self) -> bool:
        """Whether no time is left to begin anything."""
        return self._patience.left <= 0

    def ask(self, call: Call, token: str = "") -> Answer:
        """Make `call` with `token`, repeating what is safe to repeat, and give its answer.

        Raises:
            StoreError: it is none of those that `repeat` gives.
        """
        return self.repeat(call, lambda: self.send(call, token))

    def send(self, call: Call, token: str, headers: Mapping[str, str] | None = None) -> Outcome:
        """Make `call` once, and give what came of it."""
        self._had_token = bool(token)
        return self._endpoint.exchange(call, token, timeout=self._timeout, headers=headers or {})

    def repeat(self, call: Call, send: Callable[[], Outcome]) -> Answer:
        """Have `send` make `call` until there is an answer, or no use in trying.

        An answer is a 200 with a JSON object, a 204, a 404 for "no such entry", or a status
        that is welcome to this call.

        Raises:
            StoreError: anything else came back, or nothing.
        """
        repeats = 0
        while True:
            outcome = send()
            verdict = self._judge(call, outcome)
            if isinstance(verdict, Answer):
                return verdict
            if not _may_repeat(call, outcome, verdict, repeats):
                raise verdict
            if not self.pause(_asked(outcome)):
                raise verdict
            repeats += 1

    def pause(self, at_least: float = 0.0) -> bool:
        """Wait a little; False, at once, where there is no time left for it."""
        return self._patience.pause(at_least)

    def settle(self) -> bool:
        """Wait a little for nodes to learn of a token; False once each should know it."""
        self._settling = self._settling or self._endpoint.budget(SETTLING)
        return not self.has_settled and self.pause()

    @property
    def has_settled(self) -> bool:
        """Whether each node should know a token by now that was denied for the first time here."""
        return self._settling is not None and self._settling.left <= _SETTLED

    def reconnect(self) -> None:
        """Ask over new connections from here on."""
        self._endpoint.reconnect()

    def _judge(self, call: Call, outcome: Outcome) -> Answer | StoreError:
        if isinstance(outcome, Answer) and outcome.status in call.welcome:
            return outcome
        return judge(outcome, str(call), with_token=self._had_token)


def _may_repeat(call: Call, outcome: Outcome, failure: StoreError, repeats: int) -> bool:
    """Whether `call` may be made once more: a write only where it certainly had no effect."""
    if not isinstance(failure, StoreUnavailable):
        return False
    has_no_effect = isinstance(failure, StoreNotReady | StoreSealed)
    if not (call.repeatable or has_no_effect):
        return False
    is_passing_by = is_passing(outcome) and not isinstance(failure, StoreSealed)
    return is_passing_by or repeats < _REPEATS


def _asked(outcome: Outcome) -> float:
    """Return the seconds that the server asks to wait."""
    return (outcome.retry_after or 0.0) if isinstance(outcome, Answer) else 0.0


def _checked_address(address: str) -> str:
    problem = ConfigError(
        "vault.address is not an address of the form https://host:port",
        hint="set vault.address, or VAULT_ADDR; credentials and queries have no place in it",
    )
    parts = _split(address)
    if parts is None or parts.scheme not in ("http", "https") or not parts.hostname:
        raise problem
    if parts.username is not None or parts.query or parts.fragment or not _is_plain(address):
        raise problem
    return address


def _split(address: str) -> SplitResult | None:
    try:
        parts = urlsplit(address)
        _ = parts.port  # parsed only when asked for
    except ValueError:
        return None
    return parts


def _checked_namespace(namespace: str) -> str:
    if not _is_plain(namespace):
        raise ConfigError(
            "vault.namespace is not one that a header can carry",
            hint="name it in printable ASCII without spaces",
        )
    return namespace


def _is_plain(text: str) -> bool:
    return text.isascii() and text.isprintable() and " " not in text
