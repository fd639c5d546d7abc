from dataclasses import replace
from datetime import timedelta

import pytest

from rotator.errors import (
    CheckAndSetLost,
    IssuerUnavailable,
    RateLimited,
    RotatorError,
    SecretRejected,
)
from rotator.model import CurrentEntry, Note, Request, Rotation, Secret, Step, Written
from rotator.rotation import record
from rotator.rotation.actions import (
    Abort,
    Clear,
    Close,
    Create,
    Delete,
    Effect,
    Evict,
    Learn,
    Open,
    Push,
    Stage,
)
from rotator.rotation.observation import Observation
from rotator.rotation.ports import StoredPending
from tests.harness.samples import NOW
from tests.unit.protocol.facts import ACCOUNT, CURRENT, GRACE, NEW, OLD, PENDING, QUIET, ROTATION

LATER = NOW + timedelta(minutes=1)
NOTE = Note(secret_id="new", rotation_id="r1", rotated_at=NOW, ledger_head="", check="")
WORLD = replace(QUIET, current=replace(CURRENT, note=None, intact=False), rotation=ROTATION)
EFFECTS: list[tuple[Effect, Step]] = [
    (Evict(secret_id="alien"), Step.EVICT),
    (Stage(listed_ids=frozenset({"old"})), Step.STAGE),
    (Create(), Step.CREATE),
    (Push(), Step.PUSH),
    (Clear(upto=1), Step.CLEAR),
    (Delete(secret_id="old"), Step.DELETE),
]


def of(world: Observation) -> Rotation:
    """Give a world's rotation."""
    assert world.rotation is not None
    return world.rotation


@pytest.mark.parametrize(("action", "step"), EFFECTS)
def test_an_intent_names_step_and_target(action: Effect, step: Step) -> None:
    """What is about to be tried can be read from the ledger alone."""
    rotation, draft = record.intent(WORLD, ROTATION, action, LATER)
    target = {"secret_id": action.secret_id} if isinstance(action, Evict | Delete) else {}

    assert (draft.event, draft.step, draft.rotation_id) == ("intent", step, "r1")
    assert draft.detail == target
    assert rotation.step is step


def test_an_intent_to_create_records_when_the_value_was_sent() -> None:
    """From then on Vonage may know it. No other intent says so, and only a draw counts as one."""
    created, _ = record.intent(WORLD, ROTATION, Create(), LATER)
    staged, _ = record.intent(WORLD, ROTATION, Stage(listed_ids=frozenset()), LATER)
    pushed, _ = record.intent(WORLD, ROTATION, Push(), LATER)

    assert (created.sent_at, created.draws) == (LATER, 0)
    assert (staged.sent_at, staged.draws) == (None, 1)
    assert (pushed.sent_at, pushed.draws) == (None, 0)


@pytest.mark.parametrize(
    ("request_", "reason", "grace"),
    [
        (Request(reason="asked"), "asked", GRACE),
        (Request(reason="due"), "due", GRACE),
        (Request(reason="compromised", grace=timedelta()), "compromised", timedelta()),
        (Request(reason=None), "asked", GRACE),
    ],
)
def test_a_rotation_is_opened_as_asked(request_: Request, reason: str, grace: timedelta) -> None:
    """Reason and grace are the request's; the grace is the policy's where none is asked for."""
    action = Open(predecessor_id="old")
    listed = (Secret(id="old", created_at=NOW),)
    rotation, draft = record.opened(
        ACCOUNT, action, request_, rotation_id="r9", now=NOW, listed=listed
    )

    assert (rotation.id, rotation.reason, rotation.grace) == ("r9", reason, grace)
    assert (rotation.predecessor_id, rotation.sent_at) == ("old", None)
    assert draft.detail == {
        "reason": reason,
        "predecessor_id": "old",
        "predecessor_since": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        "grace_seconds": int(grace.total_seconds()),
        **vars(ACCOUNT.identity),
    }


def test_a_recovered_rotation_keeps_its_id_and_may_have_sent_its_value() -> None:
    """What Vault knows of it is believed, and the worst is assumed of the rest."""
    action = Open(predecessor_id=None, recovered_id="r1")
    rotation, draft = record.opened(
        ACCOUNT, action, Request(reason="due"), rotation_id="r9", now=NOW
    )

    assert (rotation.id, rotation.reason, rotation.sent_at) == ("r1", "recovered", NOW)
    assert draft.rotation_id == "r1"


def test_an_evicted_secret_is_listed_no_more() -> None:
    """The slot is free, and the ledger says whose it was."""
    world, draft = record.evicted(replace(WORLD, listed=(OLD, NEW)), ROTATION, "new")

    assert world.listed == (OLD,)
    assert (draft.event, draft.step, draft.detail) == (
        "done",
        Step.EVICT,
        {"secret_id": "new"},
    )


def test_a_staged_value_is_a_fresh_start() -> None:
    """Nothing that was known of the value before it is true of the new one."""
    before = replace(ROTATION, rejected=True, sent_at=NOW)
    seen = replace(
        WORLD,
        pending_live_at=NOW,
        pending_refused_since=NOW,
        pending_refused_at=NOW,
        current_is_pending=True,
    )
    world, draft = record.staged(seen, before, PENDING, StoredPending(version=4))

    assert (of(world).rejected, of(world).sent_at) == (False, None)
    assert (world.pending, world.pending_version) == (PENDING, 4)
    assert world.pending_live_at is None
    assert (world.pending_refused_since, world.pending_refused_at) == (None, None)
    assert not world.current_is_pending
    assert (draft.event, draft.step, draft.detail) == ("done", Step.STAGE, {})


@pytest.mark.parametrize("listed", [(OLD,), None])
def test_a_created_secret_is_known_and_listed(listed: tuple[Secret, ...] | None) -> None:
    """Its id is in the ledger from the first moment."""
    world, draft = record.created(replace(WORLD, listed=listed), ROTATION, NEW, LATER)

    assert (of(world).new_id, of(world).sent_at) == ("new", LATER)
    assert world.listed == (*(listed or ()), NEW)
    assert draft.detail == {"secret_id": "new"}


def test_a_probe_is_a_look_at_vonage() -> None:
    """What it listed is news, and earlier refusals are forgotten."""
    rotation = replace(ROTATION, new_id="new")
    seen = replace(WORLD, pending_refused_since=NOW, pending_refused_at=NOW)
    world, draft = record.probed(seen, rotation, (OLD, NEW), LATER)

    assert world.listed == (OLD, NEW)
    assert (world.seen_at, world.pending_live_at) == (LATER, LATER)
    assert (world.pending_refused_since, world.pending_refused_at) == (None, None)
    assert (draft.step, draft.detail) == (Step.PROBE, {"secret_id": "new"})


def test_refusals_count_from_the_first() -> None:
    """Patience with a new secret begins when it was first refused."""
    once = record.probe_refused(replace(WORLD, pending_live_at=NOW), NOW)
    twice = record.probe_refused(once, LATER)

    assert once.pending_live_at is None
    assert (once.pending_refused_since, once.pending_refused_at) == (NOW, NOW)
    assert (twice.pending_refused_since, twice.pending_refused_at) == (NOW, LATER)


def test_a_look_keeps_what_only_probing_tells() -> None:
    """Another look at Vonage and Vault does not restart the patience with the pending value."""
    before = replace(WORLD, pending=PENDING, pending_refused_since=NOW, pending_refused_at=NOW)
    seen = replace(WORLD, seen_at=LATER, pending=PENDING)
    again, first = record.seen_again(before, seen), record.seen_again(None, seen)

    assert (again.pending_refused_since, again.pending_refused_at) == (NOW, NOW)
    assert (first.pending_refused_since, first.pending_refused_at) == (None, None)


def test_only_who_staged_knows_that_nothing_was_sent() -> None:
    """Through any look that shows the same entry; of another's, only the ledger could tell."""
    staged, _ = record.staged(WORLD, ROTATION, PENDING, StoredPending(version=4))
    same = record.seen_again(staged, replace(WORLD, pending=PENDING))
    other = record.seen_again(staged, replace(WORLD, pending=replace(PENDING, rotation_id="r0")))
    found = record.seen_again(None, replace(WORLD, pending=PENDING))
    again = record.seen_again(found, replace(WORLD, pending=PENDING))

    assert (staged.pending_is_unsent, same.pending_is_unsent) == (True, True)
    assert not any(world.pending_is_unsent for world in (other, found, again))


def test_what_is_not_found_counts_as_refused() -> None:
    """Patience with a standby that does not show the pending entry begins at the first look."""
    once = record.seen_again(None, replace(WORLD, seen_at=NOW, pending=None))
    twice = record.seen_again(once, replace(WORLD, seen_at=LATER, pending=None))

    assert (once.pending_refused_since, once.pending_refused_at) == (NOW, NOW)
    assert (twice.pending_refused_since, twice.pending_refused_at) == (NOW, LATER)


def test_an_intent_to_push_records_which_version_is_pending() -> None:
    """So that what is cleared later is this one, whatever a standby then shows."""
    staged = replace(WORLD, pending_version=4)
    pushed, _ = record.intent(staged, ROTATION, Push(), LATER)
    created, _ = record.intent(staged, ROTATION, Create(), LATER)

    assert (pushed.pending_version, created.pending_version) == (4, 0)


def test_a_pushed_value_is_the_current_one() -> None:
    """It works as of its last probe, and is what is pending."""
    seen = replace(WORLD, pending_live_at=LATER)
    written = Written(version=8, index="an index")
    world, draft = record.pushed(seen, ROTATION, note=NOTE, written=written)

    assert world.current == CurrentEntry(version=8, note=NOTE, intact=True, has_value=True)
    assert (world.current_live_at, world.current_is_pending) == (LATER, True)
    assert (of(world).vault_version, draft.detail) == (8, {"vault_version": 8})
    assert (world.current_version, world.written, draft.written) == (8, written, written)


@pytest.mark.parametrize(
    ("asked", "grace"), [(None, GRACE), (timedelta(hours=1), timedelta(hours=1))]
)
def test_the_grace_starts_at_verification(asked: timedelta | None, grace: timedelta) -> None:
    """Whoever carries the rotation on then may set another grace for it."""
    request = Request(reason=None, grace=asked)
    world, draft = record.verified(WORLD, replace(ROTATION, vault_version=8), 8, request, NOW)

    assert of(world).delete_due_at == NOW + grace
    assert of(world).step is Step.VERIFY
    assert draft.detail == {
        "vault_version": 8,
        "verified_at": "2026-11-23T07:28:00.000000+00:00",
        "grace_seconds": grace.total_seconds(),
    }


@pytest.mark.parametrize(
    ("grace", "lead", "expected"),
    [
        (GRACE, timedelta(hours=-3), timedelta(hours=3)),
        (GRACE, timedelta(hours=3), timedelta()),
        (timedelta(), timedelta(hours=-3), timedelta()),
    ],
)
def test_a_grace_begins_later_by_what_the_clock_is_behind(
    grace: timedelta, lead: timedelta, expected: timedelta
) -> None:
    """Once the clock is put right, it would end early. Where there is none, there is none."""
    world, _ = record.verified(
        replace(WORLD, clock_lead=lead),
        replace(ROTATION, grace=grace),
        8,
        Request(reason=None),
        NOW,
    )

    assert (of(world).verified_at, of(world).grace) == (NOW + expected, grace)


def test_a_grace_that_begins_anew_begins_now() -> None:
    """By no clock does it begin later than a day from now."""
    verified = replace(ROTATION, verified_at=NOW + timedelta(days=60))
    found = [
        record.redated(replace(WORLD, clock_lead=timedelta(days=-days)), verified, NOW)
        for days in (-60, 0, 1, 60)
    ]

    assert [of(world).verified_at for world, _ in found] == [
        *(NOW, NOW, NOW + timedelta(days=1), NOW + timedelta(days=1))
    ]
    assert {(draft.event, draft.step) for _, draft in found} == {("learned", Step.VERIFY)}


def test_a_deletion_waits_for_no_gate_any_more() -> None:
    """Not even for one that was skipped, or for a clock that nobody opens."""
    gated = replace(ROTATION, gate="clock", gate_reason="x", gate_since=NOW, gate_retry_at=NOW)
    rotation, _ = record.intent(WORLD, gated, Delete(secret_id="old"), NOW)

    assert rotation == replace(ROTATION, step=Step.DELETE)


def test_a_cleared_rotation_waits_if_it_is_verified() -> None:
    """One that is being undone stays in its step."""
    seen = replace(WORLD, pending=PENDING, current_is_pending=True)
    undone, _ = record.cleared(seen, replace(ROTATION, step=Step.ABORT))
    waiting, draft = record.cleared(seen, replace(ROTATION, verified_at=NOW))

    assert (undone.pending, of(undone).step) == (None, Step.ABORT)
    assert (waiting.current_is_pending, of(waiting).step) == (False, Step.WAIT)
    assert (draft.event, draft.step) == ("done", Step.CLEAR)


def test_a_rotation_seen_to_be_cleared_waits() -> None:
    """Whoever removed the pending entry, nothing is left to do but wait."""
    world, draft = record.waiting(WORLD, replace(ROTATION, step=Step.CLEAR, verified_at=NOW))

    assert of(world).step is Step.WAIT
    assert (draft.event, draft.step) == ("learned", Step.CLEAR)


def test_a_deleted_secret_is_listed_no_more() -> None:
    """Nor does it matter whether Vonage had listed anything."""
    world, draft = record.deleted(replace(WORLD, listed=(OLD, NEW)), ROTATION, "old")
    nothing, _ = record.deleted(replace(WORLD, listed=None), ROTATION, "old")

    assert (world.listed, nothing.listed) == ((NEW,), ())
    assert (draft.step, draft.detail) == (Step.DELETE, {"secret_id": "old"})


@pytest.mark.parametrize(("action", "step"), EFFECTS)
def test_a_refused_effect_did_not_happen(action: Effect, step: Step) -> None:
    """All is as it was before the intent, except that the draw is spent."""
    intended, _ = record.intent(WORLD, ROTATION, action, LATER)
    error = CheckAndSetLost()
    rotation, draft = record.rejected(ROTATION, intended, action, error)

    assert rotation == replace(ROTATION, draws=intended.draws)
    assert (draft.event, draft.step) == ("rejected", step)
    assert draft.detail == {"code": "vault-conflict", **record.target_of(action)}


@pytest.mark.parametrize(
    ("was", "error", "expected"),
    [
        (False, SecretRejected(), True),
        (False, RateLimited(), False),
        (True, RateLimited(), True),
    ],
)
def test_only_vonages_no_rejects_a_value(
    was: bool,  # noqa: FBT001  # a column of the table
    error: RotatorError,
    expected: bool,  # noqa: FBT001
) -> None:
    """And what was rejected once stays so until another is drawn."""
    before = replace(ROTATION, rejected=was)
    intended, _ = record.intent(WORLD, before, Create(), LATER)
    rotation, _ = record.rejected(before, intended, Create(), error)

    assert rotation.rejected is expected
    assert rotation.sent_at is None


@pytest.mark.parametrize(("action", "step"), EFFECTS)
def test_an_unknown_outcome_is_recorded_as_such(action: Effect, step: Step) -> None:
    """With the error's code and the target, and nothing of the answer."""
    draft = record.unknown(ROTATION, action, IssuerUnavailable("secret text"))

    assert (draft.event, draft.step) == ("unknown", step)
    assert draft.detail == {"code": "vonage-unavailable", **record.target_of(action)}


def test_what_was_learned_is_kept_beside_what_was_known() -> None:
    """An id belongs to the creation, a version to the push."""
    created, first = record.learned(WORLD, ROTATION, Learn(new_id="new"))
    pushed, second = record.learned(WORLD, of(created), Learn(new_id=None, vault_version=8))

    assert (of(created).new_id, first.step) == ("new", Step.CREATE)
    assert (of(pushed).new_id, of(pushed).vault_version) == ("new", 8)
    assert (second.step, second.detail) == (
        Step.PUSH,
        {"secret_id": "new", "vault_version": 8},
    )


def test_the_new_secret_is_no_predecessor() -> None:
    """What an operator adopted turned out to be it: nothing is left that is known to be old."""
    adopted = replace(ROTATION, predecessor_id="new")
    created, draft = record.learned(WORLD, adopted, Learn(new_id="new"))

    assert (of(created).new_id, of(created).predecessor_id) == ("new", None)
    assert (draft.step, draft.detail["secret_id"]) == (Step.CREATE, "new")


def test_learning_a_version_keeps_it() -> None:
    """What is learned later does not wipe it out."""
    pushed, _ = record.learned(WORLD, ROTATION, Learn(vault_version=8))
    created, _ = record.learned(WORLD, of(pushed), Learn(new_id="new"))

    assert of(created).vault_version == 8


def test_an_abort_is_recorded_before_anything_is_undone() -> None:
    """With its reason, which the closed rotation will have as its error."""
    world, draft = record.aborting(WORLD, ROTATION, Abort(code="pending-lost"))

    assert (of(world).step, of(world).abort_code) == (Step.ABORT, "pending-lost")
    assert (draft.event, draft.detail) == ("aborting", {"code": "pending-lost"})


@pytest.mark.parametrize(
    ("action", "step", "outcome"),
    [
        (Close(), Step.COMPLETE, "completed"),
        (Close(error_code="pending-lost"), Step.ABORT, "failed"),
    ],
)
def test_a_rotation_is_closed_once(action: Close, step: Step, outcome: str) -> None:
    """Completed, or failed with the code it was undone for."""
    rotation, draft = record.closed(ROTATION, action, LATER)

    assert (rotation.step, rotation.outcome, rotation.closed_at) == (step, outcome, LATER)
    assert rotation.error_code == action.error_code
    assert draft.detail == {"outcome": outcome, "code": action.error_code}
