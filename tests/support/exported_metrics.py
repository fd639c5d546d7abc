"""What `/metrics` serves, of accounts in every state: each metric, with each of its labels."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from rotator.model import Account, GateWait, Hold, State, Step, Trouble
from rotator.reporting.gauges import AccountGauges, hook_gauges, witness_gauge
from rotator.rotation.ports import AccountSummary
from rotator.telemetry.metrics import Metrics
from rotator.telemetry.vitals import Vitals
from tests.support.samples import account, policy, rotation

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)

COMPLETED = rotation(
    account="a",
    step=Step.COMPLETE,
    opened_at=NOW - 3 * DAY,
    new_id="new",
    verified_at=NOW - 3 * DAY,
    closed_at=NOW - 2 * DAY,
    outcome="completed",
)
ROTATING = replace(COMPLETED, step=Step.STAGE, opened_at=NOW - HOUR, closed_at=None, outcome=None)
ROTATING = replace(ROTATING, verified_at=None)
WAITING = replace(ROTATING, step=Step.WAIT, verified_at=NOW - HOUR)
SHUT = GateWait(gate="consumers", reason="one reads the old one", shut_since=NOW - HOUR)
HOLD = Hold(reason="moving house", by="ann", at=NOW - HOUR)


def trouble(state: State, code: str) -> Trouble:
    """Return what is wrong since two hours ago."""
    return Trouble(state=state, code=code, why=f"why {code}", hint=None, since=NOW - 2 * HOUR)


def summary(name: str = "a", **known: Any) -> AccountSummary:  # noqa: ANN401  # of `AccountSummary`
    """Return the summary of an account that is healthy, except for what is given."""
    usual: dict[str, Any] = {
        "listed_ids": ("new",),
        "current_id": "new",
        "current_since": NOW - 3 * DAY,
        "seen_at": NOW - HOUR,
        "next_due_at": NOW + 20 * DAY,
        "last_rotation": COMPLETED,
        "last_success_at": NOW - 2 * DAY,
        "is_managed": True,
    }
    return replace(AccountSummary(name=name), **(usual | known))


#: What makes an account be in each state.
KNOWN: dict[State, dict[str, Any]] = {
    State.BROKEN: {"trouble": trouble(State.BROKEN, "credential-dead")},
    State.DRIFTED: {"trouble": trouble(State.DRIFTED, "foreign-secret")},
    State.REFUSED: {"trouble": trouble(State.REFUSED, "pending-unknown"), "failures": 4},
    State.OVERDUE: {"current_since": NOW - 50 * DAY},
    State.FAILING: {"failure": trouble(State.FAILING, "store-sealed"), "failures": 3},
    State.HELD: {"hold": HOLD},
    State.UNMANAGED: {"current_id": None, "is_managed": False, "last_rotation": None},
    State.ROTATING: {"last_rotation": ROTATING},
    State.DUE: {"next_due_at": NOW - 5 * MINUTE},
    State.WAITING: {"last_rotation": replace(WAITING, waiting=SHUT), "listed_ids": ("new", "old")},
    State.HEALTHY: {},
}


def gauge_text(accounts: Sequence[Account], *known: AccountSummary, now: datetime = NOW) -> str:
    """Return the gauges of accounts of which the ledger knows these."""
    return "".join(AccountGauges(accounts).lines({each.name: each for each in known}, now))


def gauges_in_every_state() -> Iterator[str]:
    """Yield the gauges of an account in each state, which has the state's name, and of hooks."""
    accounts = [account(name, policy=policy(min_balance=Decimal(10))) for name in KNOWN]
    summaries = {name.value: summary(name.value, **known) for name, known in KNOWN.items()}
    yield from AccountGauges(accounts).lines(summaries, NOW)
    yield from hook_gauges(["slack", "reload"], {"slack": (3, NOW - 2 * HOUR)})
    yield from witness_gauge(NOW - DAY)


def exported() -> str:
    """Return all that a daemon serves which knows everything."""
    metrics = Metrics("1.2.3")
    metrics.watch(KNOWN, gauges_in_every_state)
    metrics.call_finished("vonage", "secrets.list", "timeout", 10.0)
    for name in KNOWN:
        metrics.balance_read(name, Decimal("12.5"))
    metrics.set_vitals(
        lambda: Vitals(
            components={"ledger": True, "vault": False, "vonage": True, "witness": True},
            polled_at=NOW,
            poll=timedelta(seconds=15),
            configured_at=NOW - DAY,
            token_expires_at=NOW + HOUR,
            token_lifetime=12 * HOUR,
        )
    )
    return metrics.rendered().decode()
