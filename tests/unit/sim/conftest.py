"""The simulators, and the clock that they go by."""

from collections.abc import Iterator

import pytest

from rotator.sim import VaultSimulator, VonageSimulator
from tests.support.clock import FakeClock
from tests.unit.sim.vonage import filled


@pytest.fixture
def clock() -> FakeClock:
    """Time stands still until the test moves it."""
    return FakeClock()


@pytest.fixture
def vonage() -> Iterator[VonageSimulator]:
    """Three accounts: one, a stranger to it, and its suspended subaccount."""
    with VonageSimulator() as simulator:
        yield filled(simulator)


@pytest.fixture
def vault(clock: FakeClock) -> Iterator[VaultSimulator]:
    """An empty Vault with a mount inside another."""
    # Vault tells nanoseconds, and none of them may be lost.
    clock.elapsed = 0.123456789
    with VaultSimulator(mounts=["secret", "secret/nested"], clock=clock.nanoseconds) as started:
        yield started
