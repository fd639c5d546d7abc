"""A quick look into a ledger's file, for the shell's completion: no schema, no wait, no trace.

SQLite's own library is enough for it, and loads ten times as fast as what the ledger is used by.
"""

import sqlite3
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from rotator.model import Found, SubaccountState


def found(file: Path) -> list[Found]:
    """Give every subaccount that ever was found; none where the file cannot be read at once."""
    try:
        with closing(sqlite3.connect(_uri(file), uri=True, timeout=0)) as database:
            rows = database.execute("SELECT parent, api_key, title, state FROM subaccount")
            return [
                Found(parent=parent, api_key=key, title=title, state=SubaccountState(state))
                for parent, key, title, state in rows
            ]
    except (OSError, sqlite3.Error, ValueError):
        return []


def _uri(file: Path) -> str:
    # Where nobody has the ledger open, even a reader would make these files, as whoever he is,
    # and the daemon may not be allowed to write to them.
    is_open = all(Path(f"{file}{suffix}").exists() for suffix in ("-wal", "-shm"))
    return f"file:{quote(str(file))}?mode=ro&immutable={0 if is_open else 1}"
