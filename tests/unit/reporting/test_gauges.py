from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from prometheus_client.parser import text_string_to_metric_families

from rotator.model import Rotation, State
from rotator.model.rotation import GateWait
from rotator.reporting.gauges import AccountGauges, hook_gauges, witness_gauge
from rotator.rotation.ports import AccountSummary
from tests.support.exported_metrics import (
    DAY,
    HOLD,
    HOUR,
    KNOWN,
    NOW,
    SHUT,
    WAITING,
    gauge_text,
    gauges_in_every_state,
    summary,
    trouble,
)
from tests.support.samples import account, policy


def read(text: str) -> dict[str, float]:
    """Read what is rendered."""
    pairs = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in pairs}


def gauges_of(known: AccountSummary | None = None, *, now: datetime = NOW) -> dict[str, float]:
    """Return the gauges of the account `a`, without that label; None where the ledger has none."""
    found = read(gauge_text([account("a")], *([known] if known else []), now=now))
    return {
        name.replace('account="a",', "").replace('{account="a"}', ""): value
        for name, value in found.items()
    }


@pytest.mark.parametrize("state", State)
def test_an_account_is_in_one_state(state: State) -> None:
    """That one is 1, and no other one is there: eleven lines an account would be most of all."""
    found = gauges_of(summary("a", **KNOWN[state]))
    states = {key: value for key, value in found.items() if key.startswith("rotator_account_state")}

    assert states == {f'rotator_account_state{{state="{state}"}}': 1}


@pytest.mark.parametrize(
    ("state", "code", "drift"),
    [
        (State.DRIFTED, "foreign-secret", 1),
        (State.BROKEN, "drift", 1),
        (State.BROKEN, "version-ends", 1),
        (State.BROKEN, "current-refused", 0),
        (State.REFUSED, "clock-behind", 0),
        (State.UNMANAGED, "foreign-secret", 0),
    ],
)
def test_what_someone_else_changed_is_drift(state: State, code: str, drift: int) -> None:
    """Broken by it or not, held or not; an account that was never managed has not drifted."""
    for hold in (None, HOLD):
        found = gauges_of(summary("a", trouble=trouble(state, code), hold=hold))

        assert found["rotator_account_drift"] == drift


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, {}),
        (KNOWN[State.BROKEN], {("broken", "credential-dead"): 2 * HOUR, ("healthy", ""): None}),
        (KNOWN[State.HELD], {("held", "held"): HOUR}),
        (
            KNOWN[State.FAILING] | {"current_since": NOW - 46 * DAY},
            {("overdue", "overdue"): DAY, ("failing", "store-sealed"): 2 * HOUR},
        ),
        ({"next_due_at": NOW - HOUR}, {("due", "late"): HOUR}),
        (KNOWN[State.WAITING], {("waiting", ""): HOUR}),
    ],
)
def test_each_condition_has_its_beginning_and_its_code(
    known: dict[str, object], expected: dict[tuple[str, str], timedelta | None]
) -> None:
    """Not only the most urgent: an account that fails goes on failing when it becomes overdue."""
    name = "rotator_account_condition_since_timestamp_seconds"
    found = gauges_of(summary("a", **known))

    assert {key: value for key, value in found.items() if key.startswith(name)} == {
        f'{name}{{state="{state}",code="{code}"}}': (NOW - ago).timestamp()
        for (state, code), ago in expected.items()
        if ago is not None
    }


def test_what_is_not_known_is_absent() -> None:
    """A 0 would be a time in 1970, and fire every alert on what is too old."""
    found = gauges_of(None)

    assert found.keys() == {
        'rotator_account_state{state="unmanaged"}',
        "rotator_account_failed_tries",
        "rotator_account_held",
    }
    assert found["rotator_account_held"] == 0


def test_times_are_seconds_since_1970() -> None:
    """When the secret was created, when it was rotated, when it is due and when it will be late."""
    found = gauges_of(summary("a"))

    assert found["rotator_secret_created_timestamp_seconds"] == (NOW - 3 * DAY).timestamp()
    assert found["rotator_last_success_timestamp_seconds"] == (NOW - 2 * DAY).timestamp()
    assert found["rotator_next_due_timestamp_seconds"] == (NOW + 20 * DAY).timestamp()
    late = NOW + 20 * DAY + timedelta(minutes=15)
    assert found["rotator_account_late_timestamp_seconds"] == late.timestamp()
    assert found["rotator_active_secrets"] == 1
    assert found["rotator_account_drift"] == 0


def test_a_held_account_can_not_be_late() -> None:
    """An operator wants it to wait; the time is absent rather than past."""
    found = gauges_of(summary("a", hold=HOLD, next_due_at=NOW - 9 * DAY))

    assert "rotator_account_late_timestamp_seconds" not in found
    assert found["rotator_account_held"] == 1


@pytest.mark.parametrize(
    ("rotation", "opened", "shut"),
    [
        (replace(WAITING, closed_at=NOW, outcome="completed"), False, None),
        (WAITING, True, None),
        (replace(WAITING, waiting=SHUT), True, "consumers"),
        (replace(WAITING, waiting=GateWait(retry_at=NOW + HOUR)), True, None),
    ],
)
def test_an_open_rotation_and_a_shut_gate_have_their_beginning(
    rotation: Rotation, *, opened: bool, shut: str | None
) -> None:
    """And vanish with their end."""
    found = gauges_of(summary("a", last_rotation=rotation))
    gate = {key: value for key, value in found.items() if "gate" in key}

    name = f'rotator_account_gate_shut_timestamp_seconds{{gate="{shut}"}}'
    assert gate == ({name: (NOW - HOUR).timestamp()} if shut else {})
    assert ("rotator_account_rotation_opened_timestamp_seconds" in found) is opened


def test_tries_and_the_threshold_of_the_balance_are_told() -> None:
    """The one by the ledger, the other by the configuration."""
    configured = account("a", policy=policy(min_balance=Decimal("10.5")))
    found = read(gauge_text([configured], summary("a", **KNOWN[State.FAILING])))

    assert found['rotator_account_failed_tries{account="a"}'] == 3
    assert found['rotator_account_min_balance_euros{account="a"}'] == 10.5


def test_what_changes_by_the_clock_alone_is_seen() -> None:
    """Although the gauges of an account that did not change are not made again each time."""
    gauges, summaries = AccountGauges([account("a")]), {"a": summary("a")}
    due = 'rotator_account_state{account="a",state="due"}'
    before = read("".join(gauges.lines(summaries, NOW)))
    at_due = read("".join(gauges.lines(summaries, NOW + 20 * DAY + HOUR)))
    clock_put_back = read("".join(gauges.lines(summaries, NOW)))

    assert (before.get(due), at_due.get(due), clock_put_back.get(due)) == (None, 1, None)


def test_what_is_recorded_is_seen() -> None:
    """At the next request, and nothing of before it stays."""
    gauges = AccountGauges([account("a")])
    broken = summary("a", trouble=trouble(State.BROKEN, "credential-dead"))
    first = "".join(gauges.lines({"a": broken}, NOW))
    second = "".join(gauges.lines({"a": summary("a")}, NOW))

    assert "credential-dead" in first
    assert "credential-dead" not in second


def test_hooks_have_their_backlog() -> None:
    """One without a backlog has a count of 0, and no oldest notification."""
    found = read("".join(hook_gauges(["slack", "reload"], {"slack": (3, NOW)})))

    assert found == {
        'rotator_hook_undelivered{hook="slack"}': 3,
        'rotator_hook_undelivered{hook="reload"}': 0,
        'rotator_hook_oldest_undelivered_timestamp_seconds{hook="slack"}': NOW.timestamp(),
    }


def test_the_gauges_are_what_prometheus_reads() -> None:
    """Each one once, described, and by its description the same from every daemon."""
    families = list(text_string_to_metric_families("".join(gauges_in_every_state())))

    assert len(families) == len({each.name for each in families}) > 10
    assert {each.type for each in families} == {"gauge"}
    assert all(each.documentation.endswith(" (per ledger)") for each in families)


def test_the_newest_checkpoint_has_a_gauge_once_there_is_one() -> None:
    """Absent for never: a 0 would be the year 1970."""
    name = "rotator_witness_last_checkpoint_timestamp_seconds"
    lines = list(witness_gauge(NOW))

    assert lines[-1] == f"{name} {NOW.timestamp()!r}\n"
    assert list(witness_gauge(None)) == []
