import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Column, Engine, Integer, MetaData, Table, Text, insert, select, text

from rotator.errors import Busy, LedgerError, LedgerUnusable
from rotator.ledger import copy as copying
from rotator.ledger import database as database_module
from rotator.ledger import schema, tables
from rotator.ledger.copy import copy
from rotator.ledger.database import open_database, writing
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import Step
from rotator.rotation.ports import REQUESTED, NewEntry
from tests.conftest import PostgreSQL
from tests.support.samples import ANN, rotation

NOW = datetime(2026, 11, 23, 7, 28, 0, 123456, tzinfo=UTC)


@pytest.fixture
def other(kind: str, tmp_path: Path, postgresql: PostgreSQL) -> Iterator[Engine]:
    """Yield an empty database of the other kind than `database`."""
    url = postgresql.create() if kind == "sqlite" else f"sqlite:///{tmp_path / 'other.db'}"
    engine = open_database(url)
    yield engine
    engine.dispose()
    if kind == "sqlite":
        postgresql.drop(url)


@pytest.fixture
def ledger(database: Engine) -> Engine:
    """Return a ledger with two accounts, one of which has a rotation."""
    writer = LedgerWriter(database, lease_seconds=60)
    for name in ("sms", "voice"):
        lease = writer.claim(name, NOW)
        opened = rotation(
            account=name, predecessor_id="ünïcode", grace=timedelta(hours=1.5), opened_at=NOW
        )
        entries = [NewEntry(event="opened", step=Step.OPEN, detail={"what": "ünïcode"})] * 3
        is_rotated = opened if name == "sms" else None
        writer.commit(
            lease, rotation=is_rotated, entries=entries, snapshot=None, now=NOW, last=True
        )
    return database


def contents(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Read every row of the ledger's tables, but for the entries of who copied it."""
    queries = {table.name: select(table) for table in tables.metadata.sorted_tables}
    signed = ("chain_seq", "chain_head")
    queries["account"] = select(*(each for each in tables.account.c if each.name not in signed))
    queries["entry"] = select(tables.entry).where(tables.entry.c.event != REQUESTED)
    with engine.connect() as connection:
        return {
            name: sorted(map(tuple, connection.execute(query)), key=repr)
            for name, query in queries.items()
        }


def is_untouched(engine: Engine) -> bool:
    """Whether there is no row in the target but its own id."""
    if schema.revision(engine) is None:
        return True
    return not any(rows for name, rows in contents(engine).items() if name != "ledger")


def run(engine: Engine, *statements: str) -> None:
    """Run SQL that is not rotator's."""
    with writing(engine) as connection:
        for statement in statements:
            connection.execute(text(statement))


def test_everything_is_copied_and_the_source_is_left_alone(ledger: Engine, other: Engine) -> None:
    """Every row is the same at both ends, times and all, and each chain is whole."""
    before = contents(ledger)
    copied = copy(ledger, other, actor=ANN, now=NOW)

    assert contents(other) == before == contents(ledger)
    assert copied.rows == {name: len(rows) for name, rows in before.items()}
    assert [(each.account, each.entries, each.fault) for each in copied.verdicts] == [
        ("sms", 3, None),
        ("voice", 3, None),
    ]


def test_each_chain_of_the_copy_says_who_made_it(ledger: Engine, other: Engine) -> None:
    """The entry comes after all that was copied, the chain is whole, and the source has none."""
    copy(ledger, other, actor=replace(ANN, because="moving"), now=NOW)
    reader = LedgerReader(other)
    signatures = [reader.history(name, limit=1)[0] for name in ("sms", "voice")]

    assert [(each.seq, each.event, json.loads(each.detail)) for each in signatures] == [
        (4, "requested", {"operation": "copy", "by": "ann", "from": "there", "because": "moving"})
    ] * 2
    assert not any(reader.verify(name).fault for name in ("sms", "voice"))
    assert LedgerReader(ledger).verify("sms").entries == 3


def test_the_copy_goes_on_where_the_source_ended(ledger: Engine, other: Engine) -> None:
    """An open rotation is found again; tokens and chains count on; entries stay unchangeable."""
    copy(ledger, other, actor=ANN, now=NOW)
    head = LedgerReader(other).verify("sms").head
    writer = LedgerWriter(other, lease_seconds=60)
    lease = writer.claim("sms", datetime.now(UTC))
    entry = NewEntry(event="done", step=None, detail={})
    writer.commit(lease, rotation=None, entries=[entry], snapshot=None, now=NOW, last=True)
    [newest] = LedgerReader(other).history("sms", limit=1)

    assert (lease.token, newest.seq, newest.prev_hash) == (2, 5, head)
    assert (
        writer.load("sms").rotation == LedgerWriter(ledger, lease_seconds=60).load("sms").rotation
    )
    with pytest.raises(LedgerError, match="never"):
        run(other, "DELETE FROM entry")


def test_it_can_be_copied_back(ledger: Engine, other: Engine, tmp_path: Path) -> None:
    """A ledger that went to the other kind of database and on to a third is still the same."""
    third = open_database(f"sqlite:///{tmp_path / 'third.db'}")
    copy(ledger, other, actor=ANN, now=NOW)
    copy(other, third, actor=ANN, now=NOW)
    found = contents(third)
    third.dispose()

    assert found == contents(ledger)


# -- Refused, and nothing copied. ----------------------------------------------------------


def test_a_held_lease_is_respected(ledger: Engine, other: Engine) -> None:
    """While someone is at work nothing is copied (exit 75), and afterwards it is."""
    writer = LedgerWriter(ledger, lease_seconds=60, owner="another machine")
    lease = writer.claim("sms", datetime.now(UTC))
    with pytest.raises(Busy, match="holds a lease") as caught:
        copy(ledger, other, actor=ANN, now=datetime.now(UTC))
    writer.release(lease)

    assert (caught.value.exit_code, is_untouched(other)) == (75, True)
    assert copy(ledger, other, actor=ANN, now=datetime.now(UTC)).rows["account"] == 2


def test_a_lease_that_ended_is_none(ledger: Engine, other: Engine) -> None:
    """A process that died on another machine long ago keeps nobody from moving."""
    LedgerWriter(ledger, lease_seconds=-60, owner="another machine").claim("sms", datetime.now(UTC))

    assert copy(ledger, other, actor=ANN, now=datetime.now(UTC)).rows["account"] == 2


def test_a_lease_of_a_dead_process_is_none(
    ledger: Engine, other: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that is known to be dead need not be waited for."""
    for module in ("copy", "leases"):
        monkeypatch.setattr(f"rotator.ledger.{module}.is_dead", lambda owner: owner == "killed")
    LedgerWriter(ledger, lease_seconds=60, owner="killed").claim("sms", datetime.now(UTC))

    assert copy(ledger, other, actor=ANN, now=datetime.now(UTC)).rows["account"] == 2


def test_nobody_can_begin_meanwhile(
    ledger: Engine, other: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What writes to the source while it is copied would be missing in the copy."""
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT", 0.1)
    second = open_database(ledger.url.render_as_string(hide_password=False))
    denied: list[str] = []

    def meanwhile(engine: Engine) -> tuple[Any, ...]:
        if engine is ledger:
            with pytest.raises(LedgerError) as caught:
                LedgerWriter(second, lease_seconds=60).claim("sms", NOW)
            denied.append(caught.value.message)
        return found(engine)

    found = copying.checked
    monkeypatch.setattr(copying, "checked", meanwhile)
    copy(ledger, other, actor=ANN, now=NOW)
    second.dispose()

    file = f" file {ledger.url.database}" if ledger.dialect.name == "sqlite" else ""
    assert denied == [f"another process keeps the ledger{file} locked"]


def test_a_ledger_in_use_is_no_target(ledger: Engine, other: Engine) -> None:
    """A second copy finds the first, names what is there and changes nothing (exit 2)."""
    copy(ledger, other, actor=ANN, now=NOW)
    before = contents(other)
    with pytest.raises(LedgerUnusable, match="target: it is not empty") as caught:
        copy(ledger, other, actor=ANN, now=NOW)

    assert caught.value.message.endswith("rows in its table account")
    assert (caught.value.exit_code, contents(other)) == (2, before)


def test_an_older_ledger_in_use_is_not_even_upgraded(ledger: Engine, other: Engine) -> None:
    """What is named by mistake stays as it is, schema included."""
    schema.upgrade(other)
    run(other, "INSERT INTO account (name) VALUES ('a')")
    run(other, "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(LedgerUnusable, match="not empty"):
        copy(ledger, other, actor=ANN, now=NOW)

    assert schema.revision(other) == "0001"


def test_the_ledger_itself_is_no_target(ledger: Engine) -> None:
    """Source and target being the same is noticed by what is in it."""
    same = open_database(ledger.url.render_as_string(hide_password=False))
    with pytest.raises(LedgerUnusable, match="not empty"):
        copy(ledger, same, actor=ANN, now=NOW)
    same.dispose()


def test_a_broken_chain_is_not_copied(ledger: Engine, other: Engine) -> None:
    """A record that was tampered with stays where the evidence is; the first fault is named."""
    run(ledger, "UPDATE account SET chain_seq = 9 WHERE name = 'voice'")
    with pytest.raises(LedgerUnusable, match="voice: 9 entries were written, 3 are there"):
        copy(ledger, other, actor=ANN, now=NOW)

    assert is_untouched(other)


def test_an_older_source_is_not_upgraded(ledger: Engine, other: Engine) -> None:
    """The source is not changed, so that its owner has to upgrade it first."""
    run(ledger, "UPDATE alembic_version SET version_num = '0001'")
    with pytest.raises(LedgerUnusable, match="not up to date") as caught:
        copy(ledger, other, actor=ANN, now=NOW)

    assert caught.value.hint == "run `rotator db upgrade`"
    assert schema.revision(ledger) == "0001"
    assert is_untouched(other)


def test_all_or_nothing(ledger: Engine, other: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    """A copy that fails half way leaves an empty ledger behind, and says which end failed."""
    copied = copying._copied

    def failing(table: Table, *connections: Any) -> int:  # noqa: ANN401  # passed on
        if table.name == "entry":
            raise LedgerError("the disk is gone")
        return copied(table, *connections)

    monkeypatch.setattr(copying, "_copied", failing)
    with pytest.raises(LedgerError, match="the target: the disk is gone") as caught:
        copy(ledger, other, actor=ANN, now=NOW)

    assert caught.value.hint == "the old ledger is as it was"
    assert is_untouched(other)


def test_a_copy_that_reads_back_differently_is_said_to_be_unusable(
    ledger: Engine, other: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What counts is what the target gives back, not what it was given."""
    copied = copying._copied

    def forgetful(table: Table, *connections: Any) -> int:  # noqa: ANN401  # passed on
        return 3 if table.name == "entry" else copied(table, *connections)

    monkeypatch.setattr(copying, "_copied", forgetful)
    with pytest.raises(LedgerError, match="does not read back") as caught:
        copy(ledger, other, actor=ANN, now=NOW)

    assert caught.value.hint
    assert "do not use the copy" in caught.value.hint


# -- What later migrations add. ------------------------------------------------------------


def test_a_table_of_a_later_migration_is_copied_and_counts_on(
    ledger: Engine, other: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What there is to copy, the metadata says; a number counted by the database goes on."""
    extended = MetaData()
    for table in tables.metadata.sorted_tables:
        table.to_metadata(extended)
    later = Table("later", extended, Column("id", Integer, primary_key=True), Column("what", Text))
    monkeypatch.setattr(tables, "metadata", extended)
    schema.upgrade(other)
    for engine in (ledger, other):
        later.create(engine)
    with writing(ledger) as connection:
        connection.execute(insert(later), [{"id": number, "what": "kept"} for number in (1, 7)])
    copied = copy(ledger, other, actor=ANN, now=NOW)
    with writing(other) as connection:
        connection.execute(insert(later), {"what": "new"})
        rows = connection.execute(select(later).order_by(later.c.id)).all()

    assert copied.rows["later"] == 2
    assert list(map(tuple, rows)) == [(1, "kept"), (7, "kept"), (8, "new")]
