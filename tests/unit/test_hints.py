"""The commands that errors and refusals name: each is one that could be typed as it stands."""

import ast
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer

import rotator
from tests.acceptance.test_docs import parse

PACKAGE = Path(rotator.__file__).parent
#: What stands for a name, an id or a version that is put in.
VALUE = "account-1"


def said() -> Iterator[tuple[str, str]]:
    """Yield each text of the package that is no docstring, with its place."""
    for path in sorted(PACKAGE.rglob("*.py")):
        tree = ast.parse(path.read_text())
        inside = {
            id(part)
            for node in ast.walk(tree)
            if isinstance(node, ast.JoinedStr)
            for part in ast.walk(node)
            if part is not node
        }
        bare = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if id(node) not in inside | bare and (text := worded(node)):
                yield f"{path.relative_to(PACKAGE)}:{node.lineno}", text  # type: ignore[attr-defined]


def worded(node: ast.AST) -> str:
    """Return the text that a node is, "" for none; what is put in is `VALUE`."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        parts = [part.value if isinstance(part, ast.Constant) else VALUE for part in node.values]
        return "".join(map(str, parts))
    return ""


def commands() -> list[tuple[str, str]]:
    """List each command of rotator's that stands in backticks, with its place."""
    return [
        (place, command)
        for place, text in said()
        for command in re.findall(r"`((?:rotator|rotate-now) [^`]*)`", text)
        # How any command begins.
        if command != "rotator --config PATH"
    ]


@pytest.mark.parametrize(("place", "command"), commands())
def test_a_command_that_is_named_can_be_typed(place: str, command: str) -> None:
    """It is there, with all that it needs and no option that it does not have."""
    program, *words = shlex.split(command.removesuffix("…"))
    try:
        parse(program, words)
    except typer.Exit:
        assert words[-1] == "--help"
    except Exception as error:  # noqa: BLE001  # of the parser, which typer hides
        pytest.fail(f"{place}: `{command}`: {error!r}")


def test_there_are_such_commands() -> None:
    """They are found, in the refusals and elsewhere."""
    places = {place.partition(":")[0] for place, _ in commands()}

    assert len(commands()) > 50
    assert {"rotation/refusals.py", "errors.py", "cli/commands/secrets.py"} <= places


#: Where errors are raised that only a command can end in, and commands themselves.
OF_COMMANDS = ("cli/", "sim/", "ledger/leases.py", "rotation/adoption.py", "rotation/manual.py")
#: The one error that a daemon never tells of: it leaves the account to the other process.
BUSY = "try again in a minute; the other process's lease ends by itself if it died"


def test_no_hint_speaks_of_a_command_that_nobody_ran() -> None:
    """The daemon tells of the same errors: in its log, to hooks, on the page and in `status`."""
    found = [
        f"{place} {text}"
        for place, text in said()
        if re.search(r"command again|try again", text) and text != BUSY
    ]

    assert [each for each in found if not each.startswith(OF_COMMANDS)] == []
    assert found
