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
def desk(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """Provide one account whose secret is in Vault."""
    with CliFixture(tmp_path, ledger=sqlite_template) as desk:
        yield desk


def add_stranger(desk: CliFixture) -> None:
    """Make a secret at Vonage, as somebody does by hand."""
    desk.world.vonage.add_secret(desk.account.api_key, STRANGER)


def meet_stranger(desk: CliFixture) -> None:
    """Fill both slots, where it is known which secret Vault has."""
    desk.rotate()
    add_stranger(desk)


def lose_answer(desk: CliFixture) -> None:
    """Add a stranger's secret while an answer is lost, before any note is in Vault."""
    text = desk.text.replace("[vonage]\n", '[vonage]\npropagation_timeout = "1s"\n')
    desk.config.write_text(text)
    desk.world.vonage.faults.add(Fault(kind="drop-before", method="POST", times=1))

    def appear(phase: str, exchange: Any) -> None:  # noqa: ANN401  # the simulator's
        if (phase, exchange.method) == ("before", "POST"):
            desk.world.vonage.observers.clear()
            add_stranger(desk)

    desk.world.vonage.observers.append(appear)


def change(desk: CliFixture) -> None:
    """Write another secret's value to Vault, beside the note."""
    desk.rotate()
    [current] = desk.secret_ids()
    add_stranger(desk)
    desk.world.vonage.revoke(desk.account.api_key, current)
    desk.entry(api_secret=STRANGER)


def kill(desk: CliFixture) -> None:
    """Put a value into Vault that Vonage refuses."""
    desk.entry(api_secret="NotTheSecret1")


def hold(desk: CliFixture) -> None:
    """Hold the account."""
    assert desk.run("hold", desk.account.name, "--reason", "audit").code == 0


def lease(desk: CliFixture) -> None:
    """Claim the account for a process of another machine, for as long as a lease may last."""
    desk.rotate()
    desk.sql(
        "UPDATE account SET lease_owner = 'other/host/1/1',"
        " lease_expires_at = strftime('%Y-%m-%d %H:%M:%S.000000', 'now', '+2 minutes')"
    )


def have_no_schema(desk: CliFixture) -> None:
    """Let a ledger have no schema, and no process make it by itself."""
    desk.ledger.unlink()
    desk.config.write_text(desk.text.replace("[ledger]\n", "[ledger]\nauto_upgrade = false\n"))


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
        make=kill, code=3, command="adopt account-1", value=lambda desk: desk.account.api_secret
    ),
    "a hold": Trouble(make=hold, code=3, command="release account-1"),
    "a lease": Trouble(make=lease, code=75, command="release --lease account-1"),
    "no schema": Trouble(make=have_no_schema, code=2, command="db upgrade"),
}


@pytest.mark.parametrize("kind", TROUBLES)
def test_the_command_of_a_hint_works_where_it_is_printed(desk: CliFixture, kind: str) -> None:
    """It is the whole command; but for an id, a value and a yes there is nothing to add to it."""
    trouble = TROUBLES[kind]
    trouble.make(desk)
    refused = desk.run("rotate-now", "--all")
    command = advised(refused, trouble.command)
    before = desk.secret_ids()
    words = [before[trouble.which] if word == "ID" else word for word in command[1:]]
    words += ["--yes"] if "delete" in words else []
    words += ["--from-file", "-"] if trouble.value(desk) else []
    obeyed = desk.run(*words, text=trouble.value(desk))
    again = desk.run("rotate-now", "--all")

    assert refused.code == trouble.code, refused
    assert obeyed.code == 0, obeyed
    if "two secrets" in kind:
        # Which one Vault has is known now, and the other one is a stranger's.
        again = desk.run(*advised(again, "secrets delete")[1:], "--yes")
        assert again.code == 0, again
        again = desk.run("rotate-now", "--all")
    assert again.code == 0, again
    assert not desk.world.violations()


def advised(done: CommandResult, part: str) -> list[str]:
    """Return the words of the command that a hint names, of which `part` is a part."""
    [hint] = re.findall("hint: (.*)", done.err)
    [command] = [each for each in re.findall("`([^`]*)`", hint) if part in each]
    return shlex.split(command)


def test_what_is_ambiguous_is_made_certain_as_it_was_begun(desk: CliFixture) -> None:
    """Who adopts Vault's own value is not asked for one by the command that comes next."""
    add_stranger(desk)
    [from_vault, given] = [
        desk.run("adopt", desk.account.name, *options, text=text)
        for options, text in ((["--from-vault"], ""), (["--from-file", "-"], STRANGER))
    ]

    assert (from_vault.code, given.code) == (3, 3)
    assert "`rotator adopt account-1 --from-vault --secret-id ID`" in from_vault.err
    assert "`rotator adopt account-1 --secret-id ID`" in given.err
