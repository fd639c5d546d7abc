"""Gauges of accounts and hooks, as `/metrics` serves them.

They show what `status` shows. What is not known is absent: a 0 would be the year 1970.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from rotator.model import Account
from rotator.reporting.status import AccountStatus
from rotator.rotation.ports import AccountSummary
from rotator.telemetry.exposition import Family, Scope, labels

#: Labels in addition to the account's, and a value.
_Sample = tuple[str, float]


class AccountGauges:
    """The gauges of the accounts of one configuration. For one thread at a time."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        """Store the accounts; nothing is known of them yet."""
        self._accounts = tuple(accounts)
        self._rows: dict[str, _Row] = {}

    def lines(self, summaries: Mapping[str, AccountSummary], now: datetime) -> Iterator[str]:
        """Yield the gauges at `now`, in Prometheus' text format."""
        rows = [self._row(account, summaries.get(account.name), now) for account in self._accounts]
        for place, gauge in enumerate(_GAUGES):
            yield from gauge.family.lines(row.texts[place] for row in rows)

    def _row(self, account: Account, summary: AccountSummary | None, now: datetime) -> "_Row":
        row = self._rows.get(account.name)
        if row is None or row.summary is not summary or not row.is_valid_at(now):
            row = self._rows[account.name] = _Row.of(account, summary, now)
        return row


@dataclass(frozen=True, kw_only=True)
class _Row:
    """The gauges of one account, kept until its summary or its conditions change."""

    summary: AccountSummary | None
    seen_at: datetime
    changes_at: datetime | None
    #: The samples of each gauge.
    texts: tuple[str, ...]

    @classmethod
    def of(cls, account: Account, summary: AccountSummary | None, now: datetime) -> "_Row":
        known = summary or AccountSummary(name=account.name)
        status = AccountStatus(account=account, summary=known, now=now)
        of_account = labels(account=account.name)
        return cls(
            summary=summary,
            seen_at=now,
            changes_at=status.changes_at,
            texts=tuple(
                "".join(
                    gauge.family.sample(f"{of_account},{more}" if more else of_account, value)
                    for more, value in gauge.samples(status)
                )
                for gauge in _GAUGES
            ),
        )

    def is_valid_at(self, now: datetime) -> bool:
        return self.seen_at <= now and (self.changes_at is None or now <= self.changes_at)


@dataclass(frozen=True)
class _Gauge:
    """A gauge, and its samples of one account."""

    family: Family
    samples: Callable[[AccountStatus], Iterator[_Sample]]


def _gauge(
    name: str, meaning: str, samples: Callable[[AccountStatus], Iterator[_Sample]]
) -> _Gauge:
    return _Gauge(Family(name=name, meaning=meaning, scope=Scope.LEDGER), samples)


def _single(value: Callable[[AccountStatus], float | None]) -> Callable[..., Iterator[_Sample]]:
    """Return samples of a gauge that has one value, or none where that is not known."""

    def samples(status: AccountStatus) -> Iterator[_Sample]:
        found = value(status)
        if found is not None:
            yield "", found

    return samples


def _time(at: Callable[[AccountStatus], datetime | None]) -> Callable[..., Iterator[_Sample]]:
    """Return samples of a gauge that is a time, or absent."""
    return _single(lambda status: found.timestamp() if (found := at(status)) else None)


def _states(status: AccountStatus) -> Iterator[_Sample]:
    yield labels(state=status.state.value), 1


def _conditions(status: AccountStatus) -> Iterator[_Sample]:
    for found in status.conditions:
        if found.since:
            of = labels(state=found.state.value, code=found.code or "")
            yield of, found.since.timestamp()


def _gate(status: AccountStatus) -> Iterator[_Sample]:
    waiting = status.opened.waiting if status.opened else None
    if waiting and waiting.gate and waiting.shut_since:
        yield labels(gate=waiting.gate), waiting.shut_since.timestamp()


def _is_drifted(status: AccountStatus) -> bool | None:
    trouble = status.summary.trouble
    return None if status.summary.seen_at is None else trouble is not None and trouble.is_drift


_GAUGES = (
    _gauge(
        "rotator_account_state",
        "1 for the account's most urgent state; absent for each other one",
        _states,
    ),
    _gauge(
        "rotator_account_condition_since_timestamp_seconds",
        "When each condition of the account began, not only the most urgent one; absent once it is "
        "over, and where the time is not known",
        _conditions,
    ),
    _gauge(
        "rotator_account_failed_tries",
        "Tries in a row that failed or were refused",
        _single(lambda status: status.summary.failures),
    ),
    _gauge(
        "rotator_account_late_timestamp_seconds",
        "When the next rotation or deletion becomes late, or the secret overdue; absent where "
        "nothing can",
        _time(lambda status: status.late_from),
    ),
    _gauge(
        "rotator_account_rotation_opened_timestamp_seconds",
        "When the account's open rotation was opened; absent where none is",
        _time(lambda status: status.opened.opened_at if status.opened else None),
    ),
    _gauge(
        "rotator_account_gate_shut_timestamp_seconds",
        "When the gate that the account waits for was found shut; absent where it waits for none",
        _gate,
    ),
    _gauge(
        "rotator_last_success_timestamp_seconds",
        "When a rotation was last completed; absent for never",
        _time(lambda status: status.summary.last_success_at),
    ),
    _gauge(
        "rotator_next_due_timestamp_seconds",
        "When the next rotation is due; absent where that is not known, and for an account that is "
        "rotated on request only",
        _time(lambda status: status.next_due_at),
    ),
    _gauge(
        "rotator_secret_created_timestamp_seconds",
        "When the current secret was created; absent where that is not known",
        _time(lambda status: status.summary.current_since),
    ),
    _gauge(
        "rotator_active_secrets",
        "Secrets that Vonage listed when it was last asked; absent where it never answered",
        # Every account has at least one.
        _single(lambda status: len(status.summary.listed_ids) or None),
    ),
    _gauge(
        "rotator_account_held",
        "Whether an operator holds the account, or a change freeze is on",
        _single(lambda status: status.is_paused),
    ),
    _gauge(
        "rotator_account_drift",
        "Whether what is wrong is something that someone else changed, be the account drifted or "
        "broken by it; absent where nobody has looked",
        _single(_is_drifted),
    ),
    _gauge(
        "rotator_account_min_balance_euros",
        "The configured min_balance; absent where there is none",
        _single(lambda status: _number(status.account)),
    ),
)


def _number(account: Account) -> float | None:
    return None if account.min_balance is None else float(account.min_balance)


_UNDELIVERED = Family(
    name="rotator_hook_undelivered",
    meaning="Notifications that the hook has not got yet",
    scope=Scope.LEDGER,
)
_OLDEST = Family(
    name="rotator_hook_oldest_undelivered_timestamp_seconds",
    meaning="When the oldest notification was recorded that the hook has not got yet; absent for "
    "none",
    scope=Scope.LEDGER,
)


def hook_gauges(
    hooks: Sequence[str], undelivered: Mapping[str, tuple[int, datetime]]
) -> Iterator[str]:
    """Yield the gauges of these hooks; `undelivered` is how many wait for each, and since when."""
    of_hooks = {hook: labels(hook=hook) for hook in hooks}
    counts = {hook: undelivered[hook][0] if hook in undelivered else 0 for hook in hooks}
    yield from _UNDELIVERED.lines(
        _UNDELIVERED.sample(of, counts[hook]) for hook, of in of_hooks.items()
    )
    yield from _OLDEST.lines(
        _OLDEST.sample(of, undelivered[hook][1].timestamp())
        for hook, of in of_hooks.items()
        if hook in undelivered
    )


_CHECKPOINT = Family(
    name="rotator_witness_last_checkpoint_timestamp_seconds",
    meaning="When the newest checkpoint of the ledger was taken; absent for never, and where none "
    "are configured",
    scope=Scope.LEDGER,
)


def witness_gauge(at: datetime | None) -> Iterator[str]:
    """Yield the gauge of the newest checkpoint, which was taken `at` that time; None for never."""
    if at:
        yield from _CHECKPOINT.lines([_CHECKPOINT.sample("", at.timestamp())])
