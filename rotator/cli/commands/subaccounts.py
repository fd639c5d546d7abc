"""`subaccounts list`: the subaccounts of a primary account."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotator.cli import output
from rotator.cli.commands.account import opened
from rotator.cli.context import JsonOption, argument
from rotator.model.times import rfc3339
from rotator.reporting import text

if TYPE_CHECKING:
    from rotator.vonage import Subaccount

HEADERS = ("API key", "name", "balance (EUR)", "state", "created", "configured as")


def list_(
    context: typer.Context,
    name: Annotated[str, argument("the primary account")],
    as_json: JsonOption = False,
) -> None:
    """List the subaccounts of a primary account, and which of them rotator looks after.

    Vonage enables its Subaccounts API on request only.
    """
    with opened(context, name) as (application, account, credential):
        found = application.clients.subaccounts.list_subaccounts(credential)
        names = {each.api_key: each.name for each in application.settings.accounts}
    subaccounts = [_document(each, names.get(each.api_key)) for each in found.subaccounts]
    document = {"account": name, "api_key": account.api_key, "subaccounts": subaccounts}
    rows = [_row(each, names.get(each.api_key)) for each in found.subaccounts]
    output.show_table(document, HEADERS, rows, as_json=as_json)
    if not found.subaccounts:
        output.say(f"{name} has no subaccounts")


def _document(found: "Subaccount", name: str | None) -> dict[str, Any]:
    return {
        "api_key": found.api_key,
        "name": found.name,
        "balance": None if found.balance is None else float(found.balance),
        "uses_primary_balance": found.use_primary_account_balance,
        "suspended": found.suspended,
        "created_at": rfc3339(found.created_at),
        "configured_as": name,
    }


def _row(found: "Subaccount", name: str | None) -> tuple[str, ...]:
    own = text.NOTHING if found.balance is None else str(found.balance)
    return (
        found.api_key,
        found.name,
        "the primary's" if found.use_primary_account_balance else own,
        "suspended" if found.suspended else "active",
        text.moment(found.created_at),
        name or text.NOTHING,
    )
