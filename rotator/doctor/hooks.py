"""Hooks: executable programs, and readable files."""

import os
from collections.abc import Iterator
from pathlib import Path

from rotator.application import Application
from rotator.doctor.check import CheckResult, bad, fine
from rotator.hooks.runner import Unreadable, address, routing_key, signing_keys
from rotator.model.notification import Hook


def fault(hook: Hook) -> tuple[str, str] | None:
    """Return what is wrong with a hook, and a hint; None where no problem was found.

    Its program may not be executable, or its files not readable, by this user on this machine, now.
    The hook is not called.
    """
    if hook.command:
        program = Path(hook.command[0])
        if not program.is_file():
            return f"{program} is not a file", "install it, or correct `command`"
        if not os.access(program, os.X_OK):
            hint = f"let the user that rotator runs as execute it: `chmod a+rx {program}`"
            return f"{program} may not be executed", hint
        return None
    try:
        address(hook)
        signing_keys(hook)
        routing_key(hook)
    except Unreadable as error:
        return str(error), "correct the file, and let this user read it"
    return None


def checks(application: Application) -> Iterator[CheckResult]:
    """Check every hook; none is called."""
    for hook in application.settings.hooks:
        found = fault(hook)
        yield bad("hook", hook.name, *found) if found else fine("hook", hook.name, "ready")
