"""The daemon's metrics, in Prometheus' text format.

Counters count what this daemon did, and every label set of theirs exists from the start. Gauges
show what is the case when they are read; what is not known is absent. The number of label sets is
bounded by accounts, operations, codes and hooks.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import prometheus_client

from rotator.errors import RotatorError
from rotator.model import Outcome, PassResult, Step
from rotator.rotation.ports import NewEntry, Observer
from rotator.telemetry.exposition import Family, Scope, labels
from rotator.telemetry.vitals import Vitals

#: The outcomes of a pass that are counted.
_OUTCOMES = (Outcome.COMPLETED, Outcome.FAILED, Outcome.REFUSED)

#: Operations, each with its usual answers. Any other answer is counted from its first occurrence
#: on.
_OPERATIONS: Mapping[str, tuple[str, ...]] = {
    "vonage": ("secrets.list", "secrets.create", "secrets.delete"),
    "vault": (
        "read-mount",
        "read-current",
        "read-version",
        "write-current",
        "read-pending",
        "write-pending",
        "clear-pending",
    ),
}

_USUAL = {"secrets.create": "201", "secrets.delete": "204", "clear-pending": "204"}

#: Statuses with a meaning to rotator; the others are counted by class, `4xx`.
_STATUSES = {"200", "201", "204", "400", "401", "403", "404", "429", "500", "502", "503", "504"}

#: Duration of a rotation, from its opening until Vault was seen to have the new value, in seconds.
_BUCKETS = (0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600)

#: Number of openings stored for that; a rotation with that many later openings is not timed.
_MOST_OPEN = 10_000

#: Yields the gauges of what the ledger knows, as text, or raises that it cannot be read.
Gauges = Callable[[], Iterable[str]]


class Metrics(Observer):
    """The daemon's metrics: counts and renders. Called from every thread."""

    def __init__(self, version: str) -> None:
        """Start all counters at zero."""
        # Creation times would be one more metric for each label set.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = prometheus_client.CollectorRegistry()
        self._duration = prometheus_client.Histogram(
            "rotator_rotation_duration_seconds",
            "From opening a rotation until Vault holds the new secret, without its grace "
            f"({Scope.DAEMON})",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._requests = prometheus_client.Counter(
            "rotator_api_requests",
            f"HTTP requests to Vonage and Vault by what came back ({Scope.DAEMON})",
            ["api", "operation", "code"],
            registry=self._registry,
        )
        for api, operations in _OPERATIONS.items():
            for operation in operations:
                self._requests.labels(api, operation, _USUAL.get(operation, "200"))
        #: Number of passes by account and outcome.
        self._ended: Counter[tuple[str, Outcome]] = Counter()
        self._accounts: Mapping[str, str] = {}
        #: The balance of each account, and when it was read.
        self._balances: dict[str, tuple[Decimal, datetime]] = {}
        self._gauges: Gauges = tuple
        self._vitals: Callable[[], Vitals] = Vitals
        self._opened: dict[str, float] = {}
        self._lock = threading.Lock()
        build = prometheus_client.Info(
            "rotator_build", f"The version, as a label ({Scope.DAEMON})", registry=self._registry
        )
        build.info({"version": version})

    def watch(self, accounts: Iterable[str], gauges: Gauges) -> None:
        """Report these accounts and no others, and the gauges that `gauges` yields."""
        watched = {name: labels(account=name) for name in accounts}
        with self._lock:
            for name, outcome in [*self._ended]:
                if name not in watched:
                    del self._ended[name, outcome]
            for name in self._balances.keys() - watched:
                del self._balances[name]
            self._accounts, self._gauges = watched, gauges

    def set_vitals(self, read: Callable[[], Vitals]) -> None:
        """Set the source of what the daemon knows of itself."""
        self._vitals = read

    def call_finished(self, api: str, operation: str, code: str, seconds: float) -> None:
        """Count a request by its answer."""
        del seconds
        self._requests.labels(api, operation, _bounded(code)).inc()

    def pass_finished(self, account: str, result: PassResult | None) -> None:
        """Count a pass by its outcome."""
        # The account is from another configuration, if it is none of these.
        if result and result.outcome in _OUTCOMES and account in self._accounts:
            with self._lock:
                self._ended[account, result.outcome] += 1

    def balance_read(self, account: str, euros: Decimal) -> None:
        """Keep an account's balance."""
        with self._lock:
            if account in self._accounts:
                self._balances[account] = euros, datetime.now(UTC)

    def entry_recorded(self, account: str, entry: NewEntry) -> None:
        """Measure a rotation's duration from its ledger entries."""
        del account
        if entry.rotation_id is None:
            return
        now = time.monotonic()
        with self._lock:
            if entry.event == "opened":
                self._opened[entry.rotation_id] = now
                if len(self._opened) > _MOST_OPEN:
                    del self._opened[next(iter(self._opened))]
                return
            is_over = entry.event == "closed" or entry.step is Step.VERIFY
            opened = self._opened.pop(entry.rotation_id, None) if is_over else None
        if opened is not None and entry.step is Step.VERIFY:
            self._duration.observe(now - opened)

    def rendered(self) -> bytes:
        """Return all metrics as text."""
        own = "".join((*self._passes(), *self._of_balances(), *_of_vitals(self._vitals())))
        try:
            gauges = "".join(self._gauges())
        except RotatorError:
            # An alert on a component that is down is more informative than outdated values.
            gauges = ""
        return prometheus_client.generate_latest(self._registry) + (own + gauges).encode()

    def _passes(self) -> Iterator[str]:
        accounts, ended = self._accounts, self._ended
        yield from _PASSES.lines(
            _PASSES.sample(f'{of},outcome="{outcome.value}"', ended[name, outcome])
            for name, of in accounts.items()
            for outcome in _OUTCOMES
        )

    def _of_balances(self) -> Iterator[str]:
        with self._lock:
            found = [(labels(account=name), *read) for name, read in self._balances.items()]
        yield from _BALANCE.lines(_BALANCE.sample(of, float(euros)) for of, euros, _ in found)
        yield from _BALANCE_AT.lines(_BALANCE_AT.sample(of, at.timestamp()) for of, _, at in found)


def _of_vitals(vitals: Vitals) -> Iterator[str]:
    """Yield what a daemon knows of itself."""
    yield from _UP.lines(
        _UP.sample(labels(component=component), is_up)
        for component, is_up in sorted(vitals.components.items())
    )
    for family, value in (
        (_POLLED, vitals.polled_at),
        (_POLL, vitals.poll),
        (_CONFIGURED, vitals.configured_at),
        (_ACCEPTED, vitals.configured_at and float(not vitals.is_newer_refused)),
        (_TOKEN_EXPIRY, vitals.token_expires_at),
        (_TOKEN_LIFETIME, vitals.token_lifetime),
    ):
        yield from family.lines([] if value is None else [family.sample("", _seconds(value))])


def _seconds(value: datetime | timedelta | float) -> float:
    if isinstance(value, datetime):
        return value.timestamp()
    return value.total_seconds() if isinstance(value, timedelta) else value


def _own(name: str, meaning: str, *, kind: str = "gauge") -> Family:
    return Family(name=name, meaning=meaning, kind=kind, scope=Scope.DAEMON)


_PASSES = _own(
    "rotator_rotations_total",
    "Passes of this daemon that completed a rotation, failed or were refused",
    kind="counter",
)
_BALANCE = _own(
    "rotator_account_balance_euros",
    "The account's balance as this daemon last read it; absent before, and without min_balance",
)
_BALANCE_AT = _own(
    "rotator_account_balance_timestamp_seconds", "When this daemon last read the account's balance"
)
_UP = _own(
    "rotator_up",
    "Whether this daemon could use the component when it last tried; absent before the first try",
)
_POLLED = _own("rotator_last_poll_timestamp_seconds", "When this daemon last looked for work")
_POLL = _own("rotator_poll_interval_seconds", "Time from one look for work to the next")
_CONFIGURED = _own(
    "rotator_config_last_reload_success_timestamp_seconds",
    "When this daemon was last started or reloaded with a valid configuration",
)
_ACCEPTED = _own(
    "rotator_config_last_reload_successful",
    "1 if this daemon uses the newest configuration that it was told to read, 0 if it refused that",
)
_TOKEN_EXPIRY = _own(
    "rotator_vault_token_expiry_timestamp_seconds",
    "When the Vault token expires; absent where it never does, or that is not known",
)
_TOKEN_LIFETIME = _own(
    "rotator_vault_token_lifetime_seconds",
    "Lifetime of the Vault token from its issue or last renewal; absent where it never expires",
)


def _bounded(code: str) -> str:
    """Reduce a code to one of a few: a server may answer with any number."""
    if not code.isdecimal() or code in _STATUSES:
        return code
    return f"{code[0]}xx"
