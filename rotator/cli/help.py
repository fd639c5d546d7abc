"""Formats `--help` for users, without Python's terms."""

from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand, TyperGroup

from rotator.cli import output
from rotator.errors import docstring_of


class Command(TyperCommand):
    """A command whose help shows no Python types."""

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401  # typer has no public name for it
        """Return the command's arguments and options."""
        return _untyped(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  # likewise
        """Write it to standard output; raises as `output.write`."""
        with output.translated():
            super().format_help(ctx, formatter)


class Group(TyperGroup):
    """A group of commands, likewise."""

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401  # typer has no public name for it
        """Return the group's options."""
        return _untyped(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  # likewise
        """Write it to standard output; raises as `output.write`."""
        with output.translated():
            super().format_help(ctx, formatter)


def _untyped(parameters: list[Any]) -> list[Any]:
    """Omit types that the flag or the argument's name already shows: `<bool>`, `<list[str]>`."""
    for parameter in parameters:
        if parameter.param_type_name == "argument" or parameter.is_flag:
            parameter.display_type_rich = lambda ctx: None  # noqa: ARG005  # its signature
    return parameters


def text_of(command: Callable[..., None]) -> str:
    """Return a command's docstring, each paragraph on one line for the terminal to wrap."""
    return "\n\n".join(part.replace("\n", " ") for part in docstring_of(command).split("\n\n"))


def examples(program: str, *arguments: str) -> str:
    """Return the examples at the end of a help text: the program with each of these arguments."""
    return "\n".join(["Examples:", *(f"$ {program} {each}".rstrip() for each in arguments)])
