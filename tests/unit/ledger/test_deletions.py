"""What is kept of deletions: from before a request is sent, by what became of it."""

from typing import Any

import pytest

from rotator.ledger.deletions import MOST, Deletion, after, concerns, read, written
from rotator.model import Step
from rotator.rotation.ports import NewEntry
from tests.support.samples import rotation

ROTATION = rotation(predecessor_id="x")
BEGUN, UNKNOWN, DONE = Deletion.BEGUN, Deletion.UNKNOWN, Deletion.DONE


def entry_about_x(event: str, step: Step | None = Step.DELETE, **detail: Any) -> NewEntry:  # noqa: ANN401
    """Return an entry about secret `x`."""
    return NewEntry(event=event, step=step, detail={"secret_id": "x", **detail})


CLOSED = entry_about_x("closed", Step.COMPLETE, outcome="completed")


@pytest.mark.parametrize("step", [Step.DELETE, Step.EVICT, None])
@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (["intent"], BEGUN),
        (["intent", "done"], DONE),
        (["intent", "unknown"], UNKNOWN),
        (["intent", "rejected"], None),
        (["intent", "withdrawn"], None),
        # The process died with the first, so that the request may be on its way.
        (["intent", "intent"], UNKNOWN),
        (["intent", "intent", "rejected"], UNKNOWN),
        (["intent", "unknown", "intent", "withdrawn"], UNKNOWN),
        (["intent", "unknown", "intent", "done"], DONE),
        # A list showed it once more, and it was deleted again.
        (["done", "intent"], DONE),
        (["done", "intent", "rejected"], DONE),
        (["done", "unknown"], DONE),
    ],
)
def test_what_became_of_a_deletion(
    step: Step | None, events: list[str], expected: Deletion | None
) -> None:
    """Certain is what was answered; a request that may be on its way is never forgotten."""
    by_hand = {} if step else {"operation": "delete"}
    entries = [entry_about_x(event, step, **by_hand) for event in events]

    assert after((), entries, ROTATION) == ((("x", expected),) if expected else ())


def test_what_is_gone_already_is_deleted() -> None:
    """By hand, Vonage's word that there is no such secret is told as a refusal."""
    entries = [entry_about_x("intent"), entry_about_x("rejected", code="secret-not-found")]

    assert after((), entries, ROTATION) == (("x", DONE),)


@pytest.mark.parametrize(
    ("before", "opened", "expected"),
    [
        ((("x", UNKNOWN),), ROTATION, (("x", DONE),)),
        ((), ROTATION, ()),
        ((("x", UNKNOWN),), None, (("x", UNKNOWN),)),
    ],
)
def test_a_predecessor_that_is_not_listed_any_more_is_gone(
    before: Any,  # noqa: ANN401  # deletions
    opened: Any,  # noqa: ANN401  # a rotation
    expected: Any,  # noqa: ANN401  # deletions
) -> None:
    """A rotation is completed by that; what it never tried to delete is not its business."""
    assert after(before, [CLOSED], opened) == expected


@pytest.mark.parametrize(
    "entry",
    [
        entry_about_x("intent", Step.CREATE),
        entry_about_x("done", None, operation="create"),
        entry_about_x("closed", Step.ABORT, outcome="failed"),
        NewEntry(event="failed", step=None, detail={}),
    ],
)
def test_other_entries_are_not_about_deletions(entry: NewEntry) -> None:
    """They change nothing of what is known."""
    assert concerns(entry) is False
    assert after((("x", BEGUN),), [entry], ROTATION) == (("x", BEGUN),)


def test_an_entry_that_names_no_secret_tells_nothing() -> None:
    """There is nothing to keep of it."""
    assert after((), [NewEntry(event="intent", step=Step.DELETE, detail={})], None) == ()


def test_the_newest_are_kept() -> None:
    """The record of an account stays as short as it is, however often it is rotated."""
    entries = [entry_about_x("done", secret_id=str(number)) for number in range(MOST + 3)]
    known = after((), entries, None)

    assert [secret_id for secret_id, _ in known] == [str(each) for each in range(3, MOST + 3)]
    assert read(written(known)) == known
