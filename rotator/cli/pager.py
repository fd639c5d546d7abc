"""A pager for long results on a terminal."""

import os
import shlex
import shutil
import signal
import subprocess
from contextlib import suppress

from rotator.cli import output
from rotator.model.redaction import printable_lines

#: What less needs to leave short text on the screen, as git sets it; the user's own value counts.
_LESS = "FRX"


def show(text: str) -> None:
    """Show lines in the user's pager; write them to standard output where there is none.

    The pager is `$PAGER`, else `less`. An empty `$PAGER`, or `cat`, means none. That it is left
    before the end is no error.

    Raises:
        RotatorError: standard output cannot be written to.
    """
    command = _command()
    if not command:
        output.write(text)
        return
    output.flush()
    with subprocess.Popen(  # noqa: S603  # the user's own choice
        command,
        stdin=subprocess.PIPE,
        encoding="utf-8",
        errors="backslashreplace",
        env={"LESS": _LESS, **os.environ},
    ) as process:
        # Ctrl+C is the pager's while it runs: without this process, it would lose the terminal.
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            with suppress(BrokenPipeError):
                process.communicate(f"{printable_lines(text)}\n")
            process.wait()
        finally:
            signal.signal(signal.SIGINT, before)


def _command() -> list[str]:
    """Return the pager's command; empty where there is none."""
    try:
        command = shlex.split(os.environ.get("PAGER", "less"))
    except ValueError:
        return []
    is_there = command and command != ["cat"] and shutil.which(command[0])
    return command if is_there else []
