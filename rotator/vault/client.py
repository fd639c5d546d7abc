"""Vault's address and the hvac clients for requests to it, without a token of their own."""

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Self
from urllib.parse import SplitResult, urlsplit

import hvac
import structlog

from rotator.errors import ConfigError, StoreError, StoreNotReady, StoreSealed, StoreUnavailable
from rotator.network import Trust
from rotator.rotation.ports import NoObserver, Observer
from rotator.vault.errors import interpret, is_passing
from rotator.vault.transport import Deadline, Outcome, VaultRequest, VaultResponse, VaultTransport

#: How often a call is retried after a failure that will hardly pass: another node behind the same
#: address may not have it.
_REPEATS = 3
#: Longest wait of a write for a retry, in seconds: the observation it is based on grows old.
_LONGEST_HESITATION = 1.0
#: Seconds during which other nodes than the issuing one may not know a new token yet.
SETTLING = 10.0
#: Seconds that may be missing at the end of `SETTLING`: no pause between tries is longer.
_SETTLED = 1.0

_log = structlog.get_logger(__name__)


class VaultClient:
    """A Vault server to send requests to. May be shared by threads."""

    def __init__(  # noqa: PLR0913  # settings, all but one by name
        self,
        address: str,
        *,
        timeout: float,
        patience: float | None = None,
        namespace: str = "",
        trust: Trust | None = None,
        observer: Observer | None = None,
        should_stop: Callable[[], bool] = lambda: False,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Store the settings; nothing is connected yet.

        `timeout` is for one try, `patience` the period in which tries may start, both in seconds;
        None for the same.

        Raises:
            ConfigError: the address or the namespace is invalid.
        """
        self._address = _checked_address(address)
        self._namespace = _checked_namespace(namespace)
        self._trust = trust or Trust()
        #: Longest duration of one try, in seconds.
        self.timeout = timeout
        self._patience = timeout if patience is None else patience
        #: Whether the last try got no answer at all.
        self.is_away = False
        self._observer = observer or NoObserver()
        self._should_stop = should_stop
        self._sleep = sleep
        self._clock = clock
        #: Idle clients, each with its connection.
        self._idle: list[Any] = []

    def patience(self, seconds: float | None = None) -> Deadline:
        """Start the time budget of one call, or of several calls that share it."""
        return self.budget(self._patience if seconds is None else min(seconds, self._patience))

    def budget(self, seconds: float) -> Deadline:
        """Start a budget of `seconds`, regardless of the patience."""
        return Deadline(
            seconds, clock=self._clock, sleep=self._sleep, should_stop=self._should_stop
        )

    def reconnect(self) -> None:
        """Close idle connections, so that all connect anew with a changed client certificate."""
        # A client in use is returned to the former list, and discarded with it.
        former, self._idle = self._idle, []
        while former:
            with suppress(IndexError):  # another thread took the last one
                former.pop().adapter.close()

    def exchange(
        self, call: VaultRequest, token: str, *, timeout: float, headers: Mapping[str, str]
    ) -> Outcome:
        """Send `call` once, with `token` (none if ""), and with `headers` added."""
        # hvac does not promise that threads can share a client: each thread takes one from the
        # list. There is none per thread, as a thread may only live for one rotation.
        idle = self._idle
        try:
            client = idle.pop()
        except IndexError:
            client = self._client()
        client.token = token
        client.adapter.namespace = self._namespace if call.in_namespace else None
        client.adapter.patience = Deadline(timeout, clock=self._clock, sleep=self._sleep)
        client.adapter.before_send = call.before_send
        client.adapter.extra = headers
        started = self._clock()
        try:
            outcome = call.send(client)
        finally:
            idle.append(client)
        self.is_away = not isinstance(outcome, VaultResponse)
        self._report(call, outcome.code, self._clock() - started)
        return outcome

    def _report(self, call: VaultRequest, code: str, seconds: float) -> None:
        _log.debug(
            "vault call",
            operation=call.operation,
            path=call.path,
            code=code,
            milliseconds=round(seconds * 1000, 1),
        )
        self._observer.call_finished("vault", call.operation, code, seconds)

    def _client(self) -> Any:  # noqa: ANN401  # hvac has no type hints
        return hvac.Client(
            url=self._address,
            # Never None: hvac would then read VAULT_TOKEN and ~/.vault-token.
            token="",
            namespace=self._namespace or None,
            adapter=VaultTransport,
            trust=self._trust,
        )


class TimedClient:
    """A client with one budget of time for all its calls. Not for several threads."""

    def __init__(
        self,
        endpoint: VaultClient,
        patience: Deadline | None = None,
        *,
        timeout: float | None = None,
    ) -> None:
        """Spend `patience`, by default a new budget; `timeout` replaces that of one try."""
        self._endpoint = endpoint
        self._patience = patience or endpoint.patience()
        self._timeout = endpoint.timeout if timeout is None else timeout
        #: Budget that starts with the first denial of a token; None before it.
        self._settling: Deadline | None = None
        self._had_token = False

    @classmethod
    def for_call(
        cls, endpoint: VaultClient, call: VaultRequest, patience: Deadline | None = None
    ) -> Self:
        """Use the budget for `call`: short for a write, which is based on an observation."""
        return cls(endpoint, patience if call.repeatable else endpoint.budget(_LONGEST_HESITATION))

    @property
    def timeout(self) -> float:
        """Longest duration of one try, in seconds."""
        return self._timeout

    @property
    def is_over(self) -> bool:
        """Return whether no time is left to start anything."""
        return self._patience.left <= 0

    def ask(self, call: VaultRequest, token: str = "") -> VaultResponse:
        """Send `call` with `token`, retry where that is safe, and return the answer.

        Raises:
            StoreError: no answer that `repeat` accepts was received.
        """
        return self.repeat(call, lambda: self.send(call, token))

    def send(
        self, call: VaultRequest, token: str, headers: Mapping[str, str] | None = None
    ) -> Outcome:
        """Send `call` once and return the outcome."""
        self._had_token = bool(token)
        return self._endpoint.exchange(call, token, timeout=self._timeout, headers=headers or {})

    def repeat(self, call: VaultRequest, send: Callable[[], Outcome]) -> VaultResponse:
        """Make `call` by `send` until there is an answer, or no use in trying.

        An answer is a 200 with a JSON object, a 204, a 404 for "no such entry", or one of the
        call's expected statuses.

        Raises:
            StoreError: anything else was received, or nothing.
        """
        repeats = 0
        while True:
            outcome = send()
            verdict = self._interpret(call, outcome)
            if isinstance(verdict, VaultResponse):
                return verdict
            if not _may_repeat(call, outcome, verdict, repeats):
                raise verdict
            if not self.pause(_asked(outcome)):
                raise verdict
            repeats += 1

    def pause(self, at_least: float = 0.0) -> bool:
        """Wait a little; False, at once, if there is no time left for it."""
        return self._patience.pause(at_least)

    def settle(self) -> bool:
        """Wait a little for nodes to learn of a token; False once each should know it."""
        self._settling = self._settling or self._endpoint.budget(SETTLING)
        return not self.has_settled and self.pause()

    @property
    def has_settled(self) -> bool:
        """Return whether every node should know by now a token that was first denied here."""
        return self._settling is not None and self._settling.left <= _SETTLED

    def reconnect(self) -> None:
        """Use new connections from now on."""
        self._endpoint.reconnect()

    def _interpret(self, call: VaultRequest, outcome: Outcome) -> VaultResponse | StoreError:
        if isinstance(outcome, VaultResponse) and outcome.status in call.expected_statuses:
            return outcome
        return interpret(outcome, str(call), with_token=self._had_token)


def _may_repeat(call: VaultRequest, outcome: Outcome, failure: StoreError, repeats: int) -> bool:
    """Return whether `call` may be retried: a write only if it certainly had no effect."""
    if not isinstance(failure, StoreUnavailable):
        return False
    has_no_effect = isinstance(failure, StoreNotReady | StoreSealed)
    if not (call.repeatable or has_no_effect):
        return False
    is_passing_by = is_passing(outcome) and not isinstance(failure, StoreSealed)
    return is_passing_by or repeats < _REPEATS


def _asked(outcome: Outcome) -> float:
    """Return how long the server asks to wait, in seconds."""
    return (outcome.retry_after or 0.0) if isinstance(outcome, VaultResponse) else 0.0


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
        _ = parts.port  # parsed only on access
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
