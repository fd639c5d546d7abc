"""Shell completion, asked for as a shell does: by the environment of the real process."""

import os
import re
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from rotator.cli.app import command_of
from tests.support.cli_fixture import CliFixture, CommandResult
from tests.support.commands import ROOT

NAMES = ["account-1", "account-2", "account-1-sub-1"]


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CliFixture]:
    """Three accounts, and no ledger."""
    with CliFixture(tmp_path, accounts=2, subaccounts=1) as cli:
        yield cli


def completed(
    cli: CliFixture, line: str, *, program: str = "rotator", config: str = ""
) -> CommandResult:
    """Return what bash would be told for `line`, with the cursor at its end."""
    words = line.split(" ")
    variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
    asked = {variable: "complete_bash", "COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    asked["ROTATOR_CONFIG"] = config or str(cli.config)
    return cli.run(program=program, environment=asked)


def test_names_come_from_the_configuration(cli: CliFixture) -> None:
    """An account's name is completed wherever one is asked for, and not twice in one line."""
    for line in ("rotator secrets list ", "rotator history ", "rotator hold "):
        assert completed(cli, line).out.split() == NAMES
    begun = completed(cli, "rotator status account-1-")
    other = completed(cli, "rotate-now account-1 account-2 ", program="rotate-now")

    assert begun.out.split() == ["account-1-sub-1"]
    assert other.out.split() == ["account-1-sub-1"]
    assert not cli.ledger.exists()


def test_the_option_counts_more_than_the_environment(cli: CliFixture) -> None:
    """`--config` before the command says whose names are meant, and so does `rotate-now`'s."""
    for line, program in (
        (f"rotator --config {cli.config} status ", "rotator"),
        (f"rotate-now --config {cli.config} ", "rotate-now"),
    ):
        done = completed(cli, line, program=program, config="/nowhere.toml")

        assert done.out.split() == NAMES


DISCOVER = '[[discover]]\nparent = "account-1"\nvault_path = "v/{api_key}"\nexclude = ["test-*"]\n'


@pytest.fixture
def discovering(cli: CliFixture, sqlite_template: Path) -> CliFixture:
    """Three accounts, and two in the ledger, of which one is excluded."""
    shutil.copy(sqlite_template, cli.ledger)
    for key, title in (("bbbb0001", "shop"), ("cccc0001", "test-1")):
        cli.sql(
            "INSERT INTO subaccount VALUES ('account-1', ?, ?, 'active', '2026-11-23')", key, title
        )
    cli.config.write_text(f"{cli.text}\n{DISCOVER}")
    return cli


def test_what_the_daemon_found_is_completed(discovering: CliFixture) -> None:
    """By the names that it has given them; nothing is left in the ledger's folder."""
    before = {file.name: file.stat().st_mtime_ns for file in discovering.folder.glob("ledger*")}
    done = completed(discovering, "rotator status ")
    after = {file.name: file.stat().st_mtime_ns for file in discovering.folder.glob("ledger*")}

    assert (done.out.split(), done.err) == ([*NAMES, "bbbb0001"], "")
    assert before == after


def test_a_ledger_in_use_is_read_as_it_is(discovering: CliFixture) -> None:
    """What the daemon has just written is completed while it has the ledger open."""
    with closing(sqlite3.connect(discovering.ledger)) as daemon:
        daemon.execute(
            "INSERT INTO subaccount SELECT parent, 'dddd0001', title, state, changed_at "
            "FROM subaccount WHERE api_key = 'bbbb0001'"
        )
        daemon.commit()
        done = completed(discovering, "rotator status b")
        new = completed(discovering, "rotator status d")

    assert (done.out.split(), new.out.split()) == (["bbbb0001"], ["dddd0001"])


@pytest.mark.parametrize("trouble", ["damaged", "absent", "hidden", "server", "invalid"])
def test_a_ledger_that_cannot_be_read_is_passed_over(discovering: CliFixture, trouble: str) -> None:
    """What is configured is completed all the same, at once and in silence."""
    if trouble == "damaged":
        discovering.ledger.write_bytes(b"x" * 8192)
    elif trouble == "absent":
        discovering.ledger.unlink()
    else:
        url = {
            # Fails for root, too, as a folder does that others may not look into.
            "hidden": f"sqlite:////{'x' * 300}/ledger.db",
            "server": "postgresql+psycopg://127.0.0.1:1/x",
            "invalid": "nonsense",
        }[trouble]
        text = discovering.config.read_text()
        discovering.config.write_text(text.replace(f"sqlite:///{discovering.ledger}", url))
    done = completed(discovering, "rotator status ")

    assert (done.out.split(), done.err) == (NAMES, "")
    assert discovering.ledger.exists() is (trouble != "absent")


@pytest.mark.parametrize(
    "content",
    [
        b"[[accounts]\n",
        b"accounts = 7\n",
        b"accounts = [7]\n",
        b"[[accounts]]\nname = 7\n",
        b"\xff",
        b"a = " + b"[" * 5000,
        None,
    ],
    ids=["malformed", "number", "numbers", "name", "not UTF-8", "deep", "folder"],
)
def test_what_cannot_be_read_completes_to_nothing(cli: CliFixture, content: bytes | None) -> None:
    """In the middle of a line there is no place for a message."""
    config = cli.folder / "bad.toml"
    if content is None:
        config.mkdir()
    else:
        config.write_bytes(content)

    done = completed(cli, "rotator status ", config=str(config))

    assert (done.out.strip(), done.err) == ("", "")


def test_a_pipe_is_not_waited_for(cli: CliFixture) -> None:
    """A configuration that would have to be waited for is not read."""
    pipe = cli.folder / "pipe"
    os.mkfifo(pipe)

    assert completed(cli, "rotator status ", config=str(pipe)).out.strip() == ""


def test_completion_validates_nothing(cli: CliFixture) -> None:
    """It is as quick as the help: neither settings nor clients nor the ledger are loaded."""
    asked = {"_ROTATOR_COMPLETE": "complete_bash", "COMP_CWORD": "2"}
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "rotator"],
        env=asked
        | {"COMP_WORDS": "rotator status ", "PYTHONPATH": str(ROOT)}
        | {"ROTATOR_CONFIG": str(cli.config)},
        capture_output=True,
        text=True,
        check=False,
    )
    imported = {line.rpartition("|")[2].strip() for line in done.stderr.split("\n")}

    assert done.stdout.split() == NAMES
    assert imported.isdisjoint({"rotator.config", "sqlalchemy", "h11", "hvac", "alembic"})


def test_a_hooks_name_is_completed(cli: CliFixture) -> None:
    """Where the file gives it one."""
    with cli.config.open("a") as file:
        for name in ("chat", "consumers"):
            file.write(f'[[hooks]]\nname = "{name}"\non = ["pushed"]\ncommand = ["/bin/true"]\n')
    done = completed(cli, "rotator hooks test ch")

    assert done.out.split() == ["chat"]


def test_every_name_is_completed() -> None:
    """No command has an argument NAME that the shell does not complete."""

    def arguments(command: Any) -> Iterator[Any]:  # noqa: ANN401  # typer has no public name for it
        ours = (each for each in command.params if each.param_type_name == "argument")
        yield from (each for each in ours if each.metavar == "NAME")
        for below in getattr(command, "commands", {}).values():
            yield from arguments(below)

    found = [*arguments(command_of("rotator")), *arguments(command_of("rotate-now"))]

    assert len(found) > 15
    assert all(argument._custom_shell_complete for argument in found)


@pytest.mark.skipif(not shutil.which("bash"), reason="bash is not on PATH")
def test_the_line_for_bash_works_in_bash(cli: CliFixture) -> None:
    """The line on the page of commands makes bash complete commands and names."""
    page = (ROOT / "docs" / "commands.md").read_text()
    line = re.search(r"^\| bash \| `(.*)` \|$", page, re.MULTILINE)
    assert line
    command = cli.folder / "rotator"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m rotator "$@"\n')
    command.chmod(0o755)
    script = f"""
        {line[1]}
        ask() {{ COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _rotator_completion rotator; }}
        complete -p rotator
        ask rotator rotate-; echo "${{COMPREPLY[@]}}"
        ask rotator secrets list account-1-; echo "${{COMPREPLY[@]}}"
    """
    path = f"{cli.folder}:{os.environ['PATH']}"
    done = subprocess.run(
        ["bash", "--norc", "-c", script],
        env={"PATH": path, "PYTHONPATH": str(ROOT), "ROTATOR_CONFIG": str(cli.config)},
        capture_output=True,
        text=True,
        check=True,
    )

    assert done.stderr == ""
    assert done.stdout.splitlines()[0].endswith("-F _rotator_completion rotator")
    assert done.stdout.splitlines()[1:] == ["rotate-now", "account-1-sub-1"]
