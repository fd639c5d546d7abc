"""Hooks: commands and webhooks that are notified of events, and asked as gates."""

from rotator.hooks.dispatcher import Attempt, HookDispatcher

__all__ = ["Attempt", "HookDispatcher"]
