"""`hold`, `release` and `adopt --from-vault` for several accounts, as the real process."""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.ledger.leases import this_process
from tests.support.cli_fixture import CliFixture

PARENT, FIRST, SECOND, OTHER = "account-1", "account-1-sub-1", "account-1-sub-2", "account-2"


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """Two accounts, the first of which has two subaccounts, with an empty ledger."""
    with CliFixture(tmp_path, ledger=sqlite_template, accounts=2, subaccounts=2) as cli:
        yield cli


def held(cli: CliFixture) -> set[str]:
    """Return the accounts that are held."""
    accounts = cli.run("status", "--json").json()["accounts"]
    return {account["name"] for account in accounts if account["hold"]}


@pytest.mark.parametrize(
    ("selection", "names"),
    [
        (("account-1*",), {PARENT, FIRST, SECOND}),
        (("--parent", PARENT), {PARENT, FIRST, SECOND}),
        (("--all",), {PARENT, FIRST, SECOND, OTHER}),
        ((OTHER, "*-sub-2"), {SECOND, OTHER}),
    ],
)
def test_what_is_selected_is_held_and_released(
    cli: CliFixture, selection: tuple[str, ...], names: set[str]
) -> None:
    """Each has the one reason and the one person, and no other account is touched."""
    begun = cli.run("hold", *selection, "--reason", "audit", "--actor", "ann")
    between = held(cli)
    ended = cli.run("release", *selection, "--actor", "bob", "--reason", "over")
    again = cli.run("release", *selection)

    entries = [
        (account, event, json.loads(detail))
        for account, event, detail in cli.sql("SELECT account, event, detail FROM entry")
    ]
    assert [each.code for each in (begun, ended, again)] == [0, 0, 0]
    assert (between, held(cli)) == (names, set())
    assert {line.split()[0] for line in begun.out.splitlines()[1:]} == names
    assert begun.out.count("audit (ann)") == ended.out.count("audit (ann)") == len(names)
    assert {account for account, _, _ in entries} == names
    assert {(event, detail["by"]) for _, event, detail in entries} == {
        ("held", "ann"),
        ("released", "bob"),
    }
    assert again.out == "nothing to do\n"


def test_programs_get_a_list_for_several_and_a_document_for_one(cli: CliFixture) -> None:
    """One account by its name is told as ever; a pattern that matches one is a list."""
    several = cli.run("hold", "account-*", "--reason", "audit", "--json").json()
    one = cli.run("release", OTHER, "--json").json()
    matched = cli.run("release", "account-?", "--json").json()

    assert [each["account"] for each in several] == [PARENT, OTHER, FIRST, SECOND]
    assert {(each["hold"]["reason"], each["was"], each["error"]) for each in several} == {
        ("audit", None, None)
    }
    assert one.keys() == {"account", "hold", "was"}
    assert [(each["account"], each["was"] is None) for each in matched] == [
        (PARENT, False),
        (OTHER, True),
    ]


@pytest.mark.parametrize("command", [("hold", "--reason", "x"), ("release",)])
@pytest.mark.parametrize(("answer", "code"), [("n", 1), ("y", 0), ("--yes", 0)])
def test_several_accounts_need_a_yes(
    cli: CliFixture, command: tuple[str, ...], answer: str, code: int
) -> None:
    """On a terminal, their names and their number are shown first; one is not asked about."""
    cli.run("hold", OTHER, "--reason", "before")
    given = ("--yes",) if answer == "--yes" else ()
    done = cli.answered(f"{answer}\n", *command, "--all", *given)
    asked = f"{command[0]} these 4 accounts? [y/N]: " in done.err
    one = cli.answered("", *command, PARENT)

    (count,) = cli.sql("SELECT count(*) FROM entry WHERE event IN ('held', 'released')")
    assert done.code == code
    assert asked is (answer != "--yes") is (f"{PARENT}, {OTHER}, {FIRST}" in done.err)
    assert count[0] > 1 if answer != "n" else count[0] <= 2
    assert (one.code, "[y/N]" in one.err) == (0, False)


def test_one_account_that_fails_stops_no_other(cli: CliFixture) -> None:
    """A process that lives on this machine keeps its lease; those of dead ones end."""
    cli.run("hold", "--all", "--reason", "x")
    cli.sql(
        "UPDATE account SET lease_owner = 'there/boot/ns/2/200', lease_seconds = 600, "
        "lease_expires_at = '2999-01-01 00:00:00.000000'"
    )
    cli.sql("UPDATE account SET lease_owner = ? WHERE name = ?", this_process(), FIRST)
    done = cli.run("release", "--all", "--lease")
    cli.sql("UPDATE account SET lease_owner = ? WHERE name = ?", this_process(), OTHER)
    document = cli.run("release", "--all", "--lease", "--json")

    ended = {line.split()[0] for line in done.out.splitlines()[1:]}
    problems = {each["account"]: each["error"] for each in document.json()}
    assert (done.code, document.code) == (75, 75)
    assert ended == {PARENT, SECOND, OTHER}
    assert f"error: {FIRST}: " in done.err
    assert {name for name, problem in problems.items() if problem} == {FIRST, OTHER}
    assert f"process {os.getpid()}" in problems[FIRST]["message"]


def test_what_vault_has_is_adopted_for_all_that_have_it(cli: CliFixture) -> None:
    """One without an entry is refused, with the hint of its own, and the others are adopted."""
    cli.world.vault._mounts["secret"].keys.pop(cli.world.accounts[1].vault_path)
    done = cli.run("adopt", "--all", "--from-vault", "--actor", "ann", "--reason", "ticket 1")
    again = cli.run("adopt", "account-1*", "--from-vault", "--json")

    adopted = cli.sql("SELECT account, count(*) FROM entry WHERE event = 'done' GROUP BY account")
    asked = cli.sql(
        "SELECT count(DISTINCT account) FROM entry WHERE event = 'requested' "
        'AND detail LIKE \'%"because":"ticket 1"%\' AND detail LIKE \'%"by":"ann"%\''
    )
    assert done.code == 3
    assert adopted == [(PARENT, 1), (FIRST, 1), (SECOND, 1)]
    assert {line.split()[0] for line in done.out.splitlines()[1:]} == {PARENT, FIRST, SECOND}
    assert f"error: {OTHER}: Vault has no value at vonage/{OTHER}" in done.err
    assert f"hint: bring the value: `rotator adopt {OTHER}` asks for it" in done.err
    assert asked == [(4,)]
    assert again.code == 0
    assert [(each["account"], each["written"], each["error"]) for each in again.json()] == [
        (PARENT, False, None),
        (FIRST, False, None),
        (SECOND, False, None),
    ]
    assert cli.world.violations() == [f"{OTHER}: the value in Vault (version 0) is refused"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--all",), "a value belongs to one account"),
        (("--all", "--from-file", "-"), "a value belongs to one account"),
        (("a", "b", "--from-vault", "--secret-id", "x"), "--secret-id belongs to one account"),
        (("--from-vault",), "no account is named"),
    ],
)
def test_one_value_is_not_adopted_for_several(
    cli: CliFixture, arguments: tuple[str, ...], message: str
) -> None:
    """What belongs to one account cannot be given for more; nothing is begun."""
    done = cli.run("adopt", *arguments)

    assert (done.code, message in done.err) == (2, True)
    assert cli.sql("SELECT count(*) FROM entry") == [(0,)]
