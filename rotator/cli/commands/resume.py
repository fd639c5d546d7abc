"""`resume`: continues open rotations."""

from typing import TYPE_CHECKING

import typer

from rotator.cli import closing, output, rotate
from rotator.cli.context import CommandContext, JsonOption
from rotator.cli.selection import ChosenNames, chosen
from rotator.model import Account, Request

if TYPE_CHECKING:
    from rotator.application import Application


def resume(
    context: typer.Context,
    names: ChosenNames = None,
    as_json: JsonOption = False,
) -> None:
    """Carry every open rotation as far as it can go now, and start none.

    One that waits in its grace is looked at, and refused if consumers read a secret that does not
    work, or nothing. Hooks that failed are called again. One that fails makes the exit code 1, and
    no rotation fail.
    """
    command = CommandContext.of(context)
    with command.application() as application:
        wanted = chosen(application.settings, names)
        accounts = _opened(application, wanted)
        code = rotate.carry_out(
            command,
            application,
            accounts,
            Request(reason=None),
            again=closing.command_to_go_on(context, None),
            as_json=as_json,
            also=wanted,
        )
    raise typer.Exit(code)


def _opened(application: "Application", wanted: list[Account]) -> list[Account]:
    """Return those of `wanted` with an open rotation; note open ones no longer configured."""
    names = application.ledger.reader.open_accounts()
    for name in sorted(set(names) - application.accounts.keys()):
        output.say(f"note: {name} has an open rotation and is no longer configured")
    return [account for account in wanted if account.name in names]
