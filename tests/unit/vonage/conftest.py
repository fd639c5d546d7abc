"""A server that is told what to answer, and a client of it."""

from collections.abc import Iterator

import pytest

from rotator.vonage import Secrets, VonageClient
from tests.unit.vonage.client import transport
from tests.unit.vonage.clock import Clock
from tests.unit.vonage.scripted_server import Canned


@pytest.fixture
def server() -> Iterator[Canned]:
    """Yield a server that answers what it is told."""
    server = Canned()
    yield server
    server.close()


@pytest.fixture
def clock() -> Clock:
    """Return a clock that stands still."""
    return Clock()


@pytest.fixture
def shared(server: Canned, clock: Clock) -> Iterator[VonageClient]:
    """Yield a client of the server."""
    with transport(server.url, clock) as shared:
        yield shared


@pytest.fixture
def secrets(shared: VonageClient) -> Secrets:
    """Return the secrets API of the server."""
    return Secrets(shared)
