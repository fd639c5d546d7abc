"""When a change freeze ends, alone, with others and with windows."""

from datetime import UTC, datetime, timedelta

import pytest

from rotator.model import Freeze
from rotator.rotation import schedule, window
from tests.support.samples import NOW, account, policy, rotation

#: Noon on a Monday.
NOON = datetime(2026, 11, 23, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def freeze(since: int, until: int, reason: str = "audit") -> Freeze:
    """Return a freeze between so many hours from noon."""
    return Freeze(since=NOON + since * HOUR, until=NOON + until * HOUR, reason=reason)


@pytest.mark.parametrize(
    ("freezes", "at", "thaws"),
    [
        ((), 0, 0),
        ((freeze(1, 3),), 0, 0),
        ((freeze(1, 3),), 1, 3),
        ((freeze(1, 3),), 3, 3),
        ((freeze(1, 3), freeze(2, 5)), 1, 5),
        ((freeze(1, 3), freeze(3, 5)), 2, 5),
        ((freeze(1, 9), freeze(2, 5)), 2, 9),
        ((freeze(1, 3), freeze(4, 5)), 2, 3),
    ],
)
def test_freezes_that_touch_end_together(freezes: tuple[Freeze, ...], at: int, thaws: int) -> None:
    """The end is exclusive; between two that do not touch, things may happen."""
    found = window.thaws_at(policy(freezes=freezes), NOON + at * HOUR)

    assert found == NOON + thaws * HOUR


@pytest.mark.parametrize(
    ("texts", "freezes", "opens"),
    [
        # It opens at 14:00, and each day again.
        (("14:00-16:00",), (freeze(1, 3),), 3),
        (("14:00-16:00",), (freeze(1, 4),), 26),
        (("14:00-16:00",), (freeze(1, 3), freeze(25, 27)), 3),
        (("14:00-16:00",), (freeze(1, 4), freeze(25, 29)), 50),
        ((), (freeze(-1, 4),), 4),
    ],
)
def test_a_freeze_closes_windows(
    texts: tuple[str, ...], freezes: tuple[Freeze, ...], opens: int
) -> None:
    """What is put off is put off to a window that no freeze is over."""
    found = window.opens_at(policy(window=texts, freezes=freezes), NOON)

    assert found == NOON + opens * HOUR


def test_the_freeze_that_lasts_longest_is_named() -> None:
    """Its reason is the one for which there is nothing to do but wait."""
    frozen = policy(freezes=(freeze(-2, 1, "release"), freeze(-1, 3), freeze(0, 2, "fair")))

    found = window.freeze_at(frozen, NOON)

    assert found is not None
    assert found.reason == "audit"


def test_what_is_due_in_a_freeze_is_spread_after_it() -> None:
    """Accounts that became due in it do not all begin at its end."""
    jitter = policy(every=timedelta(days=1), jitter=HOUR, freezes=(freeze(-1, 24),))
    made = NOON - timedelta(days=1)
    due = {schedule.next_due(account(f"a{n}", policy=jitter), made) for n in range(20)}

    assert len(due) == 20
    assert all(at and NOON + 24 * HOUR <= at <= NOON + 25 * HOUR for at in due)


@pytest.mark.parametrize(
    ("reason", "grace", "deleted"),
    [
        ("due", timedelta(), 4),
        ("asked", timedelta(), 4),
        ("asked", 2 * HOUR, 4),
        ("compromised", timedelta(), 0),
        ("due", 5 * HOUR, 5),
    ],
)
def test_a_deletion_waits_unless_the_secret_leaked(
    reason: str, grace: timedelta, deleted: int
) -> None:
    """Also where an operator asked for no grace, which passes a window."""
    verified = rotation(reason=reason, grace=grace, verified_at=NOON)

    found = window.deletion_at(policy(freezes=(freeze(-1, 4),)), verified)

    assert found == NOON + deleted * HOUR


def test_nothing_is_deleted_before_it_is_verified() -> None:
    """There is no time for it yet."""
    assert window.deletion_at(policy(freezes=(freeze(-1, 4),)), rotation(opened_at=NOW)) is None
