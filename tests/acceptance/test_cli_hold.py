"""`hold` and `release`, as the real process."""

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator.cli.actor import login_name
from tests.support.cli_fixture import CliFixture


@pytest.fixture(autouse=True)
def without_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be who the commands are run by, who do not get this environment."""
    monkeypatch.delenv("SUDO_USER", raising=False)


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """One account with an empty ledger."""
    with CliFixture(tmp_path, ledger=sqlite_template) as cli:
        yield cli


def test_a_hold_is_shown_wherever_one_looks(cli: CliFixture) -> None:
    """Reason and login name stand in the status, its JSON, the history and what is refused."""
    me = login_name()
    held = cli.run("hold", "account-1", "--reason", "moving house", "--freeze")
    table, document = cli.run("status", "--check"), cli.run("status", "--json").json()
    history, refused = cli.run("history"), cli.run("rotate-now", "account-1")

    (account,) = document["accounts"]
    assert held.out == f"account-1 is held: moving house ({me}, frozen)\n"
    assert (held.code, table.code, refused.code) == (0, 1, 3)
    assert f"held: moving house ({me}, frozen)" in table.out
    assert account["phase"] == "held"
    assert account["hold"] == {
        "reason": "moving house",
        "by": me,
        "at": account["hold"]["at"],
        "freeze": True,
    }
    origin = socket.gethostname()
    assert f"held   by={me} freeze=true from={origin} reason=moving house" in history.out
    assert f"the account is held: moving house ({me}, frozen)" in refused.err
    assert "hint: `rotator release account-1` ends the hold" in refused.err


def test_who_holds_and_releases_can_be_named(cli: CliFixture) -> None:
    """A name counts for more than the login name, and a release may have a reason of its own."""
    cli.run("hold", "account-1", "--reason", "moving house", "--actor", "ann")
    by_ann = cli.run("status").out
    cli.run("release", "account-1", "--actor", "bob", "--reason", "moved")

    rows = cli.sql("SELECT event, detail FROM entry ORDER BY seq")
    held, released = [json.loads(detail) for _, detail in rows]
    assert [event for event, _ in rows] == ["held", "released"]
    assert "moving house (ann)" in by_ann
    assert held == {"reason": "moving house", "by": "ann", "from": held["from"], "freeze": False}
    assert released == {
        "reason": "moving house",
        "held_by": "ann",
        "by": "bob",
        "from": held["from"],
        "because": "moved",
    }


def test_a_released_account_is_rotated(cli: CliFixture) -> None:
    """A release is recorded, says what it ended, and needs no second one."""
    cli.run("hold", "account-1", "--reason", "moving house")
    released, again = cli.run("release", "account-1"), cli.run("release", "account-1")
    cli.rotate()

    me = login_name()
    assert released.out == f"account-1 is released; it was held: moving house ({me})\n"
    assert (again.code, again.out) == (0, "account-1 is not held\n")
    assert "released" in cli.run("history", "account-1").out
    assert cli.run("ledger", "verify").code == 0


def test_programs_are_told_what_holds_and_what_held_before(cli: CliFixture) -> None:
    """As `status --json` has it, for a hold, another in its place, and a release."""
    first = cli.run("hold", "account-1", "--reason", "a", "--json").json()
    second = cli.run("hold", "account-1", "--reason", "b", "--freeze", "--json").json()
    (account,) = cli.run("status", "--json").json()["accounts"]
    released, again = (cli.run("release", "account-1", "--json").json() for _ in range(2))

    assert (first["account"], first["hold"]["reason"], first["was"]) == ("account-1", "a", None)
    assert second == {"account": "account-1", "hold": account["hold"], "was": first["hold"]}
    assert released == {"account": "account-1", "hold": None, "was": second["hold"]}
    assert again == {"account": "account-1", "hold": None, "was": None}


def test_what_has_pushed_is_finished_though_it_is_held(tmp_path: Path) -> None:
    """The command says so, and `resume` deletes the old secret; of a frozen one it does not."""
    with CliFixture(tmp_path, policy={"grace": "1s"}) as cli:
        cli.rotate()
        frozen = cli.run("hold", "account-1", "--reason", "a", "--freeze")
        held = cli.run("hold", "account-1", "--reason", "b")
        # Until its grace, a second, is over.
        while "completed" not in (resumed := cli.run("resume")).out:
            assert resumed.code == 0

    assert "note: its open rotation stays at step wait until it is released" in frozen.err
    assert "note: this replaces: a (" in held.err
    assert "note: its open rotation has pushed the new secret" in held.err
    assert resumed.code == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["hold", "account-1"], "missing option '--reason'"),
        (["hold", "account-1", "--reason", " "], "--reason is empty"),
        (["hold", "account-1", "--reason", "a\nb"], "--reason is not one line"),
        (["hold", "account-1", "--reason", "x" * 201], "--reason is longer than 200 characters"),
        (["hold", "account-2", "--reason", "x"], "account-2"),
        (["release", "account-2"], "account-2"),
        (["release"], "no account is named"),
    ],
)
def test_what_cannot_be_recorded_changes_nothing(
    cli: CliFixture, arguments: list[str], message: str
) -> None:
    """A hold needs a name that is configured, and a reason that fits into one line."""
    done = cli.run(*arguments)

    assert done.code == 2
    assert message in done.err
    assert cli.sql("SELECT count(*) FROM entry") == [(0,)]


def test_an_operator_ends_the_lease_of_a_dead_process(cli: CliFixture) -> None:
    """Who had it is said and recorded; the account is free at once."""
    cli.run("status")
    cli.rotate()
    cli.sql(
        "UPDATE account SET lease_owner = 'there/boot/ns/2/200', "
        "lease_expires_at = '2999-01-01 00:00:00.000000', lease_seconds = 600"
    )
    busy = cli.run("rotate-now", "account-1")
    ended = cli.run("release", "--lease", "account-1")
    again = cli.run("release", "--lease", "account-1", "--json").json()
    cli.rotate()

    assert busy.code == 75
    assert "`rotator release --lease account-1`" in busy.err
    assert ended.out == "the lease on account-1 is ended; process 2 on there had it\n"
    assert again == {"account": "account-1", "lease": None, "was": None}
    assert "lease-ended" in cli.run("history", "account-1").out
    assert cli.run("ledger", "verify").code == 0


def test_a_hold_that_nobody_put_is_refused_with_the_command_that_ends_it(cli: CliFixture) -> None:
    """It is in the account's row alone; so is the end of one that somebody did put."""
    cli.rotate()
    cli.sql("UPDATE account SET hold_reason = 'because', held_by = 'eve'")
    refused, planned = (
        cli.run("rotate-now", "account-1"),
        cli.run("rotate-now", "--dry-run", "--all"),
    )
    verified = cli.run("ledger", "verify")
    released = cli.run("release", "account-1")
    cli.run("hold", "account-1", "--reason", "moving house")
    cli.sql("UPDATE account SET hold_reason = NULL, held_by = NULL")
    lifted, again = cli.run("rotate-now", "account-1"), cli.run("release", "account-1")

    assert (refused.code, planned.code, verified.code, lifted.code) == (3, 3, 1, 3)
    assert "says that it is held: because (eve), and the entries say that nobody" in refused.err
    assert "hint: nothing was deleted or changed; someone wrote to the ledger's" in refused.err
    assert (
        "`rotator release account-1` or `rotator hold account-1 --reason TEXT` corrects a hold"
        in verified.err
    )
    assert released.out == "account-1 is released; it was held: because (eve)\n"
    assert "says that nobody holds it, and the entries say that it is held: moving" in lifted.err
    assert again.out.startswith("account-1 is released; it was held: moving house")
    assert cli.run("ledger", "verify").code == 0
    cli.rotate()
