"""The documentation: what is generated is up to date, links lead somewhere, commands exist."""

import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from docs import commands as commands_page
from docs import configuration, diagram, manual
from rotator.cli import main
from rotator.cli.app import command_of
from rotator.config import load
from rotator.config.types import fields_of
from rotator.config.validation import TABLES
from rotator.errors import Busy, ConfigError, Refused, RotatorError
from rotator.model import State

ROOT = Path(__file__).parents[2]
PROGRAMS = {name: command_of(name) for name in ("rotator", "rotate-now")}
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("ops/*.md")])


def blocks(page: Path) -> list[str]:
    """Return the shell blocks of a page, in their order."""
    return re.findall(r"^```sh\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


def commands(page: Path) -> Iterator[list[str]]:
    """Yield the rotator commands of a page's shell blocks, without the command's own name."""
    for block in blocks(page):
        for line in block.replace("\\\n", "").splitlines():
            # Only a line of rotator's is whole by itself: others may go on over several.
            if not line.startswith(("rotator ", "kubectl ")):
                continue
            words = shlex.split(line, comments=True)
            if words[0] == "kubectl" and "--" in words:
                words = words[words.index("--") + 1 :]
            if words[0] == "rotator":
                # What stands behind is the shell's.
                ends = [words.index(mark) for mark in (">", "|", "&&", ";") if mark in words]
                yield words[1 : min(ends, default=len(words))]


def parse(program: str, arguments: list[str]) -> None:
    """Parse a command line to its last argument, and run nothing; raises as the parser does."""
    command = PROGRAMS[program]
    context = command.make_context(program, arguments)
    while hasattr(command, "resolve_command"):
        _, command, rest = command.resolve_command(
            context, [*context._protected_args, *context.args]
        )
        context = command.make_context(command.name, rest, parent=context)


def paths(command: Any, *path: str) -> Iterator[tuple[str, ...]]:  # noqa: ANN401  # typer has no public name for it
    """Yield the path of a command and of all below it."""
    yield path
    for name, below in getattr(command, "commands", {}).items():
        yield from paths(below, *path, name)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as they are made where it is shown."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


EVERY_COMMAND = [(name, *path) for name, program in PROGRAMS.items() for path in paths(program)]


# -- Generated pages. ----------------------------------------------------------------------


def test_the_diagram_is_what_the_rules_do() -> None:
    """Who changes the rules draws them anew: python -m docs.diagram."""
    text = diagram.PAGE.read_text()

    assert diagram.page(text) == text
    for edge in (
        "Observe -->|rotation is wanted| Open",
        "Stage -->|value may be sent| Create",
        "AskGates -->|predecessor is replaced| Delete",
        "Abort -->|value is left| Clear",
    ):
        assert edge in text


def test_the_configuration_reference_is_up_to_date() -> None:
    """Who adds a key writes the page anew: python -m docs.configuration."""
    text = configuration.PAGE.read_text()

    assert text == configuration.page(text)
    for table, model in TABLES.items():
        assert f"[{table}]" in text
        assert all(f"`{key}`" in text or f"{table}.{key}" in TABLES for key in fields_of(model))


def test_the_schema_of_the_configuration_is_up_to_date() -> None:
    """Who changes a key or its rules writes the schema anew: python -m docs.configuration."""
    assert configuration.SCHEMA.read_text() == configuration.schema_text()


def test_the_page_of_commands_is_up_to_date() -> None:
    """Who changes a transcript writes the page anew: python -m docs.commands."""
    text = commands_page.PAGE.read_text()

    assert text == commands_page.page(text)
    assert "```console\n$ rotator --version\nrotator <version>\n" in text


def test_the_manual_page_is_up_to_date() -> None:
    """Who changes a command writes the page anew: python -m docs.manual."""
    text = manual.PAGE.read_text()

    assert text == manual.page()
    for code in {0, *(error.exit_code for error in (RotatorError, ConfigError, Refused, Busy))}:
        assert f'.TP\n.B "{code}"\n' in text


@pytest.mark.skipif(not shutil.which("groff"), reason="groff is not on PATH")
def test_the_manual_page_is_one_that_groff_takes() -> None:
    """The page is set without a warning, and shows options and examples as they are typed."""
    command = ["groff", "-man", "-Tascii", "-ww", "-P-c", "-P-b", "-P-u", str(manual.PAGE)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)

    assert done.stderr == ""
    assert "rotator, rotate-now - keep Vonage API secrets young" in done.stdout
    assert '$ rotator hold sms-prod --reason "incident 42" --freeze' in done.stdout


# -- Links and commands. -------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    """Each relative link names a file that is there, and a heading in it."""
    found = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
    for link in found:
        if re.match(r"[a-z]+:", link):
            continue
        name, _, anchor = link.partition("#")
        target = (page.parent / name).resolve() if name else page

        assert target.exists(), link
        assert not anchor or anchor in anchors(target), link


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_commands_are_such_as_the_parser_takes(page: Path) -> None:
    """Every command line in a shell block has a command, options and arguments that exist."""
    for arguments in commands(page):
        parse("rotator", arguments)


@pytest.mark.parametrize("path", EVERY_COMMAND, ids=" ".join)
def test_every_command_has_help_with_examples(
    path: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    """`--help` of each command and group shows how it is used, in lines that the parser takes."""
    program, *below = path
    code = main.run(program, [*below, "--help"])
    shown = capsys.readouterr().out
    examples = re.findall(r"^ *\$ (.*)", shown.partition("Examples:")[2], re.MULTILINE)

    assert code == 0
    assert f"Usage: {' '.join(path)} " in shown
    assert examples
    for example in examples:
        words = shlex.split(re.split(" [<>] ", example)[0])
        assert words[0] == program
        assert [word for word in words if word in path][: len(path)] == [*path], example
        parse(program, words[1:])


@pytest.mark.parametrize(
    "block",
    [
        block
        for page in PAGES
        for block in re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
        if "[[hooks]]" in block
    ],
)
def test_hooks_are_such_as_rotator_takes(tmp_path: Path, block: str) -> None:
    """Each block of hooks loads beside the example configuration, whose account it may name."""
    config = tmp_path / "config.toml"
    config.write_text((ROOT / "config.example.toml").read_text() + block)

    assert load(config, {"CREDENTIALS_DIRECTORY": str(tmp_path)}).hooks


def test_the_index_names_every_page() -> None:
    """No page is written that nobody finds."""
    index = (ROOT / "docs" / "README.md").read_text()
    pages = {page.name for page in (ROOT / "docs").glob("*.md")} - {"README.md"}

    assert pages == set(re.findall(r"\]\(([\w-]+\.md)\)", index))


def test_the_states_are_explained_with_the_words_of_the_page() -> None:
    """Every state, in order of urgency, in the very sentence that every surface uses."""
    rows = [f"| {state.value} | {state.meaning} |" for state in State]

    assert "\n".join(rows) in (ROOT / "docs" / "concepts.md").read_text()
