"""Simulators of Vonage's Account API and of Vault, with faults, on loopback.

They serve rotator's tests, `rotator demo` and, as `rotator sim`, the tests of rotator's users.
They import nothing else of rotator, and besides the standard library only h11.
"""

from rotator.sim.environment import Environment, SimAccount
from rotator.sim.faults import Fault
from rotator.sim.server import Exchange, Observer, Phase
from rotator.sim.vault.kv import SimVersion
from rotator.sim.vault.simulator import VaultSimulator
from rotator.sim.vonage.accounts import SimSecret, SlotsFull
from rotator.sim.vonage.simulator import VonageSimulator

__all__ = [
    "Environment",
    "Exchange",
    "Fault",
    "Observer",
    "Phase",
    "SimAccount",
    "SimSecret",
    "SimVersion",
    "SlotsFull",
    "VaultSimulator",
    "VonageSimulator",
]
