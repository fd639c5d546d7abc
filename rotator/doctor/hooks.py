"""Hooks: programs that can be run, and files that can be read."""

from collections.abc import Iterator

from rotator.doctor.check import Check, bad, fine
from rotator.hooks.check import findings
from rotator.wiring import Wiring


def checks(wiring: Wiring) -> Iterator[Check]:
    """Look at every hook; none is called."""
    for found in findings(wiring.settings.hooks):
        if found.problem:
            yield bad("hook", found.hook.name, found.problem, found.hint)
        else:
            yield fine("hook", found.hook.name, "ready")
