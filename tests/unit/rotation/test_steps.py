from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast

import pytest

from rotator.errors import (
    CheckAndSetLost,
    IssuerUnavailable,
    RateLimited,
    RotatorError,
    SecretRejected,
    UnexpectedEntry,
    Withdrawn,
)
from rotator.model import (
    Account,
    CurrentEntry,
    GateWait,
    Note,
    Request,
    Rotation,
    Secret,
    SecretValue,
    Step,
    Written,
)
from rotator.rotation.observation import Observation, Observed
from rotator.rotation.ports import StoredCurrent, StoredPending
from rotator.rotation.steps.base import At, Effect, Site
from rotator.rotation.steps.bookkeeping import Abort, Close, Learn, Redate
from rotator.rotation.steps.issue import Create, Probe
from rotator.rotation.steps.prepare import Evict, Open, Stage
from rotator.rotation.steps.prove import FailedDeletion, Prove
from rotator.rotation.steps.publish import Clear, Push, Verify, note_of
from rotator.rotation.steps.retire import Delete, Wait
from rotator.rotation.steps.withdraw import Withdraw
from tests.support.observations import but
from tests.support.samples import NOW, account, policy
from tests.unit.rotation.protocol.facts import (
    ACCOUNT,
    CURRENT,
    GRACE,
    NEW,
    OLD,
    PENDING,
    QUIET,
    ROTATION,
)

LATER = NOW + timedelta(minutes=1)
NOTE = Note(secret_id="new", rotation_id="r1", rotated_at=NOW, ledger_head="", check="")
SEEN = but(QUIET, current=replace(CURRENT, note=None, intact=False), rotation=ROTATION)
EFFECTS: list[tuple[Effect[Any], Step]] = [
    (Evict(secret_id="alien"), Step.EVICT),
    (Stage(listed_ids=frozenset({"old"})), Step.STAGE),
    (Create(), Step.CREATE),
    (Push(), Step.PUSH),
    (Clear(upto=1), Step.CLEAR),
    (Delete(secret_id="old"), Step.DELETE),
]
STAGE = Stage(listed_ids=frozenset({"old"}))
#: What that leaves at the pending path.
STAGED = replace(
    PENDING,
    api_key=ACCOUNT.api_key,
    issuer=ACCOUNT.issuer,
    vault_path=ACCOUNT.identity.vault_path,
)


def at(now: datetime = NOW, request: Request = Request(reason="asked")) -> At:  # noqa: B008  # frozen
    """Return what an outcome depends on besides the observation."""
    return At(account=ACCOUNT, request=request, now=now)


def replaced(action: Effect[Any]) -> dict[str, Any]:
    """Return what a push records of the version that it replaces."""
    return {"predecessor_version": CURRENT.version} if isinstance(action, Push) else {}


def of(observation: Observation) -> Rotation:
    """Return an observation's rotation."""
    assert observation.rotation is not None
    return observation.rotation


@pytest.mark.parametrize(("action", "step"), EFFECTS)
def test_an_intent_names_step_and_target(action: Effect[Any], step: Step) -> None:
    """What is about to be tried can be read from the ledger alone."""
    rotation = action.intent(SEEN, ROTATION, LATER)
    entry = action.entry("intent", rotation, **action.target)
    target = {"secret_id": action.secret_id} if isinstance(action, Evict | Delete) else {}

    assert (entry.event, entry.step, entry.rotation_id) == ("intent", step, "r1")
    assert entry.detail == target | replaced(action)
    assert (rotation.step, action.step_of(ROTATION)) == (step, step)


def test_a_strangers_secret_is_named_as_one() -> None:
    """Where the policy has one deleted, the ledger alone tells of it."""
    assert Evict(secret_id="alien", is_foreign=True).target == {
        "secret_id": "alien",
        "is_foreign": True,
    }


def test_an_intent_to_create_records_when_the_value_was_sent() -> None:
    """From then on Vonage may know it. No other intent says so, and only a draw counts as one."""
    created = Create().intent(SEEN, ROTATION, LATER)
    staged = Stage(listed_ids=frozenset()).intent(SEEN, ROTATION, LATER)
    pushed = Push().intent(SEEN, ROTATION, LATER)

    assert (created.sent_at, created.values_generated) == (LATER, 0)
    assert (staged.sent_at, staged.values_generated) == (None, 1)
    assert (pushed.sent_at, pushed.values_generated) == (None, 0)


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
    seen = but(SEEN, rotation=None, listed=(Secret(id="old", created_at=NOW),))
    observation, entry = Open(predecessor_id="old").done(seen, "r9", at(NOW, request_))
    rotation = of(observation)

    assert (rotation.id, rotation.reason, rotation.grace) == ("r9", reason, grace)
    assert (rotation.predecessor_id, rotation.sent_at) == ("old", None)
    assert entry.detail == {
        "reason": reason,
        "predecessor_id": "old",
        "predecessor_since": f"{NOW:%Y-%m-%dT%H:%M:%SZ}",
        "grace_seconds": int(grace.total_seconds()),
        **vars(ACCOUNT.identity),
    }


def test_a_recovered_rotation_keeps_its_id_and_may_have_sent_its_value() -> None:
    """What Vault knows of it is believed, and the worst is assumed of the rest."""
    action = Open(predecessor_id=None, recovered_id="r1")
    found = but(SEEN, rotation=None, pending_is_unrecorded=True)
    observation, entry = action.done(found, "r9", at(NOW, Request(reason="due")))
    rotation = of(observation)

    assert (rotation.id, rotation.reason, rotation.sent_at) == ("r1", "recovered", NOW)
    assert not observation.pending.is_unrecorded
    assert entry.rotation_id == "r1"


def test_an_evicted_secret_is_listed_no_more() -> None:
    """The slot is free, and the ledger says whose it was."""
    both = but(SEEN, listed=(OLD, NEW))
    observation, entry = Evict(secret_id="new").done(both, ROTATION, None, at())

    assert (observation.listing.secrets, observation.ledger.deleted_ids) == (
        (OLD,),
        frozenset({"new"}),
    )
    assert (entry.event, entry.step, entry.detail) == (
        "done",
        Step.EVICT,
        {"secret_id": "new"},
    )


def test_a_staged_value_is_a_fresh_start() -> None:
    """Nothing that was known of the value before it is true of the new one."""
    before = replace(ROTATION, rejected=True, sent_at=NOW)
    seen = but(
        SEEN,
        pending_authenticated_at=NOW,
        pending_refused_since=NOW,
        pending_refused_at=NOW,
        pending_equals_current=True,
    )
    observation, entry = STAGE.done(seen, before, StoredPending(version=4), at())

    assert (of(observation).rejected, of(observation).sent_at) == (False, None)
    assert (observation.pending.entry, observation.pending.version) == (STAGED, 4)
    assert observation.pending.authenticated_at is None
    assert (observation.pending.refused_since, observation.pending.refused_at) == (None, None)
    assert not observation.pending.equals_current
    assert (entry.event, entry.step, entry.detail) == ("done", Step.STAGE, {"pending_version": 4})


@pytest.mark.parametrize("listed", [(OLD,), None])
def test_a_created_secret_is_known_and_listed(listed: tuple[Secret, ...] | None) -> None:
    """Its id is in the ledger from the first moment."""
    seen = but(SEEN, listed=listed)
    observation, entry = Create().done(seen, ROTATION, NEW, at(LATER))

    assert (of(observation).new_id, of(observation).sent_at) == ("new", LATER)
    assert observation.listing.secrets == (*(listed or ()), NEW)
    assert entry.detail == {"secret_id": "new"}


def test_a_probe_is_a_look_at_vonage() -> None:
    """What it listed is news, and earlier refusals are forgotten."""
    rotation = replace(ROTATION, new_id="new")
    seen = but(SEEN, pending_refused_since=NOW, pending_refused_at=NOW)
    observation, entry = Probe().done(seen, rotation, (OLD, NEW), at(LATER))

    assert observation.listing.secrets == (OLD, NEW)
    assert (observation.listing.seen_at, observation.pending.authenticated_at) == (LATER, LATER)
    assert (observation.pending.refused_since, observation.pending.refused_at) == (None, None)
    assert (entry.step, entry.detail) == (Step.PROBE, {"secret_id": "new"})


def test_refusals_count_from_the_first() -> None:
    """Patience with a new secret begins when it was first refused."""
    once = Probe().unsettled(but(SEEN, pending_authenticated_at=NOW), ROTATION, NOW)[0]
    twice = Probe().unsettled(once, ROTATION, LATER)[0]

    assert once.pending.authenticated_at is None
    assert (once.pending.refused_since, once.pending.refused_at) == (NOW, NOW)
    assert (twice.pending.refused_since, twice.pending.refused_at) == (NOW, LATER)


def test_a_look_keeps_what_only_probing_tells() -> None:
    """Another look at Vonage and Vault does not restart the patience with the pending value."""
    before = but(SEEN, pending=PENDING, pending_refused_since=NOW, pending_refused_at=NOW)
    seen = but(SEEN, seen_at=LATER, pending=PENDING)
    again, first = seen.after(before), seen.after(None)

    assert (again.pending.refused_since, again.pending.refused_at) == (NOW, NOW)
    assert (first.pending.refused_since, first.pending.refused_at) == (None, None)


def test_only_who_staged_knows_that_nothing_was_sent() -> None:
    """Through any look that shows the same entry; of another's, only the ledger could tell."""
    staged, _ = STAGE.done(SEEN, ROTATION, StoredPending(version=4), at())
    same = but(SEEN, pending=STAGED).after(staged)
    other = but(SEEN, pending=replace(STAGED, rotation_id="r0")).after(staged)
    found = but(SEEN, pending=STAGED).after(None)
    again = but(SEEN, pending=STAGED).after(found)

    assert (staged.pending.is_unsent, same.pending.is_unsent) == (True, True)
    assert not any(observation.pending.is_unsent for observation in (other, found, again))


def test_what_is_not_found_counts_as_refused() -> None:
    """Patience with a standby that does not show the pending entry begins at the first look."""
    once = but(SEEN, seen_at=NOW, pending=None).after(None)
    twice = but(SEEN, seen_at=LATER, pending=None).after(once)

    assert (once.pending.refused_since, once.pending.refused_at) == (NOW, NOW)
    assert (twice.pending.refused_since, twice.pending.refused_at) == (NOW, LATER)


def test_an_intent_to_push_records_which_version_is_pending() -> None:
    """So that what is cleared later is this one, whatever a standby then shows."""
    staged = but(SEEN, pending_version=4)
    pushed = Push().intent(staged, ROTATION, LATER)
    created = Create().intent(staged, ROTATION, LATER)

    assert (pushed.pending_version, created.pending_version) == (4, 0)


def test_a_pushed_value_is_the_current_one() -> None:
    """It works as of its last probe, and is what is pending."""
    seen = but(SEEN, pending_authenticated_at=LATER)
    written = Written(version=8, index="an index")
    observation, entry = Push().done(seen, ROTATION, (NOTE, written), at())

    assert observation.current.entry == CurrentEntry(
        version=8, note=NOTE, intact=True, has_value=True
    )
    assert (observation.current.authenticated_at, observation.pending.equals_current) == (
        LATER,
        True,
    )
    assert (of(observation).vault_version, entry.detail) == (8, {"vault_version": 8})
    assert (observation.current.version, observation.ledger.written, entry.written) == (
        8,
        written,
        written,
    )


@pytest.mark.parametrize(
    ("asked", "grace"), [(None, GRACE), (timedelta(hours=1), timedelta(hours=1))]
)
def test_the_grace_starts_at_verification(asked: timedelta | None, grace: timedelta) -> None:
    """Whoever carries the rotation on then may set another grace for it."""
    request = Request(reason=None, grace=asked)
    pushed, nothing = replace(ROTATION, vault_version=8), timedelta()
    observation, entry = Verify(version=8).done(SEEN, pushed, nothing, at(NOW, request))

    assert of(observation).delete_due_at == NOW + grace
    assert of(observation).step is Step.VERIFY
    assert entry.detail == {
        "vault_version": 8,
        "verified_at": "2026-11-23T07:28:00.000000+00:00",
        "grace_seconds": grace.total_seconds(),
    }


@pytest.mark.parametrize(
    ("grace", "offset", "expected"),
    [
        (GRACE, timedelta(hours=-3), timedelta(hours=3)),
        (GRACE, timedelta(hours=3), timedelta()),
        (timedelta(), timedelta(hours=-3), timedelta()),
    ],
)
def test_a_grace_begins_later_by_what_the_clock_is_behind(
    grace: timedelta, offset: timedelta, expected: timedelta
) -> None:
    """Once the clock is put right, it would end early. Where there is none, there is none."""
    pushed, request = replace(ROTATION, grace=grace), Request(reason=None)
    observation, _ = Verify(version=8).done(SEEN, pushed, offset, at(NOW, request))

    assert (of(observation).verified_at, of(observation).grace) == (NOW + expected, grace)
    assert observation.listing.clock_offset == offset


def test_a_grace_that_begins_anew_begins_now() -> None:
    """By no clock does it begin later than a day from now."""
    verified = replace(ROTATION, verified_at=NOW + timedelta(days=60))
    found = [
        Redate().done(but(SEEN, clock_offset=timedelta(days=-days)), verified, at())
        for days in (-60, 0, 1, 60)
    ]

    assert [of(observation).verified_at for observation, _ in found] == [
        *(NOW, NOW, NOW + timedelta(days=1), NOW + timedelta(days=1))
    ]
    assert {(entry.event, entry.step) for _, entry in found} == {("learned", Step.VERIFY)}


def test_a_deletion_waits_for_no_gate_any_more() -> None:
    """Not even for one that was skipped, or for a clock that nobody opens."""
    gated = replace(
        ROTATION,
        waiting=GateWait(gate="clock", reason="x", shut_since=NOW, retry_at=NOW),
    )
    rotation = Delete(secret_id="old").intent(SEEN, gated, NOW)

    assert rotation == replace(ROTATION, step=Step.DELETE, deleted_at=NOW)


def test_a_deletion_is_dated_by_its_answer_if_it_is_the_predecessors() -> None:
    """Until then by its sending; of an orphan nobody asks."""
    sent = Delete(secret_id="old").intent(SEEN, ROTATION, NOW)
    answered, _ = Delete(secret_id="old").done(SEEN, sent, None, at(LATER))
    orphan = Delete(secret_id="new").intent(SEEN, ROTATION, NOW)

    assert (sent.deleted_at, of(answered).deleted_at, orphan.deleted_at) == (NOW, LATER, None)


@pytest.mark.parametrize(
    ("facts", "version"),
    [
        ({}, 7),
        ({"current_authenticated_at": None}, None),
        ({"pending_equals_current": True}, None),
        ({"listed": (NEW,)}, None),
        ({"listed": (OLD, NEW, Secret(id="alien", created_at=NOW))}, None),
        ({"current": None}, None),
        ({"current": replace(CURRENT, note=replace(NOTE, secret_id="old"))}, 7),
        ({"current": replace(CURRENT, note=NOTE)}, None),
        ({"current": replace(CURRENT, note=replace(NOTE, secret_id="old"), intact=False)}, None),
    ],
)
def test_a_push_records_which_version_certainly_has_the_old_value(
    facts: dict[str, Any], version: int | None
) -> None:
    """By its note; without one, if it works and the new secret is the only other one."""
    rotation = replace(ROTATION, new_id="new")
    observation = but(SEEN, **{"listed": (OLD, NEW), **facts})

    assert Push().intent(observation, rotation, NOW).predecessor_version == version


DELETED = replace(ROTATION, step=Step.DELETE, deleted_at=NOW)


@pytest.mark.parametrize(
    ("deleted_at", "seconds"),
    [(NOW, 60), (LATER, 0), (LATER + timedelta(hours=1), 0), (None, None)],
)
def test_a_refusal_of_the_old_value_is_dated(
    deleted_at: datetime | None, seconds: int | None
) -> None:
    """From its deletion, if rotator deleted it; a clock that was put back does not count."""
    rotation = replace(DELETED, deleted_at=deleted_at)
    observation, entry = Prove().done(SEEN, rotation, True, at(LATER))  # noqa: FBT003  # `Check.done`
    proved = of(observation)

    assert (proved.step, proved.dead_at, proved.dead_after) == (Step.PROVE, LATER, seconds)
    assert (entry.event, entry.step) == ("dead-after", Step.PROVE)
    assert entry.detail == {
        "secret_id": "old",
        "seconds": seconds,
        "dead_at": "2026-11-23T07:29:00.000000+00:00",
    }


def test_tries_of_the_old_value_are_counted_from_the_first() -> None:
    """That Vonage still accepts it is recorded once, whichever process tries it again."""
    once, entry = Prove().unsettled(but(SEEN, rotation=DELETED), DELETED, NOW)
    twice, nothing = Prove().unsettled(once, of(once), LATER)

    assert of(once) == replace(DELETED, step=Step.PROVE)
    assert entry is not None
    assert (entry.event, entry.detail) == ("still-accepted", {"secret_id": "old"})
    assert nothing is None
    assert (twice.proof.tries, twice.proof.accepted_since, twice.proof.accepted_at) == (
        *(2, NOW),
        LATER,
    )


def test_a_failed_deletion_names_the_secret() -> None:
    """And what follows from it."""
    error = FailedDeletion(secret_id="old").error()

    assert error.code == "broken-deletion"
    assert "old" in error.message
    assert "support" in (error.hint or "")
    assert "--abandon" in (error.hint or "")


def test_a_cleared_rotation_waits_if_it_is_verified() -> None:
    """One that is being undone stays in its step."""
    seen = but(SEEN, pending=PENDING, pending_equals_current=True)
    undone, _ = Clear(upto=1).done(seen, replace(ROTATION, step=Step.ABORT), None, at())
    waiting, entry = Clear(upto=1).done(seen, replace(ROTATION, verified_at=NOW), None, at())

    assert (undone.pending.entry, of(undone).step) == (None, Step.ABORT)
    assert (waiting.pending.equals_current, of(waiting).step) == (False, Step.WAIT)
    assert (entry.event, entry.step) == ("done", Step.CLEAR)


def test_a_rotation_seen_to_be_cleared_waits() -> None:
    """Whoever removed the pending entry, nothing is left to do but wait."""
    cleared = replace(ROTATION, step=Step.CLEAR, verified_at=NOW)
    observation, entry = Wait(until=LATER).done(SEEN, cleared, NOW)

    assert entry is not None
    assert of(observation).step is Step.WAIT
    assert (entry.event, entry.step) == ("learned", Step.CLEAR)


@pytest.mark.parametrize(("days", "waited"), [(14, 14), (60, 15)])
def test_a_long_wait_is_recorded_as_one_that_a_clock_may_tell(days: int, waited: int) -> None:
    """A change freeze may last for longer: what would wait for its end is looked at once before."""
    observation, _ = Wait(until=NOW + timedelta(days=days)).done(SEEN, ROTATION, NOW)
    waiting = of(observation).waiting

    assert waiting is not None
    assert waiting.retry_at == NOW + timedelta(days=waited)


def test_a_deleted_secret_is_listed_no_more() -> None:
    """Nor does it matter whether Vonage had listed anything."""
    delete = Delete(secret_id="old")
    observation, entry = delete.done(but(SEEN, listed=(OLD, NEW)), ROTATION, None, at())
    nothing, _ = delete.done(but(SEEN, listed=None), ROTATION, None, at())

    assert (observation.listing.secrets, nothing.listing.secrets) == ((NEW,), ())
    assert (observation.ledger.deleted_ids, nothing.ledger.deleted_ids) == (
        frozenset({"old"}),
        frozenset({"old"}),
    )
    assert (entry.step, entry.detail) == (Step.DELETE, {"secret_id": "old"})


@pytest.mark.parametrize(("action", "step"), EFFECTS)
def test_a_refused_effect_did_not_happen(action: Effect[Any], step: Step) -> None:
    """All is as it was before the intent, except that the draw is spent."""
    intended = action.intent(SEEN, ROTATION, LATER)
    rotation, entry = action.missed("rejected", ROTATION, intended, CheckAndSetLost())

    assert rotation == replace(ROTATION, values_generated=intended.values_generated)
    assert (entry.event, entry.step) == ("rejected", step)
    assert entry.detail == {"code": "vault-conflict", **action.target}


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
    intended = Create().intent(SEEN, before, LATER)
    rotation, _ = Create().missed("rejected", before, intended, error)

    assert rotation.rejected is expected
    assert rotation.sent_at is None


@pytest.mark.parametrize(("action", "step"), EFFECTS)
def test_an_unknown_outcome_is_recorded_as_such(action: Effect[Any], step: Step) -> None:
    """With the error's code and the target, and nothing of the answer."""
    intended = action.intent(SEEN, ROTATION, LATER)
    lost = IssuerUnavailable("secret text")
    rotation, entry = action.missed("unknown", ROTATION, intended, lost)

    assert rotation == intended
    assert (entry.event, entry.step) == ("unknown", step)
    assert entry.detail == {"code": "vonage-unavailable", **action.target, **replaced(action)}


@pytest.mark.parametrize(("action", "step"), EFFECTS)
def test_what_was_withdrawn_leaves_all_as_it_was(action: Effect[Any], step: Step) -> None:
    """The intent was committed and then not sent: not even a draw is spent."""
    intended = action.intent(SEEN, ROTATION, LATER)
    rotation, entry = action.missed("withdrawn", ROTATION, intended, Withdrawn())

    assert rotation == ROTATION
    assert (entry.event, entry.step, entry.detail) == ("withdrawn", step, action.target)


def test_what_was_learned_is_kept_beside_what_was_known() -> None:
    """An id belongs to the creation, a version to the push."""
    created, first = Learn(new_id="new").done(SEEN, ROTATION, at())
    pushed, second = Learn(new_id=None, vault_version=8).done(SEEN, of(created), at())

    assert (of(created).new_id, first.step) == ("new", Step.CREATE)
    assert (of(pushed).new_id, of(pushed).vault_version) == ("new", 8)
    assert (second.step, second.detail) == (
        Step.PUSH,
        {"secret_id": "new", "vault_version": 8},
    )


def test_the_new_secret_is_no_predecessor() -> None:
    """What an operator adopted turned out to be it: nothing is left that is known to be old."""
    adopted = replace(ROTATION, predecessor_id="new")
    created, entry = Learn(new_id="new").done(SEEN, adopted, at())

    assert (of(created).new_id, of(created).predecessor_id) == ("new", None)
    assert (entry.step, entry.detail["secret_id"]) == (Step.CREATE, "new")


def test_learning_a_version_keeps_it() -> None:
    """What is learned later does not wipe it out."""
    pushed, _ = Learn(vault_version=8).done(SEEN, ROTATION, at())
    created, _ = Learn(new_id="new").done(SEEN, of(pushed), at())

    assert of(created).vault_version == 8


def test_an_abort_is_recorded_before_anything_is_undone() -> None:
    """With its reason, which the closed rotation will have as its error."""
    observation, entry = Abort(code="pending-lost").done(SEEN, ROTATION, at())

    assert (of(observation).step, of(observation).abort_code) == (Step.ABORT, "pending-lost")
    assert (entry.event, entry.detail) == ("aborting", {"code": "pending-lost"})


@pytest.mark.parametrize(
    ("action", "step", "outcome"),
    [
        (Close(), Step.COMPLETE, "completed"),
        (Close(error_code="pending-lost"), Step.ABORT, "failed"),
    ],
)
def test_a_rotation_is_closed_once(action: Close, step: Step, outcome: str) -> None:
    """Completed, or failed with the code it was undone for."""
    observation, entry = action.done(SEEN, ROTATION, at(LATER))
    rotation = of(observation)

    assert (rotation.step, rotation.outcome, rotation.closed_at) == (step, outcome, LATER)
    assert rotation.error_code == action.error_code
    assert entry.detail == {"outcome": outcome, "code": action.error_code}


def site(observed: Observed, store: object = None) -> Site:
    """Return where a step is performed that asks nobody but `store`."""
    nobody = cast("Any", None)
    return Site(
        account=ACCOUNT,
        request=Request(reason=None),
        issuer=nobody,
        store=cast("Any", store),
        generate=nobody,
        now=lambda: NOW,
        observed=observed,
        ledger_head="",
    )


def test_nothing_is_deleted_without_a_value_from_vault() -> None:
    """What was decided on is gone from the sight: neither Vonage nor Vault is asked."""
    observed = Observed(
        observation=QUIET, current=None, pending=StoredPending(version=0), credential=None
    )

    with pytest.raises(CheckAndSetLost):
        Delete(secret_id="old").perform(site(observed), ROTATION, cast("Any", None))


@pytest.mark.parametrize(
    ("every", "due_at"),
    [(timedelta(days=30), NOW + timedelta(days=20)), (timedelta(days=5), NOW), (None, None)],
)
def test_a_note_tells_when_the_account_is_due(
    every: timedelta | None, due_at: datetime | None
) -> None:
    """By the age of its secret; never earlier than now, and not at all without a schedule."""
    owner = account(policy=policy(every=every))
    secret = Secret(id="new", created_at=NOW - timedelta(days=10))
    value = SecretValue("Pending1234")
    note = note_of(owner, value, secret, rotation_id="r1", ledger_head="", now=NOW)

    assert note.next_rotation_at == due_at
    assert note.matches(value)


def test_nothing_is_withdrawn_from_another_entry_than_was_seen() -> None:
    """What was decided on is gone from the sight: Vault is not asked."""
    observed = Observed(
        observation=QUIET, current=None, pending=StoredPending(version=0), credential=None
    )

    with pytest.raises(CheckAndSetLost):
        Withdraw(field="past").perform(site(observed), ROTATION, cast("Any", None))


def test_nothing_is_withdrawn_from_no_entry() -> None:
    """The rules decide on it only where the entry has the field."""
    with pytest.raises(AssertionError, match="not there"):
        Withdraw(field="past").assumed(but(QUIET, current=None), ROTATION, at())


def test_a_withdrawal_leaves_the_rotation_at_its_step() -> None:
    """A deletion that was begun before may still be on its way, and must not be forgotten."""
    rotation = replace(ROTATION, step=Step.DELETE)
    step = Withdraw(field="past")
    entry = step.entry("intent", rotation, **step.target)

    assert step.intent(SEEN, rotation, LATER) == rotation
    assert (entry.event, entry.step, entry.detail) == ("intent", "withdraw", {"field": "past"})


def test_another_value_is_not_verified_whatever_its_note_says() -> None:
    """What is read back is compared with what is pending, and not with its note alone."""

    class Store:
        """Vault, with another value and the note of the rotation."""

        def read_version(self, _account: Account, version: int) -> StoredCurrent:
            """Return it."""
            entry = CurrentEntry(version=version, note=NOTE, intact=True, has_value=True)
            return StoredCurrent(entry=entry, value=SecretValue("Another1234"), fields={})

    pending = StoredPending(version=1, entry=PENDING, value=SecretValue("Pending1234"))
    observed = Observed(observation=SEEN, current=None, pending=pending, credential=None)

    with pytest.raises(UnexpectedEntry) as told:
        Verify(version=8).perform(site(observed, Store()), ROTATION)
    assert "--from-vault" in (told.value.hint or "")
    assert observed.current is None
