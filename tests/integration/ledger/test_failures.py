import os
import resource
import sqlite3
import tempfile
import traceback
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, event, make_url, select, text

from rotator.errors import LedgerError, LedgerFull, LedgerUnusable, RotatorError
from rotator.ledger import database as database_module
from rotator.ledger import schema, tables
from rotator.ledger.database import open_database, reading, writing
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.rotation.ports import NewEntry
from tests.support import postgresql_server

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
SMALL = NewEntry(event="done", step=None, detail={})
LARGE = NewEntry(event="done", step=None, detail={"why": "x" * 100_000})
#: Fails as PostgreSQL does when its disk is full.
FULL_DISK = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'Auf dem Gerät ist kein Platz mehr' USING ERRCODE = 'disk_full'; END $$
"""
only_sqlite = pytest.mark.parametrize("kind", ["sqlite"])
only_postgresql = pytest.mark.parametrize(
    "kind", [pytest.param("postgresql", marks=pytest.mark.postgres)]
)


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Open a database for a `with` block."""
    engine = open_database(url)
    yield engine
    engine.dispose()


def told(error: RotatorError) -> str:
    """Return everything that an error may show to anyone, the traceback included."""
    shown = traceback.format_exception(error)
    return "\n".join([error.message, error.hint or "", str(error), repr(error), *shown])


def append(engine: Engine, entry: NewEntry = SMALL) -> str:
    """Append one entry to the account `a`."""
    writer = LedgerWriter(engine, lease_seconds=60)
    lease = writer.claim("a", NOW)
    try:
        committed = writer.commit(lease, rotation=None, entries=[entry], snapshot=None, now=NOW)
    finally:
        writer.release(lease)
    return committed.head


# -- A file that cannot be used. -----------------------------------------------------------


def no_database(path: Path) -> Path:
    """Make a file that is something else."""
    path.write_text("Dear Sir or Madam, " * 100)
    return path


def folder(path: Path) -> Path:
    """Make a folder in its place."""
    path.mkdir()
    return path


@pytest.mark.parametrize(
    ("place", "message"),
    [
        (no_database, "the ledger file {} is not a SQLite database"),
        (folder, "the ledger file {} cannot be opened or created"),
        (lambda path: path / "missing" / "ledger.db", "the ledger file {} cannot be opened"),
    ],
)
@pytest.mark.parametrize("auto_upgrade", [True, False])
def test_a_file_that_is_no_ledger(
    tmp_path: Path, place: Callable[[Path], Path], message: str, *, auto_upgrade: bool
) -> None:
    """What is wrong with which file is said with a cure (exit 2), and it is left as it is."""
    path = place(tmp_path / "thing")
    before = path.read_bytes() if path.is_file() else None
    with opened(f"sqlite:///{path}") as engine, pytest.raises(LedgerUnusable) as caught:
        schema.ensure(engine, auto_upgrade=auto_upgrade)

    assert caught.value.message.startswith(message.format(path))
    assert caught.value.hint
    assert caught.value.exit_code == 2
    assert (path.read_bytes() if path.is_file() else None) == before


@only_sqlite
def test_a_damaged_file(database: Engine, ledger_url: str) -> None:
    """A file with holes in it is named as damaged, with the way back."""
    append(database)
    database.dispose()
    path = Path(ledger_url.removeprefix("sqlite:///"))
    whole = path.read_bytes()
    path.write_bytes(whole[:4096] + bytes(len(whole) - 4096))
    with pytest.raises(LedgerUnusable, match="damaged") as caught:
        append(database)

    assert "restore it from a backup" in str(caught.value.hint)


@contextmanager
def unprivileged() -> Iterator[None]:
    """Be a user to whom permissions apply, which for root they do not."""
    uid = os.geteuid()
    os.seteuid(uid or 65534)
    try:
        yield
    finally:
        os.seteuid(uid)


@pytest.fixture
def protected() -> Iterator[Path]:
    """Yield a ledger file in a folder that everyone can reach."""
    with tempfile.TemporaryDirectory() as name, opened(f"sqlite:///{name}/ledger.db") as engine:
        schema.upgrade(engine)
        append(engine)
        engine.dispose()
        Path(name, "ledger.db").chmod(0o444)
        Path(name).chmod(0o777)
        yield Path(name)
        Path(name).chmod(0o700)


def test_a_read_only_file(protected: Path) -> None:
    """A ledger that cannot be written is no ledger to work with."""
    with opened(f"sqlite:///{protected / 'ledger.db'}") as engine:
        with unprivileged(), pytest.raises(LedgerUnusable, match="read-only") as caught:
            append(engine)
        engine.dispose()

    assert "let this user write" in str(caught.value.hint)


@pytest.mark.parametrize("name", ["ledger.db", "new.db"])
def test_a_folder_that_cannot_be_written(protected: Path, name: str) -> None:
    """SQLite needs to make files beside the ledger's."""
    (protected / "ledger.db").chmod(0o666)
    protected.chmod(0o555)
    with opened(f"sqlite:///{protected / name}") as engine:
        with unprivileged(), pytest.raises(LedgerUnusable) as caught:
            append(engine)
        engine.dispose()

    assert caught.value.exit_code == 2


# -- A full disk. --------------------------------------------------------------------------


def check_full(database: Engine, full: LedgerFull, before: list[Any]) -> None:
    """See that a full disk is an operator's matter (exit 3) and that nothing was recorded."""
    assert full.exit_code == 3
    assert "free some space" in str(full.hint)
    assert list(LedgerReader(database).entries()) == before


@only_sqlite
def test_a_ledger_that_may_not_grow(database: Engine) -> None:
    """What SQLite calls a full database or disk."""
    append(database)
    before = list(LedgerReader(database).entries())

    limits = [1]

    @event.listens_for(database, "engine_connect")
    def _limit(connection: Any) -> None:  # noqa: ANN401
        driver = connection.connection.dbapi_connection
        driver.execute(f"PRAGMA max_page_count = {limits[-1]}")

    with pytest.raises(LedgerFull) as caught:
        append(database, LARGE)

    check_full(database, caught.value, before)
    limits.append(100_000)
    append(database, LARGE)
    assert LedgerReader(database).verify("a").entries == len(before) + 1


@only_sqlite
def test_a_disk_that_takes_no_more(database: Engine) -> None:
    """What the system refuses to write fails the commit, and it goes on when there is space."""
    append(database)
    before = list(LedgerReader(database).entries())
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, limits[1]))
    try:
        with pytest.raises(LedgerFull) as caught:
            append(database, LARGE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)

    check_full(database, caught.value, before)
    append(database, LARGE)
    assert LedgerReader(database).verify("a").entries == len(before) + 1


@only_postgresql
def test_a_server_whose_disk_is_full(database: Engine) -> None:
    """PostgreSQL says so in its own language, with a code."""
    append(database)
    before = list(LedgerReader(database).entries())
    with writing(database) as connection:
        connection.execute(text(FULL_DISK))
        trigger = "CREATE TRIGGER full_disk BEFORE INSERT ON entry EXECUTE FUNCTION full_disk()"
        connection.execute(text(trigger))
    with pytest.raises(LedgerFull) as caught:
        append(database)

    check_full(database, caught.value, before)


# -- A ledger that others use. -------------------------------------------------------------


def test_a_ledger_that_stays_locked(
    database: Engine, ledger_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process that is stopped in the middle of a commit does not stop others for ever."""
    append(database)
    monkeypatch.setattr(database_module, "BUSY_TIMEOUT", 0.05)
    with opened(ledger_url) as impatient, writing(database) as connection:
        connection.execute(select(tables.account).with_for_update())
        with pytest.raises(
            LedgerError, match=r"another process keeps the ledger( file .*)? locked"
        ):
            append(impatient)

    assert append(database)


@pytest.mark.slow
@pytest.mark.postgres
def test_a_standby() -> None:
    """A server that takes no writes may be the primary one tomorrow: that is no configuration."""
    with (
        standby() as url,
        opened(url) as engine,
        pytest.raises(LedgerError, match="read-only") as caught,
    ):
        append(engine)

    assert caught.value.exit_code == 1
    assert "primary" in str(caught.value.hint)


@contextmanager
def standby() -> Iterator[str]:
    """Run a server that is a standby, of a primary that is gone; give a database's URL."""
    folder = Path(tempfile.mkdtemp(prefix="rotator-standby-"))
    postgresql_server.start(folder, is_kept=True).cleanup()
    signal = folder / "standby.signal"
    signal.touch()
    os.chown(signal, folder.stat().st_uid, folder.stat().st_gid)
    server = postgresql_server.start(folder)
    try:
        yield postgresql_server.url(folder)
    finally:
        server.cleanup()


@only_sqlite
def test_a_file_that_was_removed(database: Engine, ledger_url: str) -> None:
    """A process that has the file open does not go on writing where nobody will ever read."""
    append(database)
    Path(ledger_url.removeprefix("sqlite:///")).unlink()

    with pytest.raises(LedgerError, match="no such table"):
        append(database)


@only_sqlite
def test_a_file_that_was_replaced(database: Engine, ledger_url: str, tmp_path: Path) -> None:
    """After a backup was put back under a running process, it works with what is there now."""
    path, backup = Path(ledger_url.removeprefix("sqlite:///")), tmp_path / "backup.db"
    append(database)
    with closing(sqlite3.connect(path)) as file, closing(sqlite3.connect(backup)) as copy:
        file.backup(copy)
    append(database)
    for suffix in ("-wal", "-shm"):
        Path(f"{path}{suffix}").unlink()
    backup.replace(path)
    append(database)
    verdict = LedgerReader(database).verify("a")
    with opened(ledger_url) as other:
        seen = LedgerReader(other).verify("a")

    assert (verdict.entries, verdict.fault) == (2, None)
    assert seen == verdict


# -- What is said, and what is not. --------------------------------------------------------


@pytest.mark.parametrize(
    "url",
    [
        "",
        "ledger.db",
        "postgresql://me:hunter2@host:port/db",
        "postgresql://me:hunter2@[::1/db",
        "nosuch://me:hunter2@host/db",
        "sqlite+nosuch://me:hunter2@/db",
        "mysql://me:hunter2@host/db",
        "oracle+nosuch://me:hunter2@host/db",
    ],
)
def test_a_url_that_is_none(url: str) -> None:
    """The cure is in the hint, and the password is not repeated."""
    with pytest.raises(LedgerUnusable, match=r"ledger\.url") as caught:
        open_database(url)

    assert "postgresql+psycopg://user@host/database" in str(caught.value.hint)
    assert "hunter2" not in caught.value.message + str(caught.value.hint)


@pytest.mark.parametrize(
    "url", ["postgresql+psycopg2://me:hunter2@host/db", "postgresql+pg8000://me:hunter2@host/db"]
)
def test_a_driver_that_is_not_there(url: str) -> None:
    """What has to be installed is said."""
    with pytest.raises(LedgerUnusable, match="driver") as caught:
        open_database(url)

    assert "vonage-rotator[postgres]" in str(caught.value.hint)
    assert "hunter2" not in caught.value.message


@pytest.mark.postgres
@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("postgresql+psycopg://me:hunter2@127.0.0.1:1/db", "refused"),
        ("postgresql+psycopg://me:hunter2@/db?host=/nonexistent", "No such file"),
        ("postgresql+psycopg://me@/db?host=/nonexistent&password=hunter2", "No such file"),
        ("postgresql+psycopg://me:hunter2@127.0.0.1:1/db?sslmode=verify-full", "refused"),
        ("postgresql+psycopg://me:hunter2@127.0.0.1:1/db?nosuch=1", "nosuch"),
    ],
)
def test_a_server_that_is_down(url: str, reason: str) -> None:
    """A start without the server says what the server said, in one line and without passwords."""
    with opened(url) as engine, pytest.raises(LedgerError, match=reason) as caught:
        schema.ensure(engine, auto_upgrade=True)

    assert caught.value.message.startswith("the ledger cannot be read or written: ")
    assert caught.value.hint == "check ledger.url and that its server runs; nothing is lost"
    assert "\n" not in caught.value.message
    assert "hunter2" not in told(caught.value)


@only_postgresql
@pytest.mark.parametrize(
    ("change", "reason"),
    [({"database": "nosuch"}, '"nosuch" does not exist'), ({"username": "x"}, '"x" does not')],
)
def test_a_server_that_refuses(ledger_url: str, change: dict[str, Any], reason: str) -> None:
    """Who connects to the wrong database, or as the wrong user, is told so."""
    url = make_url(ledger_url).set(password="hunter2", **change)
    shown = url.render_as_string(hide_password=False)
    with opened(shown) as engine, pytest.raises(LedgerError, match=reason) as caught:
        schema.revision(engine)

    assert "hunter2" not in told(caught.value)


@pytest.mark.parametrize(
    "statement",
    [
        "INSERT INTO account (name) VALUES (:value), (:value)",
        "INSERT INTO entry (account, seq, detail) VALUES ('nobody', 1, :value)",
        "SELECT nosuch FROM account WHERE name = :value",
        "SELECT * FROM nosuch WHERE name = :value",
        "SELEKT :value",
    ],
)
@pytest.mark.parametrize("context", [reading, writing])
def test_an_error_quotes_neither_sql_nor_values(
    database: Engine, context: Callable[[Engine], Any], statement: str
) -> None:
    """Whatever fails, the database's own reason is given and the statement is not."""
    with pytest.raises(RotatorError) as caught, context(database) as connection:
        connection.execute(text(statement), {"value": "hunter2"})
    shown = f"{caught.value.message} {caught.value.hint}"

    assert not [word for word in ("hunter2", "VALUES", "WHERE", "[SQL", "qlalche") if word in shown]
    assert "[SQL" not in told(caught.value)


def test_a_failure_of_sqlalchemy_is_named(database: Engine) -> None:
    """What the database never saw is told by its kind alone."""
    with pytest.raises(LedgerError) as caught, reading(database) as connection:
        connection.execute(select(tables.account.c.name)).one()

    file = f" file {database.url.database}" if database.dialect.name == "sqlite" else ""
    assert caught.value.message == f"the ledger{file} failed: NoResultFound"


def test_other_errors_pass(database: Engine) -> None:
    """What is not the database's failure is not dressed up as one, and undoes the transaction."""

    def fail() -> None:
        with writing(database) as connection:
            connection.execute(tables.account.insert().values(name="a"))
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()

    assert LedgerReader(database).recorded_accounts() == []


#: SQLite's number for `synchronous = EXTRA`.
_EXTRA = 3


@only_sqlite
def test_a_commit_is_on_the_disk(database: Engine, ledger_url: str) -> None:
    """The file survives a loss of power after each commit, and references hold."""
    settings = ("journal_mode", "synchronous", "foreign_keys", "busy_timeout")
    with reading(database) as connection:
        values = [connection.execute(text(f"PRAGMA {name}")).scalar() for name in settings]

    assert values == ["wal", _EXTRA, 1, 10_000]
    with closing(sqlite3.connect(ledger_url.removeprefix("sqlite:///"))) as file:
        assert file.execute("PRAGMA journal_mode").fetchone() == ("wal",)


@only_postgresql
def test_a_lost_server_is_noticed(ledger_url: str) -> None:
    """Without an answer the connection is given up, sooner where the URL says so."""
    with opened(ledger_url + "&connect_timeout=3") as engine, reading(engine) as connection:
        parameters = connection.connection.dbapi_connection.info.get_parameters()  # type: ignore[union-attr]

    assert parameters["connect_timeout"] == "3"
    assert parameters["tcp_user_timeout"] == "25000"
    assert parameters["keepalives_idle"] == "10"
