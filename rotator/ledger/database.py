"""Opens the ledger's database and translates its failures into `rotator.errors`."""

import signal
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from functools import wraps
from pathlib import Path
from shlex import quote
from threading import Lock, current_thread, main_thread
from typing import Any, ParamSpec, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL, make_url
from sqlalchemy.engine.interfaces import DBAPIConnection, ExceptionContext
from sqlalchemy.exc import (
    ArgumentError,
    DBAPIError,
    DisconnectionError,
    NoSuchModuleError,
    SQLAlchemyError,
)
from sqlalchemy.pool import ConnectionPoolEntry, PoolProxiedConnection

from rotator.descriptors import are_spent
from rotator.errors import (
    LedgerConflict,
    LedgerError,
    LedgerFull,
    LedgerUnusable,
    RotatorError,
    TooManyFiles,
)
from rotator.ledger import file

#: How long a writer waits for another writer, in seconds.
BUSY_TIMEOUT = 10
#: Time limit of each read for the status page, in seconds; a longer one is aborted.
LONGEST_READ = 10.0
#: Rows fetched at a time from a long result, to bound the memory.
BATCH = 5_000
#: SQLSTATEs of a server that takes no writes: by its settings, and because it is a standby.
_STANDBY = ("sqlstate 25006", "sqlstate 0a000")
#: What a database error says, and which error it becomes: `{ledger}` is the ledger with its file's
#: path, `{file}` and `{folder}` are paths for a shell. SQLite's texts are from its `sqlite3ErrStr`;
#: PostgreSQL's messages are in the server's language, so its SQLSTATE is matched instead: a standby
#: answers with 0A000 when a transaction tries to write.
_FAILURES: tuple[tuple[tuple[str, ...], type[RotatorError], str, str | None], ...] = (
    (
        ("file is not a database",),
        LedgerUnusable,
        "{ledger} is not a SQLite database",
        "correct ledger.url, or move the file away to start a new ledger",
    ),
    (
        ("database disk image is malformed",),
        LedgerUnusable,
        "{ledger} is damaged",
        "restore it from a backup; `rotator ledger verify` then reports what is missing",
    ),
    (
        ("unable to open database file",),
        LedgerUnusable,
        "{ledger} cannot be opened or created",
        "let this user write to it and its directory (`chown --reference={folder} {file}`)",
    ),
    (
        ("attempt to write a readonly database",),
        LedgerUnusable,
        "{ledger} is read-only",
        "let this user write to the file and its directory",
    ),
    (
        # A standby becomes the primary server once a failover is over. The texts are libpq's, for
        # `target_session_attrs`, where no server of the URL takes writes.
        (*_STANDBY, "session is read-only", "server is in hot standby mode"),
        LedgerError,
        "the ledger is read-only: its server is a standby",
        "wait until a failover is over, or let ledger.url name the primary server",
    ),
    (
        ("database or disk is full", "disk i/o error", "sqlstate 53100"),
        LedgerFull,
        "the disk that holds {ledger} is full or fails",
        "free some space; nothing is lost",
    ),
    (
        ("sqlstate 3f000",),
        LedgerUnusable,
        "no schema of the database takes the ledger's tables",
        "see that the search_path of its user names a schema that exists",
    ),
    (
        ("sqlstate 42501",),
        LedgerUnusable,
        "the database's user lacks a privilege on the ledger",
        "have the user own the database, or grant it CREATE on the schema and all on its tables",
    ),
    (
        ("sqlstate 40001", "sqlstate 40p01"),
        LedgerConflict,
        "the transaction conflicted with others each time it was tried",
        None,
    ),
    (
        ("database is locked", "sqlstate 55p03"),
        LedgerError,
        "another process keeps {ledger} locked",
        None,
    ),
)


def open_database(url: str) -> Engine:
    """Prepare the database at `url`, without connecting yet.

    Raises:
        LedgerUnusable: rotator cannot use the URL or its driver.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite":
            return _sqlite(parsed)
        if parsed.get_backend_name() == "postgresql":
            return _closing_late_ones(_postgresql(parsed))
    except (ArgumentError, NoSuchModuleError, ValueError):
        raise LedgerUnusable("ledger.url is not a database URL", hint=_URL_HINT) from None
    except ModuleNotFoundError:
        raise LedgerUnusable(
            "the database driver that ledger.url names is not installed",
            hint="PostgreSQL: install `vonage-rotator[postgres]`",
        ) from None
    raise LedgerUnusable(
        f"ledger.url names {parsed.get_backend_name()}, which rotator does not support",
        hint=_URL_HINT,
    )


_URL_HINT = "use sqlite:////var/lib/rotator/ledger.db or postgresql+psycopg://user@host/database"


def open_file(path: Path) -> Engine:
    """Prepare the SQLite database in a file, whatever its name, without opening it yet."""
    return _sqlite(URL.create("sqlite", database=str(path)))


def open_for_readers(url: str) -> Engine:
    """Prepare the database at `url` for the status page, so that it never delays a rotation.

    Its connections are separate, and each read has a time limit.

    Raises:
        LedgerUnusable: as `open_database`.
    """
    engine = open_database(url)
    event.listen(engine, *_LIMITS[engine.dialect.name])
    return engine


@contextmanager
def writing(engine: Engine, *, is_long: bool = False) -> Iterator[Connection]:
    """Yield a transaction that may write; committed at the end, undone on any error.

    Threads that write to one SQLite database take turns. The main thread has no signal handled
    during its turn, unless it `is_long`: then a signal may end it anywhere, and this process
    must not write again.

    Raises:
        LedgerError: the database failed. Whether the transaction was committed is then
            certain only if it failed before its end.
    """
    turns: _Turns | None = engine.get_execution_options().get("rotator_turns")
    if turns is None:
        with translated(engine), engine.begin() as connection:
            connection.exec_driver_sql(_FOR_WRITING)
            yield connection
    else:
        undisturbed = nullcontext() if is_long else _signals_held_off()
        with undisturbed, turns, translated(engine), engine.connect() as connection:
            # The write lock is taken now: a transaction that has read does not fail when it
            # comes to write.
            _begin(connection, "BEGIN IMMEDIATE")
            with connection.begin():
                yield connection


def _begin(connection: Connection, statement: str) -> None:
    """Begin a transaction on SQLite.

    Not by a listener for SQLAlchemy's event: with a single one, SQLAlchemy goes through all of its
    events at each statement, which takes longer than the statement.
    """
    connection.connection.cursor().execute(statement)


class _Turns:
    """A fair lock: the thread that has waited longest gets it next."""

    def __init__(self) -> None:
        self._is_taken = False
        #: Locks, each held until its waiter's turn has come; and what guards them.
        self._waiting, self._guard = deque[Lock](), Lock()

    def __enter__(self) -> None:
        with self._guard:
            if not self._is_taken:
                self._is_taken = True
                return
            turn = Lock()
            turn.acquire()
            self._waiting.append(turn)
        turn.acquire()

    def __exit__(self, *_error: object) -> None:
        with self._guard:
            if self._waiting:
                self._waiting.popleft().release()
            else:
                self._is_taken = False


@contextmanager
def _signals_held_off() -> Iterator[None]:
    """Hold signals off until the end in the main thread, which is the one that handles them.

    An exception that a handler raises while a turn is taken or given back would leave it taken,
    and who releases a lease on the way out would wait for it for ever. Signals that end the
    process at once do so here, too.
    """
    held_off: set[int] = set()
    if current_thread() is main_thread():
        ending = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
        held_off = {signum for signum in ending if callable(signal.getsignal(signum))}
        signal.pthread_sigmask(signal.SIG_BLOCK, held_off)
    try:
        yield
    finally:
        if held_off:
            # Handlers of what has come meanwhile run in here.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, held_off)


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Yield a read-only transaction: one snapshot, and no writer has to wait for it.

    Raises:
        LedgerError: the database failed.
    """
    with translated(engine), engine.connect() as connection:
        connection.execution_options(**_SNAPSHOT[engine.dialect.name])
        if engine.dialect.name == "sqlite":
            _begin(connection, "BEGIN")
        elif not _tells_iso_dates(connection):
            connection.exec_driver_sql(_ISO_DATES)
        yield connection


#: Settings of each transaction on PostgreSQL that override those of database, user and server. For
#: the transaction alone: behind a pooler, the next one has another session.
_ISO_DATES = "SET LOCAL datestyle = 'ISO'"
#: A commit that was acknowledged survives a crash of the server. What waits for longer stays: for
#: this server's disk alone (`local`), or for a standby's.
_DURABLE = (
    "SELECT set_config('synchronous_commit', 'on', true) "
    "WHERE current_setting('synchronous_commit') = 'off'"
)
_FOR_WRITING = f"SET LOCAL lock_timeout = '{BUSY_TIMEOUT}s'; {_ISO_DATES}; {_DURABLE}"


def _tells_iso_dates(connection: Connection) -> bool:
    """Return whether the server's date format, announced on connecting, is the driver's."""
    session: Any = connection.connection.driver_connection
    return (session.info.parameter_status("DateStyle") or "").startswith("ISO")


Given = ParamSpec("Given")
Found = TypeVar("Found")


def run_again(work: Callable[Given, Found]) -> Callable[Given, Found]:
    """Retry a transaction that failed because of concurrent ones, as PostgreSQL demands.

    For functions that consist of one transaction, which then had no effect.
    """

    @wraps(work)
    def run(*args: Given.args, **kwargs: Given.kwargs) -> Found:
        for _ in range(_TRIES - 1):
            with suppress(LedgerConflict):
                return work(*args, **kwargs)
        return work(*args, **kwargs)

    return run


_TRIES = 5

#: Makes a transaction see the ledger as of its start, whatever others commit.
_SNAPSHOT: dict[str, dict[str, Any]] = {
    "sqlite": {},
    "postgresql": {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True},
}


@contextmanager
def translated(engine: Engine) -> Iterator[None]:
    """Translate the database's errors into ours. Statements and their values are not quoted."""
    try:
        yield
    except DBAPIError as error:
        raise _failure(error.orig, engine) from None
    except sqlite3.Error as error:
        raise _failure(error, engine) from None
    except SQLAlchemyError as error:
        raise LedgerError(f"{_named(engine)} failed: {type(error).__name__}") from None
    except UnicodeEncodeError:
        raise LedgerError("the ledger cannot hold a text that is not Unicode") from None


def _failure(error: BaseException | None, engine: Engine) -> RotatorError:
    if are_spent():
        # SQLite's only detail is that it is unable to open its file.
        cause = TooManyFiles()
        return LedgerError(f"{_named(engine)} cannot be opened: {cause.message}", hint=cause.hint)
    if (path := _file_of(engine)) and (found := file.obstacle(Path(path))):
        why, cure = found
        return LedgerUnusable(f"{_named(engine)} cannot be opened or created: {why}", hint=cure)
    text = str(error).strip()
    searched = f"sqlstate {getattr(error, 'sqlstate', None)}: {text}".lower()
    for fragments, kind, message, hint in _FAILURES:
        if any(fragment in searched for fragment in fragments):
            return kind(_filled(message, engine), hint=_filled(hint, engine))
    reason = text.partition("\n")[0][:200] or "no reason given"
    is_answer = _file_of(engine) or getattr(error, "sqlstate", None)
    hint = None if is_answer else "check ledger.url and that its server runs; nothing is lost"
    return LedgerError(f"{_named(engine)} cannot be read or written: {reason}", hint=hint)


def _named(engine: Engine) -> str:
    """Return the ledger in words; a server is named by its own messages."""
    file = _file_of(engine)
    return f"the ledger file {file}" if file else "the ledger"


def _filled(text: str | None, engine: Engine) -> str:
    file = Path(_file_of(engine))
    names = {"file": quote(str(file)), "folder": quote(str(file.parent))}
    return (text or "").format(ledger=_named(engine), **names)


def _file_of(engine: Engine) -> str:
    return engine.url.database or "" if engine.dialect.name == "sqlite" else ""


def _sqlite(url: URL) -> Engine:
    engine = create_engine(
        url,
        connect_args={"timeout": BUSY_TIMEOUT},
        # SQLite lets waiting writers retry at random, in no order of arrival. Threads take turns
        # here, so that only processes compete there.
        execution_options={"rotator_turns": _Turns()},
    )

    @event.listens_for(engine, "do_connect")
    def _make_private(*_connection: object) -> None:
        # SQLite gives its log and index files the mode and owner of the database file.
        file.prepare(url.database or "")

    @event.listens_for(engine, "connect")
    def _configure(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        # The driver's own transactions would run a SELECT before BEGIN; `_begin` begins ours.
        connection.isolation_level = None
        cursor = connection.cursor()
        cursor.execute("PRAGMA journal_mode = WAL")
        # On return, a commit is on the disk and survives a loss of power. FULL does that for a log;
        # EXTRA also for a rollback journal, which SQLite keeps where it cannot have a log.
        cursor.execute("PRAGMA synchronous = EXTRA")
        # Page cache in KiB. A daemon has a connection for each of its workers and of the page's
        # readers, and SQLite's default is 2 MB for each.
        cursor.execute("PRAGMA cache_size = -256")
        cursor.execute("PRAGMA foreign_keys = ON")
        cursor.close()

    @event.listens_for(engine, "checkout")
    def _require_same_file(
        _connection: DBAPIConnection, record: ConnectionPoolEntry, _proxy: PoolProxiedConnection
    ) -> None:
        # A file that was removed or replaced keeps accepting commits, which would be lost. Raising
        # this makes the pool reconnect.
        now = file.identity(url.database)
        if record.info.setdefault("rotator_file", now) != now:
            raise DisconnectionError

    return engine


def _postgresql(url: URL) -> Engine:
    # A connection that died while idle is detected before use, not in the middle of a step.
    engine = create_engine(
        url.set(query={**_PATIENCE, **url.query, "client_encoding": "utf8"}),
        # Set for each transaction, as a database may have another default.
        isolation_level="READ COMMITTED",
        # Behind a pooler, a statement that was prepared on another server connection is unknown.
        connect_args={"prepare_threshold": None},
        pool_pre_ping=True,
        # All are kept: connecting takes longer than what a connection is used for.
        pool_size=15,
        max_overflow=0,
    )

    @event.listens_for(engine, "connect")
    def _configure(connection: DBAPIConnection, _record: ConnectionPoolEntry) -> None:
        # Set for each transaction as well.
        connection.read_only = False

    @event.listens_for(engine, "handle_error")
    def _leave_standby(context: ExceptionContext) -> None:
        # A connection that was made before a failover may lead to a standby for ever after, where
        # the address has moved on. The next one looks for the primary server.
        if f"sqlstate {getattr(context.original_exception, 'sqlstate', None)}".lower() in _STANDBY:
            context.is_disconnect = True

    return engine


def _limit_sqlite(
    connection: Any,  # noqa: ANN401  # sqlite3's
    _record: ConnectionPoolEntry,
    _proxy: PoolProxiedConnection,
) -> None:
    deadline = time.monotonic() + LONGEST_READ
    connection.set_progress_handler(lambda: time.monotonic() > deadline, _INSTRUCTIONS)


def _limit_postgresql(connection: Connection) -> None:
    # For the transaction alone: afterwards the session may serve another client.
    connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{LONGEST_READ:.0f}s'")


def _closing_late_ones(engine: Engine) -> Engine:
    """Have a connection closed that is in use while the engine is disposed of, once it comes back.

    A request of the page may outlive the configuration that it began with. SQLAlchemy would leave
    its connection open until it is garbage, and the server has a limited number.
    """
    is_disposed = False

    @event.listens_for(engine, "engine_disposed")
    def _take_note(_engine: Engine) -> None:
        nonlocal is_disposed
        is_disposed = True

    @event.listens_for(engine, "checkin")
    def _close(_connection: object, record: ConnectionPoolEntry) -> None:
        if is_disposed:
            record.invalidate()

    return engine


#: SQLite instructions between two checks of the clock.
_INSTRUCTIONS = 100_000
#: By database: the event at which a time limit begins, and what sets it.
_LIMITS: dict[str, tuple[str, Callable[..., None]]] = {
    "sqlite": ("checkout", _limit_sqlite),
    "postgresql": ("begin", _limit_postgresql),
}
#: Seconds without an answer after which a server counts as lost (libpq's parameters; without
#: them, hours). Values in the URL take precedence.
_PATIENCE = {
    "connect_timeout": "10",
    "keepalives_idle": "10",
    "keepalives_interval": "5",
    "keepalives_count": "3",
    "tcp_user_timeout": "25000",
}
