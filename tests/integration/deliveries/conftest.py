"""A ledger that knows hooks, and what it has to deliver."""

import pytest
from sqlalchemy import Engine

from rotator.ledger.deliveries import Deliveries
from rotator.ledger.writer import Book
from tests.integration.deliveries.happening import names


@pytest.fixture
def book(database: Engine) -> Book:
    """Return a ledger that knows the hooks."""
    return Book(database, lease_seconds=60, owner="here/boot/ns/1/100", hearing=names)


@pytest.fixture
def outbox(database: Engine) -> Deliveries:
    """Return the deliveries."""
    return Deliveries(database, owner="first")
