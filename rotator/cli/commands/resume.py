"""`resume`: continues open rotations."""

from typing import TYPE_CHECKING

import typer

from rotator.cli import output, rotate
from rotator.cli.context import JsonOption, OnlyNames, Session, chosen
from rotator.model import Account, Request

if TYPE_CHECKING:
    from rotator.application import Wiring


def resume(
    context: typer.Context,
    names: OnlyNames = None,
    as_json: JsonOption = False,
) -> None:
    """Carry every open rotation as far as it can go now, and start none.

    Hooks that failed are called again.
    """
    session = Session.of(context)
    settings = session.settings()
    wanted = chosen(settings, names)
    with session.wiring(settings) as wiring:
        accounts = _opened(wiring, wanted)
        if accounts:
            code = rotate.carry_out(
                session, wiring, accounts, Request(reason=None), as_json=as_json
            )
            rotate.deliver(wiring, wanted)
            raise typer.Exit(code)
        rotate.deliver(wiring, wanted)
    if as_json:
        output.write_json([])
    else:
        output.write("nothing to resume")


def _opened(wiring: "Wiring", wanted: list[Account]) -> list[Account]:
    """Return those of `wanted` with an open rotation; note open ones no longer configured."""
    names = wiring.queries.open_accounts()
    for name in sorted(set(names) - wiring.accounts.keys()):
        output.say(f"note: {name} has an open rotation and is not configured any more")
    return [account for account in wanted if account.name in names]
