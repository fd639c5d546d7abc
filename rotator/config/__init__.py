"""The configuration: one TOML file and the environment, read into frozen settings."""

from rotator.config.duration import format_duration, parse_duration
from rotator.config.load import load
from rotator.config.settings import Settings
from rotator.config.tables import Daemon, Ledger, Vault, VaultAuth, Vonage

__all__ = [
    "Daemon",
    "Ledger",
    "Settings",
    "Vault",
    "VaultAuth",
    "Vonage",
    "format_duration",
    "load",
    "parse_duration",
]
