from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from rotator.ledger.chain import Entry
from rotator.model import GateWait, Rotation, Step
from rotator.model.notification import Event, PendingDelivery
from rotator.web.app import Cached
from rotator.web.views import (
    DAYS,
    HEIGHT,
    Slot,
    StepView,
    account_detail,
    entry_view,
    policy_facts,
    slots,
    steps,
    timeline,
    timeline_until,
)
from tests.support.samples import account
from tests.unit.reporting.test_status import (
    COMPLETED,
    FAILED,
    HOLD,
    NOW,
    ROTATING,
    WAITING,
    status,
)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)


def entry(event: str, step: Step | None = None, detail: str = "{}", at: datetime = NOW) -> Entry:
    """Return an entry of a rotation."""
    return Entry("a", 1, "r", f"{at:%Y-%m-%dT%H:%M:%S.%fZ}", event, step, detail, "0" * 64, "h")


# -- The age of the secret. ----------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "text", "percent", "tone"),
    [
        ({"current_since": NOW - 9 * DAY}, "9d", 20.0, "young"),
        ({"current_since": NOW - 31 * DAY, "next_due_at": NOW - DAY}, "31d", 68.9, "due"),
        ({"current_since": NOW - 90 * DAY}, "90d", 100.0, "late"),
        ({"current_since": NOW + HOUR}, "0s", 0.0, "young"),
    ],
)
def test_age_is_measured_against_the_policy(
    known: dict[str, Any], text: str, percent: float, tone: str
) -> None:
    """A bar is full when the secret is too old, and never more than full."""
    age = account_detail(status(**known)).age

    assert age
    assert (age.text, age.percent, age.tone, age.limit) == (text, percent, tone, "45d")
    assert age.mark == 66.7


def test_age_that_is_not_known_has_no_bar() -> None:
    """Before an account was seen there is nothing to measure."""
    assert account_detail(status(current_since=None)).age is None


# -- The two slots. ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ({}, [("new", "current"), ("", "empty")]),
        ({"listed_ids": ("new", "done")}, [("new", "current"), ("done", "expendable")]),
        (
            {"listed_ids": ("new", "old"), "current_id": "old", "last_rotation": ROTATING},
            [("old", "current"), ("new", "new")],
        ),
        (
            {
                "listed_ids": ("new", "old"),
                "current_id": None,
                "last_rotation": replace(ROTATING, vault_version=None),
            },
            [("old", "current"), ("new", "new")],
        ),
        (
            {"listed_ids": ("new", "old"), "current_id": None, "last_rotation": WAITING},
            [("new", "current"), ("old", "predecessor")],
        ),
        ({"listed_ids": ("new", "x")}, [("new", "current"), ("x", "foreign")]),
        ({"listed_ids": (), "current_id": None}, [("", "unseen"), ("", "unseen")]),
    ],
)
def test_slots_tell_what_is_in_them(known: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """The current secret comes first; what rotator does not know is foreign."""
    found = slots(status(**known), {"done"})

    assert list(found) == [Slot(id=each, kind=kind) for each, kind in expected]


# -- What is next, and what is wrong. ------------------------------------------------------


@pytest.mark.parametrize(
    ("known", "due", "is_past"),
    [
        ({"next_due_at": NOW + 20 * DAY + HOUR}, "in 20d", False),
        ({"next_due_at": NOW + DAY + HOUR}, "in 1d 1h", False),
        ({"next_due_at": NOW - 5 * timedelta(minutes=1)}, "5m ago", True),
        ({"next_due_at": None}, "not known yet", False),
        ({"last_rotation": WAITING, "next_due_at": NOW - DAY}, "deletion in 23h", False),
    ],
)
def test_it_is_told_what_is_next(known: dict[str, Any], due: str, *, is_past: bool) -> None:
    """A rotation, or the deletion that is left of one."""
    found = account_detail(status(**known))

    assert found.due == due
    assert (found.due_at is not None and found.due_at <= NOW) is is_past


@pytest.mark.parametrize(
    ("known", "note"),
    [
        ({"hold": HOLD}, "held: moving house (ann)"),
        ({"drift": "foreign: z"}, "foreign: z"),
        ({"current_since": NOW - 50 * DAY}, "overdue: secret older than 45d"),
        (
            {
                "last_rotation": replace(
                    WAITING,
                    waiting=GateWait(gate="g", reason="exit 1", shut_since=NOW, retry_at=NOW),
                )
            },
            "waiting for gate g since 2026-11-23 12:00 UTC: exit 1",
        ),
        ({"last_rotation": FAILED}, "last rotation failed 2d ago: secret-rejected"),
        (
            {"failures": 1, "retry_at": NOW + HOUR},
            "1 try failed; the next one not before 2026-11-23 13:00 UTC",
        ),
        (
            {"failures": 3, "retry_at": NOW + HOUR},
            "3 tries in a row failed; the next one not before 2026-11-23 13:00 UTC",
        ),
    ],
)
def test_it_is_told_what_is_wrong(known: dict[str, Any], note: str) -> None:
    """In the words of the ledger."""
    assert account_detail(status(**known)).notes == (note,)


def test_a_hook_that_fails_is_told() -> None:
    """With its reason; one that was not tried yet is no trouble."""
    waiting = PendingDelivery(
        account="a",
        hook="chat",
        event=Event.PUSHED,
        since=NOW,
        attempts=0,
        reason=None,
        next_try_at=NOW,
    )
    failing = replace(waiting, attempts=2, reason="answered 500")

    assert account_detail(status(undelivered=(waiting,))).notes == ()
    assert account_detail(status(undelivered=(failing,))).notes == (
        "hook chat fails (pushed, tried 2 times): answered 500",
    )


def test_what_is_well_has_no_notes() -> None:
    """And no steps of a rotation that is over."""
    found = account_detail(status(last_rotation=COMPLETED))

    assert not found.notes
    assert not found.steps


@pytest.mark.parametrize(
    ("policy", "fact"),
    [
        ({}, ("rotate every", "30d")),
        ({"every": None, "cron": "0 3 * * 0"}, ("rotate at", "0 3 * * 0 (UTC)")),
    ],
)
def test_a_policy_is_told_in_words(policy: dict[str, Any], fact: tuple[str, str]) -> None:
    """By an interval or by a calendar."""
    assert next(policy_facts(replace(account("a").policy, **policy))) == fact


# -- The steps of a rotation. --------------------------------------------------------------


def steps_of(rotation: Rotation, entries: list[Entry]) -> list[StepView]:
    """Return a rotation's progress, with no window to wait for."""
    return steps(rotation, entries, deletion_at=rotation.delete_due_at)


def marked(found: list[StepView]) -> str:
    """Write steps down: done ones, then the present one, then the others."""
    marks = {"done": "+", "now": "*", "todo": "-"}
    return " ".join(f"{marks[step.state]}{step.name}" for step in found)


@pytest.mark.parametrize(
    ("entries", "expected"),
    [
        ([], "*open -stage -create -probe -push -verify -clear -wait -delete -complete"),
        (
            [entry("opened", Step.OPEN), entry("intent", Step.STAGE)],
            "+open *stage -create -probe -push -verify -clear -wait -delete -complete",
        ),
        (
            [entry("opened", Step.OPEN), entry("done", Step.EVICT), entry("done", Step.STAGE)],
            "+open +evict +stage *create -probe -push -verify -clear -wait -delete -complete",
        ),
        (
            [entry("opened", Step.OPEN), entry("learned", Step.CREATE)],
            "+open -stage +create *probe -push -verify -clear -wait -delete -complete",
        ),
    ],
)
def test_steps_are_done_one_after_the_other(entries: list[Entry], expected: str) -> None:
    """What was done, what comes next, and what is left."""
    assert marked(steps_of(ROTATING, entries)) == expected


def test_a_wait_has_an_end() -> None:
    """A rotation in its grace says until when; after the deletion the wait is over."""
    done = [entry("done", step) for step in (Step.OPEN, Step.VERIFY, Step.CLEAR)]
    before = {step.name: step for step in steps_of(WAITING, done)}
    after = {step.name: step for step in steps_of(WAITING, [*done, entry("done", Step.DELETE)])}

    assert before["wait"] == StepView(name="wait", state="now", at=WAITING.delete_due_at)
    assert after["wait"].state == "done"
    assert after["complete"].state == "now"


def test_a_step_whose_entry_was_tampered_with_has_no_time() -> None:
    """It was taken all the same."""
    opened = entry("opened", Step.OPEN)._replace(at="yesterday")

    assert steps_of(ROTATING, [opened])[0] == StepView(name="open", state="done", at=None)


def test_trouble_is_told_until_it_is_over() -> None:
    """A lost answer is told at its step, and no more once it is known."""
    lost = [entry("opened", Step.OPEN), entry("unknown", Step.CREATE)]
    found = {step.name: step.note for step in steps_of(ROTATING, lost)}
    mended = steps_of(ROTATING, [*lost, entry("learned", Step.CREATE)])

    assert found["create"] == "answer lost; checking"
    assert not any(step.note for step in mended)


def test_a_rotation_that_is_given_up_says_so() -> None:
    """Whatever was done, what is done now is to undo it."""
    rotation = replace(ROTATING, step=Step.ABORT, abort_code="x")
    found = steps_of(rotation, [entry("opened", Step.OPEN), entry("aborting", Step.ABORT)])

    assert found[-1] == StepView(name="abort", state="now", at=None, note="being undone")


def test_a_rotation_that_is_over_has_nothing_to_come() -> None:
    """Between two looks a rotation may have been closed."""
    assert "*" not in marked(steps_of(COMPLETED, [entry("closed", Step.COMPLETE)]))


# -- Entries. ------------------------------------------------------------------------------


def test_an_entry_is_told_in_words() -> None:
    """Step, event and the facts that there are."""
    found = entry_view(entry("done", Step.CREATE, '{"n":2,"none":null,"secret_id":"x"}'))

    assert found.what == "create done"
    assert found.detail == "n=2 secret_id=x"
    assert found.at == NOW


def test_an_entry_that_was_tampered_with_is_shown_as_far_as_it_goes() -> None:
    """No time and no facts, where none can be read."""
    found = entry_view(entry("drift")._replace(at="yesterday", detail="{"))

    assert (found.at, found.detail, found.what) == (None, "", "drift")


# -- Ninety days. --------------------------------------------------------------------------

TODAY = date(2026, 11, 23)


def test_bars_stand_on_each_other_within_the_picture() -> None:
    """Failed upon completed; the busiest day is as high as the picture."""
    counts = {TODAY: {"completed": 997, "failed": 3}, TODAY - DAY: {"failed": 1}}
    found = timeline(counts, TODAY)
    today, yesterday = found.bars[-1], found.bars[-2]

    assert len(found.bars) == DAYS
    assert sum(today.completed) == HEIGHT
    assert sum(today.failed) == today.completed[0]
    assert today.failed[0] >= 0
    assert yesterday.completed == (HEIGHT, 0)
    assert yesterday.failed == (HEIGHT - 3, 3)
    assert today.title == "2026-11-23: 997 completed, 3 failed"
    assert (found.completed, found.failed) == (997, 4)


def test_days_without_rotations_are_empty() -> None:
    """As are those before the first of the ninety."""
    found = timeline({TODAY - 90 * DAY: {"completed": 5}}, TODAY)

    assert {bar.completed for bar in found.bars} == {(HEIGHT, 0)}
    assert found.bars[0].title == "2026-08-26: none"
    assert found.labels[0] == "Aug 26"


def test_a_timeline_begins_with_its_first_day() -> None:
    """Counted from the midnight before it, in UTC."""
    asked: list[datetime] = []

    def count(since: datetime) -> dict[date, dict[str, int]]:
        asked.append(since)
        return {}

    timeline_until(NOW, count)

    assert asked == [datetime(2026, 8, 26, tzinfo=UTC)]


def test_a_value_is_made_anew_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each page."""
    made: list[float] = []
    now = [100.0]
    monkeypatch.setattr("rotator.web.app.time.monotonic", lambda: now[0])
    cached = Cached(lambda: made.append(now[0]), seconds=15)
    for now[0] in (100.0, 114.0, 115.0):
        cached.get()

    assert made == [100.0, 115.0]
