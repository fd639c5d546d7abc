"""`history`: the newest entries of the ledger."""

import json
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotator.cli import output
from rotator.cli.context import CommandContext, JsonOption, OnlyName
from rotator.reporting import text

if TYPE_CHECKING:
    from rotator.application import Application

HEADERS = ("time", "account", "rotation", "step", "event", "detail")


def history(
    context: typer.Context,
    name: OnlyName = None,
    limit: Annotated[int, typer.Option(min=1, metavar="N", help="how many entries")] = 50,
    as_json: JsonOption = False,
) -> None:
    """Show the newest entries of the ledger, the oldest of them first."""
    with CommandContext.of(context).application(offline=True) as application:
        application.ledger.require("show")
        require_known(application, [name] if name else [])
        entries = [
            entry.exported() for entry in application.ledger.reader.history(name, limit=limit)
        ]
    output.show_table(entries, HEADERS, [_row(entry) for entry in entries], as_json=as_json)


def require_known(application: "Application", names: list[str]) -> None:
    """Accept names of accounts that are configured or still in the ledger.

    Raises:
        UnknownAccount: one of `names` is neither.
    """
    unconfigured = [name for name in names if name not in application.accounts]
    for name in set(unconfigured) - set(application.ledger.reader.recorded_accounts()):
        application.settings.account(name)


def _row(entry: dict[str, Any]) -> tuple[str, ...]:
    facts = sorted(entry["detail"].items())
    detail = (f"{key}={_text(value)}" for key, value in facts if key not in text.PROOFS)
    return (
        output.brief_time(entry["at"]),
        entry["account"],
        text.short(entry["rotation_id"]),
        entry["step"] or text.NOTHING,
        entry["event"],
        " ".join(detail),
    )


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)
