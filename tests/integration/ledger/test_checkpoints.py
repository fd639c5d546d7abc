import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, datetime, timedelta
from functools import partial
from itertools import pairwise

import psycopg
import pytest
from sqlalchemy import Engine, case, make_url, select
from sqlalchemy.exc import DBAPIError

from rotator.errors import WitnessConflict
from rotator.ledger import tables
from rotator.ledger.checkpoints import Checkpoints
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model.checkpoint import Checkpoint, Note, VerifierKey
from rotator.model.merkle import EMPTY_ROOT, MerkleTree, is_extension
from rotator.rotation.ports import NewEntry

NOW = datetime(2026, 11, 30, 10, 6, tzinfo=UTC)
KEY = VerifierKey(name="log", public=bytes(32))
#: Lets the tables be changed, as someone with the database in hand can.
UNLOCK = {
    "sqlite": [
        f"DROP TRIGGER {table}_no_{change}"
        for table in ("entry", "checkpoint")
        for change in ("update", "delete", "replace")
    ],
    "postgresql": [
        f"ALTER TABLE {table} DISABLE TRIGGER {table}_append_only"
        for table in ("entry", "checkpoint")
    ],
}


def sign(text: str) -> str:
    """Sign with zeros: the ledger does not verify."""
    return f"{text}\n{KEY.sign_line(bytes(64))}"


def write(writer: LedgerWriter, name: str, count: int) -> None:
    """Write entries for an account."""
    lease = writer.claim(name, NOW)
    entries = [NewEntry(event="done", step=None, detail={"n": each}) for each in range(count)]
    writer.commit(lease, rotation=None, entries=entries, snapshot=None, now=NOW)
    writer.release(lease)


@pytest.fixture
def checkpoints(database: Engine) -> Checkpoints:
    """Return the checkpoints of a ledger."""
    return Checkpoints(database)


def take(checkpoints: Checkpoints, days: int = 0) -> bool:
    """Take a checkpoint of what there is."""
    known, at = checkpoints.read(), NOW + timedelta(days=days)
    return checkpoints.add(known, origin="log", at=at, sign=sign)


@pytest.fixture
def covered(checkpoints: Checkpoints, writer: LedgerWriter) -> Checkpoints:
    """Return the same with one, which covers two entries of account `a`."""
    write(writer, "a", 2)
    take(checkpoints)
    return checkpoints


@pytest.fixture
def tamper(database: Engine) -> Callable[..., None]:
    """Return a function that changes the tables without rotator."""
    url = make_url(database.url)

    def change(*statements: str) -> None:
        kind = url.get_backend_name()
        if kind == "sqlite":
            with closing(sqlite3.connect(str(url.database))) as file, file:
                for statement in (*UNLOCK[kind], *statements):
                    file.execute(statement)
            return
        info = url.set(drivername="postgresql").render_as_string(hide_password=False)
        with psycopg.connect(info) as connection:
            for statement in (*UNLOCK[kind], *statements):
                connection.execute(statement.encode())

    return change


def test_a_ledger_without_entries_has_the_empty_tree(checkpoints: Checkpoints) -> None:
    """Its first checkpoint may cover nothing."""
    known = checkpoints.read()
    is_taken = take(checkpoints)
    newest = checkpoints.newest()

    assert (known.signed, known.covered, known.tree.size) == ((), 0, 0)
    assert is_taken
    assert newest
    assert newest.checkpoint.root == EMPTY_ROOT


def test_a_checkpoint_covers_every_entry_by_account_and_number(
    checkpoints: Checkpoints, writer: LedgerWriter, database: Engine
) -> None:
    """Its root is that of their hashes, as `ledger export` shows them."""
    write(writer, "b", 2)
    write(writer, "a", 3)
    take(checkpoints)
    newest = checkpoints.newest()
    hashes = [bytes.fromhex(entry.hash) for entry in LedgerReader(database).entries()]

    assert newest
    assert (newest.number, newest.checkpoint.size) == (1, 5)
    assert newest.checkpoint.root == MerkleTree(hashes).root(5)
    assert newest.checkpoint.at == NOW
    assert Note.parse(newest.note).text == newest.checkpoint.text


def test_a_tree_does_not_depend_on_the_databases_collation(
    checkpoints: Checkpoints, writer: LedgerWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PostgreSQL orders names as its database's language does: `a_b` before `a2`, say."""
    entry = tables.entry.c
    of_a_language = select(entry.account, entry.seq, entry.hash).order_by(
        case({"a_b": 1, "a2": 2}, value=entry.account), entry.seq
    )
    monkeypatch.setattr("rotator.ledger.checkpoints._ENTRIES", of_a_language)
    for name in ("a2", "a_b"):
        write(writer, name, 3)
    take(checkpoints)
    write(writer, "a2", 1)

    assert checkpoints.read().changed() is None


def test_each_checkpoint_extends_the_one_before(
    checkpoints: Checkpoints, writer: LedgerWriter
) -> None:
    """Whatever account an entry belongs to, it comes after all that were covered before."""
    for days, (name, count) in enumerate([("m", 3), ("a", 2), ("z", 1), ("m", 4), ("a", 1)]):
        write(writer, name, count)
        take(checkpoints, days)
    known = checkpoints.read()
    taken = [each.checkpoint for each in known.signed]

    assert [each.size for each in taken] == [3, 5, 6, 10, 11]
    assert known.changed() is None
    for old, new in pairwise(taken):
        proof = known.tree.proof(old.size, new.size)
        assert is_extension(old.size, old.root, new.size, new.root, proof)


def test_entries_since_the_newest_checkpoint_come_last(
    covered: Checkpoints, writer: LedgerWriter
) -> None:
    """They are in the tree, and not covered; those of a known account go on from its last."""
    write(writer, "a", 1)
    write(writer, "b", 2)
    known = covered.read()

    assert (known.covered, known.tree.size) == (2, 5)
    assert known.rest == {"a": (3, 3), "b": (1, 2)}
    assert known.changed() is None


def test_a_checkpoint_of_nothing_new_is_taken_all_the_same(
    covered: Checkpoints,
) -> None:
    """It shows somebody outside that the ledger is still there."""
    take(covered, days=1)
    known = covered.read()

    assert [each.checkpoint.size for each in known.signed] == [2, 2]
    assert known.signed[0].checkpoint.root == known.signed[1].checkpoint.root
    assert known.signed[0].note != known.signed[1].note


def test_of_several_processes_one_takes_the_next(
    database: Engine, checkpoints: Checkpoints, writer: LedgerWriter
) -> None:
    """All have read the same, and all but one are told that it has been taken."""
    write(writer, "a", 2)
    known = [Checkpoints(database).read() for _ in range(4)]
    add = partial(checkpoints.add, origin="log", at=NOW, sign=sign)
    with ThreadPoolExecutor(4) as pool:
        taken = list(pool.map(add, known))

    assert sorted(taken) == [False, False, False, True]
    assert len(checkpoints.read().signed) == 1


def test_the_logs_name_is_by_the_ledgers_id(database: Engine, checkpoints: Checkpoints) -> None:
    """A ledger that is lost and made anew has another name; a backup has the same."""
    with database.connect() as connection:
        found = connection.execute(select(tables.ledger.c.id)).scalar_one()

    assert checkpoints.default_origin() == f"rotator/{found}"


def test_checkpoints_of_another_name_belong_to_another_history(
    covered: Checkpoints,
) -> None:
    """What was signed under a former name is kept, and published no more."""
    known = covered.read()
    covered.add(known, origin="new", at=NOW, sign=sign)
    known = covered.read()

    assert [each.number for each in known.history("log").signed] == [1]
    assert [each.number for each in known.history("new").signed] == [2]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET hash = prev_hash WHERE account = 'a' AND seq = 1",
        "UPDATE entry SET hash = 'none' WHERE account = 'a' AND seq = 2",
        "UPDATE entry SET hash = 'abcd' WHERE account = 'b' AND seq = 1",
        "DELETE FROM entry WHERE account = 'a' AND seq = 2",
        "DELETE FROM entry",
    ],
)
def test_an_entry_that_was_changed_or_removed_shows(
    checkpoints: Checkpoints,
    writer: LedgerWriter,
    tamper: Callable[..., None],
    statement: str,
) -> None:
    """The tree is built from the entries, so the first checkpoint that has it does not hold."""
    write(writer, "c", 1)
    take(checkpoints)
    write(writer, "a", 2)
    write(writer, "b", 1)
    take(checkpoints, days=1)
    take(checkpoints, days=2)
    tamper(statement)
    changed = checkpoints.read().changed()

    assert changed
    assert changed.at == NOW + timedelta(days=0 if statement == "DELETE FROM entry" else 1)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entry SET hash = 'none' WHERE seq = 3",
        "DELETE FROM entry WHERE seq = 3",
    ],
)
def test_a_new_entry_that_is_missing_or_has_no_hash_is_told(
    covered: Checkpoints,
    writer: LedgerWriter,
    tamper: Callable[..., None],
    statement: str,
) -> None:
    """No checkpoint may take in what follows it."""
    write(writer, "a", 2)
    tamper(statement)

    assert covered.read().broken == "a"


def test_the_first_of_two_broken_accounts_is_told(
    checkpoints: Checkpoints, writer: LedgerWriter, tamper: Callable[..., None]
) -> None:
    """One is enough to look at."""
    for name in ("a", "b"):
        write(writer, name, 2)
    tamper("DELETE FROM entry WHERE seq = 1")

    assert checkpoints.read().broken == "a"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE checkpoint SET note = 'nothing' WHERE number = 1",
        "UPDATE checkpoint SET reach = '[]' WHERE number = 1",
        "UPDATE checkpoint SET reach = '{' WHERE number = 1",
        """UPDATE checkpoint SET reach = '{"a":[1,1]}' WHERE number = 1""",
        """UPDATE checkpoint SET reach = '{"a":[1]}' WHERE number = 1""",
        """UPDATE checkpoint SET reach = '{"a":[2,1]}' WHERE number = 1""",
        """UPDATE checkpoint SET reach = '{"a":["1",2]}' WHERE number = 1""",
        """UPDATE checkpoint SET reach = '{"a":[1,9999999999]}' WHERE number = 1""",
        "UPDATE checkpoint SET number = 3 WHERE number = 2",
        "DELETE FROM checkpoint WHERE number = 1",
    ],
)
def test_a_checkpoint_that_was_changed_is_told(
    covered: Checkpoints,
    tamper: Callable[..., None],
    statement: str,
) -> None:
    """With what to do about it."""
    take(covered, days=1)
    tamper(statement)

    with pytest.raises(WitnessConflict, match="somebody changed checkpoint") as told:
        covered.read()
    assert "ledger verify --witness" in (told.value.hint or "")


def test_a_checkpoint_of_far_more_entries_than_there_are_is_told(
    covered: Checkpoints, tamper: Callable[..., None]
) -> None:
    """A tree of as many leaves as somebody cares to write would take all memory."""
    reach = """UPDATE checkpoint SET reach = '{"a":[1,3000000]}'"""
    tamper(reach, "UPDATE checkpoint SET note = replace(note, '\n2\n', '\n3000000\n')")

    with pytest.raises(WitnessConflict, match="somebody changed checkpoint 1"):
        covered.read()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE checkpoint SET note = ''",
        "DELETE FROM checkpoint",
        "INSERT OR REPLACE INTO checkpoint SELECT * FROM checkpoint",
    ],
)
def test_rotators_own_connection_cannot_change_checkpoints(
    database: Engine, checkpoints: Checkpoints, statement: str
) -> None:
    """Not even a mistake in rotator itself can change what was signed."""
    if "REPLACE" in statement and database.dialect.name == "postgresql":
        statement = "TRUNCATE checkpoint"
    take(checkpoints)

    with pytest.raises(DBAPIError, match="never"), database.begin() as connection:
        connection.exec_driver_sql(statement)


#: What takes the checkpoints after the first out of the ledger, as a restored backup lacks them.
FORGET = "DELETE FROM checkpoint WHERE number > 1"


def test_checkpoints_that_a_restored_ledger_lacks_are_taken_up_again(
    checkpoints: Checkpoints, writer: LedgerWriter, tamper: Callable[..., None]
) -> None:
    """As they were signed, if it has every entry; the next one goes on from them."""
    for days, names in enumerate(["b", "ab", "", "c"]):
        for name in names:
            write(writer, name, 2)
        take(checkpoints, days)
    before = checkpoints.read()
    tamper(FORGET)
    known = checkpoints.read()
    is_taken_up = checkpoints.take_up(known, [each.note for each in before.signed[1:]])
    write(writer, "a", 1)
    take(checkpoints, days=4)
    after = checkpoints.read()

    assert (known.covered, is_taken_up) == (2, True)
    assert after.signed[:4] == before.signed
    assert after.changed() is None
    assert [each.checkpoint.size for each in after.signed] == [2, 6, 6, 8, 9]


def test_what_was_recorded_since_the_restore_may_keep_some_from_being_taken_up(
    checkpoints: Checkpoints, writer: LedgerWriter, tamper: Callable[..., None]
) -> None:
    """Those without new entries hold all the same; after an entry in the midst of others, none."""
    write(writer, "b", 2)
    take(checkpoints)
    take(checkpoints, days=1)
    write(writer, "b", 2)
    take(checkpoints, days=2)
    notes = [each.note for each in checkpoints.read().signed[1:]]
    tamper(FORGET)
    write(writer, "a", 1)

    assert checkpoints.take_up(checkpoints.read(), notes)
    assert [each.note for each in checkpoints.read().signed[1:]] == notes[:1]
    assert checkpoints.read().rest == {"a": (1, 1), "b": (3, 4)}


@pytest.mark.parametrize(
    ("change", "size"),
    [
        ("DELETE FROM entry WHERE seq = 4", None),
        ("UPDATE entry SET hash = prev_hash WHERE seq = 3", None),
        (FORGET, 1),
        (FORGET, 5),
    ],
)
def test_a_checkpoint_of_other_entries_is_not_taken_up(
    covered: Checkpoints,
    writer: LedgerWriter,
    tamper: Callable[..., None],
    change: str,
    size: int | None,
) -> None:
    """One is missing or was changed, or it is of fewer or more than the ledger has."""
    write(writer, "a", 2)
    take(covered, days=1)
    known = covered.read()
    tamper(FORGET, change)
    root = known.tree.root(min(size or 4, 4))
    other = Checkpoint(origin="log", size=size or 4, root=root, at=NOW + timedelta(days=1))

    assert not covered.take_up(covered.read(), [sign(other.text)])
    assert len(covered.read().signed) == 1


def test_a_checkpoint_is_taken_up_once(checkpoints: Checkpoints, writer: LedgerWriter) -> None:
    """Neither by two processes, nor where the ledger has it under its number."""
    write(writer, "a", 2)
    stale = checkpoints.read()
    take(checkpoints)
    [signed] = checkpoints.read().signed
    day_after = NOW + timedelta(days=1)
    later = Checkpoint(origin="log", size=2, root=signed.checkpoint.root, at=day_after)

    assert not checkpoints.take_up(stale, [sign(later.text)])
    assert not checkpoints.take_up(checkpoints.read(), [signed.note])
    assert not checkpoints.take_up(checkpoints.read(), [])
    assert checkpoints.take_up(checkpoints.read(), [sign(later.text)] * 2)
    assert len(checkpoints.read().signed) == 2
