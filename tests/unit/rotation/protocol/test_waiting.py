"""Waiting: for the end of a grace, and for a window."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest

from rotator.model import Account, Request, Rotation, Step
from rotator.rotation.protocol import decide
from rotator.rotation.protocol.waiting import waits_until
from rotator.rotation.steps.prepare import Evict
from rotator.rotation.steps.retire import Wait
from tests.support.observations import but
from tests.support.samples import NOW, account, policy
from tests.unit.rotation.protocol.facts import (
    ACCOUNT,
    ASKED,
    GRACE,
    PATIENCE,
    PENDING,
    QUIET,
    ROTATION,
    WITH_ALIEN,
)


@pytest.mark.parametrize("step", list(Step))
def test_only_a_waiting_rotation_waits(step: Step) -> None:
    """In any other step there is something to do or to look at."""
    rotation = replace(ROTATION, step=step, verified_at=NOW)
    until = waits_until(ACCOUNT, rotation, Request(reason=None), NOW)

    assert until == (NOW + GRACE if step is Step.WAIT else None)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, GRACE),
        (timedelta(), timedelta()),
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(days=9), GRACE),
    ],
)
def test_a_grace_asked_for_shortens_the_wait(asked: timedelta | None, expected: timedelta) -> None:
    """It never lengthens it."""
    rotation = replace(ROTATION, step=Step.WAIT, verified_at=NOW)

    assert waits_until(ACCOUNT, rotation, Request(reason=None, grace=asked), NOW) == NOW + expected


def test_a_waiting_rotation_without_a_time_does_not_wait() -> None:
    """A record that cannot be is looked at, not believed."""
    rotation = replace(ROTATION, step=Step.WAIT, verified_at=None)

    assert waits_until(ACCOUNT, rotation, Request(reason=None), NOW) is None


#: Closed at NOW.
CLOSED = account(policy=policy(window=("09:00-10:00",)))
OPENS = NOW.replace(hour=9, minute=0)
DUE = Request(reason="due")
BY_ITSELF = replace(ROTATION, reason="due")
SENT = replace(BY_ITSELF, step=Step.CREATE, sent_at=NOW)
ABORTED = replace(BY_ITSELF, step=Step.ABORT, abort_code="overtaken")


@pytest.mark.parametrize(
    ("rotation", "request_", "waits"),
    [
        (None, DUE, True),
        (None, ASKED, False),
        (None, Request(reason="compromised"), False),
        (None, Request(reason=None), False),
        (BY_ITSELF, DUE, True),
        (BY_ITSELF, Request(reason=None), True),
        (BY_ITSELF, ASKED, False),
        # Asked for by a process that died.
        (ROTATION, DUE, False),
        (SENT, DUE, False),
        (replace(SENT, sent_at=None, new_id="new"), DUE, False),
        (ABORTED, DUE, False),
        (replace(ABORTED, new_id="new"), DUE, True),
        (replace(ABORTED, new_id="new"), ASKED, False),
    ],
)
def test_what_waits_for_a_window(
    rotation: Rotation | None, request_: Request, *, waits: bool
) -> None:
    """What has not begun, and deletions; not what is on its way, nor what a person asked for."""
    expected = OPENS if waits else None
    action = decide(
        CLOSED,
        but(QUIET, rotation=rotation),
        request_,
        propagation_timeout=PATIENCE,
        now=NOW,
    )

    assert waits_until(CLOSED, rotation, request_, NOW) == expected
    assert (action == Wait(until=OPENS)) is waits
    assert waits_until(CLOSED, rotation, request_, OPENS) is None


@pytest.mark.parametrize(
    ("account", "rotation", "request_", "waits"),
    [
        (CLOSED, SENT, DUE, True),
        (CLOSED, SENT, Request(reason=None), True),
        (CLOSED, SENT, ASKED, False),
        (CLOSED, replace(SENT, reason="asked"), DUE, False),
        (ACCOUNT, SENT, DUE, False),
    ],
)
def test_a_slot_is_freed_in_a_window(
    account: Account, rotation: Rotation, request_: Request, *, waits: bool
) -> None:
    """For a value that was sent and did not arrive, too, unless a person asked."""
    expendable = frozenset({"alien"})
    observation = but(
        QUIET, listed=WITH_ALIEN, expendable_ids=expendable, rotation=rotation, pending=PENDING
    )
    action = decide(account, observation, request_, propagation_timeout=PATIENCE, now=NOW)

    assert action == (Wait(until=OPENS) if waits else Evict(secret_id="alien"))


@pytest.mark.parametrize(
    ("rotation", "asked", "until"),
    [
        (replace(BY_ITSELF, grace=timedelta()), None, OPENS),
        (replace(BY_ITSELF, grace=timedelta(hours=3)), None, OPENS + timedelta(days=1)),
        (replace(BY_ITSELF, grace=timedelta(hours=2)), timedelta(minutes=1), OPENS),
        (replace(BY_ITSELF, grace=timedelta(hours=2)), timedelta(), NOW),
        (replace(ROTATION, grace=timedelta()), None, NOW),
        (replace(ROTATION, grace=timedelta(minutes=1)), None, OPENS),
    ],
)
def test_a_deletion_waits_for_a_window(
    rotation: Rotation, asked: timedelta | None, until: datetime
) -> None:
    """The first one after the grace; only who asks for no grace asks for no window either."""
    rotation = replace(rotation, step=Step.WAIT, verified_at=NOW)

    assert waits_until(CLOSED, rotation, Request(reason=None, grace=asked), NOW) == until
