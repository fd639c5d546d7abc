"""The configuration: one TOML file and the environment, read into frozen settings."""

from rotator.config.daemon import Daemon
from rotator.config.duration import format_duration, parse_duration
from rotator.config.ledger import Ledger
from rotator.config.load import load
from rotator.config.settings import Settings
from rotator.config.vault import Vault, VaultAuth
from rotator.config.vonage import Vonage

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
