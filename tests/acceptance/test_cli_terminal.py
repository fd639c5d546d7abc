"""A terminal of 80 columns: every table readable, no word broken; and what its end means."""

import os
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli_fixture import PATIENCE, CliFixture
from tests.support.terminal import lead_terminal, read_until, run_at_terminal

COLUMNS = 80
#: They go on while a test runs.
_AGE = re.compile(r"\d+[smh],?")
#: What moves the cursor, beside colours.
_CONTROL = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
TABLES = (
    ("status",),
    ("history", "--limit", "9"),
    ("secrets", "list", "account-1"),
    ("ledger", "verify"),
    ("account", "balance"),
    ("account", "callbacks", "account-1"),
    ("subaccounts", "list", "account-1"),
    ("doctor",),
    ("doctor", "--all"),
    ("rotate-now", "account-1"),
)


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory) -> Iterator[CliFixture]:
    """An account that waits in its grace, one that is held for a long reason, a broken one."""
    folder = tmp_path_factory.mktemp("terminal")
    with CliFixture(folder, subaccounts=2, policy={"grace": "1d"}) as cli:
        cli.rotate("account-1")
        reason = "the consumers of this one are being moved to another data centre, see the plan"
        cli.run("hold", "account-1-sub-1", "--reason", reason)
        dead = {"api_key": cli.world.accounts[2].api_key, "api_secret": "NotTheSecret1"}
        cli.world.vault.write("vonage/account-1-sub-2", dead)
        cli.run("status", "account-1-sub-2", "--refresh")
        yield cli


def shown(cli: CliFixture, *arguments: str, columns: int = COLUMNS, **others: str) -> str:
    """Return what a command shows at a terminal."""
    environment = cli.environment | {"TERM": "xterm", **others}
    command = [sys.executable, "-m", "rotator", *arguments]
    return run_at_terminal(command, environment, columns=columns).out


@pytest.mark.parametrize("arguments", TABLES, ids=" ".join)
def test_every_table_fits_and_breaks_no_word(cli: CliFixture, arguments: tuple[str, ...]) -> None:
    """What a pipe gets is all there, word by word; a line is longer only if it is one long word."""
    text = _CONTROL.sub("", shown(cli, *arguments, NO_COLOR="1"))
    header, rows = _parts(cli.run(*arguments).out)
    if arguments[0] == "rotate-now":
        rows = re.sub("([0-9a-f]{8})-[0-9a-f-]{27}", r"\1", rows)
    # Times of the history are cut to the second.
    words = {*re.sub(r"\.\d{6}Z", "Z", rows).split()} - {"-"}
    words = {word for word in words if not _AGE.fullmatch(word)}
    lines = [
        line for line in re.split("[\r\n]", text) if not line.startswith(("error: ", "hint: "))
    ]

    assert words <= {*text.split()}
    assert header.split()[0] in text
    assert not [line for line in lines if len(line) > COLUMNS and len(line.split()) > 1]


def test_a_plan_is_wrapped_below_its_descriptions(cli: CliFixture) -> None:
    """`--dry-run` fits, too; in a pipe each step is one line."""
    arguments = ("rotate-now", "account-1", "--grace", "0s", "--dry-run")
    text, piped = shown(cli, *arguments), cli.run(*arguments).out

    assert max(len(line) for line in text.splitlines()) <= COLUMNS
    assert {*piped.split()} <= {*text.split()}


@pytest.mark.parametrize(
    "arguments",
    [
        ("adopt", "account-1", "--from-vault"),
        ("hold", "account-1", "--reason", "its consumers are being moved to another data centre"),
        ("ledger", "backup", "backup.db"),
    ],
    ids=" ".join,
)
def test_sentences_are_wrapped_between_words(
    cli: CliFixture, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """As errors and hints are; a path that is longer than a line stays whole."""
    command = [str(tmp_path / each) if each == "backup.db" else each for each in arguments]
    lines = shown(cli, *command).splitlines()
    cli.run("release", "account-1")

    assert len(lines) > 1
    assert not [line for line in lines if len(line) > COLUMNS and len(line.split()) > 1]


def _parts(piped: str) -> tuple[str, str]:
    """Return the header of a table in a pipe, and its rows; doctor has its verdict before it."""
    lines = piped.splitlines()
    start = 2 if lines[1] == "" else 0
    return lines[start], "\n".join(lines[start + 1 :])


def test_a_state_has_a_colour_on_a_terminal_alone(cli: CliFixture) -> None:
    """Yellow for what is held; not in a pipe, nor with $NO_COLOR, nor on a dumb terminal."""
    held = "\x1b[33mheld"

    assert held in shown(cli, "status")
    assert "\x1b[" not in shown(cli, "status", NO_COLOR="1")
    assert "\x1b[" not in shown(cli, "status", TERM="dumb")
    assert "\x1b" not in cli.run("status").out


def test_the_cure_of_the_worst_comes_first(cli: CliFixture) -> None:
    """That of a broken account before that of a held one, which the configuration has before it."""
    text = cli.run("status").out

    assert text.index("account-1-sub-2 is broken: ") < text.index("account-1-sub-1 is held: ")


def test_a_wide_terminal_has_a_table(cli: CliFixture) -> None:
    """One line for each account, under a ruled header."""
    lines = shown(cli, "status", columns=250, NO_COLOR="1").splitlines()

    assert [line.split()[0] for line in lines[2:4]] == ["account-1", "account-1-sub-1"]
    assert set(lines[1]) == {"─"}


def test_a_closed_terminal_ends_a_rotation_in_order(tmp_path: Path) -> None:
    """The step in progress is recorded to its end, so that the next command repeats none."""
    with CliFixture(tmp_path) as cli:
        cli.world.vonage.latency = 0.3
        command = [sys.executable, "-m", "rotator", "rotate-now", "account-1"]
        process, controller = lead_terminal(command, cli.environment | {"TERM": "xterm"})
        read_until(controller, "Vonage")
        os.close(controller)
        process.wait(PATIENCE)
        resumed = cli.run("resume", "account-1")

    assert resumed.code == 0
    assert "found to be created" not in resumed.err
