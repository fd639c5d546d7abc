"""The file of a SQLite ledger: private, and owned by its folder's owner, whoever makes it.

What root's commands make or restore would stay root's otherwise, and keep the daemon from
opening it. SQLite itself gives its log and index files the owner of the ledger.
"""

import os
import stat
from contextlib import suppress
from pathlib import Path

#: What a SQLite file begins with; a new one is empty.
_MAGIC = b"SQLite format 3\0"


def prepare(path: str) -> None:
    """Make the file if it is not there, private, and owned by its folder's owner.

    Does what it can: what stands in the way of a file, SQLite will say itself.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
    if os.geteuid() == 0:
        with suppress(OSError):
            _give_away(path)


def _give_away(path: str) -> None:
    """Make root's ledger, and nothing else that may lie there, its folder's owner's.

    The owner of the folder can put anything in the file's place, so nothing that other names lead
    to changes hands: no link, and only what is a ledger by its content.
    """
    folder = Path(path).absolute().parent.stat()
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    try:
        found = os.fstat(descriptor)
        is_roots_own = stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == 0
        if is_roots_own and folder.st_uid != 0 and os.read(descriptor, 16) in (b"", _MAGIC):
            os.fchown(descriptor, folder.st_uid, folder.st_gid)
    finally:
        os.close(descriptor)
