"""Every combination of facts, and what none of them may delete."""

from dataclasses import replace
from itertools import product

import pytest

from rotator.model import Rotation, Step
from rotator.rotation.observation import Observation
from rotator.rotation.steps.bookkeeping import Close
from rotator.rotation.steps.prepare import Evict
from rotator.rotation.steps.retire import Delete
from rotator.rotation.steps.withdraw import Withdraw
from tests.support.observations import but
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
OBSERVATIONS = [
    but(
        QUIET,
        current=current,
        listed=listed,
        pending=pending,
        current_authenticated_at=live_at,
        seen_at=seen_at,
        pending_equals_current=is_pending,
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
    """Return what is deleted in which of all observations while this rotation is open."""
    observations = [but(observation, rotation=rotation) for observation in OBSERVATIONS]
    decisions = [(decided(Facts(observation=each)), each) for each in observations]
    return [
        (action.secret_id, observation)
        for action, observation in decisions
        if isinstance(action, Delete | Evict)
    ]


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_no_combination_of_facts_deletes_beside_a_replaced_value(rotation: Rotation | None) -> None:
    """It leaves Vault's entry first, where a secret would be deleted or a rotation completed."""
    for observation in OBSERVATIONS:
        seen = but(observation, rotation=rotation)
        entry = seen.current.entry
        kept = but(seen, current=replace(entry, previous="past")) if entry else seen
        without, action = decided(Facts(observation=seen)), decided(Facts(observation=kept))
        is_over = isinstance(without, Close) and without.error_code is None

        if isinstance(without, Delete | Evict) or is_over:
            assert action == Withdraw(field="past")
        else:
            assert action == without


@pytest.mark.parametrize("rotation", ROTATIONS)
def test_no_combination_of_facts_deletes_what_may_be_in_use(rotation: Rotation | None) -> None:
    """Rule 4: never what Vault holds or a stranger made, and Vault's value has just worked."""
    for secret_id, observation in deletions(rotation):
        ours = {rotation.predecessor_id, rotation.new_id} if rotation else set()

        assert secret_id in observation.listing.ids & (ours | observation.ledger.expendable_ids)
        assert secret_id != observation.current_secret_id
        current, seen_at = observation.current, observation.listing.seen_at
        assert (current.authenticated_at, seen_at) == (NOW, NOW)
        assert current.entry is not None
        assert current.entry.note is None or current.entry.intact


def test_no_combination_of_facts_deletes_the_last_secret() -> None:
    """Nor where Vonage still accepts a value whose secret it does not list any more."""
    counts = {
        len(observation.listing.ids)
        for rotation in ROTATIONS
        for _, observation in deletions(rotation)
    }

    assert counts == {2}
