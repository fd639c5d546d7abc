"""Every combination of facts, and what none of them may delete."""

from dataclasses import replace
from itertools import product

import pytest

from rotator.model import Rotation, Step
from rotator.rotation.observation import Observation
from rotator.rotation.protocol import current_secret_id
from rotator.rotation.steps import Delete, Evict
from tests.support.samples import NOW
from tests.unit.rotation.protocol.facts import (
    ALIEN,
    BOTH,
    CURRENT,
    GRACE,
    NEW,
    NOTE,
    OLD,
    PATIENCE,
    PENDING,
    QUIET,
    ROTATION,
    STALE,
    WITH_ALIEN,
    Facts,
    decided,
)

ROTATIONS = [
    None,
    *(
        replace(
            ROTATION,
            step=step,
            sent_at=sent_at,
            new_id=new_id,
            vault_version=version,
            verified_at=verified_at,
            abort_code=abort_code,
        )
        for step, sent_at, new_id, version, verified_at, abort_code in product(
            (Step.CREATE, Step.PUSH),
            (None, NOW - PATIENCE),
            (None, "new"),
            (None, 8),
            (None, NOW - GRACE),
            (None, "x"),
        )
    ),
]
ENTRIES = [
    replace(CURRENT, note=None, intact=False),
    *(
        replace(CURRENT, note=note, intact=intact)
        for note in (
            NOTE,
            replace(NOTE, secret_id="new", rotation_id="r1"),
            replace(NOTE, secret_id="alien", rotation_id="r9"),
        )
        for intact in (True, False)
    ),
]
WORLDS = [
    replace(
        QUIET,
        current=current,
        listed=listed,
        pending=pending,
        current_live_at=live_at,
        seen_at=seen_at,
        current_is_pending=is_pending,
        expendable_ids=frozenset({"old", "alien"}),
    )
    for current, listed, pending, live_at, seen_at, is_pending in product(
        ENTRIES,
        (None, (OLD,), (NEW,), BOTH, WITH_ALIEN, (NEW, ALIEN)),
        (None, PENDING, replace(PENDING, rotation_id="r9")),
        (None, STALE, NOW),
        (STALE, NOW),
        (False, True),
    )
]


def deletions(rotation: Rotation | None) -> list[tuple[str, Observation]]:
    """Return what is deleted in which of all worlds in which this rotation is open."""
    worlds = [replace(world, rotation=rotation) for world in WORLDS]
    decisions = [(decided(Facts(world=world)), world) for world in worlds]
    return [
        (action.secret_id, world)
        for action, world in decisions
        if isinstance(action, Delete | Evict)
    ]


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_no_combination_of_facts_deletes_what_may_be_in_use(rotation: Rotation | None) -> None:
    """Rule 4: never what Vault holds or a stranger made, and Vault's value has just worked."""
    for secret_id, world in deletions(rotation):
        ours = {rotation.predecessor_id, rotation.new_id} if rotation else set()

        assert secret_id in world.listed_ids & (ours | world.expendable_ids)
        assert secret_id != current_secret_id(world)
        assert (world.current_live_at, world.seen_at) == (NOW, NOW)
        assert world.current is not None
        assert world.current.note is None or world.current.intact


def test_no_combination_of_facts_deletes_the_last_secret() -> None:
    """Nor where Vonage still accepts a value whose secret it does not list any more."""
    counts = {len(world.listed_ids) for rotation in ROTATIONS for _, world in deletions(rotation)}

    assert counts == {2}
