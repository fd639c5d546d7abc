"""What a look shows that no entry records, by the row, the entries and the snapshot alone."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from rotator.ledger import sightings
from rotator.model import Rotation, Step
from rotator.rotation.ports import AccountSnapshot, NewEntry
from tests.support import samples
from tests.support.samples import NOW

ROTATION = samples.rotation(predecessor_id="old", new_id=None)
SENT = replace(ROTATION, sent_at=NOW)
MADE = replace(SENT, new_id="new")


def looked(*listed_ids: str, current_id: str | None = None) -> AccountSnapshot:
    """Return the snapshot of a look that showed these."""
    return AccountSnapshot(listed_ids=listed_ids, current_id=current_id, current_since=None)


def entry(event: str, step: Step | None = None, **detail: Any) -> NewEntry:  # noqa: ANN401
    """Return an entry, of a rotation where it has a step."""
    rotation_id = "r" if step else None
    return NewEntry(event=event, step=step, detail=detail, rotation_id=rotation_id)


def found(
    recorded: str | None,
    snapshot: AccountSnapshot | None,
    *,
    entries: Sequence[NewEntry] = (),
    rotation: Rotation | None = None,
    deletions: str = "[]",
) -> tuple[list[tuple[str, Any]], Any]:
    """Return the sightings, each with its secret, and the column after them; None as it was."""
    row = {"recorded_ids": recorded, "deletions": deletions}
    new, columns = sightings.found(row, entries, rotation, snapshot)
    told = [(each.event.removeprefix("secret-"), each.detail["secret_id"]) for each in new]
    return told, columns.get("recorded_ids")


@pytest.mark.parametrize(
    ("recorded", "listed", "told", "after"),
    [
        ('["old"]', ("old",), [], None),
        ('["old"]', ("old", "x"), [("appeared", "x")], '["old","x"]'),
        ('["old","x"]', ("old",), [("vanished", "x")], '["old"]'),
        ('["old"]', ("x",), [("vanished", "old"), ("appeared", "x")], '["x"]'),
        # Vonage accepted no credential.
        ('["old"]', (), [], None),
        (None, (), [], None),
        # The first look, or somebody else wrote there.
        (None, ("old",), [], '["old"]'),
        (None, ("old", "x"), [("appeared", "x")], '["old","x"]'),
        ("no JSON", ("old",), [], '["old"]'),
        ("{}", ("old",), [], '["old"]'),
    ],
)
def test_a_look_is_compared_with_what_is_recorded(
    recorded: str | None, listed: tuple[str, ...], told: list[tuple[str, str]], after: str | None
) -> None:
    """What is different is told once, as it is recorded then."""
    snapshot = looked(*listed, current_id="old")

    assert found(recorded, snapshot) == (told, after)
    assert found(after or recorded, snapshot)[0] == []


@pytest.mark.parametrize(
    ("recorded", "listed", "entries", "after"),
    [
        ('["old"]', ("old", "new"), [entry("done", Step.CREATE, secret_id="new")], '["new","old"]'),
        (
            '["old"]',
            ("old", "new"),
            [entry("learned", Step.PUSH, secret_id="new")],
            '["new","old"]',
        ),
        ('["old"]', None, [entry("done", operation="create", secret_id="x")], '["old","x"]'),
        ('["old","x"]', None, [entry("done", operation="delete", secret_id="x")], '["old"]'),
        ('["new","old"]', ("new",), [entry("done", Step.DELETE, secret_id="old")], '["new"]'),
        # A lagging list shows it on.
        ('["new","old"]', ("new", "old"), [entry("done", Step.EVICT, secret_id="old")], '["new"]'),
        # That something is only begun changes nothing.
        ('["old"]', ("old",), [entry("intent", Step.CREATE)], None),
        ('["old"]', ("old",), [entry("done", Step.CREATE)], None),
        # Before the first look, nothing is known to compare with.
        (None, None, [entry("done", operation="create", secret_id="x")], None),
    ],
)
def test_what_rotator_did_is_recorded_by_its_own_entries(
    recorded: str | None,
    listed: tuple[str, ...] | None,
    entries: list[NewEntry],
    after: str | None,
) -> None:
    """No sighting repeats that."""
    snapshot = looked(*listed) if listed else None

    assert found(recorded, snapshot, entries=entries) == ([], after)


@pytest.mark.parametrize(
    ("rotation", "listed", "told"),
    [
        # The answer was lost: the new id may be that of the value that was sent.
        (SENT, ("old", "new"), []),
        (replace(SENT, abort_code="x"), ("old", "new"), [("appeared", "new")]),
        (replace(SENT, closed_at=NOW), ("old", "new"), [("appeared", "new")]),
        # Nothing was sent.
        (ROTATION, ("old", "new"), [("appeared", "new")]),
        # A list lags behind the answer that it was made; once it is in use, it has to be there.
        (MADE, ("old",), []),
        (replace(MADE, verified_at=NOW), ("old",), [("vanished", "new")]),
        (MADE, ("new",), [("vanished", "old")]),
    ],
)
def test_what_may_be_a_rotations_own_is_left_to_it(
    rotation: Rotation, listed: tuple[str, ...], told: list[tuple[str, str]]
) -> None:
    """It finds out what became of the value that it sent."""
    recorded = '["new","old"]' if rotation.new_id else '["old"]'

    assert found(recorded, looked(*listed), rotation=rotation)[0] == told


@pytest.mark.parametrize("listed", [("old", "new"), ("old",), ("new",)])
def test_the_first_look_knows_the_secrets_of_an_open_rotation(listed: tuple[str, ...]) -> None:
    """As after an upgrade, where nothing could be listed before."""
    rotation = replace(MADE, verified_at=NOW)

    told, after = found(None, looked(*listed, current_id="new"), rotation=rotation)

    assert (told, after) == ([], json.dumps(sorted(listed), separators=(",", ":")))


@pytest.mark.parametrize("event", ["refused", "trouble"])
def test_what_is_unexplained_to_a_rotation_is_told(event: str) -> None:
    """It waits for an operator, who needs to know since when."""
    told, after = found(
        '["old"]',
        looked("old", "x"),
        entries=[entry(event, code="foreign-secret")],
        rotation=SENT,
    )

    assert (told, after) == ([("appeared", "x")], '["old","x"]')


@pytest.mark.parametrize("event", ["refused", "trouble"])
@pytest.mark.parametrize(("rotation", "listed"), [(SENT, ("old", "x")), (MADE, ("old",))])
def test_a_refusal_for_another_reason_settles_nothing(
    event: str, rotation: Rotation, listed: tuple[str, ...]
) -> None:
    """The rotation goes on after a hold, say, and learns what became of its value."""
    recorded = '["new","old"]' if rotation.new_id else '["old"]'
    entries = [entry(event, code="held")]

    assert found(recorded, looked(*listed), entries=entries, rotation=rotation) == ([], None)


@pytest.mark.parametrize(
    ("deletions", "why"),
    [
        ('[["x", "unknown"]]', "rotator had begun to delete it"),
        ('[["x", "begun"]]', "rotator had begun to delete it"),
        ("[]", "no entry records who revoked it"),
    ],
)
def test_a_deletion_whose_answer_was_lost_is_rotators_own(deletions: str, why: str) -> None:
    """The look shows first that it took effect."""
    row = {"recorded_ids": '["old","x"]', "deletions": deletions}
    new, columns = sightings.found(row, [], None, looked("old"))

    assert [why in str(each.detail["why"]) for each in new] == [True]
    assert columns == {"recorded_ids": '["old"]'}


def test_a_later_look_at_a_sent_value_that_settled_tells_nothing() -> None:
    """Once the id is learned, it is the rotation's own."""
    later = replace(MADE, verified_at=NOW + timedelta(minutes=1))
    learned = [entry("learned", Step.CREATE, secret_id="new")]

    assert found('["old"]', looked("old", "new"), entries=learned, rotation=later)[0] == []
