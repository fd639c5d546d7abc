"""The simulators, and the clock that they go by."""

from collections.abc import Iterator

import pytest

from rotator.sim import VonageSimulator
from tests.unit.sim.clock import Clock
from tests.unit.sim.vonage import filled


@pytest.fixture
def clock() -> Clock:
    """Time stands still until the test moves it."""
    return Clock()


@pytest.fixture
def vonage() -> Iterator[VonageSimulator]:
    """Three accounts: one, a stranger to it, and its suspended subaccount."""
    with VonageSimulator() as simulator:
        yield filled(simulator)
