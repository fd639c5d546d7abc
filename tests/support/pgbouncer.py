"""A real PgBouncer in transaction mode, in front of a PostgreSQL server."""

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

#: Where Debian puts it, which is not on everyone's PATH.
COMMAND = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
#: Two connections to the server, so that a client meets both.
INI = """
[databases]
* = host={host} port=5432
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {port}
unix_socket_dir =
auth_type = trust
auth_file = {folder}/users
pool_mode = transaction
default_pool_size = 2
server_login_retry = 1
logfile = {folder}/log
"""


class Pooler:
    """A running PgBouncer, which may be pointed at another server."""

    def __init__(self, folder: Path, host: str, owner: int | None) -> None:
        """Choose its port, and start it; its files are in `folder`."""
        assert COMMAND is not None
        self._folder = folder
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = int(free.getsockname()[1])
        self._configure(host)
        # It does not run as root, nor can anybody else enter the server's folder.
        for path in (folder, *folder.iterdir()) if owner is not None else ():
            os.chown(path, owner, -1)
        self.process = subprocess.Popen(
            [COMMAND, "-q", folder / "ini"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=owner,
            extra_groups=None if owner is None else [],
        )

    def point_to(self, host: str) -> None:
        """Serve the server whose socket is in the folder `host` from now on."""
        self._configure(host)
        self.process.send_signal(signal.SIGHUP)

    def _configure(self, host: str) -> None:
        text = INI.format(host=host, port=self.port, folder=self._folder)
        (self._folder / "ini").write_text(text)


@contextmanager
def pgbouncer(host: str, user: str) -> Iterator[Pooler]:
    """Run PgBouncer in front of the server whose socket is in the folder `host`."""
    with tempfile.TemporaryDirectory(prefix="rotator-pgbouncer-") as name:
        folder = Path(name)
        (folder / "users").write_text(f'"{user}" ""\n')
        owner = Path(host).stat().st_uid if os.geteuid() == 0 else None
        pooler = Pooler(folder, host, owner)
        with pooler.process:
            try:
                _wait_for(pooler.port, pooler.process)
                yield pooler
            finally:
                pooler.process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    message = f"pgbouncer ended with {process.returncode}"
    raise AssertionError(message)
