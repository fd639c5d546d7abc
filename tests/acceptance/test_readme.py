"""README: its commands run as they stand there, and its figures are those of the pages."""

import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.cli.app import command_of
from rotator.config import load
from rotator.ledger.schema import OLDEST
from rotator.sim import Environment

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()
TRY, FIRST = "Try it in two minutes", "From zero to a first rotation"


def section(title: str, page: str = README) -> str:
    """Return a section of a page."""
    return page.split(f"\n## {title}\n")[1].split("\n## ", maxsplit=1)[0]


def blocks(language: str, title: str) -> list[str]:
    """Return the code blocks of a section of README in `language`, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", section(title), re.MULTILINE | re.DOTALL)


def commands(title: str) -> list[list[str]]:
    """Return the rotator commands of a section as arguments, without the command's own name."""
    lines = [line for block in blocks("sh", title) for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("rotator ")]


def run(
    arguments: list[str], folder: Path, text: str = "", **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run one rotator command in `folder`, as README has it; `text` is its input."""
    return subprocess.run(
        [sys.executable, "-m", "rotator", *arguments],
        cwd=folder,
        input=text,
        env={"PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with README's configuration, as README has it."""
    (tmp_path / "config.toml").write_text(blocks("toml", FIRST)[0])
    return tmp_path


# -- The commands. -------------------------------------------------------------------------


def test_commands_work_in_their_order(folder: Path) -> None:
    """A newcomer who types the commands of the first rotation sees each succeed."""
    with Environment.build(accounts=0, subaccounts=0) as world:
        value = "Present0SecretOfThisOne"
        world.vonage.add_account("abcd1234", value)
        (folder / "vault-token").touch(mode=0o600)
        (folder / "vault-token").write_text(world.vault.token)
        config = folder / "config.toml"
        text = config.read_text().replace("https://vault.example.com:8200", world.vault.url)
        config.write_text(f'[vonage]\napi_url = "{world.vonage.url}"\n{text}')

        for arguments in commands(FIRST):
            # Where root's files are, and root's ledger.
            done = run(
                arguments,
                folder,
                value,
                ROTATOR_CONFIG="config.toml",
                ROTATOR_LEDGER__URL="sqlite:///ledger.db",
            )

            assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        assert len(world.vonage.secrets("abcd1234")) == 2


def test_the_demo_is_a_target_of_the_makefile() -> None:
    """The command that README begins with exists, and installs where the next ones look."""
    makefile = (ROOT / "Makefile").read_text()

    assert blocks("sh", TRY)[0] == "make demo\n"
    assert re.search("^demo: ", makefile, re.MULTILINE)
    assert 'PATH="$PWD/.venv-demo/bin:$PATH"' in section(TRY)
    assert re.search("^DEMO_VENV := .venv-demo$", makefile, re.MULTILINE)


@pytest.fixture
def simulators(tmp_path: Path) -> Iterator[Path]:
    """Yield a folder in which README's first command has started the simulators."""
    program = [sys.executable, "-m", "rotator", *commands(TRY)[0]]
    with subprocess.Popen(
        program,
        cwd=tmp_path,
        env={"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        stdout=subprocess.PIPE,
        text=True,
    ) as running:
        assert running.stdout
        running.stdout.readline()
        yield tmp_path
        running.terminate()


@pytest.mark.slow
def test_the_try_works_from_its_first_line_to_its_last(simulators: Path) -> None:
    """Each of its commands succeeds, and rotates for real."""
    *others, resume = commands(TRY)[1:]
    done = [run(arguments, simulators, ROTATOR_CONFIG="sim.toml") for arguments in others]
    [killed] = re.findall(r"^timeout --signal=KILL 2s rotator (.*)$", section(TRY), re.MULTILINE)
    with subprocess.Popen(
        [sys.executable, "-m", "rotator", *shlex.split(killed)],
        cwd=simulators,
        env={"PYTHONPATH": str(ROOT), "ROTATOR_CONFIG": "sim.toml"},
        stderr=subprocess.PIPE,
        text=True,
    ) as rotation:
        assert rotation.stderr
        assert any("new value stored" in line for line in rotation.stderr)
        rotation.kill()
    resumed = run(resume, simulators, ROTATOR_CONFIG="sim.toml")

    assert [each.returncode for each in done] == [0] * len(others), done
    assert (resumed.returncode, "awaiting-deletion" in resumed.stdout) == (0, True), resumed
    assert "ROTATOR_CONFIG=sim.toml" in section(TRY)
    assert len(others) == 7
    assert "account-1" in done[-1].stdout


def test_commands_to_install_are_those_of_the_page() -> None:
    """Each is one of its section's, whose commands other tests run, perhaps without options."""
    rows = re.findall(
        r"^\| \[.*\]\(docs/(.*?)\.md(\S*)\) \| `(.*)` \|$", section("Install"), re.MULTILINE
    )

    assert len(rows) == 5
    for name, _, command in rows:
        page = (ROOT / "docs" / f"{name}.md").read_text()
        assert any(files(command) <= files(line) for line in page.splitlines()), command


def files(command: str) -> set[str]:
    """Return the words of a command; a file counts wherever it is, and with whatever extras."""
    return {
        re.sub(r"^\./(?=.)|\[.*\]$|build/\w+/", "", word.strip('"`')) for word in command.split()
    }


# -- The configuration. --------------------------------------------------------------------


def test_configuration_is_accepted_as_it_stands(folder: Path) -> None:
    """README's configuration is one that rotator loads."""
    settings = load(folder / "config.toml", {})

    assert [account.name for account in settings.accounts] == ["sms-prod"]


def test_example_configuration_is_accepted_as_it_stands() -> None:
    """config.example.toml loads."""
    settings = load(ROOT / "config.example.toml", {"CREDENTIALS_DIRECTORY": "/run/credentials"})

    assert settings.accounts


# -- What it says. -------------------------------------------------------------------------


def test_it_is_read_in_ten_minutes() -> None:
    """What is longer belongs on the pages that it links to."""
    assert len(README.split()) <= 2900


def test_questions_are_ten() -> None:
    """Each question is one, with an answer below it."""
    found = re.findall(r"^\*\*(.*?)\*\* .", section("Questions"), re.MULTILINE)

    assert len(found) == 10
    assert all(question.endswith("?") for question in found)


def test_the_evidence_is_that_of_the_last_run() -> None:
    """No figure is larger than the one in the tables of the page on reliability."""
    tables = (ROOT / "docs" / "reliability.md").read_text().split("## The last run")[1]
    tables = tables.replace(",", "")
    [states] = re.findall(r"more than (\S+) states", README)
    [points] = re.findall(r"more than (\S+) points", README)
    [rotations, killed] = re.findall(r"more than (\S+) rotations .* killed (\S+) times", README)[0]
    [explored] = re.findall(r"### Exploration.*?\| \*\*all\*\* \| \d+ \| (\d+) ", tables, re.DOTALL)
    [kills] = re.findall(r"### Kill matrix.*?\| \*\*all\*\* \| (\d+) ", tables, re.DOTALL)
    raft = tables.split("### Three Raft nodes")[1].splitlines()[4].split(" | ")

    assert int(states.replace(",", "")) < int(explored)
    assert int(points) < int(kills)
    assert int(rotations) < int(raft[1])
    assert int(killed) <= int(raft[4])


def test_supported_versions_are_those_of_the_page() -> None:
    """README has the table of the page on support, whose oldest versions others are refused for."""
    table = re.search(r"^\| product \| oldest .*?\n\n", section("Scope"), re.MULTILINE | re.DOTALL)

    assert table
    assert table[0] in (ROOT / "docs" / "support.md").read_text()
    for name, version in OLDEST.items():
        oldest = ".".join(map(str, version))
        assert re.search(
            rf"^\| {name}\b[^|]*\| {oldest} \|", table[0], re.MULTILINE | re.IGNORECASE
        )


def test_situations_are_as_many_as_it_says() -> None:
    """The page that README names goes through as many."""
    [count] = re.findall(r"more than (\d+) such cases", README)
    rows = re.findall(r"^\| .* \|$", (ROOT / "docs" / "what-if.md").read_text(), re.MULTILINE)

    assert len(rows) - 1 > int(count)


def test_every_command_of_the_table_exists() -> None:
    """No row of the table of commands names a command that rotator does not have."""
    table = (ROOT / "docs" / "commands.md").read_text().split("\n## ")[0]
    named = set(re.findall(r"^\| `rotator ([a-z-]+)", table, re.MULTILINE))

    assert len(named) > 10
    assert named <= set(command_of("rotator").commands)
