"""`db copy`: a ledger moved from SQLite to PostgreSQL and used there, as the real process."""

import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import PostgreSQL
from tests.support.cli_fixture import CliFixture
from tests.support.commands import ROOT


@pytest.fixture
def cli(tmp_path: Path) -> Iterator[CliFixture]:
    """One account, which waits in its grace."""
    with CliFixture(tmp_path, policy={"grace": "1h"}) as cli:
        cli.rotate()
        yield cli


@pytest.fixture
def url(postgresql: PostgreSQL) -> Iterator[str]:
    """An empty PostgreSQL database, without anything in it that is a password."""
    url = postgresql.create()
    yield url
    postgresql.drop(url)


@pytest.mark.postgres
def test_a_ledger_moves_and_goes_on(cli: CliFixture, url: str) -> None:
    """What is printed, put into the configuration, is all it takes; the open rotation ends there.

    The old ledger's file is the same as before, byte for byte.
    """
    before = cli.ledger.read_bytes()
    copied = cli.run("db", "copy", "--to", url)
    _, found, block = copied.out.partition("\n\n[ledger]\n")
    printed = tomllib.loads(block.partition("\n\n")[0])
    cli.config.write_text(cli.text.replace(f"sqlite:///{cli.ledger}", printed["url"]))
    verified = cli.run("ledger", "verify")
    resumed = cli.run("rotate-now", "--all", "--grace", "0s")

    assert (copied.code, copied.err, bool(found)) == (0, "", True)
    assert "verified chains: 1, all whole" in copied.out
    assert cli.ledger.read_bytes() == before
    assert (verified.code, resumed.code) == (0, 0), (verified, resumed)
    assert len(cli.secret_ids()) == 1


@pytest.mark.postgres
def test_a_url_with_a_password_is_given_by_file(cli: CliFixture, url: str) -> None:
    """It is neither taken from the command line, nor shown; the file's name is printed."""
    secret = "Sesame0InTheUrl"
    with_password = url.replace("postgres@", f"postgres:{secret}@")
    refused = cli.run("db", "copy", "--to", with_password)
    file = cli.folder / "new-url"
    file.write_text(with_password)
    copied = cli.run("db", "copy", "--to-file", str(file))

    assert refused.code == 2
    assert refused.err.startswith("error: the target's URL has a password\nhint: put the whole")
    assert copied.code == 0, copied
    assert f'url_file = "{file}"' in copied.out
    assert secret not in refused.out + refused.err + copied.out + copied.err


def test_bad_input_copies_nothing(cli: CliFixture) -> None:
    """No target, two, one that is none, and a source that is not there: exit 2, and why."""
    target = f"sqlite:///{cli.folder / 'new.db'}"
    commands: list[list[str]] = [
        [],
        ["--to", target, "--to-file", "x"],
        ["--to", "mysql://host/ledger"],
        ["--to-file", str(cli.folder / "absent")],
    ]
    refused = [cli.run("db", "copy", *options) for options in commands]
    cli.ledger.unlink()
    empty = cli.run("db", "copy", "--to", target)

    assert [done.code for done in [*refused, empty]] == [2] * 5
    assert "give one of --to and --to-file" in refused[0].err
    assert "error: --to-file: " in refused[3].err
    assert "the target's URL is not a ledger URL" in refused[2].err
    assert "there is no ledger to copy" in empty.err
    assert not (cli.folder / "new.db").exists()
    assert not cli.ledger.exists()


def test_a_variable_that_would_override_the_change_is_named(cli: CliFixture) -> None:
    """Where the environment says where the ledger is, changing the file would change nothing."""
    target = f"sqlite:///{cli.folder / 'new.db'}"
    environment = {
        "PYTHONPATH": str(ROOT),
        "ROTATOR_CONFIG": str(cli.config),
        "ROTATOR_LEDGER__URL": f"sqlite:///{cli.ledger}",
    }
    done = subprocess.run(
        [sys.executable, "-m", "rotator", "db", "copy", "--to", target],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert "unset $ROTATOR_LEDGER__URL" in done.stdout
