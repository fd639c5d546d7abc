"""Entry points of the process."""

import ctypes
import gc
import os
import resource
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from rotator import own_version
from rotator.cli import output, signals
from rotator.cli.signals import Interrupted
from rotator.errors import RotatorError

if TYPE_CHECKING:
    from typer import TyperException


#: Exit code that a shell reports for a process that wrote to a closed pipe.
BROKEN_PIPE = 141

#: The parser's messages about numbers, in our wording.
_WORDS = {
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "is not an integer",
    "Input should be": "should be",
}

_COMPLETION = ("_ROTATOR_COMPLETE", "_ROTATE_NOW_COMPLETE")


def run(program: str, arguments: Sequence[str]) -> int:
    """Run one command; return the process's exit code."""
    try:
        return _run_command(program, arguments)
    except BrokenPipeError:
        output.give_up()
        return BROKEN_PIPE
    except OSError:
        # Standard error itself is closed: no message can be shown.
        output.give_up()
        return 1


def _run_command(program: str, arguments: Sequence[str]) -> int:
    try:
        code = _invoke(program, arguments)
        output.flush()
    except Interrupted as stopped:
        output.say(stopped.message)
        return stopped.exit_code
    except RotatorError as error:
        output.complain(error.message, error.hint)
        return error.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  # the process boundary
        problem = output.problem_of(error)
        output.complain(problem.message, problem.hint)
        return 1
    return code


def _invoke(program: str, arguments: Sequence[str]) -> int:
    if list(arguments) == ["--version"]:
        output.write(f"rotator {own_version()}")
        return 0
    import typer  # noqa: PLC0415  # not for `--version`

    from rotator.cli.app import command_of  # noqa: PLC0415  # likewise

    command = command_of(program)
    if any(name in os.environ for name in _COMPLETION):
        command(prog_name=program)
    try:
        with command.make_context(program, list(arguments)) as context:
            command.invoke(context)
    except typer.Exit as done:
        return done.exit_code
    except (typer.Abort, EOFError):
        output.say("nothing was done")
        return 1
    except typer.TyperException as error:
        _misused(program, error)
        return error.exit_code
    return 0


def _misused(program: str, error: "TyperException") -> None:
    """Print what is wrong with the command line.

    An unexpected argument is not repeated: it may be a value that belongs in a file.
    """
    message = error.format_message()
    if message.startswith("Got unexpected extra argument"):
        message = message.partition(" (")[0]
    for words, ours in _WORDS.items():
        message = message.replace(words, ours)
    context = getattr(error, "ctx", None)
    path = context.command_path if context else program
    output.complain(message[:1].lower() + message[1:].rstrip("."), f"see `{path} --help`")


#: Number of new objects that starts a garbage collection: more than imports create, which stay, and
#: on which a tenth of each start was spent otherwise. The daemon sets its own.
_UNTIL_COLLECTED = 200_000


def main() -> NoReturn:
    """Run `rotator`."""
    sys.exit(_run("rotator", sys.argv[1:]))


def rotate_now() -> NoReturn:
    """Run `rotate-now`."""
    sys.exit(_run("rotate-now", sys.argv[1:]))


def _run(program: str, arguments: list[str]) -> int:
    forbid_core_dumps()
    # The parent may ignore it, and children inherit that: then the kernel discards a child's exit
    # status, and a shut gate would count as open.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    gc.set_threshold(_UNTIL_COLLECTED)
    output.prepare()
    return signals.as_child_of_first(partial(_work, program, arguments))


#: From the kernel's `linux/prctl.h`.
_PR_SET_DUMPABLE = 4


def forbid_core_dumps() -> None:
    """Forbid the kernel to dump this process's memory, which holds live secrets, to a disk.

    On Linux, no limit has this effect where core dumps are piped to a program such as
    systemd-coredump: the kernel starts that program anyway. It always respects this flag, which
    also prevents other processes of the same user (hooks) from reading the memory. Programs that
    are started do not inherit the flag.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, *(ctypes.c_ulong(0) for _ in range(4)))
    else:
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def _work(program: str, arguments: list[str]) -> int:
    signals.install()
    return run(program, arguments)


if __name__ == "__main__":
    main()
