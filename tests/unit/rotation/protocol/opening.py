"""No rotation is open: the facts that open one, and each single fact that forbids it."""

from dataclasses import replace
from datetime import timedelta

from rotator.model import OnForeign, Request
from rotator.rotation.steps.bookkeeping import Idle, Observe
from rotator.rotation.steps.prepare import Open
from tests.support.samples import NOW
from tests.unit.rotation.protocol.facts import (
    BOTH,
    FREEZE,
    HOLD,
    NO_NOTE,
    OLD,
    PENDING,
    STALE,
    WITH_ALIEN,
    Facts,
    table,
)

DUE = Request(reason="due")
#: It is just as old as the policy says.
AGED = replace(OLD, created_at=NOW - timedelta(days=30))
OPEN_OLD, OPEN_NONE = Open(predecessor_id="old"), Open(predecessor_id=None)
OPENING = table(
    Facts(),
    ({}, Open(predecessor_id="old")),
    (NO_NOTE, Open(predecessor_id="old")),
    ({"request": Request(reason=None)}, Idle()),
    ({"request": Request(reason=None), "hold": FREEZE}, Idle()),
    ({"hold": HOLD}, "held"),
    ({"hold": FREEZE}, "held"),
    ({"current": None}, "entry-missing"),
    ({"current__has_value": False}, "field-missing"),
    ({"current__is_foreign": True}, "wrong-entry"),
    ({"current__intact": False}, "drift"),
    ({"current__ends_at": NOW}, "version-ends"),
    ({"current": None, "current_version": 7, "removed_at": NOW}, "entry-missing"),
    ({"current": None, "current_version": 7}, "entry-missing"),
    # Not due by its age, whatever the ledger or a clock that is ahead has told.
    ({"request": DUE}, Idle()),
    ({"request": DUE, "listed": (AGED,)}, Open(predecessor_id="old")),
    ({"request": DUE, "listed": (AGED,), "clock_offset": timedelta(hours=-1)}, OPEN_OLD),
    ({"request": DUE, "listed": (AGED,), "clock_offset": timedelta(hours=1)}, Idle()),
    ({"request": DUE, "note__secret_id": "gone", "current_authenticated_at": None}, OPEN_NONE),
    ({"clock_offset": timedelta(days=-2)}, "clock-behind"),
    (
        {"clock_offset": timedelta(days=-2), "request": Request(reason="asked", grace=timedelta())},
        Open(predecessor_id="old"),
    ),
    ({"listed": None, "current_authenticated_at": None}, "current-refused"),
    # Vault's value works, but which secret is it?
    ({"note__secret_id": "gone"}, "drift"),
    ({"listed": WITH_ALIEN, **NO_NOTE}, "unknown-current"),
    # It does not, and the parent's does: rotating is the cure.
    ({"note__secret_id": "gone", "current_authenticated_at": None}, Open(predecessor_id=None)),
    ({"current_authenticated_at": None, **NO_NOTE}, Open(predecessor_id=None)),
    # Both slots are taken.
    ({"listed": WITH_ALIEN}, "foreign-secret"),
    (
        {"listed": WITH_ALIEN, "expendable_ids": frozenset({"alien"})},
        Open(predecessor_id="old"),
    ),
    (
        {"listed": WITH_ALIEN, "policy__on_foreign": OnForeign.EVICT_OLDEST},
        Open(predecessor_id="old"),
    ),
    # Vault holds it, or did a moment ago, and a standby does not show it.
    (
        {
            "listed": WITH_ALIEN,
            "policy__on_foreign": OnForeign.EVICT_OLDEST,
            "adopted_id": "alien",
        },
        "unsafe-delete",
    ),
    (
        {"listed": WITH_ALIEN, "policy__on_foreign": OnForeign.EVICT_OLDEST, "adopted_id": "old"},
        Open(predecessor_id="old"),
    ),
    # Nor where a rotation had replaced it before it was adopted again.
    (
        {
            "listed": WITH_ALIEN,
            "expendable_ids": frozenset({"alien"}),
            "adopted_id": "alien",
        },
        "unsafe-delete",
    ),
    (
        {"listed": WITH_ALIEN, "expendable_ids": frozenset({"alien"}), "seen_at": STALE},
        Observe(),
    ),
    (
        {"listed": WITH_ALIEN, "expendable_ids": frozenset({"old"})},
        "foreign-secret",
    ),
    (
        {
            "listed": WITH_ALIEN,
            "expendable_ids": frozenset({"alien"}),
            "note__secret_id": "gone",
            "current_authenticated_at": None,
        },
        "unsafe-delete",
    ),
)

RECOVERING = table(
    Facts().but(pending=PENDING, pending_is_unrecorded=True),
    ({}, Open(predecessor_id="old", recovered_id="r1")),
    ({"listed": BOTH}, Open(predecessor_id="old", recovered_id="r1")),
    ({"pending_is_unrecorded": False}, Open(predecessor_id="old")),
    # An id that Vonage does not list may be anything, and is not taken.
    ({"pending__predecessor_id": "gone"}, Open(predecessor_id=None, recovered_id="r1")),
    ({"request": Request(reason=None)}, Idle()),
    ({"hold": HOLD}, "held"),
    ({"current__intact": False}, "drift"),
    # It was pushed before the ledger was lost: the pending entry names the predecessor.
    (
        {"listed": BOTH, "note__rotation_id": "r1", "note__secret_id": "new"},
        Open(predecessor_id="old", recovered_id="r1"),
    ),
    (
        {
            "listed": BOTH,
            "note__rotation_id": "r1",
            "note__secret_id": "new",
            "pending__predecessor_id": None,
        },
        Open(predecessor_id=None, recovered_id="r1"),
    ),
)
