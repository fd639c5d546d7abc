"""Databases for the tests: a fresh one for each test, in SQLite and in PostgreSQL.

A test that takes one of these runs on both; with `@pytest.mark.parametrize("kind", ["sqlite"])`
on one of them.

- `database_url`: an empty database's URL
- `ledger_url`: the URL of one with the ledger's schema, copied from one that was made once
- `database`: the same, opened
"""

import gc
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from itertools import chain, count, takewhile, zip_longest
from pathlib import Path

import psycopg
import pytest
from hypothesis import settings
from sqlalchemy import Engine, make_url

from rotator.ledger import schema
from rotator.ledger.database import open_database
from tests.support import memory, postgresql_server, share
from tests.support.ledgers import compile_once

# Other tests run beside it: how long an example takes says nothing about it.
settings.register_profile("shared-machine", deadline=None)
settings.load_profile("shared-machine")

# Thousands of tests are many objects that stay: Python would spend a tenth of the time on looking
# through them for garbage.
gc.set_threshold(100_000)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add what draws a share of the large matrices of slow cases."""
    group = parser.getgroup("rotator")
    help_share = "run this share of each file with many slow cases"
    group.addoption("--share", type=float, default=1.0, metavar="0.5", help=help_share)
    group.addoption("--seed", type=int, default=0, help="draws the share")


def pytest_configure() -> None:
    """Prepare this process, which commands take after.

    They hear Ctrl-C, though a shell that runs the tests in the background ignores it: whether a
    signal is ignored passes from process to process, and the product respects it.
    """
    memory.use()
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Begin with the tests that may take longest, so that none of them is left for the end.

    Those of each kind take turns: some keep a core busy, some mostly wait for processes.
    """
    slow = [(item.path, item.nodeid) for item in items if item.get_closest_marker("slow")]
    options = {name: config.getoption(name) for name in ("share", "seed")}
    left_out = share.left_out(slow, **options)
    if left_out:
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid in left_out])
        items[:] = [item for item in items if item.nodeid not in left_out]
    for path in {item.path for item in items if item.get_closest_marker("slow")}:
        assert "mark.slow" in path.read_text(), f"make test-slow does not find {path}"
    items.sort(key=_patience, reverse=True)
    long = list(takewhile(_patience, items))
    kinds: dict[Path, list[pytest.Item]] = {}
    for item in long:
        kinds.setdefault(item.path.parent, []).append(item)
    turns = chain.from_iterable(zip_longest(*kinds.values()))
    items[: len(long)] = [item for item in turns if item]


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what draws the same cases again."""
    part, seed = config.getoption("share"), config.getoption("seed")
    if part < 1:
        told = f"a share of each large matrix was drawn: --share {part} --seed {seed}"
        terminalreporter.line(told)


def _patience(item: pytest.Item) -> float:
    mark = item.get_closest_marker("timeout")
    return float(mark.args[0]) if mark else 0.0


def pytest_collection_finish() -> None:
    """Exclude the tests themselves from garbage collection."""
    gc.freeze()


#: Waits for the end of the tests, be it by SIGKILL, and removes the server if it still runs.
WHEN_ORPHANED = """
cat
[ -d "$1" ] || exit 0
kill -QUIT "$(head -n 1 "$1/postmaster.pid")"
rm -rf "$1" || { sleep 1; rm -rf "$1"; }
"""


class PostgreSQL:
    """A running server, and the databases in it."""

    def __init__(self, folder: Path) -> None:
        self._folder, self._server = folder, postgresql_server.start(folder)
        self._numbers = count(1)
        self._connection = psycopg.connect(
            dbname="postgres", user="postgres", host=str(folder), autocommit=True
        )
        # Nothing here has to outlive the machine.
        self._run("ALTER SYSTEM SET fsync = off")
        self._run("SELECT pg_reload_conf()")

    def create(self, template: str = "template0") -> str:
        """Make a database as a copy of `template`; give its URL."""
        name = f"test_{next(self._numbers)}"
        # Before PostgreSQL 15 there is no other strategy.
        strategy = "STRATEGY file_copy" if self._connection.info.server_version >= 150_000 else ""
        self._run(f"CREATE DATABASE {name} TEMPLATE {template} {strategy}")
        return self.url(name)

    def url(self, name: str) -> str:
        """Return the URL of a database."""
        return postgresql_server.url(self._folder, name)

    def drop(self, url: str) -> None:
        """Remove a database, whoever is connected to it."""
        self._run(f"DROP DATABASE {make_url(url).database} WITH (FORCE)")

    def shut(self, url: str) -> Callable[[], None]:
        """End every connection to a database and let nobody in; give what lets them in again."""
        name = make_url(url).database
        self._run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS false")
        ends = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname ="
        self._run(f"{ends} '{name}'")
        return lambda: self._run(f"ALTER DATABASE {name} ALLOW_CONNECTIONS true")

    def close(self) -> None:
        """Stop the server."""
        self._connection.close()
        self._server.cleanup()

    def _run(self, statement: str) -> None:
        self._connection.execute(statement.encode())


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    """Yield a server of this process's own, stopped at the end."""
    # Not below pytest's own folder: root's server runs as another user, and the next pytest to
    # start closes that folder to others.
    folder = tempfile.mkdtemp(prefix="rotator-postgresql-")
    guard, null = ["sh", "-c", WHEN_ORPHANED, "sh", folder], subprocess.DEVNULL
    with subprocess.Popen(
        guard, stdin=subprocess.PIPE, stdout=null, stderr=null, start_new_session=True
    ):
        server = PostgreSQL(Path(folder))
        yield server
        server.close()


@pytest.fixture(scope="session")
def postgresql_template(postgresql: PostgreSQL) -> str:
    """Return the name of a database with the ledger's schema."""
    url = postgresql.create()
    _upgrade(url)
    return str(make_url(url).database)


@pytest.fixture(scope="session")
def sqlite_template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a file with the ledger's schema."""
    path = tmp_path_factory.mktemp("template") / "ledger.db"
    _upgrade(f"sqlite:///{path}")
    return path


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.postgres)])
def kind(request: pytest.FixtureRequest) -> str:
    """Return the kind of database that the test gets."""
    return str(request.param)


@pytest.fixture
def database_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of an empty database; in SQLite, the file does not exist yet."""
    if kind == "sqlite":
        yield f"sqlite:///{tmp_path / 'ledger.db'}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    url = server.create()
    yield url
    server.drop(url)


@pytest.fixture
def ledger_url(kind: str, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Yield the URL of an empty ledger."""
    if kind == "sqlite":
        path = tmp_path / "ledger.db"
        shutil.copy(request.getfixturevalue("sqlite_template"), path)
        yield f"sqlite:///{path}"
        return
    server: PostgreSQL = request.getfixturevalue("postgresql")
    url = server.create(request.getfixturevalue("postgresql_template"))
    yield url
    server.drop(url)


@pytest.fixture
def database(ledger_url: str) -> Iterator[Engine]:
    """Yield an empty ledger's database."""
    engine = open_database(ledger_url)
    compile_once(engine)
    yield engine
    engine.dispose()


def _upgrade(url: str) -> None:
    engine = open_database(url)
    schema.upgrade(engine)
    engine.dispose()
