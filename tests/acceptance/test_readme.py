"""The README's commands, run as they stand there against simulated servers."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rotator.cli.app import command_of
from rotator.config import load
from rotator.sim import Environment

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def blocks(language: str) -> list[str]:
    """Return the README's code blocks in `language`, in their order."""
    return re.findall(rf"^```{language}\n(.*?)^```", README, re.MULTILINE | re.DOTALL)


def commands() -> list[list[str]]:
    """Return the README's rotator commands as argument lists, without the command's own name."""
    lines = [line for block in blocks("sh") for line in block.splitlines()]
    return [shlex.split(line)[1:] for line in lines if line.startswith("rotator ")]


def run(arguments: list[str], folder: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run one rotator command in `folder`, as the README has it; `text` is its input."""
    return subprocess.run(
        [sys.executable, "-m", "rotator", *arguments],
        cwd=folder,
        input=text,
        # Where root's files are, and root's ledger.
        env={
            "ROTATOR_CONFIG": "config.toml",
            "ROTATOR_LEDGER__URL": "sqlite:///ledger.db",
            "PYTHONPATH": str(ROOT),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the README's configuration, as the README has it."""
    (tmp_path / "config.toml").write_text(blocks("toml")[0])
    return tmp_path


def test_commands_work_in_their_order(folder: Path) -> None:
    """A newcomer who types the README's commands one after the other sees each succeed."""
    with Environment.build(accounts=0, subaccounts=0) as world:
        value = "Present0SecretOfThisOne"
        world.vonage.add_account("abcd1234", value)
        (folder / "vault-token").touch(mode=0o600)
        (folder / "vault-token").write_text(world.vault.token)
        config = folder / "config.toml"
        text = config.read_text().replace("https://vault.example.com:8200", world.vault.url)
        config.write_text(f'[vonage]\napi_url = "{world.vonage.url}"\n{text}')

        for arguments in commands():
            done = run(arguments, folder, text=value)

            assert done.returncode == 0, (arguments, done.stdout, done.stderr)
        assert len(world.vonage.secrets("abcd1234")) == 2


def test_configuration_is_accepted_as_it_stands(folder: Path) -> None:
    """The README's configuration is one that rotator loads."""
    settings = load(folder / "config.toml", {})

    assert [account.name for account in settings.accounts] == ["sms-prod"]


def test_example_configuration_is_accepted_as_it_stands() -> None:
    """config.example.toml loads."""
    settings = load(ROOT / "config.example.toml", {"CREDENTIALS_DIRECTORY": "/run/credentials"})

    assert settings.accounts


def test_two_commands_are_targets_of_the_makefile() -> None:
    """The two commands that the README begins with exist."""
    targets = [line.split()[1] for line in blocks("sh")[0].splitlines()]

    makefile = (ROOT / "Makefile").read_text()
    assert targets == ["demo", "test"]
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in targets)


def test_every_command_of_the_table_exists() -> None:
    """No row of the README's table names a command that rotator does not have."""
    table = README[README.index("## Commands") : README.index("## Configuration")]
    named = set(re.findall(r"`rotator ([a-z-]+)", table))

    assert named
    assert named <= set(command_of("rotator").commands)
