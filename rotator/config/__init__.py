"""The configuration: one TOML file and the environment, read into frozen settings."""

from rotator.config.loader import load
from rotator.config.sections import Daemon, Ledger, Vault, VaultAuth, Vonage
from rotator.config.settings import Settings
from rotator.config.types import format_duration, parse_duration

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
