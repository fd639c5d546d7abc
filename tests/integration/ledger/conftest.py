"""The ledger as one process writes to it."""

import pytest
from sqlalchemy import Engine

from rotator.ledger.writer import LedgerWriter


@pytest.fixture
def writer(database: Engine) -> LedgerWriter:
    """Return the writer of a ledger."""
    return LedgerWriter(database, lease_seconds=60, owner="here/boot/ns/1/100")
