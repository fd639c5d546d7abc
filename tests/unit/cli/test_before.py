"""What `--before` leaves of a command that was given once already."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.cli.before import moment, remainder
from rotator.errors import ConfigError
from rotator.model import Outcome, Request, Rotation, Step
from rotator.rotation.ports import AccountSummary
from tests.support.samples import account, rotation

#: When the first run began.
BEFORE = datetime(2026, 11, 30, 2, 41, 25, tzinfo=UTC)
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LEAK = Request(reason="compromised", grace=timedelta())
ASKED = Request(reason="asked")
DONE = rotation(
    reason="compromised",
    step=Step.COMPLETE,
    grace=timedelta(),
    opened_at=BEFORE + MINUTE,
    verified_at=BEFORE + MINUTE,
    new_id="new",
    closed_at=BEFORE + MINUTE,
    outcome="completed",
)
PUSHED = replace(DONE, step=Step.DELETE, closed_at=None, outcome=None)
IN_GRACE = replace(PUSHED, reason="asked", step=Step.WAIT, grace=DAY)


def left(request: Request = LEAK, **known: Any) -> str:  # noqa: ANN401  # of `AccountSummary`
    """Return what is left of an account: all of it, the rest of its rotation, or nothing."""
    usual: dict[str, Any] = {"current_id": "old", "current_since": BEFORE - DAY}
    summary = AccountSummary(name="sms", **(usual | known))
    found = remainder([account()], [summary], request, BEFORE)
    if found.results:
        assert not found.accounts
        return found.results[0].outcome.value
    if not found.accounts:
        return "nothing"
    return "the rest" if found.resumed else "all"


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, "all"),
        ({"current_id": None, "current_since": None}, "all"),
        ({"last_rotation": replace(DONE, outcome="failed", new_id=None)}, "all"),
        ({"last_rotation": replace(DONE, opened_at=BEFORE - MINUTE), "current_id": "new"}, "all"),
        ({"last_rotation": replace(PUSHED, verified_at=None)}, "all"),
        ({"last_rotation": DONE, "current_id": "new", "current_since": BEFORE}, "completed"),
        # Somebody replaced the secret again, with one that is known to be old.
        ({"last_rotation": DONE, "current_id": "old"}, "all"),
        ({"last_rotation": PUSHED, "current_id": "new"}, "the rest"),
        ({"last_rotation": IN_GRACE, "current_id": "new"}, "all"),
        # Made by somebody else: certain only beyond what clocks may differ by.
        ({"current_since": BEFORE + MINUTE}, "all"),
        ({"current_since": BEFORE + 2 * MINUTE}, "nothing"),
    ],
)
def test_nothing_is_rotated_twice_nor_left_out(known: dict[str, Any], expected: str) -> None:
    """What is done by the record is shown; what is not certain to be done is done."""
    assert left(**known) == expected


@pytest.mark.parametrize(
    ("request_", "opened", "expected"),
    [
        (ASKED, IN_GRACE, "the rest"),
        (ASKED, PUSHED, "the rest"),
        (Request(reason="asked", grace=HOUR), IN_GRACE, "all"),
        (Request(reason="asked", grace=2 * DAY), IN_GRACE, "the rest"),
    ],
)
def test_a_rotation_in_its_grace_is_not_asked_for_again(
    request_: Request,
    opened: Rotation,
    expected: str,
) -> None:
    """It is refused otherwise; only a shorter grace is something to ask for."""
    assert left(request_, last_rotation=opened, current_id="new") == expected


def test_what_was_done_is_in_the_document() -> None:
    """With the ids by which it is known."""
    known = AccountSummary(name="sms", current_id="new", last_rotation=DONE)
    (result,) = remainder([account()], [known], LEAK, BEFORE).results

    assert result.outcome is Outcome.COMPLETED
    assert (result.old_secret_id, result.new_secret_id) == ("old", "new")


def test_a_time_has_an_offset() -> None:
    """Any one will do."""
    assert moment("2026-11-30T02:41:25Z", BEFORE) == BEFORE
    assert moment("2026-11-30T03:41:25+01:00", BEFORE) == BEFORE


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("yesterday", "is not a time"),
        ("2026-11-30T02:41:25", "has no time zone"),
        ("2026-11-30T02:41:26Z", "is still to come"),
    ],
)
def test_what_is_no_certain_time_is_refused(text: str, rule: str) -> None:
    """A guess would leave out an account, or rotate it twice."""
    with pytest.raises(ConfigError, match=rule) as caught:
        moment(text, BEFORE)

    assert caught.value.hint
