"""The configuration: one TOML file and the environment, read into frozen settings."""

from rotator.config.accounts import overlap
from rotator.config.loader import load
from rotator.config.sections import (
    DaemonSettings,
    LedgerSettings,
    VaultAuthSettings,
    VaultSettings,
    VonageSettings,
)
from rotator.config.settings import Settings
from rotator.config.types import parse_duration

__all__ = [
    "DaemonSettings",
    "LedgerSettings",
    "Settings",
    "VaultAuthSettings",
    "VaultSettings",
    "VonageSettings",
    "load",
    "overlap",
    "parse_duration",
]
