from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rotator.model import GateWait, Step
from rotator.model.convergence import Convergence
from rotator.reporting.condition import GONE, STAYS
from rotator.web.upcoming import Next, next_of
from tests.support.samples import account
from tests.unit.reporting.test_status import (
    BROKEN,
    DRIFTED,
    HOLD,
    NOW,
    REFUSED,
    ROTATING,
    STUCK,
    WAITING,
    status,
)

DAY, HOUR, MINUTE = timedelta(days=1), timedelta(hours=1), timedelta(minutes=1)
LATE = replace(WAITING, verified_at=NOW - 27 * HOUR)
AT_GATE = GateWait(gate="g", reason="exit 1", shut_since=NOW - HOUR, retry_at=NOW + HOUR)
BOTH = {"listed_ids": ("new", "old")}


@pytest.mark.parametrize(
    ("known", "text", "at"),
    [
        ({"next_due_at": NOW + 20 * DAY + HOUR}, "rotation in 20d", NOW + 20 * DAY + HOUR),
        ({"next_due_at": NOW + DAY + HOUR}, "rotation in 1d 1h", NOW + DAY + HOUR),
        ({"next_due_at": None}, "not known yet", None),
        ({"last_rotation": WAITING}, "deletion of the old secret in 23h", NOW + 23 * HOUR),
        ({"next_due_at": NOW - HOUR, "retry_at": NOW + HOUR}, "next try in 1h", NOW + HOUR),
        ({"retry_at": NOW + HOUR}, "rotation in 20d", NOW + 20 * DAY),
        ({"last_rotation": ROTATING, "retry_at": NOW + HOUR}, "next try in 1h", NOW + HOUR),
        (
            {"last_rotation": replace(ROTATING, waiting=GateWait(retry_at=NOW + HOUR))},
            "goes on in 1h, in a window",
            NOW + HOUR,
        ),
        (
            {"last_rotation": LATE, "retry_at": NOW + HOUR},
            "deletion of the old secret is tried again in 1h",
            NOW + HOUR,
        ),
        (
            {"next_due_at": NOW - HOUR, "trouble": REFUSED, "retry_at": NOW + HOUR},
            "waits for an operator, and next try in 1h",
            NOW + HOUR,
        ),
    ],
)
def test_what_comes_next_is_in_the_future(
    known: dict[str, Any], text: str, at: datetime | None
) -> None:
    """A rotation, the deletion that is left of one, or the next try."""
    assert next_of(status(**known)) == Next(text=text, at=at)


@pytest.mark.parametrize(
    ("known", "text", "since"),
    [
        (
            {"next_due_at": NOW - 5 * MINUTE - timedelta(seconds=7)},
            "rotation due for 5m",
            NOW - 5 * MINUTE - timedelta(seconds=7),
        ),
        ({"next_due_at": NOW - timedelta(seconds=7)}, "rotation due for 7s", None),
        ({"last_rotation": LATE}, "deletion of the old secret due for 3h", NOW - 3 * HOUR),
        (
            {"last_rotation": replace(LATE, waiting=AT_GATE)},
            "deletion of the old secret waits for gate g",
            NOW - HOUR,
        ),
        (
            {
                "last_rotation": replace(
                    LATE,
                    waiting=replace(AT_GATE, convergence=Convergence(consumers=7, converged=3)),
                )
            },
            "deletion of the old secret waits for gate g (3 of 7 consumers)",
            NOW - HOUR,
        ),
        (
            {"last_rotation": replace(LATE, waiting=replace(AT_GATE, gate="clock"))},
            "deletion of the old secret waits for the clock",
            NOW - HOUR,
        ),
        (
            {"last_rotation": replace(LATE, step=Step.PROVE, deleted_at=NOW - HOUR)},
            "the deleted secret is tried until Vonage refuses it",
            NOW - HOUR,
        ),
        ({"last_rotation": ROTATING}, "being rotated now", ROTATING.opened_at),
        ({"last_rotation": STUCK}, "rotation open for 3d", STUCK.opened_at),
        ({"next_due_at": NOW - DAY, "hold": HOLD}, "nothing while held", HOLD.at),
        (
            {"last_rotation": LATE, "hold": replace(HOLD, freeze=True)},
            "the old secret stays while held",
            HOLD.at,
        ),
        ({"trouble": BROKEN}, "nothing until what is wrong is mended", BROKEN.since),
        ({"trouble": DRIFTED}, "nothing until what is wrong is mended", DRIFTED.since),
        ({"trouble": REFUSED}, "nothing until an operator decides", REFUSED.since),
        ({"trouble": BROKEN, "last_rotation": WAITING, **BOTH}, STAYS, BROKEN.since),
        ({"trouble": REFUSED, "last_rotation": LATE, "hold": HOLD, **BOTH}, STAYS, REFUSED.since),
        ({"trouble": DRIFTED, "last_rotation": WAITING}, GONE, DRIFTED.since),
        (
            {"last_rotation": None, "current_id": None, "next_due_at": None},
            "nothing until it is adopted",
            NOW - HOUR,
        ),
        (
            {"last_rotation": LATE, "hold": HOLD},
            "deletion of the old secret due for 3h",
            NOW - 3 * HOUR,
        ),
    ],
)
def test_what_is_past_is_not_said_to_come(
    known: dict[str, Any], text: str, since: datetime | None
) -> None:
    """Instead of a time that is past, the page says what is the case, and since when."""
    found = next_of(status(**known))

    assert (found.text, found.is_past) == (text, True)
    assert since in (None, found.at)
    assert found.at
    assert found.at < NOW
    assert found.is_pending == (" due for " in text or " open for " in text)


def test_a_deletion_outside_a_window_waits_for_one() -> None:
    """After the grace, the next window is named."""
    sunday = replace(account("a"), policy=replace(account("a").policy, window=("sun 02:00-05:00",)))
    found = next_of(replace(status(last_rotation=LATE), account=sunday))

    assert found.text == "deletion of the old secret in 5d, in a window"
