"""Hooks: commands and web addresses that are told of what happens, and asked as gates."""

from rotator.hooks.check import Finding, findings
from rotator.hooks.courier import Attempt, Courier

__all__ = ["Attempt", "Courier", "Finding", "findings"]
