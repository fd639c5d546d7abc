"""Hooks: executable programs, and readable files."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rotator.application import Application
from rotator.doctor.check import CheckResult, bad, fine
from rotator.hooks.runner import Unreadable, address, signing_key
from rotator.model.notification import Hook


@dataclass(frozen=True, kw_only=True)
class Finding:
    """The state of one hook."""

    hook: Hook
    #: What is wrong; None where no problem was found.
    problem: str | None
    hint: str | None = None


def findings(hooks: Iterable[Hook]) -> list[Finding]:
    """Check each hook in order: whether its program may be run and its files be read.

    Calls no hook. The findings apply to this user on this machine, now.
    """
    return [next(_problems(hook), Finding(hook=hook, problem=None)) for hook in hooks]


def _problems(hook: Hook) -> Iterator[Finding]:
    if hook.command:
        program = Path(hook.command[0])
        if not program.is_file():
            yield Finding(
                hook=hook, problem=f"{program} is no file", hint="install it, or correct `command`"
            )
        elif not os.access(program, os.X_OK):
            hint = f"let the user that rotator runs as execute it: `chmod a+rx {program}`"
            yield Finding(hook=hook, problem=f"{program} may not be executed", hint=hint)
        return
    try:
        address(hook)
        signing_key(hook)
    except Unreadable as error:
        yield Finding(hook=hook, problem=str(error), hint="see that this user may read the file")


def checks(application: Application) -> Iterator[CheckResult]:
    """Check every hook; none is called."""
    for found in findings(application.settings.hooks):
        if found.problem:
            yield bad("hook", found.hook.name, found.problem, found.hint)
        else:
            yield fine("hook", found.hook.name, "ready")
