"""Hooks: commands and webhooks that are notified of events, and asked as gates."""

from rotator.hooks.dispatcher import Attempt, Courier

__all__ = ["Attempt", "Courier"]
