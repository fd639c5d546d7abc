"""The gates that come with rotator, as the real commands and as hooks."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cli_fixture import CliFixture
from tests.support.commands import ROOT
from tests.support.terminal import run_at_terminal
from tests.support.webhook_receiver import content, receiving

ID = "3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10"


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """One account with an empty ledger."""
    with CliFixture(tmp_path, ledger=sqlite_template) as cli:
        yield cli


def hook(cli: CliFixture, *words: str) -> None:
    """Configure a gate that is a command of rotator."""
    program = cli.folder / "rotator"
    program.write_text(f'#!/bin/sh\nPYTHONPATH={ROOT} exec {sys.executable} -m rotator "$@"\n')
    program.chmod(0o700)
    command = json.dumps([str(program), "gate", *words])
    cli.config.write_text(
        f'{cli.text}\n[[hooks]]\nname = "mine"\non = ["gate"]\ncommand = {command}\n'
    )


def test_a_rotation_waits_for_the_files_of_its_consumers(cli: CliFixture) -> None:
    """The gate knows from its environment what to look for; by hand, from the ledger."""
    [old] = cli.secret_ids()
    names = [cli.folder / f"{name}.env" for name in "ab"]
    for name in names:
        name.write_text(f"# {old}\n")
    hook(cli, "file", f"{cli.folder}/*.env")
    waiting = cli.rotate("account-1", "--json").json()[0]
    (account,) = cli.run("status", "--json").json()["accounts"]
    names[0].write_text(f"# {waiting['new_secret_id']}\n")
    asked = cli.run("gate", "file", *map(str, names), "--account", "account-1")
    names[1].write_text(f"# {waiting['new_secret_id']}\n")
    resumed = cli.run("resume", "--json").json()[0]
    over = cli.run("gate", "file", *map(str, names), "--account", "account-1")

    assert waiting["outcome"] == "awaiting-deletion"
    assert account["gate"]["reason"].startswith(
        f"exit status 1: 0 of 2 consumers use the new secret; not yet: {names[0]}"
    )
    assert account["why"].count("0 of 2 consumers") == 1
    assert account["gate"]["consumers"] == 2
    assert account["gate"]["converged"] == 0
    assert account["gate"]["behind"] == list(map(str, names))
    assert asked.code == 1
    assert asked.json() == {
        "open": False,
        "reason": "1 of 2 consumers use the new secret; not yet: "
        f"{names[1]} (it names the old secret)",
        "consumers": 2,
        "converged": 1,
        "behind": [str(names[1])],
    }
    assert asked.err == f"{asked.json()['reason']}\n"
    assert resumed["outcome"] == "completed"
    assert cli.secret_ids() == [waiting["new_secret_id"]]
    assert over.code == 2
    assert "error: no rotation of account-1 has a new secret in Vault and an old one" in over.err


def test_a_rotation_waits_for_the_endpoints_of_its_consumers(cli: CliFixture) -> None:
    """By the version in Vault that each has read."""
    with receiving() as consumer:
        consumer.answer = content('{"vault_version": 1}')
        hook(cli, "http", consumer.url)
        waiting = cli.rotate("account-1", "--json").json()[0]
        consumer.answer = content(json.dumps({"vault_version": waiting["vault_version"]}))
        asked = cli.run("gate", "http", consumer.url, "--account", "account-1")
        resumed = cli.run("resume", "--json").json()[0]

    assert waiting["outcome"] == "awaiting-deletion"
    assert (asked.code, asked.err, asked.json()["open"]) == (0, "", True)
    assert resumed["outcome"] == "completed"


def test_a_person_is_answered_in_words(cli: CliFixture) -> None:
    """On a terminal, unless a document is asked for."""
    (cli.folder / "a").write_text(ID)
    command = [sys.executable, "-m", "rotator", "gate", "file", str(cli.folder / "a")]

    def shown(*words: str) -> str:
        return run_at_terminal([*command, *words], cli.environment | {"TERM": "xterm"}).out

    assert shown("--secret-id", ID) == "open: 1 of 1 consumers use the new secret\n"
    assert shown("--secret-id", ID[1:]).startswith("0 of 1 consumers use the new secret; not yet:")
    assert shown("--secret-id", ID, "--json").startswith('{"open":true,')


@pytest.mark.parametrize(
    ("words", "message", "hint"),
    [
        (["file", "/x"], "--secret-id is missing", "$ROTATOR_SECRET_ID"),
        (["http", "http://127.0.0.1:1/"], "--secret-id is missing", "$ROTATOR_SECRET_ID"),
        (["audit", "/x"], "--mount is missing", "$ROTATOR_VAULT_MOUNT"),
        (["audit", "/x", "--mount", "m"], "--path is missing", "$ROTATOR_VAULT_PATH"),
        (
            ["audit", "/x", "--mount", "m", "--path", "p"],
            "--vault-version is missing",
            "$ROTATOR_VAULT_VERSION",
        ),
        (
            ["audit", "/x", "--mount", "m", "--path", "p", "--vault-version", "v5"],
            "--vault-version is not a number",
            "whole number",
        ),
        (
            ["audit", "/x", "--mount", "m", "--path", "p", "--vault-version=5", "--since=now"],
            "--since is no time",
            "2026-08-01T12:00:00Z",
        ),
        (
            ["http", "http://127.0.0.1:1/", "--secret-id", ID, "--timeout", "soon"],
            "--timeout: 'soon'",
            "90s",
        ),
        (["file", "/x", "--account", "nobody"], "no account 'nobody'", ""),
        (["file", "/x", "--account", "account-1"], "no rotation of account-1", "rotator status"),
    ],
)
def test_what_is_missing_is_named(
    cli: CliFixture, words: list[str], message: str, hint: str
) -> None:
    """The command line is at fault, and nothing is open."""
    done = cli.run("gate", *words)

    assert done.code == 2
    assert f"error: {message}" in done.err
    assert hint in done.err.partition("hint: ")[2]
    assert done.out == ""


def test_facts_come_from_the_environment_unless_they_are_given(cli: CliFixture) -> None:
    """An empty variable, as a hook has it, is none."""
    (cli.folder / "a").write_text(ID)
    path = str(cli.folder / "a")
    known = {"ROTATOR_SECRET_ID": ID, "ROTATOR_OLD_SECRET_ID": "", "ROTATOR_VAULT_VERSION": ""}
    codes = [
        cli.run("gate", "file", path, environment=known).code,
        cli.run("gate", "file", path, environment={**known, "ROTATOR_OLD_SECRET_ID": ID}).code,
        cli.run("gate", "file", path, "--secret-id", f"{ID}0", environment=known).code,
        cli.run("gate", "file", path, environment={"ROTATOR_SECRET_ID": ""}).code,
    ]

    assert codes == [0, 1, 1, 2]


def test_a_test_of_the_hook_succeeds(cli: CliFixture) -> None:
    """There is no secret to ask about; its answer is not used."""
    hook(cli, "file", "/nowhere")
    done = cli.run("hooks", "test", "--json")

    assert done.code == 0
    assert done.json()["hooks"][0]["outcome"] == "ok"
