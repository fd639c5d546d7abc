"""Where a secret's value comes from: never from an argument, which everyone here can see."""

import sys
from typing import Annotated

import typer

from rotator.cli import question
from rotator.errors import ConfigError

_LONGEST = 4096
FromFile = Annotated[
    str | None,
    typer.Option(
        "--from-file", metavar="PATH|-", help="read the value there; else it is asked for"
    ),
]


def given(from_file: str | None, *, prompt: str) -> str:
    """Give what stands in a file, on standard input for `-`, or is typed at a prompt.

    One line end behind it is not part of it.

    Raises:
        ConfigError: it cannot be read, or there is nobody to ask.
    """
    text = _typed(prompt) if from_file is None else _read(from_file)
    return text.removesuffix("\n")


def _typed(prompt: str) -> str:
    if not sys.stdin.isatty():
        raise ConfigError("there is nobody to ask", hint="give the value with --from-file PATH|-")
    return question.blind(prompt)


def _read(path: str) -> str:
    try:
        if path == "-":
            return sys.stdin.buffer.read(_LONGEST).decode()
        with open(path, "rb") as file:  # noqa: PTH123  # a name as it was given
            return file.read(_LONGEST).decode()
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
    except ValueError:
        reason = "is not UTF-8"
    raise ConfigError(f"--from-file: the value cannot be read: {reason}")
