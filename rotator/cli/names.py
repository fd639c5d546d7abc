"""Arguments that name accounts, and their completion by the shell."""

import os
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from rotator.cli.session import Session
from rotator.errors import RotatorError


def known(context: typer.Context, incomplete: str) -> list[str]:
    """Give the accounts that `incomplete` may become and the line has not named yet.

    The shell waits for it, and has no place for messages: the file is only read, not validated,
    and what cannot be read completes to nothing. Only a file with `[[discover]]` is validated, as
    it says what the accounts are called that the daemon has found.
    """
    given = context.params.get("names") or ()
    return [
        name for name in _names(_path(context)) if name.startswith(incomplete) and name not in given
    ]


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
        document = tomllib.loads(text)
    except (OSError, ValueError, RecursionError):
        return
    tables = document.get("accounts")
    for table in tables if isinstance(tables, list) else ():
        name = table.get("name") if isinstance(table, dict) else None
        if isinstance(name, str):
            yield name
    if "discover" in document:
        yield from _found(path)


def _found(path: Path) -> Iterator[str]:
    """Give the accounts that the ledger has of the daemon; none where a server would be asked."""
    from rotator.config import load  # noqa: PLC0415  # few have such a file
    from rotator.config.url import sqlite_path  # noqa: PLC0415  # likewise
    from rotator.ledger import glance  # noqa: PLC0415  # likewise

    try:
        settings = load(path, os.environ)
        ledger = sqlite_path(settings.ledger.read_url())
    except RotatorError:
        return
    if ledger:
        accounts = settings.with_found(glance.found(Path(ledger))).accounts
        yield from (account.name for account in accounts if account.discovered)


def argument(meaning: str) -> Any:  # noqa: ANN401  # typer's own type for it
    """Give the argument NAME, completed with the accounts that there are."""
    return typer.Argument(metavar="NAME", help=meaning, autocompletion=known)


Name = Annotated[str, argument("the account")]
OnlyName = Annotated[str | None, argument("only this account")]
OnlyNames = Annotated[list[str] | None, argument("only these accounts")]
