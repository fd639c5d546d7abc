"""The file of a SQLite ledger: its creation, and a fast read for shell completion.

It is private, and owned by its folder's owner: files that root's commands create or restore would
otherwise keep the daemon from opening them. SQLite itself gives its log and index files the owner
of the ledger.

SQLite's locks on the file belong to the process: the kernel drops them all when any descriptor of
the file is closed, by any part of the process. Another process would then believe it is the last
user, and remove the log that commits still go to. So nothing here closes a descriptor while SQLite
may have the file open.
"""

import os
import shlex
import sqlite3
import stat
import threading
from contextlib import closing, suppress
from pathlib import Path
from urllib.parse import quote

from rotator.model import DiscoveredSubaccount, SubaccountState

#: The first bytes of a SQLite file; a new one is empty.
_MAGIC = b"SQLite format 3\0"
#: Descriptors of ledgers that were not created here, by device and inode; never closed.
_kept: dict[tuple[int, int], int] = {}
#: No thread opens SQLite while another still has to close the file it created.
_preparing = threading.Lock()


def prepare(path: str) -> None:
    """Create the file if missing: private, and owned by its folder's owner.

    Best effort: SQLite itself will report any obstacle.
    """
    with _preparing:
        with suppress(OSError):
            os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600))
        if os.geteuid() == 0:
            with suppress(OSError):
                _give_away(path)


def _give_away(path: str) -> None:
    """Hand root's ledger, and no other file, to its folder's owner.

    The folder's owner can replace the file, so a file with other names keeps its owner: no link is
    followed, and only a file whose content is a ledger changes hands.
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


def identity(path: str | None) -> tuple[int, int] | None:
    """Return device and inode, which differ in a later file of the same name; None if missing."""
    try:
        found = os.stat(path or "")  # noqa: PTH116  # at each transaction: a Path takes as long again
    except FileNotFoundError:
        return None
    return _key(found)


def obstacle(path: Path) -> tuple[str, str] | None:
    """Return why no ledger can be at `path`, and what to do; None where none is seen."""
    # A link may lead to a file that is still to be created.
    target = Path(os.path.realpath(path))
    folder = target.parent
    with suppress(OSError):
        for each in (*reversed(folder.parents), folder):
            if each.is_dir() and not os.access(each, os.X_OK):
                hint = "run as a user who may, or let this one enter"
                return f"this user may not enter {each}", hint
        if target.is_dir():
            return "it is a directory", "let ledger.url name a file in it"
        if target.exists() and not target.is_file():
            return "it is not a file", "let ledger.url name a file"
        if folder.exists() and not folder.is_dir():
            return f"{folder} is not a directory", "correct ledger.url"
        if not folder.exists():
            hint = f"make it with `mkdir -p {shlex.quote(str(folder))}`, or correct ledger.url"
            return f"its directory {folder} does not exist", hint
        if os.statvfs(folder).f_flag & os.ST_RDONLY:
            hint = (
                "mount it for writing, or name it in `ReadWritePaths=` of a unit that is kept "
                "from it, or let ledger.url name a file elsewhere"
            )
            return f"the file system of {folder} is read-only", hint
    return None


def subaccounts(file: Path) -> list[DiscoveredSubaccount]:
    """Return every subaccount ever found; none where the file cannot be read at once.

    No schema check, no waiting, no changes. The ledger's database library takes ten times as long
    to load as SQLite's own.
    """
    try:
        # Where no process has the ledger open, even a reader would create these files, owned by its
        # own user, and the daemon might not be able to write to them.
        is_open = all(Path(f"{file}{suffix}").exists() for suffix in ("-wal", "-shm"))
        uri = f"file:{quote(str(file))}?mode=ro&immutable={0 if is_open else 1}"
        with closing(sqlite3.connect(uri, uri=True, timeout=0)) as database:
            rows = database.execute("SELECT parent, api_key, title, state FROM subaccount")
            return [
                DiscoveredSubaccount(
                    parent=parent, api_key=key, title=title, state=SubaccountState(state)
                )
                for parent, key, title, state in rows
            ]
    except (OSError, sqlite3.Error, ValueError):
        return []
