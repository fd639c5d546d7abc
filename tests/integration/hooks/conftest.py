"""A ledger that knows hooks, and what it has to deliver."""

import pytest
from sqlalchemy import Engine

from rotator.ledger.deliveries import Deliveries
from rotator.ledger.writer import LedgerWriter
from tests.integration.hooks.deliveries_fixture import names


@pytest.fixture
def writer(database: Engine) -> LedgerWriter:
    """Return a ledger that knows the hooks."""
    return LedgerWriter(database, lease_seconds=60, owner="here/boot/ns/1/100", subscribers=names)


@pytest.fixture
def outbox(database: Engine) -> Deliveries:
    """Return the deliveries."""
    return Deliveries(database, owner="first")
