"""`[[freeze]]`, as the real process shows it and goes by it."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.support.cli_fixture import CliFixture

DAY = timedelta(days=1)


def table(days: int, reason: str, accounts: str) -> str:
    """Return a freeze that began two days ago and ends so many days from now."""
    now = datetime.now(UTC)
    times = f"from = {(now - 2 * DAY).isoformat()}\nto = {(now + days * DAY).isoformat()}\n"
    return f'\n[[freeze]]\n{times}reason = "{reason}"\naccounts = ["{accounts}"]\n'


@pytest.fixture
def cli(tmp_path: Path, sqlite_template: Path) -> Iterator[CliFixture]:
    """Two accounts, the second of which is in a change freeze; another freeze is over."""
    with CliFixture(tmp_path, ledger=sqlite_template, accounts=2) as cli:
        text = table(3, "holidays", "*-2") + table(-1, "release", "*")
        cli.config.write_text(cli.text + text)
        yield cli


def test_it_is_shown_wherever_one_looks(cli: CliFixture) -> None:
    """State, reason and end stand in the status, and the doctor and the check name it."""
    status, document = cli.run("status", "--check"), cli.run("status", "--json").json()
    doctor, check = cli.run("doctor"), cli.run("config", "check")
    frozen = cli.run("status", "--check", "--no-daemon", "account-2")
    shown = cli.run("config", "show", "--json").json()

    first, second = document["accounts"]
    assert (status.code, frozen.code) == (1, 0)
    assert ": holidays" in status.out
    assert (first["freeze"], second["phase"], second["code"]) == (None, "held", "frozen")
    assert second["freeze"]["reason"] == "holidays"
    assert "a change freeze is on until" in doctor.out
    assert check.code == 0
    assert " is over, its table can go: release" in check.err
    assert "holidays" not in check.err
    assert [each["reason"] for each in shown["freeze"]] == ["holidays", "release"]


def test_who_asks_is_refused_and_a_leaked_secret_is_not(cli: CliFixture) -> None:
    """Of the others, each is rotated; what goes through says so, by how many accounts."""
    planned = cli.run("rotate-now", "--all", "--dry-run", "--json").json()
    refused = cli.run("rotate-now", "--all", "--json")
    history = cli.run("history", "account-2").out
    leaked = cli.run("rotate-now", "--all", "--compromised")

    outcomes = [(each["outcome"], (each["error"] or {}).get("code")) for each in refused.json()]
    assert [each["outcome"] for each in planned] == ["planned", "refused"]
    assert outcomes == [("completed", None), ("refused", "frozen")]
    assert refused.code == 3
    assert "error: account-2: a change freeze is on until" in refused.err
    assert "hint: nothing was begun; `--compromised` goes through it" in refused.err
    assert "not-begun" in history
    assert "code=frozen" in history
    assert leaked.code == 0
    assert "warning: goes through the change freeze of 1 account, until" in leaked.err
    assert leaked.err.count("change freeze") == 1
    assert not cli.world.violations()
