"""`db upgrade`, `db current` and `db copy`: the ledger's schema, and the ledger as a whole."""

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli import output
from rotator.cli.actor import ActorOption, ReasonOption, actor_of
from rotator.cli.context import CommandContext, option
from rotator.errors import ConfigError

if TYPE_CHECKING:
    from rotator.config import LedgerSettings

_NONE = "none: `rotator db upgrade` creates it"


def current(context: typer.Context) -> None:
    """Show the revision of the ledger's schema."""
    with CommandContext.of(context).application(offline=True, as_written=True) as application:
        output.write(application.ledger.revision() or _NONE)


def upgrade(context: typer.Context) -> None:
    """Make the ledger, or bring its schema up to date."""
    with CommandContext.of(context).application(offline=True, as_written=True) as application:
        before = application.ledger.revision()
        application.ledger.upgrade()
        after = application.ledger.revision()
    output.write(f"{after}, as before" if after == before else f"{before or 'none'} -> {after}")


def copy(
    context: typer.Context,
    to: Annotated[str | None, option("URL", "an empty database to copy into")] = None,
    to_file: Annotated[Path | None, option("PATH", "a file with its URL, for a password")] = None,
    actor: ActorOption = None,
    reason: ReasonOption = None,
) -> None:
    """Copy the ledger into another database, SQLite or PostgreSQL, and verify the copy.

    The ledger that the configuration names stays as it is, and the copy records who made it. Stop
    the daemon before.
    """
    from rotator.config.sections import ledger_at  # noqa: PLC0415  # `--help` needs no validator

    if (to is None) == (to_file is None):
        raise ConfigError("give one of --to and --to-file", hint="see `rotator db copy --help`")
    target, acting = ledger_at(to, to_file), actor_of(actor, reason)
    with CommandContext.of(context).application(offline=True) as application:
        copied = application.ledger.copy_to(_url(target), acting)
    rows = ", ".join(f"{count} in {table}" for table, count in copied.rows.items())
    output.write(output.fitted(f"copied rows: {rows}"))
    output.write(f"verified chains: {len(copied.verdicts)}, all whole and as in the old ledger")
    _say_what_next(target)


def _url(target: "LedgerSettings") -> str:
    try:
        return target.read_url()
    except ConfigError as error:
        where = error.message.replace("ledger.url_file", "--to-file")
        raise ConfigError(where, hint=error.hint) from None


def _say_what_next(target: "LedgerSettings") -> None:
    output.write(
        output.fitted(
            "now change the configuration, on every machine, before the daemon starts again:"
        )
    )
    key, value = ("url_file", target.url_file) if target.url_file else ("url", target.url)
    output.write(f"\n[ledger]\n{key} = {json.dumps(str(value), ensure_ascii=False)}\n")
    overriding = [name for name in _VARIABLES if name in os.environ]
    if overriding:
        output.write(f"and unset ${' and $'.join(overriding)}, which would override it")
    output.write("the old ledger is unchanged: keep it, and let nothing write to it any more")


_VARIABLES = ("ROTATOR_LEDGER__URL", "ROTATOR_LEDGER__URL_FILE")
