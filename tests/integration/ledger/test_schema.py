import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import (
    ColumnClause,
    Engine,
    MetaData,
    Table,
    column,
    insert,
    select,
    table,
    text,
)

from rotator.errors import LedgerError, LedgerUnusable
from rotator.ledger import chain, schema, tables
from rotator.ledger.database import open_database, writing
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import State, Step, Trouble
from rotator.rotation.ports import NewEntry

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
DRAFT = NewEntry(event="done", step=None, detail={})
SCRIPTS = ScriptDirectory(str(schema.migrations()))
#: Brings a ledger up to date as soon as its parent says so, and writes in it.
CHILD = """
import sys
from datetime import UTC, datetime
from rotator.ledger import schema
from rotator.ledger.writer import LedgerWriter
from rotator.ledger.database import open_database
database = open_database(sys.argv[1])
import alembic.command, alembic.script
print(flush=True)
sys.stdin.read()
schema.ensure(database, auto_upgrade=True)
LedgerWriter(database, lease_seconds=60).claim(sys.argv[2], datetime.now(UTC))
"""


@pytest.fixture
def empty(database_url: str) -> Iterator[Engine]:
    """Yield a database with nothing in it."""
    engine = open_database(database_url)
    yield engine
    engine.dispose()


def contents(engine: Engine) -> dict[str, list[tuple[Any, ...]]]:
    """Read every table there is, whoever made it."""
    metadata = MetaData()
    with engine.connect() as connection:
        metadata.reflect(connection)
        return {
            name: [tuple(row) for row in connection.execute(select(table))]
            for name, table in metadata.tables.items()
        }


def run(engine: Engine, *statements: str) -> None:
    """Run SQL that is not rotator's."""
    with writing(engine) as connection:
        for statement in statements:
            connection.execute(text(statement))


# -- Up to date. ---------------------------------------------------------------------------


def test_an_empty_database_becomes_a_ledger(empty: Engine) -> None:
    """The first start makes everything that the ledger needs."""
    before = schema.revision(empty)
    schema.ensure(empty, auto_upgrade=True)

    assert (before, schema.revision(empty)) == (None, schema.HEAD)
    assert LedgerWriter(empty, lease_seconds=60).claim("a", NOW).token == 1


def test_each_ledger_has_an_id_of_its_own(tmp_path: Path) -> None:
    """By it a pending entry tells which ledger has its rotation; it never changes."""
    ids = []
    for name in ("one", "two", "one"):
        engine = open_database(f"sqlite:///{tmp_path / name}.db")
        schema.upgrade(engine)
        ids.append(LedgerWriter(engine, lease_seconds=60).load("a").ledger_id)
        engine.dispose()

    assert all(ids)
    assert ids[0] == ids[2] != ids[1]


@pytest.mark.parametrize("auto_upgrade", [True, False])
def test_an_up_to_date_ledger_is_left_alone(database: Engine, *, auto_upgrade: bool) -> None:
    """Nothing is written at any later start, nor by an upgrade that has nothing to do."""
    LedgerWriter(database, lease_seconds=60).claim("a", NOW)
    before = contents(database)
    schema.ensure(database, auto_upgrade=auto_upgrade)
    schema.upgrade(database)

    assert contents(database) == before


def test_an_upgrade_can_be_left_to_the_operator(empty: Engine) -> None:
    """With `ledger.auto_upgrade = false` the start is refused (exit 2) and nothing is made."""
    with pytest.raises(LedgerUnusable, match="not up to date") as caught:
        schema.ensure(empty, auto_upgrade=False)

    assert (caught.value.hint, caught.value.exit_code) == ("run `rotator db upgrade`", 2)
    assert contents(empty) == {}


def test_an_older_schema_can_be_left_to_the_operator(
    database: Engine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A ledger of an older version is named as such."""
    monkeypatch.setattr(schema, "HEAD", "9999")
    with pytest.raises(LedgerUnusable, match="not up to date"):
        schema.ensure(database, auto_upgrade=False)


@pytest.mark.slow
def test_five_processes_start_at_once(empty: Engine, database_url: str) -> None:
    """All of them find a ledger, and one of them made it."""
    pipe = subprocess.PIPE
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD, database_url, f"a{number}"],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )
        for number in range(5)
    ]
    for child in children:
        assert child.stdout
        child.stdout.readline()
    results = [child.communicate() for child in children]

    assert results == [("", "")] * 5
    assert schema.revision(empty) == schema.HEAD
    assert LedgerReader(empty).recorded_accounts() == ["a0", "a1", "a2", "a3", "a4"]


def test_many_threads_upgrade_at_once(empty: Engine) -> None:
    """Every one of them returns with the schema in place."""
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(schema.upgrade, [empty] * 6))

    assert schema.revision(empty) == schema.HEAD


def test_what_is_empty_is_nobody_elses(empty: Engine) -> None:
    """It may become a ledger, and does not by being looked at."""
    schema.require_own(empty)

    assert schema.revision(empty) is None


# -- Refused, and nothing changed. ---------------------------------------------------------


@pytest.mark.parametrize(
    "use",
    [
        schema.upgrade,
        lambda engine: schema.ensure(engine, auto_upgrade=True),
        lambda engine: schema.ensure(engine, auto_upgrade=False),
        schema.require_own,
    ],
    ids=["upgrade", "auto", "manual", "read"],
)
class TestRefused:
    """What is not this version's ledger is not touched."""

    def test_a_newer_ledger(self, database: Engine, use: Callable[[Engine], None]) -> None:
        """A schema that this version has never heard of is refused (exit 2)."""
        run(database, "UPDATE alembic_version SET version_num = '9999'")
        before = contents(database)
        with pytest.raises(LedgerUnusable, match="9999, is not known") as caught:
            use(database)

        assert caught.value.exit_code == 2
        assert contents(database) == before

    @pytest.mark.parametrize(
        ("made", "named"),
        [
            (["account"], "account"),
            (["customer"], "customer"),
            (["entry", "rotation", "z"], "entry, rotation, z"),
            (["b", "c", "d", "a"], "a, b, c, …"),
        ],
    )
    def test_someone_elses_database(
        self, empty: Engine, use: Callable[[Engine], None], made: list[str], named: str
    ) -> None:
        """Tables that no migration made are named, and nothing is put beside them."""
        for name in made:
            run(empty, f"CREATE TABLE {name} (id integer)", f"INSERT INTO {name} VALUES (7)")  # noqa: S608
        before = contents(empty)
        with pytest.raises(LedgerUnusable, match="not the ledger's") as caught:
            use(empty)

        assert caught.value.message.endswith(f": {named}")
        assert (caught.value.exit_code, contents(empty)) == (2, before)


@pytest.mark.parametrize(
    "use",
    [schema.revision, schema.upgrade, lambda engine: schema.ensure(engine, auto_upgrade=True)],
    ids=["revision", "upgrade", "ensure"],
)
def test_a_database_that_is_too_old(
    empty: Engine, kind: str, use: Callable[[Engine], object], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The oldest version that works is named beside the one that is there, and nothing is made."""
    before = contents(empty)
    oldest = {"sqlite": (3, 35, 4), "postgresql": (13, 23)}
    monkeypatch.setattr(empty.dialect, "server_version_info", oldest[kind])
    with pytest.raises(LedgerUnusable) as caught:
        use(empty)

    said = {"sqlite": "SQLite 3.35.5 or newer, and this is 3.35.4"}
    said["postgresql"] = "PostgreSQL 14 or newer, and this is 13.23"
    assert caught.value.message == f"the ledger needs {said[kind]}"
    assert caught.value.hint
    assert contents(empty) == before


def test_an_upgrade_that_fails_leaves_nothing(empty: Engine) -> None:
    """Whatever stops a migration half way, the database is as it was before."""
    run(empty, "CREATE VIEW rotation AS SELECT 1 AS number")
    with pytest.raises(LedgerError, match="rotation"):
        schema.upgrade(empty)

    assert contents(empty) == {}
    assert schema.revision(empty) is None


def test_a_database_that_alembic_left_empty_can_be_used(empty: Engine) -> None:
    """Alembic's own table, without a revision in it, is no one else's data."""
    run(empty, "CREATE TABLE alembic_version (version_num varchar(32) NOT NULL PRIMARY KEY)")
    schema.ensure(empty, auto_upgrade=True)

    assert schema.revision(empty) == schema.HEAD


# -- The migrations. -----------------------------------------------------------------------


def test_head_is_the_newest_migration() -> None:
    """Who adds a migration raises `HEAD`, and there is one line of them."""
    assert SCRIPTS.get_heads() == [schema.HEAD]


def test_migrations_make_the_tables_that_the_code_uses(database: Engine) -> None:
    """Tables, columns, types, defaults and indexes are the same in both places."""
    assert differences(database) == []


def test_deletions_of_before_are_known_after_an_upgrade(empty: Engine) -> None:
    """Of what was not recorded as done nothing is certain; what cannot be read is no deletion."""
    told = [
        ("intent", "delete", {"secret_id": "gone"}),
        ("done", "delete", {"secret_id": "gone"}),
        ("intent", "evict", {"secret_id": "lost"}),
        ("intent", None, {"by": "operator", "operation": "delete", "secret_id": "by hand"}),
        ("intent", "delete", {"secret_id": "gone"}),
        ("intent", "delete", {}),
        ("intent", "create", {"secret_id": "made"}),
    ]
    upgrade_to(empty, "0008")
    run(empty, "INSERT INTO account (name) VALUES ('a')")
    entries = [
        chain.linked(
            NewEntry(event=event, step=Step(step) if step else None, detail=detail),
            account="a",
            at=NOW,
            seq=seq,
            prev_hash=chain.GENESIS,
        )
        for seq, (event, step, detail) in enumerate(told, 1)
    ]
    broken = [each._replace(seq=each.seq + 10, detail="[1") for each in entries[:1]]
    with writing(empty) as connection:
        connection.execute(insert(tables.entry), [entry._asdict() for entry in (*entries, *broken)])
    schema.ensure(empty, auto_upgrade=True)
    memory = LedgerWriter(empty, lease_seconds=60).load("a")

    assert memory.deleted_ids == {"gone"}
    assert memory.perhaps_deleted_ids == {"lost", "by hand"}


def differences(engine: Engine) -> list[Any]:
    """Compare a database with `tables.py`."""
    options = {"compare_type": True, "compare_server_default": True}
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts=options)
        return list(compare_metadata(context, tables.metadata))


def test_the_comparison_sees_a_difference(database: Engine) -> None:
    """A column or an index that only one side has would be found."""
    run(database, "ALTER TABLE account ADD COLUMN only_here text", "DROP INDEX rotation_open")

    assert len(differences(database)) == 2


@pytest.mark.parametrize("revision", [script.revision for script in SCRIPTS.walk_revisions()])
def test_a_ledger_of_any_revision_is_upgraded_with_what_is_in_it(
    empty: Engine, revision: str
) -> None:
    """Nothing recorded is lost, the chain is whole, and the schema is the one of today."""
    upgrade_to(empty, revision)
    entries = fill(empty)
    before = contents(empty)
    schema.ensure(empty, auto_upgrade=True)
    after, verdict = contents(empty), LedgerReader(empty).verify("a")

    assert {name: len(rows) for name, rows in before.items()}.items() <= {
        name: len(rows) for name, rows in after.items()
    }.items()
    assert list(LedgerReader(empty).entries()) == entries
    assert (verdict.entries, verdict.fault) == (2, None)
    assert differences(empty) == []
    assert goes_on(empty) == entries[-1].hash
    for statement in ("UPDATE entry SET event = 'forged'", "DELETE FROM entry"):
        with pytest.raises(LedgerError, match="never"):
            run(empty, statement)


def upgrade_to(engine: Engine, revision: str) -> None:
    """Bring an empty database to a revision of old."""
    with writing(engine) as connection:
        config = schema.alembic_config()
        config.attributes["connection"] = connection
        command.upgrade(config, revision)


def fill(engine: Engine) -> list[chain.Entry]:
    """Put a row into every table, whatever its columns are, and two entries into the chain."""
    first = chain.linked(DRAFT, account="a", at=NOW, seq=1, prev_hash=chain.GENESIS)
    second = chain.linked(DRAFT, account="a", at=NOW, seq=2, prev_hash=first.hash)
    known = {"account": "a", "name": "a", "chain_seq": 2, "chain_head": second.hash}
    known |= {"told": "{}", "deletions": "[]"}
    metadata = MetaData()
    with writing(engine) as connection:
        metadata.reflect(connection)
        for table in metadata.sorted_tables:
            if table.name == "entry":
                rows = [entry._asdict() for entry in (first, second)]
                connection.execute(insert(table), rows)
            elif table.name != "alembic_version":
                connection.execute(insert(table), row_of(table) | known_in(table, known))
    return [first, second]


def row_of(table: Table) -> dict[str, Any]:
    """Make a value for every column by its type."""
    values: dict[type, Any] = {str: "open", int: 1, float: 1.5, bool: True, datetime: NOW}
    return {column.name: values[column.type.python_type] for column in table.columns}


def known_in(table: Table, known: dict[str, Any]) -> dict[str, Any]:
    """Return those of the known values that a table has columns for."""
    return {name: value for name, value in known.items() if name in table.columns}


def goes_on(engine: Engine) -> str:
    """Append to the chain; give the hash that the new entry follows."""
    writer, now = LedgerWriter(engine, lease_seconds=60), datetime.now(UTC)
    lease = writer.claim("a", now)
    writer.commit(lease, rotation=None, entries=[DRAFT], snapshot=None, now=now)
    [newest] = LedgerReader(engine).history("a", limit=1)
    return newest.prev_hash


# -- Where the migrations are. -------------------------------------------------------------


def test_migrations_are_found_in_a_wheel_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An installed rotator has its migrations inside, a checkout beside itself."""
    beside = schema.migrations()
    monkeypatch.setattr("importlib.resources.files", lambda _package: tmp_path)
    without = schema.migrations()
    (tmp_path / "migrations").mkdir()

    assert beside == without == Path(__file__).parents[3] / "migrations"
    assert schema.migrations() == tmp_path / "migrations"


def test_migrations_may_lie_in_a_folder_of_any_name(
    empty: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Alembic's settings read a percent sign as their own; a path's is kept."""
    folder = tmp_path / "100% of it"
    shutil.copytree(schema.migrations(), folder)
    monkeypatch.setattr(schema, "migrations", lambda: folder)
    schema.upgrade(empty)

    assert schema.revision(empty) == schema.HEAD


def test_an_older_ledgers_drift_is_kept(empty: Engine) -> None:
    """With its code and its text, as of the last look; an age is no drift any more."""
    config, seen_at = schema.alembic_config(), column("seen_at", tables.Instant())
    rows = {"a": "foreign-secret: both slots", "b": "overdue: old", "c": None}
    with writing(empty) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0013")
        account = table("account", column("name"), column("drift"), seen_at)
        for name, drift in rows.items():
            row = {"name": name, "drift": drift, "seen_at": NOW}
            connection.execute(account.insert().values(row))
        if empty.dialect.name == "postgresql":
            connection.exec_driver_sql("SET LOCAL TIME ZONE 'Asia/Tokyo'")
        command.upgrade(config, schema.HEAD)
    found = LedgerReader(empty).accounts(["a", "b", "c"])

    assert [each.trouble for each in found] == [
        Trouble(
            state=State.DRIFTED,
            code="foreign-secret",
            why="both slots",
            hint=None,
            since=NOW,
        ),
        None,
        None,
    ]


def test_an_older_ledgers_list_is_what_later_looks_are_compared_with(empty: Engine) -> None:
    """Where nothing was listed, the next look is the first."""
    rows = {"a": '["new","old"]', "b": "[]", "c": None}

    assert _recorded(empty, rows, []) == ['["new","old"]', None, None]


@pytest.mark.parametrize(
    ("at", "detail", "found"),
    [
        ("2026-11-23T08:00:00.000001Z", '{"operation":"create","secret_id":"made"}', ["made"]),
        # A look has shown it, or that it is gone.
        ("2026-11-23T07:59:59.999999Z", '{"operation":"create","secret_id":"made"}', []),
        ("2026-11-23T08:00:00.000001Z", '{"operation":"delete","secret_id":"made"}', []),
        # Somebody has written to the tables.
        ("2026-11-23T08:00:00.000001Z", '{"operation":"create","secret_id":7}', []),
        ("2026-11-23T08:00:00.000001Z", 'no JSON "operation":"create"', []),
        ("2026-11-23T09:00:00", '{"operation":"create","secret_id":"made"}', []),
        ("in the morning", '{"operation":"create","secret_id":"made"}', []),
    ],
)
def test_what_an_older_version_made_by_hand_since_is_no_one_elses(
    empty: Engine, at: str, detail: str, found: list[str]
) -> None:
    """It kept no look after it, and the next one shows nothing that no entry records."""
    expected = json.dumps(sorted(["old", *found]), separators=(",", ":"))

    assert _recorded(empty, {"a": '["old"]'}, [(at, detail)]) == [expected]


def _recorded(
    engine: Engine, rows: dict[str, str | None], entries: list[tuple[str, str]]
) -> list[str | None]:
    """Return what is recorded of the accounts of an older ledger, looked at on 2026-11-23, 8:00."""
    config, seen_at = schema.alembic_config(), datetime(2026, 11, 23, 8, tzinfo=UTC)
    seen: ColumnClause[datetime] = column("seen_at", tables.Instant())
    account = table("account", column("name"), column("listed_ids"), column("recorded_ids"), seen)
    entry = table("entry", *map(column, ("account", "seq", "at", "event", "detail", *_HASHES)))
    with writing(engine) as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0014")
        for name, listed in rows.items():
            row = {"name": name, "listed_ids": listed, "seen_at": seen_at}
            connection.execute(account.insert().values(row))
        for seq, (at, detail) in enumerate(entries, start=1):
            written = {"account": "a", "seq": seq, "at": at, "event": "done", "detail": detail}
            connection.execute(entry.insert().values(written | dict.fromkeys(_HASHES, "0" * 64)))
        command.upgrade(config, schema.HEAD)
        query = select(account.c.recorded_ids).order_by(account.c.name)
        return list(connection.execute(query).scalars().all())


_HASHES = ("prev_hash", "hash")
