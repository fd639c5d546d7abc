"""The daemon's metrics, in Prometheus' text format.

Counters count what this process did. Gauges show the ledger's state, whichever process changed it;
they are read on request. Every label set exists from the start, and their number is bounded by
accounts, operations and codes.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime

import prometheus_client

from rotator.errors import RotatorError
from rotator.model import Outcome, PassResult, State, Step
from rotator.rotation.ports import AccountSummary, NewEntry, Observer


def labels(**values: str) -> str:
    """Return labels in Prometheus's text format, without the braces."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())


def family(
    name: str, kind: str, meaning: str, samples: Iterable[tuple[str, float]]
) -> Iterator[str]:
    """Yield the lines of a metric of this kind (`counter`, `gauge`): labels and value of each."""
    yield f"# HELP {name} {meaning}\n"
    yield f"# TYPE {name} {kind}\n"
    for of, value in samples:
        yield f"{name}{{{of}}} {float(value)!r}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


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

Summaries = Callable[[], Mapping[str, AccountSummary]]


class Metrics(Observer):
    """The daemon's metrics: counts and renders. Called from every thread."""

    def __init__(self, version: str) -> None:
        """Start all counters at zero."""
        # Creation times would be one more metric for each label set.
        prometheus_client.disable_created_metrics()  # type: ignore[no-untyped-call]
        self._registry = prometheus_client.CollectorRegistry()
        self._duration = prometheus_client.Histogram(
            "rotator_rotation_duration_seconds",
            "From opening a rotation until Vault holds the new secret, its grace left out",
            buckets=_BUCKETS,
            registry=self._registry,
        )
        self._requests = prometheus_client.Counter(
            "rotator_api_requests",
            "HTTP requests to Vonage and Vault by what came back",
            ["api", "operation", "code"],
            registry=self._registry,
        )
        for api, operations in _OPERATIONS.items():
            for operation in operations:
                self._requests.labels(api, operation, _USUAL.get(operation, "200"))
        #: Number of passes by account and outcome.
        self._ended: Counter[tuple[str, Outcome]] = Counter()
        self._accounts: Mapping[str, str] = {}
        self._summaries: Summaries = dict
        self._opened: dict[str, float] = {}
        self._lock = threading.Lock()
        self._token_expiry: Callable[[], datetime | None] = lambda: None
        build = prometheus_client.Info("rotator_build", "This version", registry=self._registry)
        build.info({"version": version})
        expiry = prometheus_client.Gauge(
            "rotator_vault_token_expiry_timestamp_seconds",
            "When the Vault token expires; 0 where that is not known",
            registry=self._registry,
        )
        expiry.set_function(lambda: _seconds(self._token_expiry()) or 0)

    def watch(self, accounts: Iterable[str], summaries: Summaries) -> None:
        """Report these accounts and no others, as `summaries` reads them."""
        watched = {name: labels(account=name) for name in accounts}
        with self._lock:
            for name, outcome in [*self._ended]:
                if name not in watched:
                    del self._ended[name, outcome]
            self._accounts, self._summaries = watched, summaries

    def set_token_expiry(self, read: Callable[[], datetime | None]) -> None:
        """Set `read` as the source of the Vault token's expiry; None where that is not known."""
        self._token_expiry = read

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
        text = "".join(self._of_accounts())
        return prometheus_client.generate_latest(self._registry) + text.encode()

    def _of_accounts(self) -> Iterator[str]:
        """Yield each account's metrics; without the ledger, those that do not need it."""
        accounts, ended = self._accounts, self._ended
        yield from family(
            "rotator_rotations_total",
            "counter",
            "Passes of this process that completed a rotation, failed or were refused",
            (
                (f'{of},outcome="{outcome.value}"', ended[name, outcome])
                for name, of in accounts.items()
                for outcome in _OUTCOMES
            ),
        )
        try:
            summaries = self._summaries()
        except RotatorError:
            # An alert on a missing metric is more informative than outdated values.
            return
        known = [(of, summaries.get(name)) for name, of in accounts.items()]
        for metric, meaning, value in _OF_SUMMARY:
            samples = ((of, (value(summary) if summary else None) or 0) for of, summary in known)
            yield from family(metric, "gauge", meaning, samples)


def _seconds(at: datetime | None) -> float | None:
    return at.timestamp() if at else None


_OF_SUMMARY: tuple[tuple[str, str, Callable[[AccountSummary], float | None]], ...] = (
    (
        "rotator_last_success_timestamp_seconds",
        "When a rotation was last completed; 0 for never",
        lambda summary: _seconds(summary.last_success_at),
    ),
    (
        "rotator_next_due_timestamp_seconds",
        "When the next rotation is due; 0 where that is not known",
        lambda summary: _seconds(summary.next_due_at),
    ),
    (
        "rotator_secret_created_timestamp_seconds",
        "When the current secret was created; 0 where that is not known",
        lambda summary: _seconds(summary.current_since),
    ),
    (
        "rotator_active_secrets",
        "Secrets that Vonage listed when it was last asked",
        lambda summary: len(summary.listed_ids),
    ),
    (
        "rotator_account_held",
        "Whether an operator holds the account",
        lambda summary: summary.hold is not None,
    ),
    (
        "rotator_account_drift",
        "Whether someone else changed something that keeps it from being rotated",
        lambda summary: bool(summary.trouble and summary.trouble.state is State.DRIFTED),
    ),
)


def _bounded(code: str) -> str:
    """Reduce a code to one of a few: a server may answer with any number."""
    if not code.isdecimal() or code in _STATUSES:
        return code
    return f"{code[0]}xx"
