"""What others wrote into the ledger, with all that a terminal obeys, as commands show it."""

import csv
import io
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import update

from rotator.ledger import tables
from rotator.ledger.database import open_database, writing
from rotator.ledger.mapping import trouble_text
from rotator.model import State, Trouble
from tests.support.cli_fixture import CliFixture
from tests.support.seeded_ledger import DAY, TODAY, SeededLedger

#: A colour, a bell, the title of a window, a turn of direction, what has no width, line ends.
MISLEADING = (
    "=red\x1b[31m\x07\x7f\x9b2J\x1b]0;title\x07 \u202eexe.\u2066\u200b\ufeff\u2028\r\nerror: forged"
)
TROUBLE = Trouble(
    state=State.DRIFTED, code=MISLEADING, why=MISLEADING, hint=MISLEADING, since=TODAY
)
COMMANDS = (
    ("history",),
    ("history", "--json"),
    ("ledger", "export"),
    ("ledger", "verify", "--offline"),
    ("status",),
    ("status", "--json"),
    *(
        ("report", "--offline", "--since", "365d", "--format", form)
        for form in ("html", "csv", "json")
    ),
)


@pytest.fixture(scope="module")
def cli(tmp_path_factory: pytest.TempPathFactory, sqlite_template: Path) -> Iterator[CliFixture]:
    """An account of which the ledger tells strange things."""
    with CliFixture(tmp_path_factory.mktemp("misleading"), ledger=sqlite_template) as cli:
        database = open_database(f"sqlite:///{cli.ledger}")
        SeededLedger(database).refused("account-1", TODAY - DAY, MISLEADING, MISLEADING)
        with writing(database) as connection:
            connection.execute(update(tables.account).values(trouble=trouble_text(TROUBLE)))
        database.dispose()
        yield cli


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nothing_is_left_to_obey(cli: CliFixture, command: tuple[str, ...]) -> None:
    """Each line is printable, on standard output and in a file, and begins nowhere else."""
    done = cli.run(*command)
    texts = [done.out, done.err]
    if command[0] == "report":
        path = cli.folder / "report"
        cli.run(*command, "--output", str(path))
        texts.append(path.read_text())

    assert "red" in done.out or command[1:2] == ("verify",)
    for text in texts:
        assert all(line.isprintable() for line in text.split("\n"))
        assert "\nerror: forged" not in text


def test_programs_still_read_all_of_it(cli: CliFixture) -> None:
    """JSON says by escapes what the ledger has; a sheet has a row for each thing."""
    [exported] = cli.run("ledger", "export").out.splitlines()
    [told] = cli.run("history", "--json").json()
    sheet = cli.run("report", "--offline", "--since", "365d", "--format", "csv").out

    assert json.loads(exported)["detail"]["why"] == told["detail"]["why"] == MISLEADING
    rows = list(csv.DictReader(io.StringIO(sheet)))
    assert [row["text"][:2] for row in rows if row["record"] == "refused"] == ["'="]
