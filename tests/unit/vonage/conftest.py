"""A server that is told what to answer, and a client of it."""

from collections.abc import Iterator

import pytest

from rotator.vonage import Secrets, VonageClient
from tests.support.clock import FakeTimer
from tests.support.scripted_server import ScriptedServer
from tests.unit.vonage.client import transport


@pytest.fixture
def server() -> Iterator[ScriptedServer]:
    """Yield a server that answers what it is told."""
    server = ScriptedServer()
    yield server
    server.close()


@pytest.fixture
def clock() -> FakeTimer:
    """Return a clock that stands still."""
    return FakeTimer()


@pytest.fixture
def shared(server: ScriptedServer, clock: FakeTimer) -> VonageClient:
    """Return a client of the server."""
    return transport(server.url, clock)


@pytest.fixture
def secrets(shared: VonageClient) -> Secrets:
    """Return the secrets API of the server."""
    return Secrets(shared)
