"""Hooks: commands and web addresses that are told of what happens, and asked as gates."""

from rotator.hooks.dispatcher import Attempt, Courier

__all__ = ["Attempt", "Courier"]
