"""Arguments that name accounts, and their completion by the shell."""

import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from rotator.cli.session import Session


def configured(context: typer.Context, incomplete: str) -> list[str]:
    """Give the configured accounts that `incomplete` may become and the line has not named yet.

    The shell waits for it, and has no place for messages: the file is only read, not validated,
    and what cannot be read completes to nothing. Accounts that the daemon found are in the
    ledger, which is not opened for this.
    """
    given = context.params.get("names") or ()
    names = _names(_path(context))
    return [name for name in names if name.startswith(incomplete) and name not in given]


def _path(context: typer.Context) -> Path:
    """Give where the configuration is: no command has run yet that would have told."""
    above: Any = context
    while above and not above.params.get("config"):
        above = above.parent
    return Session(config=Path(above.params["config"]) if above else None).config_path


def _names(path: Path) -> Iterator[str]:
    try:
        # A pipe would be waited for.
        text = path.read_text(encoding="utf-8-sig") if path.is_file() else ""
        tables = tomllib.loads(text).get("accounts")
    except (OSError, ValueError, RecursionError):
        return
    for table in tables if isinstance(tables, list) else ():
        name = table.get("name") if isinstance(table, dict) else None
        if isinstance(name, str):
            yield name


def argument(meaning: str) -> Any:  # noqa: ANN401  # typer's own type for it
    """Give the argument NAME, completed from the configuration."""
    return typer.Argument(metavar="NAME", help=meaning, autocompletion=configured)


Name = Annotated[str, argument("the account")]
OnlyName = Annotated[str | None, argument("only this account")]
OnlyNames = Annotated[list[str] | None, argument("only these accounts")]
