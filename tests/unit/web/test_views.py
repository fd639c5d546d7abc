from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest

from rotator.ledger.chain import Entry
from rotator.model import GateWait, Rotation, Step
from rotator.web.app import Cached
from rotator.web.views import (
    Slot,
    StepView,
    account_detail,
    entry_view,
    policy_facts,
    slots,
    steps,
)
from tests.support.samples import account
from tests.unit.reporting.test_status import (
    BROKEN,
    COMPLETED,
    DRIFTED,
    FAILED,
    HOLD,
    NOW,
    REFUSED,
    ROTATING,
    WAITING,
    status,
)

DAY, HOUR = timedelta(days=1), timedelta(hours=1)
UNDONE = replace(FAILED, vault_version=None)
LATE = replace(WAITING, verified_at=NOW - 27 * HOUR)
AT_GATE = GateWait(gate="g", reason="exit 1", shut_since=NOW - HOUR, retry_at=NOW + HOUR)


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
        (
            {"listed_ids": (), "current_id": None, "last_rotation": None},
            [("", "unseen"), ("", "unseen")],
        ),
        # Broken: Vonage accepts no credential that it could be asked with.
        ({"listed_ids": (), "current_id": None}, [("new", "current"), ("", "unseen")]),
        (
            {"listed_ids": (), "current_id": None, "last_rotation": None, "adopted_id": "x"},
            [("x", "current"), ("", "unseen")],
        ),
        (
            {"listed_ids": (), "current_id": None, "last_rotation": WAITING},
            [("new", "current"), ("old", "predecessor")],
        ),
        (
            {"listed_ids": (), "current_id": None, "last_rotation": UNDONE},
            [("old", "current"), ("", "unseen")],
        ),
        # Drifted: whose the value in Vault is, is not certain.
        (
            {"listed_ids": ("new", "x"), "current_id": None, "adopted_id": "x"},
            [("x", "current"), ("new", "foreign")],
        ),
        ({"listed_ids": ("new",), "current_id": None}, [("new", "current"), ("", "empty")]),
    ],
)
def test_slots_tell_what_is_in_them(known: dict[str, Any], expected: list[tuple[str, str]]) -> None:
    """The current secret comes first; what rotator does not know is foreign."""
    found = slots(status(**known), {"done"})

    assert list(found) == [Slot(id=each, kind=kind) for each, kind in expected]


@pytest.mark.parametrize(
    ("known", "note"),
    [
        ({"trouble": BROKEN, "listed_ids": (), "current_id": None}, "by rotator's own record: "),
        ({"trouble": DRIFTED, "current_id": None}, "current is what rotator put into Vault last; "),
        ({"trouble": DRIFTED}, ""),
        ({"current_id": None}, ""),
        ({"trouble": BROKEN, "last_rotation": None, "current_id": None}, ""),
    ],
)
def test_what_is_not_certain_of_the_slots_is_said(known: dict[str, Any], note: str) -> None:
    """While something is wrong, and only where the page shows more than was seen."""
    found = account_detail(status(**known)).slots_note

    assert found.startswith(note) if note else not found


def test_a_rotation_that_is_over_has_no_steps() -> None:
    """Only an open one is shown with its progress."""
    assert not account_detail(status(last_rotation=COMPLETED)).steps


def test_a_policy_that_wants_proof_says_so() -> None:
    """Else the page says nothing of it."""
    facts = dict(policy_facts(replace(account("a").policy, prove_deletion=True)))

    assert facts["deleted secrets"] == "tried until Vonage refuses them"
    assert "deleted secrets" not in dict(policy_facts(account("a").policy))


@pytest.mark.parametrize(
    ("policy", "fact"),
    [
        ({}, ("rotate every", "30d")),
        ({"every": None, "cron": "0 3 * * 0"}, ("rotate at", "0 3 * * 0 (UTC)")),
        ({"every": None, "max_age": None}, ("rotate", "on request only")),
    ],
)
def test_a_policy_is_told_in_words(policy: dict[str, Any], fact: tuple[str, str]) -> None:
    """By an interval or by a calendar."""
    assert next(policy_facts(replace(account("a").policy, **policy))) == fact


# -- The steps of a rotation. --------------------------------------------------------------


def steps_of(
    rotation: Rotation,
    entries: list[Entry],
    **known: Any,  # noqa: ANN401  # of `AccountSummary`
) -> list[StepView]:
    """Return a rotation's progress, with no window to wait for."""
    return steps(status(last_rotation=rotation, **known), entries)


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


CLEARED = [entry("done", step) for step in (Step.OPEN, Step.VERIFY, Step.CLEAR)]


def wait_of(
    rotation: Rotation,
    *later: Entry,
    **known: Any,  # noqa: ANN401  # of `AccountSummary`
) -> StepView:
    """Return the wait in the progress of a rotation whose pending entry is cleared."""
    found_steps = steps_of(rotation, [*CLEARED, *later], **known)
    (found,) = [step for step in found_steps if step.name == "wait"]
    return found


def test_a_proof_is_shown_once_it_has_begun() -> None:
    """With a note while Vonage still accepts the old secret."""
    deleted = [*CLEARED, entry("done", Step.DELETE)]
    tried = steps_of(LATE, [*deleted, entry("still-accepted", Step.PROVE)])
    proved = steps_of(LATE, [*deleted, entry("dead-after", Step.PROVE)])

    assert "prove" not in marked(steps_of(LATE, deleted))
    assert "+delete *prove -complete" in marked(tried)
    assert [step.note for step in tried if step.name == "prove"] == [
        "the old secret still works; trying again"
    ]
    assert "+delete +prove *complete" in marked(proved)


def test_a_wait_has_an_end() -> None:
    """A rotation in its grace says until when; the wait is over once the deletion has begun."""
    begun = entry("intent", Step.DELETE, at=NOW - HOUR)
    gone = entry("done", Step.DELETE)

    assert wait_of(WAITING) == StepView(name="wait", state="now", at=WAITING.delete_due_at)
    assert wait_of(LATE, begun) == StepView(name="wait", state="done", at=NOW - HOUR)
    assert wait_of(LATE, begun, gone) == StepView(name="wait", state="done", at=NOW - HOUR)
    assert "+wait *delete" in marked(steps_of(LATE, [*CLEARED, begun]))


@pytest.mark.parametrize(
    ("waiting", "note"),
    [
        (None, "the grace is over"),
        (AT_GATE, "for gate g"),
        (replace(AT_GATE, gate="clock"), "for the clock"),
    ],
)
def test_a_wait_whose_time_has_come_goes_on_until_the_deletion(
    waiting: GateWait | None, note: str
) -> None:
    """It is not shown as done, nor with a time that is past, and names what it waits for."""
    late = replace(LATE, waiting=waiting)

    assert wait_of(late) == StepView(name="wait", state="now", at=None, note=note)


@pytest.mark.parametrize(
    ("known", "note"),
    [
        ({"trouble": BROKEN}, "until what is wrong is mended"),
        ({"trouble": REFUSED}, "until what is wrong is mended"),
        ({"hold": replace(HOLD, freeze=True)}, "while held"),
    ],
)
@pytest.mark.parametrize("rotation", [WAITING, LATE])
def test_a_wait_has_no_end_while_nothing_is_deleted(
    rotation: Rotation, known: dict[str, Any], note: str
) -> None:
    """Neither in the grace nor after it does the page announce a deletion that does not come."""
    assert wait_of(rotation, **known) == StepView(name="wait", state="now", at=None, note=note)


def test_a_gate_that_shuts_after_a_deletion_was_tried_is_waited_for() -> None:
    """The wait is not over, whatever was begun before."""
    late = replace(LATE, waiting=AT_GATE)
    again = wait_of(late, entry("intent", Step.DELETE), entry("gate-shut", Step.WAIT))

    assert (again.state, again.note) == ("now", "for gate g")


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


def test_a_rotation_that_was_closed_meanwhile_has_nothing_to_come() -> None:
    """Between two looks at the ledger."""
    assert "*" not in marked(steps_of(ROTATING, [entry("closed", Step.COMPLETE)]))


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


def test_a_value_is_made_anew_from_time_to_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each page."""
    made: list[float] = []
    now = [100.0]
    monkeypatch.setattr("rotator.web.app.time.monotonic", lambda: now[0])
    cached = Cached(lambda: made.append(now[0]), seconds=15)
    for now[0] in (100.0, 114.0, 115.0):
        cached.get()

    assert made == [100.0, 115.0]
