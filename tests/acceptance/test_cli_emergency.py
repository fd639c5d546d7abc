"""A leak of many secrets: `rotate-now --compromised` on all accounts, also in several runs."""

import json
import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.sim import Exchange, Fault
from tests.support.cli_fixture import CliFixture

ROOT = Path(__file__).parents[2]
LEAK = ("rotate-now", "--all", "--compromised", "--yes")


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """A parent with three subaccounts and another account, rotated one after the other."""
    with CliFixture(tmp_path, ledger=sqlite_template, accounts=2, subaccounts=3) as cli:
        cli.environment["ROTATOR_DAEMON__CONCURRENCY"] = "1"
        yield cli


def made(cli: CliFixture) -> Counter[str]:
    """Count the secrets that were made of each account."""
    return Counter(
        seen.path.split("/")[2] for seen in cli.world.vonage.exchanges if seen.method == "POST"
    )


def test_a_leak_ends_with_what_is_dead(cli: CliFixture) -> None:
    """All accounts are gone through, past those that fail; the last line counts and names."""
    failing = cli.world.accounts[3]
    cli.world.vonage.faults.add(
        Fault("status", method="POST", path=failing.api_key, status=403, times=None)
    )
    done = cli.run(*LEAK)

    *_, verdict = done.out.splitlines()
    assert done.code == 1
    assert verdict.startswith("4 of 5 leaked secrets are dead; 1 is not: ")
    assert f" {failing.name} (" in verdict
    assert not cli.world.violations()


def test_the_document_is_one_and_the_count_beside_it(cli: CliFixture) -> None:
    """Standard output is for a program."""
    done = cli.run(*LEAK, "--json")

    assert len(done.json()) == 5
    assert "5 of 5 leaked secrets are dead" in done.err


@pytest.mark.parametrize("form", [(), ("--json",)])
def test_an_interrupted_run_goes_on_where_it_was(cli: CliFixture, form: tuple[str, ...]) -> None:
    """It says what is done and which command goes on; that rotates nothing a second time."""

    def is_third(exchange: Exchange) -> bool:
        return exchange.method == "POST" and len(made(cli)) == 3

    cut_off = cli.signalled(signal.SIGINT, is_third, *LEAK, *form)
    command = cut_off.err.rpartition("nothing is lost, `")[2].partition("`")[0]
    program, *arguments = shlex.split(command)
    done = cli.run(*arguments, program=program)

    assert cut_off.code == 130
    assert "2 of 5 leaked secrets are dead; 3 are not: " in cut_off.out + cut_off.err
    assert (program, *arguments[:-2]) == ("rotator", *LEAK, *form)
    assert arguments[-2] == "--before"
    assert done.code == 0
    assert "2 of 5 accounts are skipped: their secret was made since" in done.err
    assert "5 of 5 leaked secrets are dead" in done.out + done.err
    assert set(made(cli).values()) == {1}
    assert all(len(cli.secret_ids(account)) == 1 for account in cli.world.accounts)
    assert not cli.world.violations()
    if form:
        first, second = json.loads(cut_off.out), done.json()
        assert Counter(each["outcome"] for each in first) == {"completed": 2, "busy": 3}
        problems = [each["error"] for each in first if each["error"]]
        assert {each["code"] for each in problems} == {"stopping"}
        assert {each["hint"] for each in problems} == {f"`{command}` goes on"}
        assert {each["outcome"] for each in second} == {"completed"}
        assert len(second) == 5


def test_what_goes_on_is_given_again_unchanged(cli: CliFixture) -> None:
    """A second run that is done leaves nothing to do, and says so by the same document."""
    cli.run(*LEAK)
    before = "2026-01-01T00:00:00Z"
    again = cli.run(*LEAK, "--before", before, "--json")

    assert again.code == 0
    assert {each["outcome"] for each in again.json()} == {"completed"}
    assert set(made(cli).values()) == {1}


def test_a_rotation_that_was_cut_off_after_its_push_is_only_completed(cli: CliFixture) -> None:
    """Its old secret is deleted; no further one is made."""

    def deletes(exchange: Exchange) -> bool:
        return exchange.method == "DELETE"

    cut_off = cli.signalled(signal.SIGTERM, deletes, *LEAK)
    before = shlex.split(cut_off.err.rpartition("nothing is lost, `")[2].partition("`")[0])[-1]
    done = cli.run(*LEAK, "--before", before)

    assert done.code == 0
    assert set(made(cli).values()) == {1}


def test_what_is_interrupted_in_its_last_step_is_dead_all_the_same(cli: CliFixture) -> None:
    """The step is completed, and counts; of another one in progress, the document has the ids."""

    def proves(exchange: Exchange) -> bool:
        deleted = [seen for seen in cli.world.vonage.exchanges if seen.method == "DELETE"]
        return exchange.method == "GET" and len(deleted) == 3

    def deletes(exchange: Exchange) -> bool:
        return exchange.method == "DELETE"

    dead = cli.signalled(signal.SIGINT, proves, *LEAK)
    deleted = cli.signalled(signal.SIGINT, deletes, *LEAK, "--json")

    assert "3 of 5 leaked secrets are dead; 2 are not: " in dead.out
    assert Counter(line.split()[1] for line in dead.out.splitlines()[1:-1]) == {"completed": 3}
    opened = [each for each in json.loads(deleted.out) if each["rotation_id"]]
    assert [(each["outcome"], each["old_secret_dead_at"]) for each in opened] == [("busy", None)]
    assert opened[0]["old_secret_id"]
    assert opened[0]["new_secret_id"]


def test_what_goes_on_announces_no_new_loss(cli: CliFixture) -> None:
    """The secret that an interrupted run brought to Vault stays: the question leaves it out."""

    def deletes(exchange: Exchange) -> bool:
        return exchange.method == "DELETE"

    cut_off = cli.signalled(signal.SIGINT, deletes, *LEAK)
    command = shlex.split(cut_off.err.rpartition("nothing is lost, `")[2].partition("`")[0])
    (api_key,) = made(cli)
    (account,) = [each for each in cli.world.accounts if each.api_key == api_key]
    asked = cli.answered("n\n", *LEAK[:-1], *command[-2:])

    assert "rotate these 5 accounts without a grace? [y/N]: " in asked.err
    assert asked.err.count(" is deleted as soon as a new one is in Vault") == 4
    assert f"{account.name}: " not in asked.err


def test_a_parent_and_its_children(cli: CliFixture) -> None:
    """`--parent` leaves other accounts alone, and comes to the parent last."""
    parent, other, *children = cli.world.accounts
    done = cli.run("rotate-now", "--parent", parent.name, "--compromised", "--yes")

    assert done.code == 0
    assert "4 of 4 leaked secrets are dead" in done.out
    assert [*made(cli)][-1] == parent.api_key
    assert {*made(cli)} == {parent.api_key, *(child.api_key for child in children)}
    assert other.api_key not in made(cli)


def test_a_time_without_an_offset_is_bad_input(cli: CliFixture) -> None:
    """Nothing is begun by a guess."""
    done = cli.run(*LEAK, "--before", "2026-11-30T02:41:25")

    assert done.code == 2
    assert "--before: '2026-11-30T02:41:25' has no time zone" in done.err
    assert not made(cli)


def test_finished_passes_leave_no_values_behind(tmp_path: Path, sqlite_template: Path) -> None:
    """Each text is searched for the values in memory: of a whole fleet, that would take long."""
    code = (
        "import atexit; from rotator.cli.main import main; from rotator.model import SecretValue;"
        "atexit.register(lambda: print(len(SecretValue.alive()))); main()"
    )
    with CliFixture(tmp_path, ledger=sqlite_template, accounts=60) as cli:
        done = subprocess.run(
            [sys.executable, "-c", code, *LEAK],
            env={"PYTHONPATH": str(ROOT), "ROTATOR_CONFIG": str(cli.config)},
            capture_output=True,
            text=True,
            check=True,
        )

    *_, verdict, alive = done.stdout.splitlines()
    assert verdict == "60 of 60 leaked secrets are dead"
    assert int(alive) < 60
