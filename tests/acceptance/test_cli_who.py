"""Who did it: each act of a person is in the record, with name, host and reason."""

import json
from pathlib import Path

import pytest

from rotator.cli.app import command_of
from tests.support.cli_fixture import CliFixture

NAMED = ("--actor", "ann", "--reason", "incident 42")
VALUE = "Abcdefgh12345678"
#: Every command that changes something for a person.
COMMANDS = (
    "rotate-now",
    "adopt",
    "hold",
    "release",
    "forget",
    "secrets create",
    "secrets delete",
    "account top-up",
    "account callbacks",
    "db copy",
)


def facts(cli: CliFixture, ledger: Path | None = None) -> list[tuple[str, ...]]:
    """Return operation, name, origin and reason of each entry about a person's act."""
    before = cli.ledger
    cli.ledger = ledger or before
    rows = cli.sql("SELECT detail FROM entry WHERE event = 'requested' ORDER BY seq")
    cli.ledger = before
    keys = ("operation", "by", "from", "because")
    return [tuple(json.loads(detail)[key] for key in keys) for (detail,) in rows]


def test_each_act_is_recorded_with_who_why_and_where_from(
    tmp_path: Path, sqlite_template: Path
) -> None:
    """The client of an SSH session is named by its address, and a copy says who made it."""
    with CliFixture(tmp_path, ledger=sqlite_template) as cli:
        cli.environment["SSH_CONNECTION"] = "192.0.2.7 50122 198.51.100.1 22"
        cli.world.vonage.auto_reload = True
        copy = cli.folder / "copy.db"
        adopted = cli.run("adopt", "account-1", "--from-vault", *NAMED)
        created = cli.run("secrets", "create", "account-1", "--from-file", "-", *NAMED, text=VALUE)
        *_, made = cli.secret_ids()
        commands = (
            ("secrets", "delete", "account-1", made, "--yes"),
            ("account", "top-up", "account-1", "--transaction", "1", "--yes"),
            ("account", "callbacks", "account-1", "--inbound", "https://example.com/"),
            ("rotate-now", "account-1"),
            ("db", "copy", "--to", f"sqlite:///{copy}"),
        )
        done = [adopted, created, *(cli.run(*command, *NAMED) for command in commands)]

        assert [each.code for each in done] == [0] * 7, done
        operations = ["adopt", "create", "delete", "top-up", "callbacks", "rotate"]
        recorded = facts(cli)
        assert [each[0] for each in recorded] == operations
        assert facts(cli, copy) == [*recorded, ("copy", *recorded[0][1:])]
        [(by, origin, because)] = {each[1:] for each in recorded}
        assert (by, because) == ("ann", "incident 42")
        assert origin.endswith(", by SSH from 192.0.2.7")
        assert cli.run("ledger", "verify").code == 0


@pytest.mark.parametrize("path", COMMANDS)
def test_each_such_command_takes_a_name_and_a_reason(path: str) -> None:
    """Both are in its help, and one of its examples shows them."""
    command = command_of("rotator")
    for name in path.split():
        command = command.commands[name]
    options = {option for parameter in command.params for option in parameter.opts}

    assert {"--actor", "--reason"} <= options
    assert "--reason " in command.epilog
