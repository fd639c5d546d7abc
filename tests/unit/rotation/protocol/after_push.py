"""After the push: the facts that lead to each action, and each single fact that forbids it."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

from rotator.model import Request, Step
from rotator.rotation.refusals import clock_ahead
from rotator.rotation.steps.base import Action
from rotator.rotation.steps.bookkeeping import Close, Learn, Observe, Redate
from rotator.rotation.steps.prove import FailedDeletion, Prove
from rotator.rotation.steps.publish import Clear, Verify
from rotator.rotation.steps.retire import Delete, Notify, Wait
from tests.support.samples import NOW
from tests.unit.rotation.protocol.facts import (
    ALIEN,
    BOTH,
    FREEZE,
    GRACE,
    HOLD,
    JUST_FRESH,
    NEW,
    OLD,
    PENDING,
    ROTATION,
    STALE,
    Facts,
    table,
)

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
PUSHED = Facts().but(
    rotation=replace(
        ROTATION, sent_at=NOW, new_id="new", vault_version=8, pending_version=3, step=Step.PUSH
    ),
    pending=PENDING,
    pending_version=3,
    listed=BOTH,
    note__secret_id="new",
    note__rotation_id="r1",
    current__version=8,
    pending_authenticated_at=NOW,
    pending_equals_current=True,
)
CHANGED: list[tuple[dict[str, Any], Action | str]] = [
    ({"current": None}, "entry-missing"),
    ({"current__has_value": False}, "field-missing"),
    ({"current__intact": False}, "drift"),
    ({"note__rotation_id": "r2"}, "drift"),
    # Removed from Vault, by someone or by itself.
    ({"current": None, "current_version": 8, "removed_at": NOW}, "entry-missing"),
    # Vault will remove it: nothing is deleted, nor consumers told of it.
    ({"current__ends_at": NOW + timedelta(days=9)}, "version-ends"),
    ({"current__ends_at": NOW - timedelta(days=9)}, "version-ends"),
    # Not even what is wrong is looked into.
    ({"hold": FREEZE}, "held"),
    ({"hold": FREEZE, "current": None}, "held"),
]

VERIFYING = table(
    PUSHED,
    ({}, Verify(version=8)),
    ({"listed": None, "current_authenticated_at": None}, Verify(version=8)),
    # Someone patched another field meanwhile: what was written may have rolled off.
    ({"current__version": 9}, Verify(version=9)),
    # A standby that lags shows what an adoption wrote before.
    ({"current__version": 7}, Verify(version=8)),
    # The answer to the push was lost, and the note tells that it was written.
    ({"rotation__vault_version": None}, Learn(new_id="new", vault_version=8)),
    ({"rotation__new_id": None}, Learn(new_id="new", vault_version=8)),
    # An id that the note alone has may be anything, and is not taken.
    ({"rotation__new_id": None, "listed": (OLD,)}, "drift"),
    (
        {"rotation__new_id": None, "listed": (OLD,), "note_is_recorded": True},
        Learn(new_id="new", vault_version=8),
    ),
    (
        {"rotation__new_id": None, "listed": None, "current_authenticated_at": None},
        "current-refused",
    ),
    # What the rotation made is known, whatever is listed.
    (
        {"rotation__vault_version": None, "listed": (OLD,)},
        Learn(new_id="new", vault_version=8),
    ),
    ({"rotation__abort_code": "x"}, Verify(version=8)),
    # No grace is counted by a clock that is too far behind to be believed.
    ({"clock_offset": -DAY}, Verify(version=8)),
    ({"clock_offset": -DAY - HOUR}, "clock-behind"),
    ({"clock_offset": -DAY - HOUR, "rotation__grace": timedelta()}, Verify(version=8)),
    ({"clock_offset": 60 * DAY}, Verify(version=8)),
    ({"hold": HOLD}, Verify(version=8)),
    ({"hold": HOLD, "rotation__vault_version": None}, Learn(new_id="new", vault_version=8)),
    *CHANGED,
)

VERIFIED = PUSHED.but(rotation__verified_at=NOW, rotation__step=Step.VERIFY)
CLEARING = table(
    VERIFIED,
    ({}, Clear(upto=3)),
    ({"hold": HOLD}, Clear(upto=3)),
    # The grace is to begin only later: a clock that was ahead told so, and has been put right.
    ({"rotation__verified_at": NOW + DAY}, Clear(upto=3)),
    ({"rotation__verified_at": NOW + DAY + HOUR}, Redate()),
    ({"rotation__verified_at": NOW + DAY + HOUR, "rotation__step": Step.WAIT}, Redate()),
    ({"rotation__verified_at": NOW + 60 * DAY, "clock_offset": -2 * DAY}, "clock-behind"),
    # Not seen is not gone: a standby may lag. What was pushed is known.
    ({"pending": None}, Clear(upto=3)),
    ({"pending": None, "pending_version": 2}, Clear(upto=3)),
    ({"pending": None, "pending_version": 2, "rotation__pending_version": 0}, Clear(upto=2)),
    ({"pending": None, "pending_version": 0, "rotation__pending_version": 0}, Clear(upto=0)),
    ({"pending": None, "rotation__step": Step.WAIT}, Wait(until=NOW + GRACE)),
    ({"pending__rotation_id": "r0"}, Wait(until=NOW + GRACE)),
    *CHANGED,
)

SOON = NOW + timedelta(minutes=1)
AHEAD = clock_ahead()
DELETE = Delete(secret_id="old")
GRACE_OVER = VERIFIED.but(pending=None, rotation__verified_at=NOW - GRACE, rotation__step=Step.WAIT)
DELETING = table(
    GRACE_OVER,
    ({}, Delete(secret_id="old")),
    ({"hold": HOLD}, Delete(secret_id="old")),
    ({"seen_at": JUST_FRESH, "current_authenticated_at": JUST_FRESH}, Delete(secret_id="old")),
    ({"current__version": 9}, Delete(secret_id="old")),
    # (c) the grace
    (
        {"rotation__verified_at": NOW - GRACE + timedelta(seconds=1)},
        Wait(until=NOW + timedelta(seconds=1)),
    ),
    (
        {"rotation__verified_at": NOW, "request": Request(reason=None, grace=timedelta())},
        Delete(secret_id="old"),
    ),
    (
        {"request": Request(reason=None, grace=timedelta(days=9))},
        Delete(secret_id="old"),
    ),
    # A clock that is ahead does not end it, unless no grace is asked for.
    ({"clock_offset": timedelta(seconds=1)}, Wait(until=SOON, gate=AHEAD)),
    ({"clock_offset": timedelta(seconds=-1)}, Delete(secret_id="old")),
    (
        {"clock_offset": HOUR, "rotation__verified_at": NOW - GRACE - HOUR},
        Delete(secret_id="old"),
    ),
    ({"clock_offset": HOUR, "request": Request(reason=None, grace=GRACE - HOUR)}, DELETE),
    ({"clock_offset": 2 * GRACE, "request": Request(reason=None, grace=timedelta())}, DELETE),
    ({"clock_offset": 2 * GRACE, "rotation__grace": timedelta()}, DELETE),
    ({"clock_offset": HOUR, "rotation__predecessor_id": "gone"}, Close()),
    # (b) Vault's value has just authenticated
    ({"seen_at": STALE}, Observe()),
    ({"current_authenticated_at": STALE}, Observe()),
    # Seen later than now: by a clock that has been put back since.
    ({"seen_at": NOW + HOUR}, Observe()),
    ({"current_authenticated_at": None}, "current-refused"),
    ({"listed": None, "current_authenticated_at": None}, "current-refused"),
    # (a) it is not the one that Vault holds, nor the last one
    ({"note__secret_id": "old"}, "drift"),
    ({"note__secret_id": "gone"}, "drift"),
    ({"listed": (OLD,)}, "drift"),
    ({"listed": (OLD, ALIEN)}, "drift"),
    # (d) it is known as the predecessor
    ({"rotation__predecessor_id": None}, Close()),
    ({"rotation__predecessor_id": "gone"}, Close()),
    ({"rotation__predecessor_id": "new"}, Close()),
    ({"listed": (NEW,)}, Close()),
    ({"listed": (NEW, ALIEN)}, Close()),
    # nor adopted since it was replaced, whatever a standby that lags shows
    ({"adopted_id": "old"}, "unsafe-delete"),
    ({"adopted_id": "new"}, Delete(secret_id="old")),
    *CHANGED,
)

LEAKED = Request(reason="compromised", grace=timedelta())
DELETED = GRACE_OVER.but(
    listed=(NEW,), rotation__step=Step.DELETE, rotation__deleted_at=NOW, policy__prove_deletion=True
)
TRIED = {"proof_tries": 3, "accepted_since": NOW, "accepted_at": NOW}
LIMIT = timedelta(minutes=2)
FAILED = FailedDeletion(secret_id="old")
PROVING = table(
    DELETED,
    ({}, Prove()),
    ({"policy__prove_deletion": False}, Close()),
    ({"policy__prove_deletion": False, "request": LEAKED}, Prove()),
    ({"policy__prove_deletion": False, "rotation__reason": "compromised"}, Prove()),
    # It is proved, or cannot be.
    ({"rotation__dead_at": NOW}, Close()),
    ({"proof_is_impossible": True}, Close()),
    ({"rotation__predecessor_id": None}, Close()),
    ({"rotation__predecessor_id": "new"}, Close()),
    # It is not deleted, or a list shows it once more.
    ({"listed": BOTH}, Delete(secret_id="old")),
    # A refusal says nothing while the secret in Vault is refused, too.
    ({"current_authenticated_at": None}, "current-refused"),
    ({"seen_at": STALE}, Observe()),
    ({"current_authenticated_at": STALE}, Observe()),
    # Vonage goes on accepting it.
    (TRIED, Prove()),
    (TRIED | {"proof_tries": 9}, Prove()),
    (TRIED | {"proof_tries": 10}, FAILED),
    (TRIED | {"accepted_since": NOW - LIMIT}, FAILED),
    (TRIED | {"accepted_since": NOW - LIMIT + timedelta(seconds=1)}, Prove()),
    (TRIED | {"rotation__deleted_at": NOW - LIMIT}, FAILED),
    (TRIED | {"rotation__deleted_at": NOW + DAY}, Prove()),
    (TRIED | {"rotation__deleted_at": None}, Prove()),
    # Time alone proves nothing.
    ({"rotation__deleted_at": NOW - DAY}, Prove()),
    # The grace that was ended for the deletion does not go on after it.
    ({"rotation__verified_at": NOW}, Prove()),
    ({"rotation__verified_at": NOW, "rotation__step": Step.PROVE}, Prove()),
    ({"rotation__verified_at": NOW, "policy__prove_deletion": False}, Close()),
    ({"rotation__verified_at": NOW, "listed": BOTH}, Wait(until=NOW + GRACE)),
    ({"rotation__verified_at": NOW, "rotation__step": Step.HOOKS}, Notify()),
    ({"hold": HOLD}, Prove()),
    *CHANGED,
)
