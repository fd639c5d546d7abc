"""Two PostgreSQL servers, a primary and its streaming standby, which fail over.

The standby receives the primary's log through a relay that can be held: then what is committed at
the primary does not reach the standby, or reaches it without the primary hearing of it. A primary
is killed as by a loss of power, the standby promoted, and the server that was killed becomes the
standby of the other.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from tests.support import postgresql_server
from tests.support.server import LoopbackServer

#: How long a server may take to start, to be promoted, or to receive what another has, in seconds.
PATIENCE = 60.0
_PIECE = 65536
_SOCKET = ".s.PGSQL.5432"
#: Small and quick; what it holds has to outlive its processes, and not the machine.
_OPTIONS = {
    "autovacuum": "off",
    "checkpoint_timeout": "1h",
    # As files in the server's folder, so that a killed one leaves nothing in memory.
    "dynamic_shared_memory_type": "mmap",
    "fsync": "off",
    "jit": "off",
    "listen_addresses": "",
    "max_connections": "90",
    "max_wal_size": "64MB",
    "min_wal_size": "4MB",
    "shared_buffers": "8MB",
    "wal_level": "replica",
    "wal_receiver_status_interval": "1s",
    "wal_retrieve_retry_interval": "50ms",
}


class Member:
    """One of the two servers: a folder, and a process that comes and goes."""

    def __init__(self, folder: Path) -> None:
        """Choose its folder, in which it has its socket and its data; start nothing yet."""
        self.folder = folder
        self._data = folder / "data"
        # A server refuses to run as root.
        self.user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        folder.mkdir()
        self._own(folder)
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def is_running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None

    def initialise(self) -> None:
        """Make an empty cluster."""
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C", "--username=postgres"]
        # Small segments: a copy of the cluster has few bytes.
        self._run("initdb", *options, "--wal-segsize=1", "--no-sync", f"--pgdata={self._data}")

    def copy(self, port: int) -> None:
        """Begin anew as a standby of the primary whose log comes from `port` on loopback."""
        shutil.rmtree(self._data, ignore_errors=True)
        source = ["--host=127.0.0.1", f"--port={port}", "--username=postgres"]
        options = ["--checkpoint=fast", "--no-sync", "--write-recovery-conf"]
        self._run("pg_basebackup", *source, *options, f"--pgdata={self._data}")

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = _OPTIONS | {"unix_socket_directories": str(self.folder)}
        settings = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [_program("postgres"), "-D", self._data, *settings],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                user=self.user and self.user.pw_uid,
                group=self.user and self.user.pw_gid,
                extra_groups=[] if self.user else None,
            )
        until(self._answers, "a server that answers")

    def wait_for_standbys(self, names: str) -> None:
        """Make commits wait for the standbys `names` from now on; also once it is copied."""
        with self.connected() as connection:
            statement = f"ALTER SYSTEM SET synchronous_standby_names = '{names}'"
            connection.execute(statement.encode())
            connection.execute("SELECT pg_reload_conf()")
            shown = "SHOW synchronous_standby_names"
            until(lambda: connection.execute(shown).fetchone() == (names,), "the setting")

    def kill(self) -> None:
        """End all of its processes at once, which are told nothing."""
        if self._process is None:
            return
        # A child could else finish its work, and even be followed by another one.
        self._process.send_signal(signal.SIGSTOP)
        for child in _children(self._process.pid):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
        self._process.kill()
        self._process.wait(PATIENCE)
        self._process = None
        self._forget_memory()

    def end(self) -> None:
        """End it, and wait until it is gone."""
        if self._process is None:
            return
        # An immediate shutdown, which removes what it has in memory.
        self._process.send_signal(signal.SIGQUIT)
        self._process.wait(PATIENCE)
        self._process = None

    @contextmanager
    def connected(self, database: str = "postgres") -> Iterator[psycopg.Connection]:
        """Yield a connection of its administrator's, which waits for no standby."""
        info = f"{self.conninfo} dbname={database}"
        with psycopg.connect(info, autocommit=True) as connection:
            connection.execute("SET synchronous_commit = local")
            yield connection

    def ask(self, query: str, database: str = "postgres") -> object:
        """Return the one value that a query finds; None where it finds none."""
        with self.connected(database) as connection:
            found = connection.execute(query.encode()).fetchone()
        return found[0] if found else None

    @property
    def conninfo(self) -> str:
        """How libpq reaches it."""
        return f"host={self.folder} user=postgres"

    def _answers(self) -> bool:
        assert self._process
        code = self._process.poll()
        assert code is None, (code, (self.folder / "log").read_text()[-2000:])
        with suppress(psycopg.OperationalError):
            return self.ask("SELECT 1") == 1
        return False

    def _forget_memory(self) -> None:
        """Remove the segment by which it kept a second server off its data."""
        with suppress(FileNotFoundError, IndexError):
            segment = (self._data / "postmaster.pid").read_text().splitlines()[6].split()[1]
            subprocess.run(["ipcrm", "-m", segment], check=False, capture_output=True)

    def _own(self, path: Path) -> None:
        if self.user:
            os.chown(path, self.user.pw_uid, self.user.pw_gid)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [_program(program), *arguments],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            cwd=self.folder,
            user=self.user and self.user.pw_uid,
            group=self.user and self.user.pw_gid,
            extra_groups=[] if self.user else None,
            check=False,
        )
        assert not done.returncode, (program, done.returncode, done.stderr.decode())


class Relay(LoopbackServer):
    """What a standby receives its primary's log through, and what may hold it."""

    def __init__(self) -> None:
        """Pass nothing on yet."""
        #: Folder of the primary's socket.
        self.source = Path()
        #: Set where the log passes to the standby, and the standby's answers to the primary.
        self.log, self.answers = threading.Event(), threading.Event()
        self.release()
        super().__init__()

    def release(self) -> None:
        """Pass everything on."""
        self.log.set()
        self.answers.set()

    def cut(self) -> None:
        """Break each connection; what was held is dropped."""
        for connection in [*self._open.values()]:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def serve(self, connection: socket.socket) -> None:
        """Relay both ways until either side has hung up."""
        with socket.socket(socket.AF_UNIX) as primary:
            primary.connect(str(self.source / _SOCKET))
            ways = [(connection, primary, self.answers), (primary, connection, self.log)]
            relays = [threading.Thread(target=self._relay, args=way) for way in ways]
            for relay in relays:
                relay.start()
            for relay in relays:
                relay.join()

    def _relay(self, source: socket.socket, target: socket.socket, gate: threading.Event) -> None:
        with suppress(OSError):
            while piece := source.recv(_PIECE):
                while not gate.wait(0.02):
                    if self.is_over.is_set() or _has_ended(target) or _has_ended(source):
                        raise OSError
                target.sendall(piece)
        for side in (source, target):
            with suppress(OSError):
                side.shutdown(socket.SHUT_RDWR)


class Pair:
    """A primary and its standby, each in a folder of its own below one."""

    def __init__(self, folder: Path, *, is_synchronous: bool) -> None:
        """Start both. If synchronous, a commit waits for the standby, or for one to come."""
        self.primary, self.standby = (Member(folder / name) for name in ("left", "right"))
        self._is_synchronous = is_synchronous
        self.relay = Relay()
        #: How often the standby was promoted.
        self.failovers = 0
        try:
            self.primary.initialise()
            self.primary.start()
            self.primary.wait_for_standbys("*" if is_synchronous else "")
            self.attach()
        except BaseException:
            self.close()
            raise

    @property
    def members(self) -> tuple[Member, Member]:
        """Both, in an order that stays."""
        left, right = sorted((self.primary, self.standby), key=lambda each: each.folder)
        return left, right

    def attach(self) -> None:
        """Make the other server a standby of the primary, and wait until it is one."""
        self.relay.source = self.primary.folder
        self.relay.release()
        self.standby.copy(self.relay.port)
        self.standby.start()
        state = "sync" if self._is_synchronous else "async"
        query = "SELECT min(sync_state) FROM pg_stat_replication WHERE state = 'streaming'"
        until(lambda: self.primary.ask(query) == state, "a standby")

    def catch_up(self) -> None:
        """Wait until the standby has received what the primary has."""
        upto = self.primary.ask("SELECT pg_current_wal_flush_lsn()")
        query = f"SELECT pg_last_wal_receive_lsn() >= '{upto}'"
        until(lambda: self.standby.ask(query), "a standby that has everything")

    def wait_for_replay(self) -> None:
        """Wait until the standby shows what it has received."""
        query = "SELECT pg_last_wal_replay_lsn() >= pg_last_wal_receive_lsn()"
        until(lambda: self.standby.ask(query), "a standby that shows everything")

    def promote(self) -> None:
        """Let the standby take over, whatever has become of the primary."""
        self.relay.cut()
        assert self.standby.ask("SELECT pg_promote(true, 60)") is True
        self.primary, self.standby = self.standby, self.primary
        self.failovers += 1

    def close(self) -> None:
        """End both."""
        self.relay.close()
        for member in self.members:
            member.end()


@contextmanager
def pair(*, is_synchronous: bool) -> Iterator[Pair]:
    """Yield a pair in a folder of its own, gone at the end."""
    # Not below pytest's own folder: root's servers run as another user.
    with tempfile.TemporaryDirectory(prefix="rotator-pair-") as name:
        folder = Path(name)
        folder.chmod(0o755)
        made = Pair(folder, is_synchronous=is_synchronous)
        try:
            yield made
        finally:
            made.close()


def until(condition: Callable[[], object], what: str, seconds: float = PATIENCE) -> None:
    """Wait for what the servers bring about."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            message = f"{what} did not come about"
            raise AssertionError(message)
        time.sleep(0.01)


def _program(name: str) -> Path:
    """Return a program of the server's: the wheel's, or of where a variable says."""
    if named := os.environ.get(postgresql_server.PROGRAMS):
        return Path(named) / name
    return postgresql_server.wheel_programs() / name


def _children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def _has_ended(connection: socket.socket) -> bool:
    """Return whether the other side has hung up, or this one was shut."""
    try:
        flags = socket.MSG_PEEK | socket.MSG_DONTWAIT
        return not connection.recv(1, flags)
    except BlockingIOError:
        return False
    except OSError:
        return True
