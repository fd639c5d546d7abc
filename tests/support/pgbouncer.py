"""A real PgBouncer in transaction mode, in front of a PostgreSQL server."""

import os
import shutil
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
logfile = {folder}/log
"""


@contextmanager
def pgbouncer(host: str, user: str) -> Iterator[int]:
    """Run PgBouncer in front of the server whose socket is in the folder `host`; yield its port."""
    assert COMMAND is not None
    with tempfile.TemporaryDirectory(prefix="rotator-pgbouncer-") as name:
        folder, owner = Path(name), Path(host).stat().st_uid
        with socket.create_server(("127.0.0.1", 0)) as free:
            port = int(free.getsockname()[1])
        (folder / "ini").write_text(INI.format(host=host, port=port, folder=folder))
        (folder / "users").write_text(f'"{user}" ""\n')
        # It does not run as root, nor can anybody else enter the server's folder.
        is_root = os.geteuid() == 0
        for path in (folder, *folder.iterdir()) if is_root else ():
            os.chown(path, owner, -1)
        with subprocess.Popen(
            [COMMAND, "-q", folder / "ini"],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=owner if is_root else None,
            extra_groups=[] if is_root else None,
        ) as process:
            try:
                _wait_for(port, process)
                yield port
            finally:
                process.terminate()


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    while process.poll() is None:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return
        time.sleep(0.02)
    message = f"pgbouncer ended with {process.returncode}"
    raise AssertionError(message)
