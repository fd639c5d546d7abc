"""What is made of entries, whoever wrote them."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from rotator.ledger import chain
from rotator.ledger.comparison import implausible_delays
from rotator.ledger.facts import detail_of, hold_in
from rotator.ledger.replay import Replay
from rotator.model import Rotation, Step
from rotator.rotation.ports import AccountSummary, NewEntry
from tests.support.samples import account, policy, rotation

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
LATER = "2026-11-24T07:28:00+00:00"


def entry(event: str, step: Step | None = None, **detail: Any) -> chain.Entry:  # noqa: ANN401  # any JSON
    """Return an entry, of rotation `r1` where it has a step and is no adoption."""
    is_rotations = step is not None and "operation" not in detail
    new = NewEntry(
        event=event, step=step, detail=detail, rotation_id="r1" if is_rotations else None
    )
    return chain.linked(new, account="sms", at=NOW, seq=1, prev_hash=chain.GENESIS)


OPENED = entry("opened", Step.OPEN, reason="due", predecessor_id="old", grace_seconds=60)
CREATED = entry("done", Step.CREATE, secret_id="new")
PUSHES = entry("intent", Step.PUSH)
VERIFIED = entry("done", Step.VERIFY, verified_at=LATER, grace_seconds=60)
UNDONE = entry("closed", Step.ABORT, outcome="failed", code="overtaken")


def read(*entries: chain.Entry) -> Replay:
    """Read these, the first to the last."""
    replay = Replay()
    for each in entries:
        replay.read(each)
    return replay


@pytest.mark.parametrize(
    ("between", "is_orphan"),
    [
        ((), True),
        ((PUSHES,), False),
        ((PUSHES, entry("rejected", Step.PUSH)), True),
        ((PUSHES, entry("withdrawn", Step.PUSH)), True),
        ((PUSHES, entry("unknown", Step.PUSH)), False),
        ((PUSHES, PUSHES, entry("rejected", Step.PUSH)), False),
        ((PUSHES, entry("done", Step.PUSH, vault_version=2)), False),
        ((entry("learned", Step.PUSH, secret_id="new", vault_version=2),), False),
    ],
)
def test_what_may_have_been_read_is_no_orphan(
    between: tuple[chain.Entry, ...], *, is_orphan: bool
) -> None:
    """Of a rotation that was undone, that is what was not certainly kept from Vault."""
    assert read(OPENED, CREATED, *between, UNDONE).is_expendable("new") is is_orphan


def test_a_predecessor_is_expendable_once_its_rotation_is_over() -> None:
    """And not while it is open, nor if it was ended by an adoption."""
    done = entry("closed", Step.COMPLETE, outcome="completed")

    assert read(OPENED, CREATED, VERIFIED, done).is_expendable("old")
    assert not read(OPENED, CREATED, done).is_expendable("old")
    assert not read(OPENED, CREATED, VERIFIED).is_expendable("old")
    assert not read(OPENED, CREATED, VERIFIED, UNDONE).is_expendable("old")


def test_what_was_adopted_is_not_expendable_until_it_is_replaced() -> None:
    """A write that was certainly refused adopts nothing."""
    done = entry("closed", Step.COMPLETE, outcome="completed")
    before = (OPENED, CREATED, VERIFIED, done)
    adopts = entry("intent", Step.PUSH, operation="adopt", secret_id="old", over=2)
    refused = entry("rejected", Step.PUSH, operation="adopt", secret_id="old", over=2)
    other = entry("intent", Step.PUSH, operation="adopt", secret_id="old")

    assert not read(*before, adopts).is_expendable("old")
    assert read(*before, adopts, refused).is_expendable("old")
    assert read(*before, other).is_expendable("old")


def test_an_undone_rotation_deletes_what_it_made() -> None:
    """Unless that may have been read; and nothing before it is undone or verified."""
    aborting = entry("aborting", Step.ABORT, code="overtaken")

    assert read(OPENED, CREATED).rotations["r1"].doomed_id is None
    assert read(OPENED, CREATED, aborting).rotations["r1"].doomed_id == "new"
    assert read(OPENED, CREATED, PUSHES, aborting).rotations["r1"].doomed_id is None
    assert read(OPENED, CREATED, VERIFIED).rotations["r1"].doomed_id == "old"


ROW = rotation(
    id="r1",
    reason="due",
    step=Step.VERIFY,
    predecessor_id="old",
    new_id="new",
    grace=timedelta(seconds=60),
    verified_at=datetime.fromisoformat(LATER),
)


def test_a_row_that_is_as_its_entries_say_differs_in_nothing() -> None:
    """Nor does one that has let go of what an operator adopts, or is about to."""
    adopts = entry("intent", Step.PUSH, operation="adopt", secret_id="old", over=2)
    recorded = read(OPENED, CREATED, VERIFIED).rotations["r1"]
    letting_go = read(OPENED, CREATED, VERIFIED, adopts).rotations["r1"]
    gone = rotation(**{**vars(ROW), "predecessor_id": None})

    assert list(recorded.differences(ROW)) == []
    assert list(letting_go.differences(ROW)) == []
    assert list(letting_go.differences(gone)) == []
    assert list(recorded.differences(gone)) == [
        "its predecessor_id is nothing, and the entries say old"
    ]


STAGES, STAGED = entry("intent", Step.STAGE), entry("done", Step.STAGE)
CREATES = entry("intent", Step.CREATE)


@pytest.mark.parametrize(
    ("entries", "steps", "facts"),
    [
        ((), {"open"}, (False, False, 0)),
        ((STAGES,), {"stage"}, (False, False, 1)),
        ((STAGES, entry("withdrawn", Step.STAGE)), {"open"}, (False, False, 0)),
        ((STAGES, entry("rejected", Step.STAGE)), {"open"}, (False, False, 1)),
        ((STAGES, STAGED, CREATES), {"create"}, (True, False, 1)),
        ((STAGES, STAGED, CREATES, entry("unknown", Step.CREATE)), {"create"}, (True, False, 1)),
        (
            (STAGES, STAGED, CREATES, entry("rejected", Step.CREATE, code="secret-rejected")),
            {"stage"},
            (False, True, 1),
        ),
        (
            (STAGES, STAGED, CREATES, CREATES, entry("rejected", Step.CREATE, code="slots-full")),
            {"create"},
            (True, False, 1),
        ),
        (
            (
                *(STAGES, STAGED, CREATES),
                *(entry("rejected", Step.CREATE, code="secret-rejected"), STAGES, STAGED),
            ),
            {"stage"},
            (False, False, 2),
        ),
        ((CREATED, PUSHES, VERIFIED), {"verify"}, (False, False, 0)),
        ((VERIFIED, entry("done", Step.CLEAR)), {"hooks", "wait"}, (False, False, 0)),
        ((VERIFIED, entry("learned", Step.CLEAR)), {"wait"}, (False, False, 0)),
        ((VERIFIED, entry("done", Step.HOOKS)), {"wait"}, (False, False, 0)),
        ((VERIFIED, entry("gate-shut", Step.WAIT)), {"wait"}, (False, False, 0)),
        (
            (entry("aborting", Step.ABORT), entry("intent", Step.CLEAR), entry("done", Step.CLEAR)),
            {"clear"},
            (False, False, 0),
        ),
    ],
)
def test_where_a_rotation_is_stands_in_its_entries(
    entries: tuple[chain.Entry, ...], steps: set[str], facts: tuple[bool, bool, int]
) -> None:
    """Its step, whether its value may be sent or was rejected, and how many were drawn."""
    recorded = read(OPENED, *entries).rotations["r1"]

    assert recorded.steps == steps
    assert (recorded.is_sent, recorded.is_rejected, recorded.values_generated) == facts


def test_what_else_is_recorded_of_a_rotation_changes_nothing() -> None:
    """Neither a check, nor what comes to nothing."""
    others = [
        entry("done", Step.PROBE),
        entry("learned", Step.STAGE),
        entry("unknown", Step.CREATE),
    ]

    assert read(OPENED, CREATED, *others) == read(OPENED, CREATED)


def test_what_is_recovered_may_have_been_sent() -> None:
    """Nobody knows what became of it."""
    recovered = entry("opened", Step.OPEN, reason="recovered", grace_seconds=60)

    assert read(recovered).rotations["r1"].is_sent


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"step": Step.WAIT}, "its step is wait, and the entries say open"),
        ({"sent_at": NOW}, f"its sent_at is {NOW.isoformat()}, and the entries say nothing"),
        ({"rejected": True}, "its rejected is 1, and the entries say 0"),
        ({"values_generated": 2}, "its draws is 2, and the entries say 0"),
        ({"identity": None}, "its api_key is nothing, and the entries say abcd1234"),
    ],
)
def test_what_an_open_rotation_is_at_is_compared(changes: dict[str, Any], named: str) -> None:
    """And what it was opened for."""
    told = vars(account("sms").identity)
    opened = entry(
        "opened", Step.OPEN, reason="due", predecessor_id="old", grace_seconds=60, **told
    )
    usual = rotation(
        reason="due",
        predecessor_id="old",
        grace=timedelta(seconds=60),
        identity=account("sms").identity,
    )
    replay = read(opened)

    assert list(replay.rotations["r1"].differences(usual)) == []
    assert next(replay.rotations["r1"].differences(replace(usual, **changes))) == named
    assert replay.identity == account("sms").identity


def test_what_an_account_is_is_told_by_its_newest_entry() -> None:
    """Of its rotations, and of what was registered or forgotten between them."""
    told = vars(account("sms").identity)
    registered = entry("registered", **told | {"vault_path": "secret/other"})

    assert read(OPENED).identity is None
    assert read(registered).identity == replace(account("sms").identity, vault_path="secret/other")
    assert read(registered, entry("opened", Step.OPEN, **told)).identity is not None
    assert read(registered, entry("forgotten", by="ann")).identity is None
    assert read(entry("registered", **told | {"issuer": 1})).identity is None


def test_deletions_are_told_by_whoever_made_them() -> None:
    """A rotation or a person, the newest event of each."""
    replay = read(
        OPENED,
        entry("intent", Step.DELETE, secret_id="a"),
        entry("intent", Step.EVICT, secret_id="b"),
        entry("done", Step.DELETE, secret_id="a"),
        entry("done", by="ann", operation="delete", secret_id="c"),
        entry("done", by="ann", operation="delete"),
        entry("done", by="ann", operation="create", secret_id="d"),
    )

    assert replay.deletions == {"b": "intent", "a": "done", "c": "done"}
    assert list(replay.deletions) == ["b", "a", "c"]


def test_the_newest_version_is_told_by_pushes_and_adoptions() -> None:
    """Whichever wrote last; what is no number is none."""
    adopted = entry("done", Step.PUSH, operation="adopt", secret_id="x", vault_version=7)

    assert read(OPENED, entry("done", Step.PUSH, vault_version=3)).newest_version == 3
    assert read(OPENED, adopted, VERIFIED).newest_version == 7
    assert read(OPENED, entry("done", Step.PUSH, vault_version="9")).newest_version == 0


def test_a_version_was_written_at_the_path_that_its_rotation_was_opened_for() -> None:
    """Also if the account was moved before it ended; without a recorded path, at an unknown one."""
    facts = {"api_key": "x", "issuer": "x", "pending_path": "x"}
    before, after = (
        {**facts, "vault_path": "secret/before"},
        {**facts, "vault_path": "secret/after"},
    )
    opened = entry("opened", Step.OPEN, **before)
    moved = entry("registered", None, **after)
    pushed = entry("done", Step.PUSH, vault_version=3)
    adopted = entry("done", Step.PUSH, operation="adopt", secret_id="x", vault_version=7)

    assert read(opened, pushed, moved).written_path == "secret/before"
    assert read(opened, moved, pushed).written_path == "secret/before"
    assert read(opened, pushed, moved, adopted).written_path == "secret/after"
    assert read(OPENED, pushed).written_path is None


@pytest.mark.parametrize(
    ("last", "version", "is_found"),
    [
        (UNDONE, 7, False),
        (entry("closed", Step.PUSH, outcome="failed", vault_version=3), 7, True),
        (entry("closed", Step.PUSH, outcome="failed", vault_version=3), 3, False),
        (entry("closed", Step.COMPLETE, outcome="completed"), 7, True),
    ],
)
def test_what_was_pushed_is_compared_where_it_is_told(
    last: chain.Entry, version: int, *, is_found: bool
) -> None:
    """Older versions did not tell which version an adoption found pushed."""
    row = Rotation(**{**vars(ROW), "vault_version": version, "closed_at": NOW})
    found = list(read(OPENED, CREATED, VERIFIED, last).rotations["r1"].differences(row))

    assert any("vault_version" in each for each in found) is is_found


def test_a_deletion_is_backed_by_what_its_rotation_replaced() -> None:
    """Not where something else was to go, a row differs, or an operator adopted the secret."""
    adopts = entry("intent", Step.PUSH, operation="adopt", secret_id="old", over=2)
    replay = read(OPENED, CREATED, VERIFIED)
    other = rotation(**{**vars(ROW), "reason": "asked"})
    adopted = read(OPENED, CREATED, VERIFIED, adopts)

    assert replay.against(ROW, "old", is_eviction=False) is None
    assert replay.against(ROW, "x", is_eviction=False) == "rotation r1 neither replaced nor made it"
    assert replay.against(ROW, "old", is_eviction=True) is not None
    assert replay.against(other, "old", is_eviction=False) is not None
    assert adopted.against(ROW, "old", is_eviction=False) == "an operator adopted it"


def test_a_hold_is_told_by_its_newest_entry() -> None:
    """Who, why, and whether all stands still."""
    held = entry("held", reason="moving", by="ann", freeze=True)
    replay = read(held)

    assert str(replay.hold) == "moving (ann, frozen)"
    assert read(held, entry("released", reason="moving", by="bob")).hold is None


def test_whatever_stands_in_an_entry_is_read() -> None:
    """Someone who writes entries with hashes that fit can write anything into them."""
    odd = [
        entry("opened", Step.OPEN, reason=1, predecessor_id=["x"], grace_seconds="long"),
        entry("learned", Step.OPEN, predecessor_id={}),
        entry("learned", Step.CREATE, secret_id=7, vault_version="x"),
        entry("learned", Step.PUSH, verified_at="yesterday"),
        entry("done", Step.VERIFY, verified_at="2026-11-23T07:28:00"),
        entry("asked", Step.WAIT),
        entry("done", Step.CREATE, secret_id="x")._replace(rotation_id="unheard-of"),
        entry("opened", Step.OPEN)._replace(rotation_id=None),
        entry("closed", Step.COMPLETE)._replace(detail="[]"),
    ]
    recorded = read(*odd).rotations["r1"]

    assert (recorded.predecessor_id, recorded.new_id, recorded.verified_at) == (None, None, None)
    assert recorded.outcome is None
    assert detail_of(OPENED._replace(detail="[1]")) == {}
    assert detail_of(OPENED._replace(detail="{")) == {}
    assert hold_in(entry("held")._replace(at="x")) is None


def test_a_copy_goes_on_apart() -> None:
    """What is read into one is not in the other."""
    first = read(OPENED)
    second = first.copy()
    second.read(CREATED)

    assert (first.rotations["r1"].new_id, second.rotations["r1"].new_id) == (None, "new")


# -- Times. --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("max_age", "due_in", "named"),
    [(None, timedelta(days=60), []), (timedelta(days=45), timedelta(days=60), [])],
)
def test_on_request_nothing_is_put_off(
    max_age: timedelta | None, due_in: timedelta, named: list[str]
) -> None:
    """A due time there is what an earlier policy left."""
    managed = account("sms", policy=policy(every=None, max_age=max_age))
    known = AccountSummary(name="sms", current_since=NOW, next_due_at=NOW + due_in)

    assert list(implausible_delays(known, managed, NOW + timedelta(minutes=1))) == named


@pytest.mark.parametrize(
    ("due_in", "retry_in", "named"),
    [
        (timedelta(days=20), timedelta(hours=1), None),
        (timedelta(days=44), None, None),
        (timedelta(days=60), None, "due at"),
        (None, timedelta(days=1), "tried again at"),
    ],
)
def test_what_is_put_off_for_too_long_is_named(
    due_in: timedelta | None, retry_in: timedelta | None, named: str | None
) -> None:
    """By its policy, of which only a configured account has one."""
    managed = account("sms", policy=policy(every=timedelta(days=30), max_age=timedelta(days=45)))
    record = AccountSummary(
        **{
            **vars(AccountSummary(name="sms")),
            "current_since": NOW,
            "next_due_at": NOW + due_in if due_in else None,
            "retry_at": NOW + retry_in if retry_in else None,
        }
    )
    found = list(implausible_delays(record, managed, NOW + timedelta(minutes=1)))
    unknown = list(implausible_delays(record, None, NOW))

    assert [each for each in found if named and named in each] == found
    assert bool(found) == (named is not None)
    assert unknown == ([] if not named or due_in else found)
