"""The connection to Vault: one hvac client per thread, one token for all of them."""

import logging
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any
from urllib.parse import SplitResult, urlsplit

import hvac
import structlog

from rotator.errors import ConfigError, StoreError, StoreSealed, StoreUnavailable
from rotator.vault.failure import is_starting, judge
from rotator.vault.login import TokenSource
from rotator.vault.patience import Patience
from rotator.vault.transport import Answer, Outcome, Session, Transport

#: How often a read that found Vault unavailable is repeated, and a write that was never sent.
_REPEATS = 3

_log = structlog.get_logger(__name__)

#: Told of every HTTP call: its operation, its status or reason for none, and its seconds.
OnCall = Callable[[str, str, float], None]


@dataclass(frozen=True, kw_only=True)
class Call:
    """One call of Vault's API as data."""

    #: Its name in metrics and logs: `read-current`.
    operation: str
    #: Below /v1/, for messages and logs.
    path: str
    #: Makes the call with the hvac client it is given, which has no types.
    send: Callable[[Any], Outcome]
    #: A read: it may be sent again when nobody knows what became of it.
    repeatable: bool
    #: Statuses that mean no failure to this call. A 404 for "no such entry" never does.
    welcome: frozenset[int] = frozenset()

    def __str__(self) -> str:
        """Name the call in a message."""
        return f"{self.operation} {self.path}"


class Connection:
    """Makes calls, each within `timeout` seconds. May be shared by threads."""

    def __init__(  # noqa: PLR0913  # settings, all but one by name
        self,
        address: str,
        *,
        token_source: TokenSource,
        timeout: float,
        namespace: str = "",
        ca_file: str = "",
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
        self._ca_file = ca_file
        self._token_source = token_source
        self._timeout = timeout
        self._on_call = on_call
        self._sleep = sleep
        self._clock = clock
        self._of_thread = threading.local()
        # Its DEBUG lines name every path; ours say more, and once.
        logging.getLogger("urllib3").setLevel(logging.WARNING)

    def patience(self) -> Patience:
        """Start the budget of one call, or of several that are to share it."""
        return Patience(self._timeout, clock=self._clock, sleep=self._sleep)

    def call(self, call: Call, patience: Patience | None = None) -> Answer:
        """Make `call`, repeating what is safe to repeat, and give its answer.

        That is a 200 with a JSON object, a 204, a 404 for "no such entry", or a status that is
        welcome to this call.

        Raises:
            StoreError: anything else came back, or nothing.
        """
        patience = patience or self.patience()
        repeats = 0
        while True:
            outcome = self._send(call, patience)
            verdict = self._judge(call, outcome)
            if isinstance(verdict, Answer):
                return verdict
            if not _may_repeat(call, outcome, verdict, repeats) or not patience.pause():
                raise verdict
            repeats += 1

    def _send(self, call: Call, patience: Patience) -> Outcome:
        """Send `call`, and again if Vault denies it and there is another token by now."""
        token = self._token_source.token()
        outcome = self._exchange(call, token, patience)
        if isinstance(outcome, Answer) and outcome.status == HTTPStatus.FORBIDDEN:
            other = self._token_source.after_denial(token)
            if other != token:
                return self._exchange(call, other, patience)
        return outcome

    def _judge(self, call: Call, outcome: Outcome) -> Answer | StoreError:
        if isinstance(outcome, Answer) and outcome.status in call.welcome:
            return outcome
        return judge(outcome, str(call), with_token=bool(self._client().token))

    def _exchange(self, call: Call, token: str, patience: Patience) -> Outcome:
        client = self._client()
        client.token = token
        client.adapter.patience = patience
        started = self._clock()
        outcome = call.send(client)
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
        """Give this thread's client: hvac promises nothing about sharing one."""
        client = getattr(self._of_thread, "client", None)
        if client is None:
            client = self._of_thread.client = hvac.Client(
                url=self._address,
                # Never None: hvac would look for VAULT_TOKEN and ~/.vault-token by itself.
                token="",
                # Likewise, for VAULT_CLIENT_CERT.
                cert="",
                verify=self._ca_file or True,
                namespace=self._namespace or None,
                allow_redirects=False,
                session=Session(self._address, self._ca_file),
                adapter=Transport,
            )
        return client


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
