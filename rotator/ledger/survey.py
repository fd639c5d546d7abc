"""What the ledger knows of every account, kept from one look to the next."""

import threading
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Engine, select, type_coerce
from sqlalchemy.types import NullType

from rotator.ledger import tables
from rotator.ledger.database import reading
from rotator.ledger.records import COLUMNS, records_of
from rotator.ports import AccountRecord


class Survey:
    """Reads what changed since the last look, so that thousands of accounts cost little.

    Each look reads the columns of all accounts' rows that are shown, as the database gives
    them, and compares. Only what differs is read again with its rotations: whoever changes a
    rotation has its account's lease, and each commit prolongs that or gives it up.
    """

    def __init__(self, engine: Engine) -> None:
        """Read from `engine`'s database; nothing is read yet."""
        self._engine = engine
        self._lock = threading.Lock()
        self._rows: dict[str, tuple[Any, ...]] = {}
        self._records: dict[str, AccountRecord] = {}

    def records(self) -> Mapping[str, AccountRecord]:
        """Give what the ledger knows of each of its accounts.

        The record of an account that did not change is the very same as last time.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        with self._lock:
            with reading(self._engine) as connection:
                rows = {row.name: tuple(row) for row in connection.execute(_ROWS)}
                changed = [name for name, row in rows.items() if self._rows.get(name) != row]
                records = records_of(connection, changed) if changed else {}
            # A replaced ledger may have lost some.
            self._records = {name: records.get(name) or self._records[name] for name in rows}
            self._rows = rows
            return self._records


#: Not made into times and texts, which would take most of the time.
_ROWS = select(
    *(type_coerce(column, NullType).label(column.name) for column in COLUMNS),
    tables.account.c.chain_seq,
    tables.account.c.fencing_token,
    type_coerce(tables.account.c.lease_expires_at, NullType).label("lease_expires_at"),
)
