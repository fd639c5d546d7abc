"""Each action: the facts that lead to it, and each single fact that forbids it."""

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest

from rotator.actions import (
    Abort,
    Action,
    Clear,
    Close,
    Create,
    Delete,
    Evict,
    Idle,
    Learn,
    Look,
    Open,
    Probe,
    Push,
    Refuse,
    Stage,
    Verify,
    Wait,
)
from rotator.model import (
    Account,
    CurrentEntry,
    Hold,
    Note,
    Observation,
    OnForeign,
    PendingEntry,
    Policy,
    Request,
    Rotation,
    Secret,
    Step,
)
from rotator.protocol import FRESH, MAX_DRAWS, decide, held_id, waits_until

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
PATIENCE = timedelta(minutes=2)
GRACE = timedelta(hours=24)
STALE = NOW - FRESH - timedelta(seconds=1)
JUST_FRESH = NOW - FRESH
OLD, NEW, ALIEN = (Secret(id=name, created_at=NOW) for name in ("old", "new", "alien"))

POLICY = Policy(
    every=timedelta(days=30),
    cron=None,
    timezone="UTC",
    jitter=timedelta(),
    grace=GRACE,
    max_age=timedelta(days=45),
    length=25,
    on_foreign=OnForeign.REFUSE,
)
ACCOUNT = Account(
    name="sms",
    api_key="abcd1234",
    vault_path="vonage/sms",
    pending_path="rotator/pending/sms",
    secret_field="api_secret",
    key_field="api_key",
    managed_by="",
    policy=POLICY,
)
ASKED = Request(reason="asked")
#: What the entry says before: the note of an earlier rotation.
NOTE = Note(secret_id="old", rotation_id="r0", rotated_at=NOW, ledger_head="", check="")
CURRENT = CurrentEntry(version=7, note=NOTE, intact=True, has_value=True, api_key="abcd1234")
PENDING = PendingEntry(rotation_id="r1", listed_ids=frozenset({"old"}), predecessor_id="old")
ROTATION = Rotation(
    id="r1",
    account="sms",
    reason="asked",
    step=Step.OPEN,
    predecessor_id="old",
    grace=GRACE,
    opened_at=NOW,
)
HOLD = Hold(reason="moving house", by="ann", at=NOW)
FREEZE = replace(HOLD, freeze=True)
#: Nothing is under way, one secret exists, Vault holds it, and it works.
QUIET = Observation(
    seen_at=NOW,
    listed=(OLD,),
    current=CURRENT,
    pending=None,
    rotation=None,
    current_live_at=NOW,
)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """All that `decide` is given."""

    world: Observation = QUIET
    request: Request = ASKED
    account: Account = ACCOUNT

    def but(self, **changes: Any) -> "Facts":  # noqa: ANN401  # of whatever type the fact is
        """Change facts: of the world by their name, of its parts as `rotation__step`."""
        facts = self
        for name, value in changes.items():
            facts = facts._changed(name, value)
        return facts

    def _changed(self, name: str, value: object) -> "Facts":
        whole, _, part = name.partition("__")
        if name in ("request", "account"):
            return replace(self, **{name: value})  # type: ignore[arg-type]
        if whole == "policy":
            policy = replace(self.account.policy, **{part: value})  # type: ignore[arg-type]
            return replace(self, account=replace(self.account, policy=policy))
        if whole == "note":
            assert self.world.current is not None
            assert self.world.current.note is not None
            return self._changed(
                "current__note",
                replace(self.world.current.note, **{part: value}),  # type: ignore[arg-type]
            )
        if part:
            value = replace(getattr(self.world, whole), **{part: value})
        return replace(self, world=replace(self.world, **{whole: value}))  # type: ignore[arg-type]


def decided(facts: Facts) -> Action | str:
    """Decide; give a refusal by its code."""
    action = decide(
        facts.account, facts.world, facts.request, propagation_timeout=PATIENCE, now=NOW
    )
    if isinstance(action, Refuse):
        assert action.why
        assert action.hint
        return action.code
    return action


def table(base: Facts, *rows: tuple[dict[str, Any], Action | str]) -> list[object]:
    """Give the facts of each row: `base` with the row's changes, and what follows."""
    return [
        pytest.param(base.but(**changes), expected, id=", ".join(changes) or "as it is")
        for changes, expected in rows
    ]


NO_NOTE = {"current__note": None, "current__intact": False}
#: A subaccount that was found, of which Vault never had anything.
FIRST = {
    "account": replace(ACCOUNT, discovered=True),
    "current": None,
    "current_live_at": None,
    "entry_is_new": True,
}
BOTH = (OLD, NEW)
WITH_ALIEN = (OLD, ALIEN)

# -- No rotation is open. ------------------------------------------------------------------

OPENING = table(
    Facts(),
    ({}, Open(predecessor_id="old")),
    (NO_NOTE, Open(predecessor_id="old")),
    ({"current__api_key": None}, Open(predecessor_id="old")),
    ({"request": Request(reason=None)}, Idle()),
    ({"request": Request(reason=None), "hold": FREEZE}, Idle()),
    ({"hold": HOLD}, "held"),
    ({"hold": FREEZE}, "held"),
    ({"current": None}, "entry-missing"),
    ({"current__has_value": False}, "field-missing"),
    ({"current__api_key": "ffffffff"}, "wrong-entry"),
    ({"current__intact": False}, "drift"),
    ({"listed": None, "current_live_at": None}, "current-refused"),
    # Vault's value works, but which secret is it?
    ({"note__secret_id": "gone"}, "drift"),
    ({"listed": WITH_ALIEN, **NO_NOTE}, "unknown-current"),
    # It does not, and the parent's does: rotating is the cure.
    ({"note__secret_id": "gone", "current_live_at": None}, Open(predecessor_id=None)),
    ({"current_live_at": None, **NO_NOTE}, Open(predecessor_id=None)),
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
    (
        {"listed": WITH_ALIEN, "expendable_ids": frozenset({"alien"}), "seen_at": STALE},
        Look(),
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
            "current_live_at": None,
        },
        "unsafe-delete",
    ),
)

RECOVERING = table(
    Facts().but(pending=PENDING, pending_is_unrecorded=True),
    ({}, Open(predecessor_id="old", recovered_id="r1")),
    ({"listed": BOTH}, Open(predecessor_id="old", recovered_id="r1")),
    ({"pending_is_unrecorded": False}, Open(predecessor_id="old")),
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

# -- Before the push. ----------------------------------------------------------------------

STAGE_OLD = Stage(listed_ids=frozenset({"old"}))
#: The pending value was refused, or not found, for as long as propagation may take.
REFUSED = {
    "rotation__sent_at": NOW - PATIENCE,
    "pending_refused_since": NOW - PATIENCE,
    "pending_refused_at": NOW,
}
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
    ({"seen_at": JUST_FRESH, "current_live_at": JUST_FRESH}, Evict(secret_id="alien")),
    (
        {"expendable_ids": frozenset(), "policy__on_foreign": OnForeign.EVICT_OLDEST},
        Evict(secret_id="alien"),
    ),
    ({"expendable_ids": frozenset()}, "foreign-secret"),
    ({"expendable_ids": frozenset({"old"})}, "foreign-secret"),
    ({"current_live_at": None}, "unsafe-delete"),
    (NO_NOTE, "unsafe-delete"),
    ({"note__secret_id": "gone"}, "unsafe-delete"),
    ({"seen_at": STALE}, Look()),
    ({"current_live_at": STALE}, Look()),
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
    ({"current__api_key": "ffffffff"}, "wrong-entry"),
    ({"listed": None, "current_live_at": None}, "current-refused"),
    ({"hold": HOLD}, "held"),
    ({"pending": PENDING}, Create()),
    # The pending entry is missing: a standby may lag, so it is believed only after a while.
    ({"rotation__sent_at": NOW}, Look()),
    *((facts, Look()) for facts in REFUSED_TOO_EARLY),
    (REFUSED, Abort(code="pending-lost")),
    ({**REFUSED, "rotation__new_id": "new", "listed": BOTH}, Abort(code="pending-lost")),
    (
        {**REFUSED, "rotation__new_id": "new", "listed": BOTH, "rotation__step": Step.PUSH},
        "drift",
    ),
    # What is to be replaced is seen only now.
    ({"rotation__predecessor_id": None}, Learn(predecessor_id="old")),
    ({"rotation__predecessor_id": None, "current_live_at": None, "current__note": None}, STAGE_OLD),
    ({"rotation__abort_code": "x"}, Close(error_code="x")),
)

CREATING = table(
    Facts().but(rotation=ROTATION, pending=PENDING, pending_version=3),
    ({}, Create()),
    # No answer came, and there is no new id: the same value is sent again.
    ({"rotation__sent_at": NOW}, Create()),
    # Never with a new id in the list.
    ({"listed": BOTH, "rotation__sent_at": NOW}, Probe()),
    ({"listed": BOTH}, "foreign-secret"),
    (
        {"listed": BOTH, "expendable_ids": frozenset({"new"})},
        Evict(secret_id="new"),
    ),
    ({"pending": None}, Stage(listed_ids=frozenset({"old"}))),
    ({"rotation__abort_code": "x"}, Clear(upto=3)),
    # The value was rejected: another is drawn, but not while an earlier try may have arrived.
    ({"rotation__rejected": True}, Stage(listed_ids=frozenset({"old"}))),
    (
        {"rotation__rejected": True, "rotation__draws": MAX_DRAWS - 1},
        Stage(listed_ids=frozenset({"old"})),
    ),
    ({"rotation__rejected": True, "rotation__draws": MAX_DRAWS}, Abort(code="secret-rejected")),
    # An earlier attempt may have taken effect: the value is not given up while it may.
    ({"rotation__rejected": True, "rotation__sent_at": NOW}, Probe()),
    (
        {"rotation__rejected": True, "rotation__sent_at": NOW, "pending_live_at": NOW},
        Look(),
    ),
    *(({**facts, "rotation__rejected": True}, Probe()) for facts in REFUSED_TOO_EARLY),
    ({**REFUSED, "rotation__rejected": True}, Stage(listed_ids=frozenset({"old"}))),
    # The list is from before the last refusal, and may have lagged then.
    (
        {**REFUSED, "rotation__rejected": True, "seen_at": NOW - timedelta(seconds=1)},
        Look(),
    ),
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
        rotation=replace(ROTATION, sent_at=NOW), pending=PENDING, listed=BOTH, pending_live_at=NOW
    ),
    ({}, Learn(new_id="new")),
    ({"pending_live_at": JUST_FRESH}, Learn(new_id="new")),
    ({"pending_live_at": None}, Probe()),
    ({"pending_live_at": STALE}, Probe()),
    ({"rotation__sent_at": None}, "foreign-secret"),
    ({"listed": (OLD, NEW, ALIEN)}, "foreign-secret"),
    ({"listed": (OLD,)}, Create()),
    ({"rotation__new_id": "new"}, Push()),
    # It never authenticates: perhaps a stranger's, perhaps ours. It is left alone either way.
    ({**REFUSED, "pending_live_at": None}, "foreign-secret"),
    *(({**facts, "pending_live_at": None}, Probe()) for facts in REFUSED_TOO_EARLY),
)

PUSHING = table(
    Facts().but(
        rotation=replace(ROTATION, sent_at=NOW, new_id="new", step=Step.CREATE),
        pending=PENDING,
        listed=BOTH,
        pending_live_at=NOW,
    ),
    ({}, Push()),
    ({"pending_live_at": JUST_FRESH}, Push()),
    (NO_NOTE, Push()),
    ({"current_live_at": None}, Push()),
    ({"pending_live_at": None}, Probe()),
    ({"pending_live_at": STALE}, Probe()),
    ({"hold": HOLD}, "held"),
    ({"current__intact": False}, "drift"),
    ({"current": None}, "entry-missing"),
    ({"current__api_key": "ffffffff"}, "wrong-entry"),
    ({"pending": None}, Look()),
    ({**REFUSED, "pending": None}, Abort(code="pending-lost")),
    ({"pending__rotation_id": "r0"}, Abort(code="pending-lost")),
    # The new secret is not listed: perhaps not yet.
    ({"listed": (OLD,)}, Look()),
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
    ({**REFUSED, "pending_live_at": None}, Abort(code="new-secret-refused")),
    *(({**facts, "pending_live_at": None}, Probe()) for facts in REFUSED_TOO_EARLY),
    ({**REFUSED, "pending_live_at": None, "rotation__step": Step.PUSH}, "drift"),
    ({**REFUSED, **FIRST, "pending_live_at": None}, "first-secret-refused"),
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
    ({"seen_at": JUST_FRESH, "current_live_at": JUST_FRESH}, Delete(secret_id="new")),
    ({"seen_at": STALE}, Look()),
    ({"current_live_at": STALE}, Look()),
    ({"current_live_at": None}, "unsafe-delete"),
    # Vault holds the very secret.
    ({"note__secret_id": "new"}, "unsafe-delete"),
    # What Vault holds is not certain; that it is not the pending value is enough.
    (NO_NOTE, Delete(secret_id="new")),
    ({**NO_NOTE, "current_is_pending": True}, "unsafe-delete"),
    (FIRST, "first-secret-unused"),
    ({**NO_NOTE, "pending": None}, "unsafe-delete"),
    ({**NO_NOTE, "pending__rotation_id": "r0"}, "unsafe-delete"),
    ({"hold": HOLD}, "held"),
    ({"listed": None, "current_live_at": None}, "current-refused"),
    ({"current__intact": False}, "drift"),
    # It is gone: what was staged goes, and the rotation is closed.
    ({"listed": (OLD,)}, Clear(upto=3)),
    ({"listed": (OLD,), "pending": None}, Close(error_code="new-secret-refused")),
    ({"listed": (OLD,), "pending__rotation_id": "r0"}, Close(error_code="new-secret-refused")),
    ({"rotation__new_id": None}, Clear(upto=3)),
)

# -- After the push. -----------------------------------------------------------------------

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
    pending_live_at=NOW,
    current_is_pending=True,
)
CHANGED: list[tuple[dict[str, Any], Action | str]] = [
    ({"current": None}, "drift"),
    ({"current__has_value": False}, "drift"),
    ({"current__intact": False}, "drift"),
    ({"note__rotation_id": "r2"}, "drift"),
    # Not even what is wrong is looked into.
    ({"hold": FREEZE}, "held"),
    ({"hold": FREEZE, "current": None}, "held"),
]

VERIFYING = table(
    PUSHED,
    ({}, Verify(version=8)),
    ({"listed": None, "current_live_at": None}, Verify(version=8)),
    # Someone patched another field meanwhile: the version that was written is what counts.
    ({"current__version": 9}, Verify(version=8)),
    # The answer to the push was lost, and the note tells that it was written.
    ({"rotation__vault_version": None}, Learn(new_id="new", vault_version=8)),
    ({"rotation__new_id": None}, Learn(new_id="new", vault_version=8)),
    ({"rotation__abort_code": "x"}, Verify(version=8)),
    ({"hold": HOLD}, Verify(version=8)),
    ({"hold": HOLD, "rotation__vault_version": None}, Learn(new_id="new", vault_version=8)),
    *CHANGED,
)

VERIFIED = PUSHED.but(rotation__verified_at=NOW, rotation__step=Step.VERIFY)
CLEARING = table(
    VERIFIED,
    ({}, Clear(upto=3)),
    ({"hold": HOLD}, Clear(upto=3)),
    # Not seen is not gone: a standby may lag. What was pushed is known.
    ({"pending": None}, Clear(upto=3)),
    ({"pending": None, "pending_version": 2}, Clear(upto=3)),
    ({"pending": None, "pending_version": 2, "rotation__pending_version": 0}, Clear(upto=2)),
    ({"pending": None, "pending_version": 0, "rotation__pending_version": 0}, Clear(upto=0)),
    ({"pending": None, "rotation__step": Step.WAIT}, Wait(until=NOW + GRACE)),
    ({"pending__rotation_id": "r0"}, Wait(until=NOW + GRACE)),
    *CHANGED,
)

GRACE_OVER = VERIFIED.but(pending=None, rotation__verified_at=NOW - GRACE, rotation__step=Step.WAIT)
DELETING = table(
    GRACE_OVER,
    ({}, Delete(secret_id="old")),
    ({"hold": HOLD}, Delete(secret_id="old")),
    ({"seen_at": JUST_FRESH, "current_live_at": JUST_FRESH}, Delete(secret_id="old")),
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
    # (b) Vault's value has just authenticated
    ({"seen_at": STALE}, Look()),
    ({"current_live_at": STALE}, Look()),
    ({"current_live_at": None}, "current-refused"),
    ({"listed": None, "current_live_at": None}, "current-refused"),
    # (a) it is not the one that Vault holds, nor the last one
    ({"note__secret_id": "old"}, "drift"),
    ({"note__secret_id": "gone"}, "drift"),
    ({"listed": (OLD,)}, "drift"),
    ({"listed": (OLD, ALIEN)}, "drift"),
    # (d) it is known as the predecessor
    ({"rotation__predecessor_id": None}, Close()),
    ({"rotation__predecessor_id": "gone"}, Close()),
    ({"listed": (NEW,)}, Close()),
    ({"listed": (NEW, ALIEN)}, Close()),
    *CHANGED,
)

EVERYTHING = [
    *(OPENING, RECOVERING, EVICTING, STAGING, CREATING, LEARNING, PUSHING, UNDOING),
    *(VERIFYING, CLEARING, DELETING),
]


@pytest.mark.parametrize(("facts", "expected"), [row for rows in EVERYTHING for row in rows])
def test_what_follows_from_the_facts(facts: Facts, expected: Action | str) -> None:
    """One world leads to one action, or to one refusal."""
    assert decided(facts) == expected


def test_every_action_is_decided_somewhere() -> None:
    """The tables leave out no action."""
    decisions = [decided(row.values[0]) for rows in EVERYTHING for row in rows]  # type: ignore[attr-defined]
    kinds = {type(decision) for decision in decisions if not isinstance(decision, str)}

    assert kinds == {
        *(Open, Evict, Stage, Create, Probe, Push, Verify, Clear, Delete, Learn, Abort, Close),
        *(Look, Wait, Idle),
    }


# -- What Vault certainly holds. -----------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({}, "old"),
        ({"current_live_at": None}, "old"),
        ({"listed": WITH_ALIEN}, "old"),
        ({"current": None}, None),
        ({"listed": None}, None),
        ({"listed": ()}, None),
        ({"current__intact": False}, None),
        ({"note__secret_id": "gone"}, None),
        (NO_NOTE, "old"),
        ({**NO_NOTE, "current_live_at": None}, None),
        ({**NO_NOTE, "listed": WITH_ALIEN}, None),
    ],
)
def test_the_id_of_what_vault_holds(changes: dict[str, Any], expected: str | None) -> None:
    """It is told only where note and list agree, or where there is no other."""
    assert held_id(Facts().but(**changes).world) == expected


# -- Waiting by the ledger alone. ----------------------------------------------------------


@pytest.mark.parametrize("step", list(Step))
def test_only_a_waiting_rotation_waits(step: Step) -> None:
    """In any other step there is something to do or to look at."""
    rotation = replace(ROTATION, step=step, verified_at=NOW)
    until = waits_until(ACCOUNT, rotation, Request(reason=None), NOW)

    assert until == (NOW + GRACE if step is Step.WAIT else None)


@pytest.mark.parametrize(
    ("asked", "expected"),
    [
        (None, GRACE),
        (timedelta(), timedelta()),
        (timedelta(hours=1), timedelta(hours=1)),
        (timedelta(days=9), GRACE),
    ],
)
def test_a_grace_asked_for_shortens_the_wait(asked: timedelta | None, expected: timedelta) -> None:
    """It never lengthens it."""
    rotation = replace(ROTATION, step=Step.WAIT, verified_at=NOW)

    assert waits_until(ACCOUNT, rotation, Request(reason=None, grace=asked), NOW) == NOW + expected


def test_a_waiting_rotation_without_a_time_does_not_wait() -> None:
    """A record that cannot be is looked at, not believed."""
    rotation = replace(ROTATION, step=Step.WAIT, verified_at=None)

    assert waits_until(ACCOUNT, rotation, Request(reason=None), NOW) is None


# -- Windows. ------------------------------------------------------------------------------

#: Closed at NOW.
CLOSED = replace(ACCOUNT, policy=replace(POLICY, window=("09:00-10:00",)))
OPENS = NOW.replace(hour=9, minute=0)
DUE = Request(reason="due")
BY_ITSELF = replace(ROTATION, reason="due")
SENT = replace(BY_ITSELF, step=Step.CREATE, sent_at=NOW)
ABORTED = replace(BY_ITSELF, step=Step.ABORT, abort_code="overtaken")


@pytest.mark.parametrize(
    ("rotation", "request_", "waits"),
    [
        (None, DUE, True),
        (None, ASKED, False),
        (None, Request(reason="compromised"), False),
        (None, Request(reason=None), False),
        (BY_ITSELF, DUE, True),
        (BY_ITSELF, Request(reason=None), True),
        (BY_ITSELF, ASKED, False),
        # Asked for by a process that died.
        (ROTATION, DUE, False),
        (SENT, DUE, False),
        (replace(SENT, sent_at=None, new_id="new"), DUE, False),
        (ABORTED, DUE, False),
        (replace(ABORTED, new_id="new"), DUE, True),
        (replace(ABORTED, new_id="new"), ASKED, False),
    ],
)
def test_what_waits_for_a_window(
    rotation: Rotation | None, request_: Request, *, waits: bool
) -> None:
    """What has not begun, and deletions; not what is on its way, nor what a person asked for."""
    expected = OPENS if waits else None
    action = decide(
        CLOSED,
        replace(QUIET, rotation=rotation),
        request_,
        propagation_timeout=PATIENCE,
        now=NOW,
    )

    assert waits_until(CLOSED, rotation, request_, NOW) == expected
    assert (action == Wait(until=OPENS)) is waits
    assert waits_until(CLOSED, rotation, request_, OPENS) is None


@pytest.mark.parametrize(
    ("account", "rotation", "request_", "waits"),
    [
        (CLOSED, SENT, DUE, True),
        (CLOSED, SENT, Request(reason=None), True),
        (CLOSED, SENT, ASKED, False),
        (CLOSED, replace(SENT, reason="asked"), DUE, False),
        (ACCOUNT, SENT, DUE, False),
    ],
)
def test_a_slot_is_freed_in_a_window(
    account: Account, rotation: Rotation, request_: Request, *, waits: bool
) -> None:
    """For a value that was sent and did not arrive, too, unless a person asked."""
    expendable = frozenset({"alien"})
    world = replace(
        QUIET, listed=WITH_ALIEN, expendable_ids=expendable, rotation=rotation, pending=PENDING
    )
    action = decide(account, world, request_, propagation_timeout=PATIENCE, now=NOW)

    assert action == (Wait(until=OPENS) if waits else Evict(secret_id="alien"))


@pytest.mark.parametrize(
    ("rotation", "asked", "until"),
    [
        (replace(BY_ITSELF, grace=timedelta()), None, OPENS),
        (replace(BY_ITSELF, grace=timedelta(hours=3)), None, OPENS + timedelta(days=1)),
        (replace(BY_ITSELF, grace=timedelta(hours=2)), timedelta(minutes=1), OPENS),
        (replace(BY_ITSELF, grace=timedelta(hours=2)), timedelta(), NOW),
        (replace(ROTATION, grace=timedelta()), None, NOW),
        (replace(ROTATION, grace=timedelta(minutes=1)), None, OPENS),
    ],
)
def test_a_deletion_waits_for_a_window(
    rotation: Rotation, asked: timedelta | None, until: datetime
) -> None:
    """The first one after the grace; only who asks for no grace asks for no window either."""
    rotation = replace(rotation, step=Step.WAIT, verified_at=NOW)

    assert waits_until(CLOSED, rotation, Request(reason=None, grace=asked), NOW) == until


# -- Every combination. --------------------------------------------------------------------

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
    """Give what is deleted in which of all worlds in which this rotation is open."""
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
        assert secret_id != held_id(world)
        assert (world.current_live_at, world.seen_at) == (NOW, NOW)
        assert world.current is not None
        assert world.current.note is None or world.current.intact


def test_no_combination_of_facts_deletes_the_last_secret() -> None:
    """Nor where Vonage still accepts a value whose secret it does not list any more."""
    counts = {len(world.listed_ids) for rotation in ROTATIONS for _, world in deletions(rotation)}

    assert counts == {2}


def test_a_decision_holds_no_value() -> None:
    """Actions carry ids, versions, codes and times: nothing that a log must not show."""
    kinds = {
        field.type
        for kind in (Open, Evict, Stage, Create, Probe, Push, Verify, Clear, Delete, Learn, Abort)
        for field in fields(kind)
    }

    assert kinds <= {str, int, str | None, int | None, frozenset[str]}
