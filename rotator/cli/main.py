"""Where the process begins."""

import gc
import os
import signal
import sys
from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from rotator.cli import core_dump, first, output, signals
from rotator.cli.signals import Stopped
from rotator.cli.version import version
from rotator.errors import RotatorError

if TYPE_CHECKING:
    from typer import TyperException


#: What a shell reports for a process that wrote to a closed pipe.
BROKEN_PIPE = 141

#: The parser's way to refuse a number, in the words of our other messages.
_WORDS = {
    "Value error, ": "",
    "Input should be a valid integer, unable to parse string as an integer": "is no whole number",
    "Input should be": "should be",
}

_COMPLETION = ("_ROTATOR_COMPLETE", "_ROTATE_NOW_COMPLETE")


def run(program: str, arguments: Sequence[str]) -> int:
    """Run one command; give what the process exits with."""
    try:
        return _run_command(program, arguments)
    except BrokenPipeError:
        output.give_up()
        return BROKEN_PIPE
    except OSError:
        # Standard error itself: there is nobody left to tell.
        output.give_up()
        return 1


def _run_command(program: str, arguments: Sequence[str]) -> int:
    try:
        code = _invoke(program, arguments)
        output.flush()
    except Stopped as stopped:
        output.say(stopped.message)
        return stopped.exit_code
    except RotatorError as error:
        output.complain(error.message, error.hint)
        return error.exit_code
    except BrokenPipeError:
        raise
    except Exception as error:  # noqa: BLE001  # the process boundary
        from rotator.cli.errors import described  # noqa: PLC0415  # rarely needed

        problem = described(error)
        output.complain(problem.message, problem.hint)
        return 1
    return code


def _invoke(program: str, arguments: Sequence[str]) -> int:
    if list(arguments) == ["--version"]:
        output.write(version())
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
    """Say what is wrong with the command line.

    What should not be there is not repeated: it may be a value that belongs in a file.
    """
    message = error.format_message()
    if message.startswith("Got unexpected extra argument"):
        message = message.partition(" (")[0]
    for words, ours in _WORDS.items():
        message = message.replace(words, ours)
    context = getattr(error, "ctx", None)
    path = context.command_path if context else program
    output.complain(message[:1].lower() + message[1:].rstrip("."), f"see `{path} --help`")


#: How many objects are made before Python looks for garbage. At its own 700, a tenth of each start
#: went into looking through what imports had made, which stays.
_UNTIL_COLLECTED = 20_000


def main() -> NoReturn:
    """Run `rotator`."""
    sys.exit(_run("rotator", sys.argv[1:]))


def rotate_now() -> NoReturn:
    """Run `rotate-now`."""
    sys.exit(_run("rotate-now", sys.argv[1:]))


def _run(program: str, arguments: list[str]) -> int:
    core_dump.forbid()
    # Who started this may ignore it, and hands that on: the kernel then keeps how a child ended,
    # and a gate that is shut would be taken for an open one.
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    gc.set_threshold(_UNTIL_COLLECTED)
    output.prepare()
    return first.as_child_of_first(partial(_work, program, arguments))


def _work(program: str, arguments: list[str]) -> int:
    signals.install()
    return run(program, arguments)


if __name__ == "__main__":
    main()
