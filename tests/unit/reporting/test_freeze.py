"""What people and monitoring are told of an account in a change freeze."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotator.model import Freeze, GateWait, State
from rotator.reporting.status import AccountStatus
from rotator.web.upcoming import Next, next_of
from rotator.web.views import policy_facts
from tests.support.exported_metrics import gauge_text, summary
from tests.support.samples import account, policy
from tests.unit.reporting.test_status import (
    BROKEN,
    DAY,
    FAILING,
    HOLD,
    HOUR,
    NOW,
    REFUSED,
    ROTATING,
    WAITING,
    status,
)

FREEZE = Freeze(since=NOW - 2 * HOUR, until=NOW + 5 * DAY, reason="holidays")
FROZEN = account("a", policy=policy(freezes=(FREEZE,)))
#: Its grace was over before the freeze began.
LATE = replace(WAITING, verified_at=NOW - 30 * HOUR)


def frozen(**known: Any) -> AccountStatus:  # noqa: ANN401  # of `AccountSummary`
    """Return the status of an account in a freeze, which is well but for what is given."""
    return replace(status(**known), account=FROZEN)


@pytest.mark.parametrize(
    ("known", "state", "others"),
    [
        ({}, State.HELD, []),
        ({"next_due_at": NOW - 9 * DAY}, State.HELD, []),
        ({"current_since": NOW - 46 * DAY}, State.HELD, []),
        ({"trouble": REFUSED}, State.HELD, []),
        ({"trouble": BROKEN}, State.BROKEN, [State.HELD]),
        ({"hold": HOLD}, State.HELD, [State.HELD]),
        ({"last_rotation": ROTATING}, State.HELD, []),
        ({"last_rotation": WAITING}, State.HELD, [State.WAITING]),
        ({"last_rotation": WAITING, "hold": replace(HOLD, freeze=True)}, State.HELD, [State.HELD]),
        (FAILING, State.HELD, []),
    ],
)
def test_it_is_held(known: dict[str, Any], state: State, others: list[State]) -> None:
    """What the freeze puts off is not late, overdue or failing; what breaks consumers is told."""
    found = frozen(**known)

    assert [each.state for each in found.conditions] == [state, *others]
    assert found.late_from is None
    assert found.is_paused


def test_its_reason_and_end_are_told() -> None:
    """As one sentence for people, and whole for programs."""
    found = frozen()
    document = found.document()

    assert found.row()[-1] == "a change freeze is on until 2026-11-28 12:00 UTC: holidays"
    assert document["freeze"] == {
        "from": "2026-11-23T10:00:00Z",
        "to": "2026-11-28T12:00:00Z",
        "reason": "holidays",
    }
    assert (document["code"], document["phase"], document["hold"]) == ("frozen", "held", None)
    assert document["hint"].startswith("it ends by itself; `rotator rotate-now a --compromised`")
    assert status().document()["freeze"] is None


def test_it_is_over_at_its_end() -> None:
    """And not a moment before; a page that is shown for longer knows when."""
    found = frozen(next_due_at=NOW + 30 * DAY)
    before, after = found.at(FREEZE.until - timedelta(seconds=1)), found.at(FREEZE.until)

    assert (before.state, after.state) == (State.HELD, State.HEALTHY)
    assert found.changes_at == FREEZE.until
    assert found.at(NOW - DAY).changes_at == FREEZE.since


def test_a_deletion_that_was_not_made_waits_for_the_end() -> None:
    """Its time has come before the freeze began: it is not late, nor soon."""
    [_, waiting] = frozen(last_rotation=LATE).conditions
    leaked = frozen(last_rotation=replace(LATE, reason="compromised"))

    assert waiting.why == (
        "waiting for the end of the change freeze at 2026-11-28 12:00 UTC, then the old secret is "
        "deleted"
    )
    assert leaked.deletion_at == NOW - 6 * HOUR


@pytest.mark.parametrize(
    ("known", "found"),
    [
        ({}, Next(text="nothing while a change freeze is on", at=FREEZE.since, is_past=True)),
        (
            {"last_rotation": replace(ROTATING, waiting=GateWait(retry_at=FREEZE.until))},
            Next(text="nothing while a change freeze is on", at=FREEZE.since, is_past=True),
        ),
        (
            {"last_rotation": LATE},
            Next(text="deletion of the old secret in 5d, after the change freeze", at=FREEZE.until),
        ),
        (
            {"last_rotation": WAITING},
            Next(text="deletion of the old secret in 5d", at=FREEZE.until),
        ),
    ],
)
def test_what_comes_next_is_its_end(known: dict[str, Any], found: Next) -> None:
    """Or a deletion that comes after it."""
    assert next_of(frozen(**known)) == found


def test_the_page_has_it_among_the_policy() -> None:
    """Also before it begins."""
    fact = ("change freeze", "2026-11-23 10:00 UTC to 2026-11-28 12:00 UTC: holidays")

    assert fact in list(policy_facts(FROZEN.policy))


def test_monitoring_sees_it_as_a_hold() -> None:
    """Nothing of it can become late meanwhile."""
    known = summary("a", next_due_at=NOW - 9 * DAY)
    during, after = (
        gauge_text([FROZEN], known, now=now) for now in (NOW, FREEZE.until + timedelta(days=1))
    )

    assert 'rotator_account_held{account="a"} 1' in during
    assert 'rotator_account_held{account="a"} 0' in after
    assert "rotator_account_late_timestamp_seconds{" not in during
    assert "rotator_account_late_timestamp_seconds{" in after
