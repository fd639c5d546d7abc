"""The file of a SQLite ledger: private, and owned by its folder's owner, whoever makes it.

What root's commands make or restore would stay root's otherwise, and keep the daemon from
opening it. SQLite itself gives its log and index files the owner of the ledger.

SQLite's locks on the file are the process's: the kernel ends them all when any descriptor of the
file is closed, whoever opened it. Another process would then take itself for the last one, and
remove the log that commits still go to. So nothing here closes one while SQLite may have the file.
"""

import os
import stat
import threading
from contextlib import suppress
from pathlib import Path

#: What a SQLite file begins with; a new one is empty.
_MAGIC = b"SQLite format 3\0"
#: What was opened of ledgers that were not made here, by device and number, and is never closed.
_kept: dict[tuple[int, int], int] = {}
#: No thread gets to SQLite while another one is still to close the file that it made.
_preparing = threading.Lock()


def prepare(path: str) -> None:
    """Make the file if it is not there, private, and owned by its folder's owner.

    Does what it can: what stands in the way of a file, SQLite will say itself.
    """
    with _preparing:
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
    found = os.lstat(path)
    if folder.st_uid == 0 or not _is_roots_own(found) or _key(found) in _kept:
        return
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    found = os.fstat(descriptor)
    _kept[_key(found)] = descriptor
    if _is_roots_own(found) and os.read(descriptor, 16) in (b"", _MAGIC):
        os.fchown(descriptor, folder.st_uid, folder.st_gid)


def _is_roots_own(found: os.stat_result) -> bool:
    return stat.S_ISREG(found.st_mode) and found.st_nlink == 1 and found.st_uid == 0


def _key(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino
