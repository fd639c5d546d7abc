import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import pytest
from sqlalchemy import Engine, event, text, update

from rotator.errors import LedgerError
from rotator.ledger import chain, tables
from rotator.ledger import database as database_module
from rotator.ledger.chain import GENESIS
from rotator.ledger.database import open_database, open_for_readers, reading, writing
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import Rotation, Step
from rotator.rotation.ports import AccountSummary, NewEntry
from tests.support.samples import NOW, rotation

ROTATION = rotation(account="a")


@pytest.fixture
def queries(database: Engine) -> LedgerReader:
    """Return the ledger to read from."""
    return LedgerReader(database)


def append(writer: LedgerWriter, name: str, count: int = 1, at: datetime = NOW) -> str:
    """Append entries; give the head."""
    entries = [NewEntry(event="done", step=None, detail={"n": number}) for number in range(count)]
    lease = writer.claim(name, NOW)
    committed = writer.commit(lease, rotation=None, entries=entries, snapshot=None, now=at)
    writer.release(lease)
    return committed.head


def record(writer: LedgerWriter, *rotations: Rotation) -> None:
    """Record rotations in this order."""
    for each in rotations:
        lease = writer.claim(each.account, NOW)
        writer.commit(lease, rotation=each, entries=[], snapshot=None, now=NOW)
        writer.release(lease)


def forge(database: Engine, *statements: str) -> None:
    """Change entries as the database's owner can, the triggers taken away."""
    names = ("entry_no_update", "entry_no_delete", "entry_no_replace")
    lift = {
        "sqlite": [f"DROP TRIGGER {name}" for name in names],
        "postgresql": ["ALTER TABLE entry DISABLE TRIGGER USER"],
    }[database.dialect.name]
    with writing(database) as connection:
        for statement in (*lift, *statements):
            connection.execute(text(statement))


# -- Accounts and rotations. ---------------------------------------------------------------


def test_an_account_without_a_record_is_shown_empty(queries: LedgerReader) -> None:
    """An account that was never seen is in the list all the same."""
    assert queries.accounts(["a"]) == [
        AccountSummary(
            name="a",
            listed_ids=(),
            current_id=None,
            current_since=None,
            seen_at=None,
            next_due_at=None,
            hold=None,
            last_rotation=None,
        )
    ]


def test_accounts_come_as_asked_for(writer: LedgerWriter, queries: LedgerReader) -> None:
    """The order is the caller's, and what he does not ask for is left out."""
    for name in "abc":
        append(writer, name)
    records = queries.accounts(["c", "x", "a"])

    assert [one.name for one in records] == ["c", "x", "a"]
    assert queries.accounts([]) == []


def test_the_last_rotation_is_the_newest(writer: LedgerWriter, queries: LedgerReader) -> None:
    """Of an account's rotations, the one that was opened last is shown; of no other account's."""
    closed = replace(ROTATION, closed_at=NOW, outcome="completed")
    newest = replace(ROTATION, id="r0", opened_at=NOW + timedelta(microseconds=1))
    other = replace(ROTATION, account="b", opened_at=NOW + timedelta(days=1))
    record(writer, closed, newest, other)
    records = queries.accounts(["a", "b", "c"])

    assert [one.last_rotation for one in records] == [newest, other, None]


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_of_two_of_the_same_instant_the_open_one_is_the_last(
    writer: LedgerWriter, queries: LedgerReader, order: tuple[int, int]
) -> None:
    """A rotation that follows another within the clock's tick is not hidden by it."""
    opened = replace(ROTATION, id="r2")
    both = [replace(ROTATION, closed_at=NOW, outcome="completed"), opened]
    record(writer, *(both[index] for index in order))

    assert queries.accounts(["a"])[0].last_rotation == opened


def test_an_open_rotation_is_the_last_whatever_a_clock_has_told(
    writer: LedgerWriter, queries: LedgerReader
) -> None:
    """One that was opened by a clock that was ahead does not hide it."""
    ahead = NOW + timedelta(days=60)
    record(
        writer, replace(ROTATION, id="r0", opened_at=ahead, closed_at=ahead, outcome="completed")
    )
    record(writer, replace(ROTATION, id="r1", opened_at=NOW, closed_at=None))

    last = queries.accounts(["a"])[0].last_rotation
    assert last is not None
    assert last.id == "r1"


def test_what_was_seen_when(database: Engine, writer: LedgerWriter, queries: LedgerReader) -> None:
    """Of each account in the ledger, when it was last looked at; never, until it was."""
    append(writer, "a")
    append(writer, "b")
    with writing(database) as connection:
        seen = update(tables.account).where(tables.account.c.name == "b").values(seen_at=NOW)
        connection.execute(seen)

    assert queries.last_seen() == {"a": None, "b": NOW}
    assert queries.last_seen(["b", "c"]) == {"b": NOW}


def test_expendable_is_what_was_replaced_or_never_used(
    writer: LedgerWriter, queries: LedgerReader
) -> None:
    """A verified rotation's predecessor, and the secret of an undone one that Vault never held."""
    verified = replace(ROTATION, predecessor_id="replaced", new_id="present", verified_at=NOW)
    failed = replace(ROTATION, predecessor_id="kept", closed_at=NOW, outcome="failed")
    unverified = replace(failed, id="r2", new_id="undone")
    pushed = replace(failed, id="r3", new_id="held")
    record(
        writer,
        replace(verified, id="r1", closed_at=NOW, outcome="completed"),
        replace(unverified, step=Step.ABORT),
        replace(pushed, step=Step.ABORT, vault_version=7),
        replace(pushed, id="r4", new_id="on its way", step=Step.PUSH),
        replace(verified, id="r5", account="b", predecessor_id="another account's"),
        replace(unverified, id="r6", closed_at=None, outcome=None),
    )

    assert queries.expendable_ids("a") == {"replaced", "undone"}


def test_open_accounts_have_an_open_rotation(writer: LedgerWriter, queries: LedgerReader) -> None:
    """What is to be carried on is found whatever step it is in."""
    record(
        writer,
        replace(ROTATION, account="c", verified_at=NOW),
        replace(ROTATION, account="b", closed_at=NOW),
        ROTATION,
    )

    assert queries.open_accounts() == ["a", "c"]


def test_recorded_accounts_are_all_there_ever_were(
    database: Engine, writer: LedgerWriter, queries: LedgerReader, ledger_url: str
) -> None:
    """An account is recorded by its row, or by its entries alone."""
    append(writer, "b")
    writer.claim("a", NOW)
    known = queries.recorded_accounts()
    if database.dialect.name == "sqlite":
        with closing(sqlite3.connect(ledger_url.removeprefix("sqlite:///"))) as file, file:
            file.execute("DELETE FROM account")
    else:
        forge(database, "ALTER TABLE entry DROP CONSTRAINT entry_account_fkey")
        forge(database, "DELETE FROM account")

    assert known == ["a", "b"]
    assert queries.recorded_accounts() == ["b"]
    assert queries.verify("b").fault == "0 entries were written, 1 are there"


# -- Entries. ------------------------------------------------------------------------------


def test_history_is_the_newest_entries(writer: LedgerWriter, queries: LedgerReader) -> None:
    """The newest come last, as in a log, and no more than asked for."""
    append(writer, "a", 5)
    append(writer, "b")

    assert [entry.seq for entry in queries.history("a", limit=3)] == [3, 4, 5]
    assert [entry.seq for entry in queries.history("a", limit=9)] == [1, 2, 3, 4, 5]
    assert [entry.seq for entry in queries.history("a", limit=2, before=4)] == [2, 3]
    assert queries.history("c", limit=9) == []


def test_history_of_all_accounts_is_by_time(writer: LedgerWriter, queries: LedgerReader) -> None:
    """Entries of different accounts stand in the order in which they were written."""
    for name, minute in (("b", 0), ("a", 1), ("b", 2), ("a", 2)):
        append(writer, name, at=NOW + timedelta(minutes=minute))
    entries = queries.history(None, limit=3)

    assert [(entry.account, entry.seq) for entry in entries] == [("a", 1), ("a", 2), ("b", 2)]


def test_entries_are_by_account_and_number(writer: LedgerWriter, queries: LedgerReader) -> None:
    """An export is sorted by account, however the entries were written."""
    for name in "babac":
        append(writer, name, 2)
    everything = [(entry.account, entry.seq) for entry in queries.entries()]

    assert everything == [("a", n) for n in range(1, 5)] + [("b", n) for n in range(1, 5)] + [
        ("c", 1),
        ("c", 2),
    ]
    assert [entry.seq for entry in queries.entries("b")] == [1, 2, 3, 4]
    assert list(queries.entries("x")) == []


@pytest.mark.parametrize("batch", [1, 2, 3, 7])
def test_a_long_ledger_is_read_in_parts(
    writer: LedgerWriter, queries: LedgerReader, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    """Wherever a batch ends, no entry is lost or doubled."""
    monkeypatch.setattr(chain, "BATCH", batch)
    head = append(writer, "a", 6)

    assert [entry.seq for entry in queries.entries()] == [1, 2, 3, 4, 5, 6]
    assert queries.verify("a").head == head


def test_a_reader_may_stop_early(
    writer: LedgerWriter, queries: LedgerReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A reader that does not want the rest leaves nothing open behind it."""
    monkeypatch.setattr(chain, "BATCH", 2)
    append(writer, "a", 9)
    first = list(islice(queries.entries(), 3))

    assert [entry.seq for entry in first] == [1, 2, 3]
    assert queries.verify("a").entries == 9


def test_readers_do_not_wait_for_a_writer(
    database: Engine, writer: LedgerWriter, ledger_url: str
) -> None:
    """Status is shown while another process is in the middle of a commit."""
    append(writer, "a")
    reader = open_database(ledger_url)
    with writing(database) as connection:
        connection.execute(update(tables.account).values(current_id="half done"))
        current_id = LedgerReader(reader).accounts(["a"])[0].current_id
        entries = len(list(LedgerReader(reader).entries()))
    reader.dispose()

    assert (current_id, entries) == (None, 1)


#: What takes a minute.
ENDLESS = {
    "sqlite": (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000000) "
        "SELECT count(*) FROM n"
    ),
    "postgresql": "SELECT pg_sleep(60)",
}


def test_a_read_for_a_page_that_takes_too_long_is_aborted(
    database: Engine, ledger_url: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends in an error of ours, and the next one is answered."""
    monkeypatch.setattr(database_module, "LONGEST_READ", 1.0)
    engine = open_for_readers(ledger_url)
    with pytest.raises(LedgerError), reading(engine) as connection:
        connection.execute(text(ENDLESS[kind])).all()

    assert (
        LedgerReader(engine).recorded_accounts() == LedgerReader(database).recorded_accounts() == []
    )
    engine.dispose()


# -- Verifying. ----------------------------------------------------------------------------


def test_a_whole_chain_has_no_fault(writer: LedgerWriter, queries: LedgerReader) -> None:
    """Every entry is counted, and the head is the one that the commit gave."""
    head = append(writer, "a", 3)
    verdict = queries.verify("a")

    assert (verdict.account, verdict.entries, verdict.head) == ("a", 3, head)
    assert (verdict.fault, verdict.has_anchor) == (None, None)


def test_nothing_recorded_is_no_fault(writer: LedgerWriter, queries: LedgerReader) -> None:
    """An account without entries, or without a row, has an empty chain."""
    writer.claim("a", NOW)
    verdicts = [queries.verify(name) for name in "ab"]

    assert [(verdict.entries, verdict.head) for verdict in verdicts] == [(0, GENESIS)] * 2
    assert [verdict.fault for verdict in verdicts] == [None, None]


def test_an_anchor_is_one_of_the_hashes(writer: LedgerWriter, queries: LedgerReader) -> None:
    """The head at any push is found, as is the one before the first entry; any other is not."""
    heads = [GENESIS, append(writer, "a"), append(writer, "a"), append(writer, "b")]
    found = [queries.verify("a", anchor=head).has_anchor for head in heads]

    assert found == [True, True, True, False]


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        ("UPDATE entry SET event = 'forged' WHERE seq = 2", "entry 2 was changed"),
        ("UPDATE entry SET prev_hash = hash WHERE seq = 2", "entry 2 does not follow"),
        ("DELETE FROM entry WHERE seq = 1", "entry 1 is missing: 2 stands in its place"),
        ("DELETE FROM entry WHERE seq = 3", "3 entries were written, 2 are there"),
        ("UPDATE account SET chain_seq = 2", "2 entries were written, 3 are there"),
        (
            "UPDATE account SET chain_head = ''",
            "entry 3 is not the one that was written last",
        ),
    ],
)
def test_a_fault_is_named(
    database: Engine, writer: LedgerWriter, queries: LedgerReader, statement: str, fault: str
) -> None:
    """The verdict says which entry is wrong and how many before it are whole."""
    append(writer, "a", 3)
    forge(database, statement)
    verdict = queries.verify("a")

    assert verdict.fault
    assert verdict.fault.startswith(fault)


def test_verifying_while_others_write(
    database: Engine, writer: LedgerWriter, queries: LedgerReader, ledger_url: str
) -> None:
    """An entry that is committed while a chain is read belongs to the next verdict, whole."""
    append(writer, "a", 2)
    other = open_database(ledger_url)
    late = iter([LedgerWriter(other, lease_seconds=60, owner="late")])

    @event.listens_for(database, "after_cursor_execute")
    def _after_the_first_look(*arguments: Any) -> None:  # noqa: ANN401
        statement = arguments[2]
        for late_writer in late if "FROM account" in statement else ():
            append(late_writer, "a")

    during, after = queries.verify("a"), queries.verify("a")
    other.dispose()

    assert (during.entries, during.fault) == (2, None)
    assert (after.entries, after.fault) == (3, None)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_bytes_that_are_no_text_are_reported(
    database: Engine, writer: LedgerWriter, queries: LedgerReader
) -> None:
    """SQLite's columns take what is no text at all; that is an error, never a traceback."""
    append(writer, "a", 2)
    forge(database, "UPDATE entry SET event = x'ff' WHERE seq = 2")
    as_blob = queries.verify("a").fault
    with writing(database) as connection:
        connection.execute(text("UPDATE entry SET event = CAST(x'ff' AS TEXT) WHERE seq = 2"))

    assert as_blob == "entry 2 was changed"
    with pytest.raises(LedgerError):
        queries.verify("a")


@pytest.mark.parametrize(
    ("statement", "fault"),
    [
        (None, None),
        ("UPDATE entry SET event = 'forged' WHERE seq = 2", None),
        ("UPDATE entry SET event = 'forged' WHERE seq = 4", "entry 4 was changed"),
        ("UPDATE entry SET event = 'forged' WHERE seq IN (4, 5)", "entry 4 was changed"),
        ("UPDATE entry SET prev_hash = hash WHERE seq = 5", "entry 5 does not follow"),
        ("DELETE FROM entry WHERE seq = 4", "entry 3 is missing: 2 stands in its place"),
        ("UPDATE account SET chain_head = ''", "entry 5 is not the one that was written last"),
    ],
)
def test_the_end_of_a_long_chain_is_checked_alone(
    database: Engine,
    writer: LedgerWriter,
    queries: LedgerReader,
    statement: str | None,
    fault: str | None,
) -> None:
    """What a page tells takes no longer the older a ledger is."""
    append(writer, "a", 5)
    if statement:
        forge(database, statement)
    verdict = queries.verify_end("a", limit=3)

    assert verdict.has_anchor is None
    assert verdict.fault or verdict.entries == 5
    assert (verdict.fault or "").startswith(fault or "")
    assert bool(verdict.fault) is bool(fault)


def test_rows_are_compared_with_the_end_of_a_long_chain(
    database: Engine, writer: LedgerWriter, queries: LedgerReader
) -> None:
    """Those of which it tells; what only older entries tell of is left to `ledger verify`."""
    append(writer, "a", 5)
    whole = queries.verify_end("a", limit=3)
    with writing(database) as connection:
        connection.execute(text("UPDATE account SET hold_reason = 'x', held_by = 'eve'"))
    opened = NewEntry(event="opened", step=Step.OPEN, detail={}, rotation_id="r1")
    lease = writer.claim("a", NOW)
    writer.commit(lease, rotation=None, entries=[opened], snapshot=None, now=NOW)
    writer.release(lease)
    record(writer, rotation(id="r2", account="a"))
    faults = queries.verify_end("a", limit=3).faults

    assert whole.faults == ()
    assert [fault.partition(",")[0] for fault in faults] == [
        "the account's row says that it is held: x (eve)",
        "there are entries of rotation r1",
    ]


def test_the_whole_of_a_short_chain_is_checked(writer: LedgerWriter, queries: LedgerReader) -> None:
    """Where that takes no longer."""
    append(writer, "a", 2)

    assert queries.verify_end("a", limit=3) == queries.verify("a")
    assert queries.verify_end("nobody", limit=3) == queries.verify("nobody")


def test_settings_that_a_power_cut_does_not_forgive_are_seen(
    queries: LedgerReader, kind: str
) -> None:
    """The tests' PostgreSQL does without fsync; SQLite has no server to ask."""
    assert queries.unsafe_settings() == (["fsync"] if kind == "postgresql" else [])
