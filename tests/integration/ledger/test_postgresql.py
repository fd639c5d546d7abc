"""PostgreSQL as people run it: set otherwise, of another encoding, behind a pooler."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import Engine, make_url

from rotator.errors import LedgerConflict, LedgerUnusable
from rotator.ledger import schema
from rotator.ledger.copy import copy
from rotator.ledger.database import open_database, reading, writing
from rotator.ledger.holds import Holds
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import Hold, Outcome
from rotator.rotation.ports import NewEntry
from tests.support import pgbouncer
from tests.support.rotation_fixture import NAME, RotationFixture
from tests.support.samples import ANN

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
REASON = "moving house \u2013 \u5f85\u3064"
pytestmark = [pytest.mark.postgres, pytest.mark.parametrize("kind", ["postgresql"], indirect=True)]


def run(url: str, *statements: str) -> None:
    """Run SQL of the database's administrator."""
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Open a database for a `with` block."""
    engine = open_database(url)
    yield engine
    engine.dispose()


def of_database(url: str, setting: str) -> None:
    """Set something for all that connect to a database from now on."""
    run(url, f"ALTER DATABASE {make_url(url).database} SET {setting}")


@pytest.mark.parametrize(
    "setting",
    [
        "datestyle = 'German'",
        "datestyle = 'SQL, DMY'",
        "datestyle = 'Postgres'",
        "timezone = 'Asia/Kathmandu'",
        "timezone = '<odd>-03:17'",
        "intervalstyle = 'sql_standard'",
        "default_transaction_isolation = 'serializable'",
        "default_transaction_isolation = 'repeatable read'",
        "default_transaction_read_only = on",
        "default_transaction_deferrable = on",
        "client_encoding = 'LATIN1'",
        "standard_conforming_strings = off",
        "extra_float_digits = -10",
        "bytea_output = 'escape'",
        "lock_timeout = 1",
        "synchronous_commit = off",
    ],
)
def test_a_database_may_be_set_otherwise(tmp_path: Path, ledger_url: str, setting: str) -> None:
    """A rotation, a hold in any script, and the record, whole, are as they are elsewhere."""
    of_database(ledger_url, setting)
    with RotationFixture(tmp_path, ledger_url=ledger_url) as fixture:
        report = fixture.attempt()
        hold = Hold(reason=REASON, by="ann", at=fixture.clock.now())
        Holds(fixture.database).put(NAME, hold)
        held = fixture.writer.load(NAME).hold
        rotation = fixture.rotation()

        assert report.outcome is Outcome.COMPLETED
        assert held == hold
        assert rotation is not None
        assert rotation.opened_at.utcoffset() == rotation.opened_at - rotation.opened_at


def test_it_can_be_made_where_only_reading_is_the_default(database_url: str) -> None:
    """The schema as well is brought up to date in a transaction that may write."""
    of_database(database_url, "default_transaction_read_only = on")
    with opened(database_url) as made:
        schema.ensure(made, auto_upgrade=True)

        assert schema.revision(made) == schema.HEAD


# -- Encodings. ----------------------------------------------------------------------------


@pytest.fixture(params=["SQL_ASCII", "LATIN1", "EUC_JP"])
def narrow_url(request: pytest.FixtureRequest, database_url: str) -> Iterator[str]:
    """Yield the URL of an empty database that does not hold every text."""
    url = make_url(database_url)
    narrow = url.set(database=f"{url.database}_narrow")
    run(
        database_url,
        f"CREATE DATABASE {narrow.database} ENCODING '{request.param}' LC_COLLATE 'C' LC_CTYPE 'C' "
        "TEMPLATE template0",
    )
    yield narrow.render_as_string(hide_password=False)
    run(database_url, f"DROP DATABASE {narrow.database} WITH (FORCE)")


def test_a_database_that_does_not_hold_every_text_is_refused(narrow_url: str) -> None:
    """By name, with exit 2, and before anything is made."""
    with opened(narrow_url) as narrow:
        refusals = []
        for make in (schema.upgrade, lambda one: schema.ensure(one, auto_upgrade=True)):
            with pytest.raises(LedgerUnusable, match=r"the database's encoding is \w+, ") as caught:
                make(narrow)
            refusals.append(caught.value)

        assert schema.revision(narrow) is None
        assert {refusal.exit_code for refusal in refusals} == {2}
        assert "ENCODING 'UTF8'" in str(refusals[0].hint)


def test_an_older_ledger_in_one_can_be_moved(
    narrow_url: str, database_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is brought up to date and copied, though nobody works with it any more."""
    with opened(narrow_url) as narrow, opened(database_url) as target:
        with monkeypatch.context() as older:
            older.setattr(schema, "_require_unicode", lambda _connection: None)
            schema.upgrade(narrow)
        Holds(narrow).put("a", Hold(reason="moving house", by="ann", at=NOW))
        schema.upgrade(narrow)
        copied = copy(narrow, target, actor=ANN, now=NOW)
        with pytest.raises(LedgerUnusable, match="encoding"):
            schema.ensure(narrow, auto_upgrade=True)

        assert copied.rows["entry"] == 1
        # The newest one says who made the copy.
        assert LedgerReader(target).history("a", limit=9)[:-1] == LedgerReader(narrow).history(
            "a", limit=9
        )


# -- Schemas and privileges. -----------------------------------------------------------------


def test_a_user_without_a_schema_is_told_so(database_url: str) -> None:
    """Where search_path names none that is there."""
    of_database(database_url, "search_path = 'nowhere'")
    with opened(database_url) as engine, pytest.raises(LedgerUnusable, match="no schema") as caught:
        schema.upgrade(engine)

    assert "search_path" in str(caught.value.hint)


def test_a_ledger_that_is_out_of_sight_is_not_made_anew(ledger_url: str) -> None:
    """Another search_path does not lose a record and begin an empty one."""
    run(ledger_url, "CREATE SCHEMA other")
    of_database(ledger_url, "search_path = 'other'")
    with opened(ledger_url) as engine, pytest.raises(LedgerUnusable, match="in schema public"):
        schema.ensure(engine, auto_upgrade=True)


def test_a_user_without_privileges_is_told_so(database_url: str) -> None:
    """One who may not make tables in `public`, as only its owner may since PostgreSQL 15."""
    run(database_url, "REVOKE CREATE ON SCHEMA public FROM PUBLIC")
    run(database_url, "DROP ROLE IF EXISTS nobody", "CREATE ROLE nobody LOGIN")
    url = make_url(database_url).set(username="nobody")
    theirs = url.render_as_string(hide_password=False)
    with opened(theirs) as engine, pytest.raises(LedgerUnusable, match="lacks a priv") as caught:
        schema.upgrade(engine)

    assert "CREATE" in str(caught.value.hint)


# -- Transactions in each other's way. -------------------------------------------------------


def in_the_way(url: str, code: str, times: int) -> None:
    """Make the server give up each transaction that appends an entry, so many times."""
    run(
        url,
        "CREATE SEQUENCE tries",
        "CREATE FUNCTION give_up() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        f"IF nextval('tries') <= {times} THEN RAISE EXCEPTION 'no' USING ERRCODE = '{code}'; "
        "END IF; RETURN NEW; END $$",
        "CREATE TRIGGER give_up BEFORE INSERT ON entry FOR EACH ROW EXECUTE FUNCTION give_up()",
    )


@pytest.mark.parametrize("code", ["40001", "40P01"])
def test_what_others_made_impossible_is_done_again(ledger_url: str, code: str) -> None:
    """A serialization failure and a deadlock have had no effect."""
    in_the_way(ledger_url, code, 3)
    with opened(ledger_url) as engine:
        writer = LedgerWriter(engine, lease_seconds=60)
        lease = writer.claim("a", NOW)
        entry = NewEntry(event="done", step=None, detail={})
        writer.commit(lease, rotation=None, entries=[entry], snapshot=None, now=NOW)
        verdict = LedgerReader(engine).verify("a")

        assert (verdict.entries, verdict.faults) == (1, ())


def test_but_not_for_ever(ledger_url: str) -> None:
    """What is always in the way is an error, with nothing recorded."""
    in_the_way(ledger_url, "40001", 1_000)
    with opened(ledger_url) as engine:
        with pytest.raises(LedgerConflict, match="conflicted with others"):
            Holds(engine).put("a", Hold(reason="x", by="ann", at=NOW))

        assert LedgerReader(engine).verify("a").entries == 0


def test_each_transaction_says_what_it_needs(ledger_url: str) -> None:
    """Nothing is left to the session, which is another one behind a pooler."""
    of_database(ledger_url, "default_transaction_isolation = 'serializable'")
    show = "SELECT current_setting('{}')"
    names = ("transaction_isolation", "transaction_read_only", "lock_timeout")
    with opened(ledger_url) as engine:
        with writing(engine) as connection:
            wrote = [connection.exec_driver_sql(show.format(name)).scalar() for name in names]
        with reading(engine) as connection:
            read = [connection.exec_driver_sql(show.format(name)).scalar() for name in names[:2]]
        with writing(engine) as connection:
            again = [connection.exec_driver_sql(show.format(name)).scalar() for name in names]

    assert wrote == again == ["read committed", "off", "10s"]
    assert read == ["repeatable read", "on"]


@pytest.mark.parametrize(
    ("setting", "used"),
    [
        ("off", "on"),
        ("local", "local"),
        ("remote_write", "remote_write"),
        ("remote_apply", "remote_apply"),
    ],
)
def test_a_commit_waits_for_the_disk_at_least(ledger_url: str, setting: str, used: str) -> None:
    """A database whose commits are acknowledged too early is overridden, and no other one."""
    of_database(ledger_url, f"synchronous_commit = {setting}")
    with opened(ledger_url) as engine:
        for _ in range(2):
            with writing(engine) as connection:
                assert connection.exec_driver_sql("SHOW synchronous_commit").scalar() == used


# -- Behind a pooler. ------------------------------------------------------------------------


@pytest.fixture
def pooled_url(ledger_url: str) -> Iterator[str]:
    """Yield the URL of a ledger behind PgBouncer, whose clients share two connections."""
    if pgbouncer.COMMAND is None:
        pytest.skip("pgbouncer is not installed")
    url = make_url(ledger_url)
    user = str(url.username)
    with pgbouncer.pgbouncer(str(url.query["host"]), user) as pooler:
        yield f"postgresql+psycopg://{user}@127.0.0.1:{pooler.port}/{url.database}"


def test_a_pooler_may_stand_in_front(pooled_url: str) -> None:
    """Transactions of many threads meet any connection to the server, again and again."""
    with opened(pooled_url) as engine:
        writer, queries = LedgerWriter(engine, lease_seconds=60), LedgerReader(engine)

        def work(name: str) -> None:
            lease = writer.claim(name, NOW)
            entry = NewEntry(event="done", step=None, detail={"why": REASON})
            for _ in range(12):
                writer.commit(lease, rotation=None, entries=[entry], snapshot=None, now=NOW)
            writer.release(lease)

        names = [f"account-{number}" for number in range(8)]
        with ThreadPoolExecutor(len(names)) as threads:
            list(threads.map(work, names))
        verdicts = [queries.verify(name) for name in names]

        assert [(each.entries, each.faults) for each in verdicts] == [(12, ())] * 8


def test_a_commit_through_a_pooler_waits_for_the_disk(pooled_url: str, ledger_url: str) -> None:
    """Whichever connection to the server a transaction meets, and none keeps the setting."""
    of_database(ledger_url, "synchronous_commit = off")
    show = "SHOW synchronous_commit"
    with opened(pooled_url) as engine:
        for _ in range(4):
            with writing(engine) as connection:
                assert connection.exec_driver_sql(show).scalar() == "on"
    with psycopg.connect(pooled_url.replace("+psycopg", ""), autocommit=True) as other:
        assert other.execute(show.encode()).fetchone() == ("off",)


def test_a_ledger_is_made_and_rotates_through_a_pooler(tmp_path: Path, pooled_url: str) -> None:
    """With a database that is set otherwise as well."""
    with opened(pooled_url) as engine:
        schema.ensure(engine, auto_upgrade=True)
    with RotationFixture(tmp_path, ledger_url=pooled_url) as fixture:
        reports = [fixture.attempt() for _ in range(3)]

        assert [report.outcome for report in reports] == [Outcome.COMPLETED] * 3


def test_a_connection_that_outlives_its_engine_is_closed_when_it_comes_back(
    database_url: str,
) -> None:
    """As a request of the page may outlive a reload; one that begins later leaves none open."""
    engine = open_database(database_url)
    with engine.connect() as outlives:
        first: Any = outlives.connection.dbapi_connection
        engine.dispose()
        outlives.exec_driver_sql("SELECT 1")
    with engine.connect() as late:
        second: Any = late.connection.dbapi_connection

    assert [first.closed, second.closed] == [True, True]
