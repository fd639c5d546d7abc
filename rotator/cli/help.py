"""What `--help` shows of a command, in words that say something to its user."""

from collections.abc import Callable
from typing import Any

from typer.core import TyperCommand, TyperGroup

from rotator.cli import output
from rotator.errors import docstring_of


class Command(TyperCommand):
    """A command whose help names no type of Python."""

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401  # typer has no public name for it
        """Give its arguments and options."""
        return _untyped(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  # likewise
        """Write it to standard output; raises as `output.write`."""
        with output.translated():
            super().format_help(ctx, formatter)


class Group(TyperGroup):
    """The same, of commands."""

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401  # typer has no public name for it
        """Give its options."""
        return _untyped(super().get_params(ctx))

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  # likewise
        """Write it to standard output; raises as `output.write`."""
        with output.translated():
            super().format_help(ctx, formatter)


def _untyped(parameters: list[Any]) -> list[Any]:
    """Leave out what a flag and a name of the argument say already: `<bool>`, `<list[str]>`."""
    for parameter in parameters:
        if parameter.param_type_name == "argument" or parameter.is_flag:
            parameter.display_type_rich = lambda ctx: None  # noqa: ARG005  # its signature
    return parameters


def text_of(command: Callable[..., None]) -> str:
    """Give a command's docstring with each paragraph on one line, for the terminal to fold."""
    return "\n\n".join(part.replace("\n", " ") for part in docstring_of(command).split("\n\n"))


def examples(program: str, *arguments: str) -> str:
    """Give what stands below: the program with each of these arguments."""
    return "\n".join(["Examples:", *(f"$ {program} {each}".rstrip() for each in arguments)])
