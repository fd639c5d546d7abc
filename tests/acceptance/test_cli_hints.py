"""What hints advise, done to the letter: afterwards what was refused goes on."""

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rotator.sim import Fault
from tests.support.cli_fixture import CliFixture, CommandResult

STRANGER = "StrangerSecret1"


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """Provide one account whose secret is in Vault."""
    with CliFixture(tmp_path, ledger=sqlite_template) as cli:
        yield cli


def add_stranger(cli: CliFixture) -> None:
    """Make a secret at Vonage, as somebody does by hand."""
    cli.world.vonage.add_secret(cli.account.api_key, STRANGER)


def meet_stranger(cli: CliFixture) -> None:
    """Fill both slots, where it is known which secret Vault has."""
    cli.rotate()
    add_stranger(cli)


def lose_answer(cli: CliFixture) -> None:
    """Add a stranger's secret while an answer is lost, before any note is in Vault."""
    text = cli.text.replace("[vonage]\n", '[vonage]\npropagation_timeout = "1s"\n')
    cli.config.write_text(text)
    cli.world.vonage.faults.add(Fault(kind="drop-before", method="POST", times=1))

    def appear(phase: str, exchange: Any) -> None:  # noqa: ANN401  # the simulator's
        if (phase, exchange.method) == ("before", "POST"):
            cli.world.vonage.observers.clear()
            add_stranger(cli)

    cli.world.vonage.observers.append(appear)


def change(cli: CliFixture) -> None:
    """Write another secret's value to Vault, beside the note."""
    cli.rotate()
    [current] = cli.secret_ids()
    add_stranger(cli)
    cli.world.vonage.revoke(cli.account.api_key, current)
    cli.entry(api_secret=STRANGER)


def kill(cli: CliFixture) -> None:
    """Put a value into Vault that Vonage refuses."""
    cli.entry(api_secret="NotTheSecret1")


def hold(cli: CliFixture) -> None:
    """Hold the account."""
    assert cli.run("hold", cli.account.name, "--reason", "audit").code == 0


def lease(cli: CliFixture) -> None:
    """Claim the account for a process of another machine, for as long as a lease may last."""
    cli.rotate()
    cli.sql(
        "UPDATE account SET lease_owner = 'other/host/1/1',"
        " lease_expires_at = strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '+2 minutes')"
    )


def have_no_schema(cli: CliFixture) -> None:
    """Let a ledger have no schema, and no process make it by itself."""
    cli.ledger.unlink()
    cli.config.write_text(cli.text.replace("[ledger]\n", "[ledger]\nauto_upgrade = false\n"))


@dataclass(frozen=True, kw_only=True)
class Trouble:
    """Something that an operator has to decide, and what the hint has to say about it."""

    make: Callable[[CliFixture], None]
    code: int
    #: A part of the command that is advised.
    command: str
    #: Which of the listed secrets is meant, where the hint leaves that to whoever reads it.
    which: int = 0
    #: A value that the command is given.
    value: Callable[[CliFixture], str] = lambda _desk: ""


TROUBLES = {
    "a stranger in the slot": Trouble(make=meet_stranger, code=3, command="secrets delete"),
    "a lost answer": Trouble(make=lose_answer, code=3, command="secrets delete"),
    "two secrets and no note": Trouble(
        make=add_stranger, code=3, command="adopt account-1 --from-vault --secret-id"
    ),
    "another value": Trouble(make=change, code=3, command="adopt account-1 --from-vault"),
    "a dead value": Trouble(
        make=kill, code=3, command="adopt account-1", value=lambda cli: cli.account.api_secret
    ),
    "a hold": Trouble(make=hold, code=3, command="release account-1"),
    "a lease": Trouble(make=lease, code=75, command="release --lease account-1"),
    "no schema": Trouble(make=have_no_schema, code=2, command="db upgrade"),
}


@pytest.mark.parametrize("kind", TROUBLES)
def test_the_command_of_a_hint_works_where_it_is_printed(cli: CliFixture, kind: str) -> None:
    """It is the whole command; but for an id, a value and a yes there is nothing to add to it."""
    trouble = TROUBLES[kind]
    trouble.make(cli)
    refused = cli.run("rotate-now", "--all")
    command = advised(refused, trouble.command)
    before = cli.secret_ids()
    words = [before[trouble.which] if word == "ID" else word for word in command[1:]]
    words += ["--yes"] if "delete" in words else []
    words += ["--from-file", "-"] if trouble.value(cli) else []
    obeyed = cli.run(*words, text=trouble.value(cli))
    again = cli.run("rotate-now", "--all")

    assert refused.code == trouble.code, refused
    assert obeyed.code == 0, obeyed
    if "two secrets" in kind:
        # Which one Vault has is known now, and the other one is a stranger's.
        again = cli.run(*advised(again, "secrets delete")[1:], "--yes")
        assert again.code == 0, again
        again = cli.run("rotate-now", "--all")
    assert again.code == 0, again
    assert not cli.world.violations()


def advised(done: CommandResult, part: str) -> list[str]:
    """Return the words of the command that a hint names, of which `part` is a part."""
    [hint] = re.findall("hint: (.*)", done.err)
    [command] = [each for each in re.findall("`([^`]*)`", hint) if part in each]
    return shlex.split(command)


def test_what_is_ambiguous_is_made_certain_as_it_was_begun(cli: CliFixture) -> None:
    """Who adopts Vault's own value is not asked for one by the command that comes next."""
    add_stranger(cli)
    [from_vault, given] = [
        cli.run("adopt", cli.account.name, *options, text=text)
        for options, text in ((["--from-vault"], ""), (["--from-file", "-"], STRANGER))
    ]

    assert (from_vault.code, given.code) == (3, 3)
    assert "`rotator adopt account-1 --from-vault --secret-id ID`" in from_vault.err
    assert "`rotator adopt account-1 --secret-id ID`" in given.err
