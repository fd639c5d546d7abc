"""Temporary files in memory: on a disk, a test with a database mostly waits for the disk.

Commands are killed, machines are not: what a process has written is there for the next one.
"""

import os
import shutil
import tempfile
from pathlib import Path

FOLDER = Path("/dev/shm")  # noqa: S108  # folders of random names are made below it
#: Bytes; all suites together take less than half of it.
ROOM = 2 * 2**30


def use() -> None:
    """Make temporary files in memory from now on, here and in the processes that are started.

    They stay on the disk where there is little room, where no program may be run from memory, or
    where `TMPDIR` says where they are to be.
    """
    if "TMPDIR" in os.environ or not _is_usable():
        return
    os.environ["TMPDIR"] = str(FOLDER)
    # It was looked up before, perhaps.
    tempfile.tempdir = None


def _is_usable() -> bool:
    if not (FOLDER.is_dir() and os.access(FOLDER, os.W_OK)):
        return False
    may_run = not os.statvfs(FOLDER).f_flag & os.ST_NOEXEC
    return may_run and shutil.disk_usage(FOLDER).free >= ROOM
