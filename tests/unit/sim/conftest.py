"""The simulators, and the clock that they go by."""

from collections.abc import Iterator

import pytest

from rotator.sim import VaultSimulator, VonageSimulator
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


@pytest.fixture
def vault(clock: Clock) -> Iterator[VaultSimulator]:
    """An empty Vault with a mount inside another."""
    # Vault tells nanoseconds, and none of them may be lost.
    clock.now += 123_456_789
    with VaultSimulator(mounts=["secret", "secret/nested"], clock=clock) as started:
        yield started
