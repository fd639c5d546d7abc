"""Before the push: the facts that lead to each action, and each single fact that forbids it."""

from dataclasses import replace
from datetime import timedelta

from rotator.model import OnForeign, Step
from rotator.rotation.protocol.before_push import MAX_GENERATED
from rotator.rotation.steps.bookkeeping import Abort, Close, Learn, Observe
from rotator.rotation.steps.issue import Create, Probe
from rotator.rotation.steps.prepare import Evict, Stage
from rotator.rotation.steps.publish import Clear, Push
from rotator.rotation.steps.retire import Delete
from tests.support.samples import NOW
from tests.unit.rotation.protocol.facts import (
    ALIEN,
    BOTH,
    FIRST,
    HOLD,
    JUST_FRESH,
    NEW,
    NO_NOTE,
    OLD,
    PATIENCE,
    PENDING,
    ROTATION,
    STALE,
    WITH_ALIEN,
    Facts,
    table,
)

STAGE_OLD = Stage(listed_ids=frozenset({"old"}))
#: The pending value was refused, or not found, for as long as propagation may take.
REFUSED = {
    "rotation__sent_at": NOW - PATIENCE,
    "pending_refused_since": NOW - PATIENCE,
    "pending_refused_at": NOW,
}
NOT_THERE = REFUSED | {"rotation__sent_at": None}
#: Time alone, or refusals that may have come too early, tell nothing.
REFUSED_TOO_EARLY = (
    REFUSED | {"rotation__sent_at": NOW - PATIENCE + timedelta(seconds=1)},
    REFUSED | {"pending_refused_since": NOW - PATIENCE + timedelta(seconds=1)},
    REFUSED | {"pending_refused_at": NOW - timedelta(seconds=1)},
    REFUSED | {"pending_refused_at": None},
)

EVICTING = table(
    Facts().but(
        rotation=ROTATION, listed=WITH_ALIEN, expendable_ids=frozenset({"alien"}), seen_at=NOW
    ),
    ({}, Evict(secret_id="alien")),
    ({"seen_at": JUST_FRESH, "current_authenticated_at": JUST_FRESH}, Evict(secret_id="alien")),
    (
        {"expendable_ids": frozenset(), "policy__on_foreign": OnForeign.EVICT_OLDEST},
        Evict(secret_id="alien", is_foreign=True),
    ),
    # Whichever of both ids comes first.
    (
        {
            "listed": (OLD, replace(ALIEN, id="stranger")),
            "expendable_ids": frozenset(),
            "policy__on_foreign": OnForeign.EVICT_OLDEST,
        },
        Evict(secret_id="stranger", is_foreign=True),
    ),
    ({"expendable_ids": frozenset()}, "foreign-secret"),
    ({"expendable_ids": frozenset({"old"})}, "foreign-secret"),
    ({"current_authenticated_at": None}, "unsafe-delete"),
    (NO_NOTE, "unsafe-delete"),
    ({"note__secret_id": "gone"}, "unsafe-delete"),
    ({"seen_at": STALE}, Observe()),
    ({"current_authenticated_at": STALE}, Observe()),
    ({"current__ends_at": NOW + PATIENCE}, "version-ends"),
    ({"listed": (OLD,)}, Stage(listed_ids=frozenset({"old"}))),
    ({"hold": HOLD}, "held"),
)

STAGING = table(
    Facts().but(rotation=ROTATION),
    ({}, STAGE_OLD),
    ({"pending": replace(PENDING, rotation_id="r0")}, Stage(listed_ids=frozenset({"old"}))),
    ({"current__intact": False}, "drift"),
    ({"current": None}, "entry-missing"),
    ({"current__has_value": False}, "field-missing"),
    ({"current__is_foreign": True}, "wrong-entry"),
    ({"listed": None, "current_authenticated_at": None}, "current-refused"),
    ({"hold": HOLD}, "held"),
    ({"pending": PENDING}, Create()),
    # The pending entry is missing: a standby may lag, so it is believed only after a while.
    ({"rotation__sent_at": NOW}, Observe()),
    *((facts, Observe()) for facts in REFUSED_TOO_EARLY),
    (REFUSED, Abort(code="pending-lost")),
    ({**REFUSED, "rotation__new_id": "new", "listed": BOTH}, Abort(code="pending-lost")),
    (
        {**REFUSED, "rotation__new_id": "new", "listed": BOTH, "rotation__step": Step.PUSH},
        "drift",
    ),
    # What is to be replaced is seen only now.
    ({"rotation__predecessor_id": None}, Learn(predecessor_id="old")),
    (
        {"rotation__predecessor_id": None, "current_authenticated_at": None, "current__note": None},
        STAGE_OLD,
    ),
    ({"rotation__abort_code": "x"}, Close(error_code="x")),
)

#: By a clock that was ahead when the value was sent, and has been put right.
SENT_LATER = REFUSED | {"rotation__sent_at": NOW + timedelta(days=60), "rotation__rejected": True}

CREATING = table(
    Facts().but(rotation=ROTATION, pending=PENDING, pending_version=3, pending_is_unsent=True),
    ({}, Create()),
    # Vault would remove it by itself: it is never sent, unless it may have been.
    ({"pending_ends_at": NOW + PATIENCE}, Abort(code="version-ends")),
    ({"pending_ends_at": NOW + PATIENCE, "rotation__sent_at": NOW}, Probe()),
    ({"pending_ends_at": NOW + PATIENCE, **REFUSED}, "version-ends"),
    ({"pending_ends_at": NOW + PATIENCE, **NOT_THERE}, Abort(code="version-ends")),
    ({"pending_ends_at": NOW + PATIENCE, "pending_is_unsent": False}, Probe()),
    (
        {
            "pending_ends_at": NOW + PATIENCE,
            "pending_is_unsent": False,
            "pending_authenticated_at": NOW,
        },
        Observe(),
    ),
    (SENT_LATER, Stage(listed_ids=frozenset({"old"}))),
    # No answer came, and there is no new id: the same value is sent again.
    ({"rotation__sent_at": NOW}, Create()),
    # Never with a new id in the list.
    ({"listed": BOTH, "rotation__sent_at": NOW}, Probe()),
    ({"listed": BOTH}, "foreign-secret"),
    # Found and not staged just now: a ledger that was restored does not know whether it was sent.
    ({"listed": BOTH, "pending_is_unsent": False}, Probe()),
    ({"listed": BOTH, "pending_is_unsent": False, **NOT_THERE}, "foreign-secret"),
    ({"listed": (NEW,), "pending_is_unsent": False}, Probe()),
    ({"listed": (NEW,), "pending_is_unsent": False, **NOT_THERE}, Abort(code="overtaken")),
    (
        {"listed": BOTH, "expendable_ids": frozenset({"new"})},
        Evict(secret_id="new"),
    ),
    ({"pending": None}, Stage(listed_ids=frozenset({"old"}))),
    ({"rotation__abort_code": "x"}, Clear(upto=3)),
    # The value was rejected: another is drawn, but not while an earlier try may have arrived.
    ({"rotation__rejected": True}, Stage(listed_ids=frozenset({"old"}))),
    (
        {"rotation__rejected": True, "rotation__values_generated": MAX_GENERATED - 1},
        Stage(listed_ids=frozenset({"old"})),
    ),
    (
        {"rotation__rejected": True, "rotation__values_generated": MAX_GENERATED},
        Abort(code="secret-rejected"),
    ),
    # An earlier attempt may have taken effect: the value is not given up while it may.
    ({"rotation__rejected": True, "pending_is_unsent": False}, Probe()),
    (
        {"rotation__rejected": True, "pending_is_unsent": False, "pending_authenticated_at": NOW},
        Observe(),
    ),
    ({"rotation__rejected": True, "rotation__sent_at": NOW}, Probe()),
    (
        {"rotation__rejected": True, "rotation__sent_at": NOW, "pending_authenticated_at": NOW},
        Observe(),
    ),
    *(({**facts, "rotation__rejected": True}, Probe()) for facts in REFUSED_TOO_EARLY),
    ({**REFUSED, "rotation__rejected": True}, Stage(listed_ids=frozenset({"old"}))),
    # The list is from before the last refusal, and may have lagged then.
    (
        {**REFUSED, "rotation__rejected": True, "seen_at": NOW - timedelta(seconds=1)},
        Observe(),
    ),
    # An operator has adopted the very value.
    ({"pending_equals_current": True, "rotation__sent_at": NOW}, Abort(code="overtaken")),
    ({"pending_equals_current": True, "current__intact": False, "current__note": None}, Create()),
    # An orphan of an earlier rotation that the list shows late is not what was sent.
    (
        {"rotation__sent_at": NOW, "listed": BOTH, "expendable_ids": frozenset({"new"})},
        Evict(secret_id="new"),
    ),
    (
        {"rotation__sent_at": NOW, "listed": (NEW,), "expendable_ids": frozenset({"new"})},
        Create(),
    ),
)

LEARNING = table(
    Facts().but(
        rotation=replace(ROTATION, sent_at=NOW),
        pending=PENDING,
        listed=BOTH,
        pending_authenticated_at=NOW,
    ),
    ({}, Learn(new_id="new")),
    ({"pending_authenticated_at": JUST_FRESH}, Learn(new_id="new")),
    ({"pending_authenticated_at": None}, Probe()),
    ({"pending_authenticated_at": STALE}, Probe()),
    # What authenticates was sent, whatever the ledger knows of it.
    ({"rotation__sent_at": None}, Learn(new_id="new")),
    ({"listed": (OLD, NEW, ALIEN)}, "foreign-secret"),
    ({"listed": (OLD,)}, Create()),
    # What was deleted may be listed once more.
    ({"listed": (OLD, NEW, ALIEN), "deleted_ids": frozenset({ALIEN.id})}, Learn(new_id="new")),
    ({"listed": (NEW,), "deleted_ids": frozenset({"new"})}, Create()),
    ({"rotation__new_id": "new"}, Push()),
    # It never authenticates: perhaps a stranger's, perhaps ours. It is left alone either way.
    ({**REFUSED, "pending_authenticated_at": None}, "foreign-secret"),
    *(({**facts, "pending_authenticated_at": None}, Probe()) for facts in REFUSED_TOO_EARLY),
)

PUSHING = table(
    Facts().but(
        rotation=replace(ROTATION, sent_at=NOW, new_id="new", step=Step.CREATE),
        pending=PENDING,
        listed=BOTH,
        pending_authenticated_at=NOW,
    ),
    ({}, Push()),
    ({"pending_authenticated_at": JUST_FRESH}, Push()),
    (NO_NOTE, Push()),
    ({"current_authenticated_at": None}, Push()),
    ({"pending_authenticated_at": None}, Probe()),
    ({"pending_authenticated_at": STALE}, Probe()),
    ({"hold": HOLD}, "held"),
    ({"current__intact": False}, "drift"),
    ({"current": None}, "entry-missing"),
    ({"current__is_foreign": True}, "wrong-entry"),
    ({"pending": None}, Observe()),
    ({**REFUSED, "pending": None}, Abort(code="pending-lost")),
    ({"pending__rotation_id": "r0"}, Abort(code="pending-lost")),
    # The new secret is not listed: perhaps not yet.
    ({"listed": (OLD,)}, Observe()),
    ({"listed": (OLD,), "rotation__sent_at": NOW + PATIENCE / 2}, Observe()),
    (
        {"listed": (OLD,), "rotation__sent_at": NOW + timedelta(days=60)},
        Abort(code="new-secret-revoked"),
    ),
    ({"listed": (OLD,), "rotation__sent_at": NOW - PATIENCE}, Abort(code="new-secret-revoked")),
    ({"listed": (OLD,), "rotation__sent_at": None}, Abort(code="new-secret-revoked")),
    (
        {
            "listed": (OLD,),
            "rotation__sent_at": NOW - PATIENCE,
            "rotation__step": Step.PUSH,
        },
        "drift",
    ),
    # It is refused for too long; undone, unless a push was tried that may yet land.
    ({**REFUSED, "pending_authenticated_at": None}, Abort(code="new-secret-refused")),
    *(({**facts, "pending_authenticated_at": None}, Probe()) for facts in REFUSED_TOO_EARLY),
    ({**REFUSED, "pending_authenticated_at": None, "rotation__step": Step.PUSH}, "drift"),
    ({**REFUSED, **FIRST, "pending_authenticated_at": None}, "first-secret-refused"),
    ({"rotation__abort_code": "x"}, Delete(secret_id="new")),
)

UNDOING = table(
    Facts().but(
        rotation=replace(
            ROTATION, sent_at=NOW, new_id="new", abort_code="new-secret-refused", step=Step.ABORT
        ),
        pending=PENDING,
        pending_version=3,
        listed=BOTH,
    ),
    ({}, Delete(secret_id="new")),
    ({"pending": None}, Delete(secret_id="new")),
    ({"seen_at": JUST_FRESH, "current_authenticated_at": JUST_FRESH}, Delete(secret_id="new")),
    ({"seen_at": STALE}, Observe()),
    ({"current_authenticated_at": STALE}, Observe()),
    ({"current_authenticated_at": None}, "unsafe-delete"),
    ({"current__ends_at": NOW + PATIENCE}, "version-ends"),
    # Vault holds the very secret.
    ({"note__secret_id": "new"}, "unsafe-delete"),
    # What Vault holds is not certain; that it is not the pending value is enough.
    (NO_NOTE, Delete(secret_id="new")),
    ({**NO_NOTE, "pending_equals_current": True}, "unsafe-delete"),
    (FIRST, "first-secret-unused"),
    ({**NO_NOTE, "pending": None}, "unsafe-delete"),
    ({**NO_NOTE, "pending__rotation_id": "r0"}, "unsafe-delete"),
    # Another rotation has pushed since, of which a restored ledger does not know: what is to be
    # deleted may be what that one replaced.
    ({"rotation__predecessor_id": "before"}, "unsafe-delete"),
    ({"rotation__predecessor_id": None}, "unsafe-delete"),
    ({"hold": HOLD}, "held"),
    ({"listed": None, "current_authenticated_at": None}, "current-refused"),
    ({"current__intact": False}, "drift"),
    # It is gone: what was staged goes, and the rotation is closed.
    ({"listed": (OLD,)}, Clear(upto=3)),
    ({"listed": (OLD,), "pending": None}, Close(error_code="new-secret-refused")),
    ({"listed": (OLD,), "pending__rotation_id": "r0"}, Close(error_code="new-secret-refused")),
    ({"rotation__new_id": None}, Clear(upto=3)),
)
