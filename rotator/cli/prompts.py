"""Prompts at the terminal. Without an answer, nothing is done."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from rotator.cli import output
from rotator.cli.signals import Interrupted, Unanswered
from rotator.errors import ConfigError, reason_of
from rotator.model.redaction import printable

YesOption = Annotated[bool, typer.Option("--yes", help="do not ask")]


def require_terminal(action: str, *, yes: bool) -> None:
    """Refuse to continue where an answer is needed and nobody can give it.

    Raises:
        ConfigError: there is no terminal, and --yes is not given.
    """
    if not yes and not sys.stdin.isatty():
        raise ConfigError(
            "no terminal to confirm at", hint=f"give --yes to {action} without asking"
        )


def confirm(question: str) -> None:
    """Return only if the answer is yes.

    Raises:
        typer.Abort: the answer is no, or missing.
    """
    with _asked():
        while True:
            sys.stderr.write(f"{printable(question)} [y/N]: ")
            sys.stderr.flush()
            answer = sys.stdin.readline()
            if not answer:
                raise EOFError
            if answer.strip().lower() in {"y", "yes"}:
                return
            if answer.strip().lower() in {"", "n", "no"}:
                raise typer.Abort
            output.say("answer y or n")


def blind(prompt: str) -> str:
    """Return what is typed at the prompt, without echoing it.

    Raises:
        typer.Abort: nothing was typed.
    """
    from getpass import getpass  # noqa: PLC0415  # nobody else needs it

    with _asked():
        return getpass(prompt)


@contextmanager
def _asked() -> Iterator[None]:
    """End the prompt's line if the answer does not."""
    try:
        yield
    except (EOFError, UnicodeDecodeError):
        # Undecodable input is no answer either, and would be read again and again.
        output.say("")
        raise typer.Abort from None
    except Interrupted as stopped:
        output.say("")
        raise Unanswered(stopped.signum) from None


_LONGEST = 4096

FromFile = Annotated[
    str | None,
    typer.Option(
        "--from-file", metavar="PATH|-", help="read the value from there; else prompt for it"
    ),
]


def read_value(from_file: str | None, *, prompt: str) -> str:
    """Read a value from a file, from standard input for `-`, or from a prompt.

    One line end at its end is removed.

    Raises:
        ConfigError: it cannot be read, or there is no terminal.
    """
    if from_file is not None:
        return _read(from_file).removesuffix("\n")
    if not sys.stdin.isatty():
        raise ConfigError(
            "there is no terminal to ask at", hint="give the value with --from-file PATH|-"
        )
    return blind(prompt).removesuffix("\n")


def _read(path: str) -> str:
    try:
        if path == "-":
            return sys.stdin.buffer.read(_LONGEST).decode()
        with open(path, "rb") as file:  # noqa: PTH123  # a name as it was given
            return file.read(_LONGEST).decode()
    except OSError as error:
        reason = reason_of(error)
    except ValueError:
        reason = "is not UTF-8"
    raise ConfigError(f"--from-file: the value cannot be read: {reason}")
