"""Vault's address and the hvac clients that ask it, with no token of their own."""

import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any
from urllib.parse import SplitResult, urlsplit

import hvac
import structlog

from rotator.errors import ConfigError, StoreError, StoreSealed, StoreUnavailable
from rotator.network import Trust
from rotator.vault.call import Call
from rotator.vault.failure import is_starting, judge
from rotator.vault.patience import Patience
from rotator.vault.transport import Answer, Outcome, Transport

#: How often a read that found Vault unavailable is repeated, and a write that was never sent.
_REPEATS = 3

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
        namespace: str = "",
        trust: Trust | None = None,
        on_call: OnCall | None = None,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect to nothing yet.

        Raises:
            ConfigError: the address or the namespace cannot be one.
        """
        self._address = _checked_address(address)
        self._namespace = _checked_namespace(namespace)
        self._trust = trust or Trust()
        self._timeout = timeout
        self._on_call = on_call
        self._sleep = sleep
        self._clock = clock
        #: Clients that nobody uses at the moment, each with its connection.
        self._idle: list[Any] = []

    def patience(self) -> Patience:
        """Start the budget of one call, or of several that are to share it."""
        return Patience(self._timeout, clock=self._clock, sleep=self._sleep)

    def reconnect(self) -> None:
        """Have all connect anew, so that a changed client certificate is presented."""
        # What is used just now goes back to the former list, and with it.
        former, self._idle = self._idle, []
        while former:
            with suppress(IndexError):  # somebody else took the last one
                former.pop().adapter.close()

    def exchange(self, call: Call, token: str, patience: Patience) -> Outcome:
        """Send `call` once, with `token` or, for "", without one."""
        # hvac promises nothing about threads that share a client: each takes one for itself. Not
        # one for each thread, as a thread may live for no more than a rotation.
        idle = self._idle
        try:
            client = idle.pop()
        except IndexError:
            client = self._client()
        client.token = token
        client.adapter.namespace = self._namespace if call.in_namespace else None
        client.adapter.patience = patience
        client.adapter.before_send = call.before_send
        started = self._clock()
        try:
            outcome = call.send(client)
        finally:
            idle.append(client)
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

    def __init__(self, endpoint: Endpoint, patience: Patience | None = None) -> None:
        """Spend `patience`, by default a new one."""
        self._endpoint = endpoint
        self._patience = patience or endpoint.patience()
        self._had_token = False

    def ask(self, call: Call, token: str = "") -> Answer:
        """Make `call` with `token`, repeating what is safe to repeat, and give its answer.

        Raises:
            StoreError: it is none of those that `repeat` gives.
        """
        return self.repeat(call, lambda: self.send(call, token))

    def send(self, call: Call, token: str) -> Outcome:
        """Make `call` once, and give what came of it."""
        self._had_token = bool(token)
        return self._endpoint.exchange(call, token, self._patience)

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
            if not _may_repeat(call, outcome, verdict, repeats) or not self.pause():
                raise verdict
            repeats += 1

    def pause(self) -> bool:
        """Wait a little; False, at once, where there is no time left for it."""
        return self._patience.pause()

    def reconnect(self) -> None:
        """Ask over new connections from here on."""
        self._endpoint.reconnect()

    def _judge(self, call: Call, outcome: Outcome) -> Answer | StoreError:
        if isinstance(outcome, Answer) and outcome.status in call.welcome:
            return outcome
        return judge(outcome, str(call), with_token=self._had_token)


def _may_repeat(call: Call, outcome: Outcome, failure: StoreError, repeats: int) -> bool:
    if is_starting(outcome):
        return True
    if repeats >= _REPEATS or isinstance(failure, StoreSealed):
        return False
    unsent = not isinstance(outcome, Answer) and outcome.unsent
    return unsent or (call.repeatable and isinstance(failure, StoreUnavailable))


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
