from collections.abc import Callable
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine, select

from rotator.errors import LedgerError
from rotator.ledger import chain, tables
from rotator.ledger.database import writing
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import GateWait, Identity, Rotation, Step
from rotator.model.convergence import Convergence
from rotator.rotation.ports import AccountSnapshot, AccountState, Lease, NewEntry
from tests.support.samples import rotation

NOW = datetime(2026, 11, 23, 7, 28, 0, 123456, tzinfo=UTC)
LATER = NOW + timedelta(minutes=1)
DRAFT = NewEntry(event="intent", step=Step.STAGE, detail={"code": None}, rotation_id="r1")
ROTATION = rotation(account="a", opened_at=NOW)
ADOPTING = NewEntry(
    event="intent",
    step=Step.PUSH,
    detail={"by": "operator", "operation": "adopt", "secret_id": "s1", "over": 7},
)
PUSHED = replace(ROTATION, new_id="s2", vault_version=8)
SIGHTING = AccountSnapshot(
    listed_ids=("old", "new"),
    current_id="new",
    current_since=NOW - timedelta(days=1),
    next_due_at=NOW + timedelta(days=30),
)


@pytest.fixture
def lease(writer: LedgerWriter) -> Lease:
    """Claim the account `a`."""
    return writer.claim("a", NOW)


Dump = Callable[[], dict[str, list[dict[str, Any]]]]


@pytest.fixture
def dump(database: Engine) -> Dump:
    """Return a function that reads the whole ledger."""

    def read() -> dict[str, list[dict[str, Any]]]:
        with database.connect() as connection:
            return {
                table.name: [dict(row) for row in connection.execute(select(table)).mappings()]
                for table in tables.metadata.sorted_tables
            }

    return read


def commit(writer: LedgerWriter, lease: Lease, now: datetime = NOW, **what: Any) -> str:  # noqa: ANN401
    """Commit what is given and nothing else; give the head."""
    return writer.commit(
        lease,
        now=now,
        rotation=what.get("rotation"),
        entries=what.get("entries", []),
        snapshot=what.get("snapshot"),
    ).head


# -- Entries. ------------------------------------------------------------------------------


def test_a_commit_gives_the_head(database: Engine, writer: LedgerWriter, lease: Lease) -> None:
    """The head is the hash of the newest entry, and what a later process loads."""
    first = commit(writer, lease, entries=[DRAFT])
    second = commit(writer, lease, entries=[DRAFT, DRAFT])
    hashes = [entry.hash for entry in LedgerReader(database).entries("a")]

    assert [first, second] == [hashes[0], hashes[2]]
    assert writer.load("a").head == second


def test_a_commit_without_entries_keeps_the_head(writer: LedgerWriter, lease: Lease) -> None:
    """A snapshot alone is no link of the chain."""
    sighting = replace(SIGHTING, listed_ids=("new",))
    assert commit(writer, lease, snapshot=sighting) == chain.GENESIS

    head = commit(writer, lease, entries=[DRAFT])

    assert commit(writer, lease, rotation=ROTATION) == head


def test_entries_keep_their_order_and_content(
    database: Engine, writer: LedgerWriter, lease: Lease
) -> None:
    """What is drafted is what stands there, numbered from 1, with the time of the commit."""
    other = NewEntry(event="refused", step=None, detail={"why": 'a "ü"', "n": 1, "is": True})
    commit(writer, lease, entries=[DRAFT])
    commit(writer, lease, LATER.astimezone(timezone(timedelta(hours=2))), entries=[other, DRAFT])
    entries = [entry.exported() for entry in LedgerReader(database).entries("a")]
    hidden = {"prev_hash", "hash", "account"}

    assert [{k: v for k, v in entry.items() if k not in hidden} for entry in entries] == [
        {
            "seq": 1,
            "at": "2026-11-23T07:28:00.123456Z",
            "event": "intent",
            "step": "stage",
            "rotation_id": "r1",
            "detail": {"code": None, "fencing_token": 1},
        },
        {
            "seq": 2,
            "at": "2026-11-23T07:29:00.123456Z",
            "event": "refused",
            "step": None,
            "rotation_id": None,
            "detail": {"is": True, "n": 1, "why": 'a "ü"'},
        },
        {
            "seq": 3,
            "at": "2026-11-23T07:29:00.123456Z",
            "event": "intent",
            "step": "stage",
            "rotation_id": "r1",
            "detail": {"code": None, "fencing_token": 1},
        },
    ]


def test_accounts_have_chains_of_their_own(
    database: Engine, writer: LedgerWriter, lease: Lease
) -> None:
    """Each account's entries are numbered and chained by themselves."""
    other = writer.claim("b", NOW)
    for one in (lease, other, other, lease):
        commit(writer, one, entries=[DRAFT])
    verdicts = [LedgerReader(database).verify(name) for name in "ab"]

    assert [(verdict.entries, verdict.fault) for verdict in verdicts] == [(2, None), (2, None)]


# -- All or nothing. -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "bad",
    [
        {"entries": [DRAFT, replace(DRAFT, event="half \ud800")]},
        {"entries": [DRAFT, replace(DRAFT, rotation_id="half \ud800")]},
        {"entries": [DRAFT, replace(DRAFT, detail={"why": "half \udfff"})]},
        {"snapshot": replace(SIGHTING, current_id="half \ud800")},
        {"snapshot": replace(SIGHTING, listed_ids=("half \ud800",))},
        {"rotation": replace(ROTATION, predecessor_id="half \ud800")},
        {"rotation": replace(ROTATION, verified_at=datetime(2026, 1, 1))},  # noqa: DTZ001
        {"snapshot": replace(SIGHTING, current_since=datetime(2026, 1, 1))},  # noqa: DTZ001
        {"now": datetime(2026, 1, 1)},  # noqa: DTZ001
        # A second open rotation.
        {"rotation": replace(ROTATION, id="r2")},
    ],
)
def test_a_commit_is_all_or_nothing(
    writer: LedgerWriter, lease: Lease, dump: Dump, bad: dict[str, Any]
) -> None:
    """If one part cannot be recorded, none is, and the ledger works on."""
    commit(writer, lease, rotation=ROTATION)
    before = dump()
    whole: dict[str, Any] = {"rotation": ROTATION, "entries": [DRAFT], "snapshot": SIGHTING}
    with pytest.raises(LedgerError):
        commit(writer, lease, **(whole | bad))

    assert dump() == before
    assert commit(writer, lease, entries=[DRAFT]) == writer.load("a").head


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgresql"])
def test_postgresql_cannot_hold_nul(writer: LedgerWriter, lease: Lease, dump: Dump) -> None:
    """A text with the one character that PostgreSQL does not take is refused whole."""
    before = dump()
    with pytest.raises(LedgerError, match="NUL"):
        commit(writer, lease, entries=[replace(DRAFT, event="a\0b")])

    assert dump() == before


def test_nul_in_a_detail_is_escaped(database: Engine, writer: LedgerWriter, lease: Lease) -> None:
    """JSON spells it without the character itself, so that both databases take it."""
    commit(writer, lease, entries=[replace(DRAFT, detail={"why": "a\0b"})])

    assert (
        next(LedgerReader(database).entries("a")).detail == r'{"fencing_token":1,"why":"a\u0000b"}'
    )


@pytest.mark.parametrize(
    ("events", "known"),
    [
        (("intent",), "s1"),
        (("intent", "unknown"), "s1"),
        (("intent", "rejected"), None),
        (("done",), None),
    ],
)
def test_what_is_adopted_is_remembered(
    writer: LedgerWriter, lease: Lease, events: tuple[str, ...], known: str | None
) -> None:
    """From before it is written to Vault, unless it certainly was not."""
    for event in events:
        commit(writer, lease, entries=[replace(ADOPTING, event=event)])
    commit(writer, lease, entries=[DRAFT])

    assert writer.load("a").adopted_id == known


@pytest.mark.parametrize(
    ("after", "events", "known"),
    [
        (PUSHED, (("done", Step.VERIFY),), None),
        # What was adopted is what the rotation made.
        (replace(PUSHED, new_id="s1"), (("done", Step.VERIFY),), "s1"),
        # It was pushed before the adoption.
        (replace(PUSHED, vault_version=7), (("done", Step.VERIFY),), "s1"),
        (PUSHED, (("done", Step.PUSH), ("intent", Step.VERIFY)), "s1"),
    ],
)
def test_what_is_adopted_is_remembered_until_it_is_replaced(
    writer: LedgerWriter,
    lease: Lease,
    after: Rotation,
    events: tuple[tuple[str, Step], ...],
    known: str | None,
) -> None:
    """By a rotation whose secret was seen in Vault; from then on it is the ledger's own."""
    commit(writer, lease, entries=[ADOPTING])
    entries = [NewEntry(event=event, step=step, detail={}) for event, step in events]
    commit(writer, lease, entries=entries, rotation=after)

    assert writer.load("a").adopted_id == known


# -- Rotations. ----------------------------------------------------------------------------


def test_a_rotation_is_remembered_while_open(writer: LedgerWriter, lease: Lease) -> None:
    """A later process finds the open rotation as it was last committed, and no closed one."""
    commit(writer, lease, rotation=ROTATION)
    opened = writer.load("a").rotation
    commit(writer, lease, rotation=replace(ROTATION, step=Step.CREATE, sent_at=LATER))
    sent = writer.load("a").rotation
    commit(writer, lease, rotation=replace(ROTATION, closed_at=LATER, outcome="completed"))
    closed = writer.load("a").rotation

    assert (opened, sent, closed) == (
        ROTATION,
        replace(ROTATION, step=Step.CREATE, sent_at=LATER),
        None,
    )


def test_a_rotation_is_one_row(dump: Dump, writer: LedgerWriter, lease: Lease) -> None:
    """Each commit of a rotation replaces what was known of it."""
    for step in Step:
        commit(writer, lease, rotation=replace(ROTATION, step=step))

    assert [row["step"] for row in dump()["rotation"]] == ["abort"]


def test_one_rotation_is_open_at_a_time(writer: LedgerWriter, lease: Lease) -> None:
    """The database itself refuses a second open rotation; after the first is closed, it may be."""
    second = replace(ROTATION, id="r2")
    commit(writer, lease, rotation=ROTATION)
    with pytest.raises(LedgerError):
        commit(writer, lease, rotation=second)
    commit(writer, lease, rotation=replace(ROTATION, closed_at=LATER))
    commit(writer, lease, rotation=second)

    assert writer.load("a").rotation == second


def test_rotations_of_two_accounts_may_share_an_id(writer: LedgerWriter, lease: Lease) -> None:
    """A pending entry that was copied in Vault is recovered without touching its original."""
    commit(writer, lease, rotation=ROTATION)
    copied = replace(ROTATION, account="b", predecessor_id="other")
    commit(writer, writer.claim("b", NOW), rotation=copied)

    assert [writer.load(name).rotation for name in "ab"] == [ROTATION, copied]


def test_only_an_accounts_own_rotations_are_known(writer: LedgerWriter, lease: Lease) -> None:
    """A rotation is known by account and id, whether open or closed."""
    commit(writer, lease, rotation=replace(ROTATION, closed_at=NOW))
    commit(writer, lease, rotation=replace(ROTATION, id="r2"))
    known = [writer.knows_rotation(*which) for which in (("a", "r1"), ("a", "r2"), ("a", "r3"))]

    assert known == [True, True, False]
    assert not writer.knows_rotation("b", "r1")


def test_only_an_accounts_own_secrets_are_known(writer: LedgerWriter, lease: Lease) -> None:
    """A secret is known by account and id: what a rotation made or replaced, or was adopted."""
    commit(writer, lease, rotation=replace(ROTATION, predecessor_id="old", new_id="new"))
    adoption: dict[str, str | int] = {"operation": "adopt", "secret_id": "mine", "over": 7}
    entry = NewEntry(event="intent", step=Step.PUSH, detail=adoption)
    commit(writer, lease, entries=[entry])

    assert [writer.knows_secret("a", each) for each in ("old", "new", "mine", "x")] == [
        *(True, True, True, False)
    ]
    assert not writer.knows_secret("b", "old")
    assert not writer.knows_secret("nobody", "")


def test_an_unknown_account_has_no_past(writer: LedgerWriter) -> None:
    """Loading what was never recorded gives nothing, and records nothing."""
    memory = AccountState(rotation=None, expendable_ids=frozenset(), hold=None, head="0" * 64)
    loaded = writer.load("nobody")

    assert loaded == replace(memory, ledger_id=loaded.ledger_id)
    assert not writer.knows_rotation("nobody", "r1")


TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=80)
TIMES = st.datetimes(
    datetime(1970, 1, 2),  # noqa: DTZ001  # hypothesis adds the zone
    datetime(2999, 1, 1),  # noqa: DTZ001
    timezones=st.sampled_from([UTC, timezone(timedelta(hours=14)), timezone(-timedelta(hours=11))]),
)
ROTATIONS = st.builds(
    Rotation,
    id=TEXTS,
    account=st.just("a"),
    reason=TEXTS,
    step=st.sampled_from(Step),
    predecessor_id=st.none() | TEXTS,
    grace=st.timedeltas(timedelta(0), timedelta(days=36500)),
    opened_at=TIMES,
    sent_at=st.none() | TIMES,
    rejected=st.booleans(),
    values_generated=st.integers(0, 2**31 - 1),
    new_id=st.none() | TEXTS,
    vault_version=st.none() | st.integers(0, 2**63 - 1),
    verified_at=st.none() | TIMES,
    abort_code=st.none() | TEXTS,
    waiting=st.builds(
        GateWait,
        gate=st.none() | TEXTS,
        reason=st.none() | TEXTS,
        shut_since=st.none() | TIMES,
        retry_at=TIMES,
        convergence=st.sampled_from([None, Convergence(consumers=3, converged=1, behind=("ä",))]),
    ),
    closed_at=st.none() | TIMES,
    outcome=st.none() | TEXTS,
    error_code=st.none() | TEXTS,
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@example(rotation=replace(ROTATION, grace=timedelta(days=36499, microseconds=999_999)))
@given(rotation=ROTATIONS)
def test_any_rotation_survives(database: Engine, rotation: Rotation) -> None:
    """Every field comes back as it went in, times to the microsecond and in UTC."""
    with writing(database) as connection:
        connection.execute(tables.rotation.delete())
    writer = LedgerWriter(database, lease_seconds=0, owner="o")
    commit(writer, writer.claim("a", NOW), rotation=rotation)
    [record] = LedgerReader(database).accounts(["a"])
    times = [value for value in vars(record.last_rotation).values() if isinstance(value, datetime)]

    assert record.last_rotation == rotation
    assert {time.tzinfo for time in times} == {UTC}
    assert writer.load("a").rotation == (None if rotation.closed_at else rotation)


def test_rows_have_every_field_of_a_rotation() -> None:
    """A field that is added to the model has to be added to the table."""
    stored = {"grace": "grace_seconds", "values_generated": "draws"}
    names = {stored.get(field.name, field.name) for field in fields(Rotation)}
    names -= {"identity", "waiting"}
    names |= {field.name for field in fields(Identity)}
    names |= {"gate", "gate_reason", "gate_since", "gate_retry_at", "gate_convergence"}

    assert set(tables.rotation.c.keys()) == names | {"delete_due_at"}


# -- Expendable ids. -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rotation", "expendable"),
    [
        (ROTATION, set()),
        (replace(ROTATION, new_id="new", vault_version=2), set()),
        (replace(ROTATION, new_id="new", verified_at=NOW), {"old"}),
        (replace(ROTATION, predecessor_id=None, verified_at=NOW), set()),
        (replace(ROTATION, new_id="new", abort_code="x"), set()),
        (replace(ROTATION, new_id="new", closed_at=NOW, outcome="failed"), {"new"}),
        (replace(ROTATION, new_id=None, closed_at=NOW, outcome="failed"), set()),
        # Undone after it was in Vault: either secret may be in use.
        (
            replace(ROTATION, new_id="new", vault_version=2, closed_at=NOW, outcome="failed"),
            set(),
        ),
        (
            replace(
                ROTATION,
                new_id="new",
                vault_version=2,
                verified_at=NOW,
                closed_at=NOW,
                outcome="failed",
            ),
            set(),
        ),
        (
            replace(ROTATION, new_id="new", verified_at=NOW, closed_at=NOW, outcome="completed"),
            {"old"},
        ),
    ],
)
def test_what_may_be_deleted(
    writer: LedgerWriter, lease: Lease, rotation: Rotation, expendable: set[str]
) -> None:
    """Only what a verified rotation superseded, or what an undone one left behind."""
    commit(writer, lease, rotation=rotation)

    assert writer.load("a").expendable_ids == expendable


def test_expendable_ids_are_remembered_for_ever(writer: LedgerWriter, lease: Lease) -> None:
    """Every closed rotation's leftovers count, and no other account's."""
    for number in range(3):
        done = replace(
            ROTATION, id=f"r{number}", predecessor_id=f"old{number}", verified_at=NOW, closed_at=NOW
        )
        commit(writer, lease, rotation=done)
    failed = replace(ROTATION, id="f", new_id="orphan", closed_at=NOW, outcome="failed")
    commit(writer, lease, rotation=failed)

    assert writer.load("a").expendable_ids == {"old0", "old1", "old2", "orphan"}
    assert writer.load("b").expendable_ids == frozenset()


# -- Sightings. ------------------------------------------------------------------


def test_deletions_are_remembered(writer: LedgerWriter, lease: Lease) -> None:
    """With the intent, before anything is sent; and what became of it."""
    detail = {"secret_id": "s1"}
    commit(writer, lease, entries=[NewEntry(event="intent", step=Step.EVICT, detail=detail)])
    begun = writer.load("a")
    commit(writer, lease, entries=[NewEntry(event="done", step=Step.EVICT, detail=detail)])
    done = writer.load("a")

    assert (begun.deleted_ids, begun.perhaps_deleted_ids) == (frozenset(), frozenset({"s1"}))
    assert (done.deleted_ids, done.perhaps_deleted_ids) == (frozenset({"s1"}), frozenset())


def test_a_sighting_is_kept_for_status(
    database: Engine, writer: LedgerWriter, lease: Lease
) -> None:
    """What was seen is there to be shown, with the time of the commit."""
    commit(writer, lease, snapshot=SIGHTING)
    [record] = LedgerReader(database).accounts(["a"])

    assert record.listed_ids == ("new", "old")
    assert (record.current_id, record.current_since) == ("new", SIGHTING.current_since)
    assert (record.seen_at, record.trouble) == (NOW, None)
    assert record.next_due_at == SIGHTING.next_due_at


def test_a_newer_sighting_replaces_the_older(
    database: Engine, writer: LedgerWriter, lease: Lease
) -> None:
    """Nothing of what was seen before shines through."""
    commit(writer, lease, snapshot=SIGHTING)
    unclear = AccountSnapshot(listed_ids=(), current_id=None, current_since=None)
    commit(writer, lease, LATER, snapshot=unclear)
    [record] = LedgerReader(database).accounts(["a"])

    assert record.listed_ids == ()
    assert (record.current_id, record.current_since) == (None, None)
    assert record.seen_at == LATER


def test_the_age_of_a_secret_that_does_not_work_is_not_forgotten(
    database: Engine, writer: LedgerWriter, lease: Lease
) -> None:
    """Nobody knows better until Vonage answers again: then, what it answers counts."""
    unclear = AccountSnapshot(listed_ids=(), current_id=None, current_since=None, is_broken=True)
    for snapshot in (SIGHTING, unclear):
        commit(writer, lease, LATER, snapshot=snapshot)
    [broken] = LedgerReader(database).accounts(["a"])
    commit(writer, lease, LATER, snapshot=replace(unclear, current_since=LATER))
    [known] = LedgerReader(database).accounts(["a"])

    assert (broken.listed_ids, broken.current_id) == ((), None)
    assert broken.current_since == SIGHTING.current_since
    assert known.current_since == LATER


def test_without_a_sighting_the_last_one_stays(
    database: Engine, writer: LedgerWriter, lease: Lease
) -> None:
    """A commit between two looks does not forget what was seen."""
    commit(writer, lease, snapshot=SIGHTING)
    [before] = LedgerReader(database).accounts(["a"])
    commit(writer, lease, LATER, entries=[DRAFT])

    assert LedgerReader(database).accounts(["a"]) == [before]


FIRST, NEXT = NOW + timedelta(days=1), NOW + timedelta(days=2)


@pytest.mark.parametrize(
    ("recorded", "first", "settled", "expected"),
    [
        (None, None, None, None),
        (None, FIRST, None, FIRST),
        (None, FIRST, NEXT, NEXT),
        (LATER, None, None, LATER),
        (LATER, FIRST, None, LATER),
        (FIRST, LATER, None, LATER),
        (LATER, None, NEXT, NEXT),
        (LATER, FIRST, NEXT, NEXT),
    ],
)
def test_which_due_time_is_kept(
    database: Engine,
    recorded: datetime | None,
    first: datetime | None,
    settled: datetime | None,
    expected: datetime | None,
) -> None:
    """A settled due time replaces the recorded one; a first one only makes it earlier."""
    writer = LedgerWriter(database, lease_seconds=60)
    lease = writer.claim("a", NOW)
    commit(writer, lease, snapshot=replace(SIGHTING, next_due_at=recorded))
    seen = replace(SIGHTING, next_due_at=settled, first_due_at=first)
    commit(writer, lease, snapshot=seen)

    assert LedgerReader(database).accounts(["a"])[0].next_due_at == expected
