"""Context of a command: the global options, and what is built from them."""

import os
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Self

import typer

from rotator import own_version
from rotator.cli import output
from rotator.errors import RotatorError

if TYPE_CHECKING:
    from rotator.application import Application
    from rotator.config import Settings


DEFAULT_CONFIG = Path("/etc/rotator/config.toml")


class LogLevel(StrEnum):
    """Log levels."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


DEFAULT_LOG_LEVEL = LogLevel.WARNING

ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="PATH",
        help=f"the configuration; else $ROTATOR_CONFIG, else {DEFAULT_CONFIG}",
    ),
]

LogLevelOption = Annotated[
    LogLevel | None,
    typer.Option(
        "--log-level",
        metavar="LEVEL",
        help=f"what to log on standard error: {', '.join(LogLevel)}; else warning, for run info",
    ),
]


def _print_version(wanted: bool) -> None:
    if wanted:
        output.write(f"rotator {own_version()}")
        raise typer.Exit


VersionOption = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="print the version"),
]


def flag(name: str, meaning: str) -> Any:  # noqa: ANN401  # typer's own type for it
    """Return typer's option that is given or not."""
    return typer.Option(name, help=meaning)


def option(metavar: str, meaning: str) -> Any:  # noqa: ANN401  # likewise
    """Return typer's option that takes a value, and has its parameter's name."""
    return typer.Option(metavar=metavar, help=meaning)


def json_option(otherwise: str) -> Any:  # noqa: ANN401  # typer's own type for it
    """Return typer's option --json of a command that prints `otherwise` without it."""
    return typer.Option("--json", help=f"print one JSON document instead of {otherwise}")


JsonOption = Annotated[bool, json_option("a table")]
NoDaemonOption = Annotated[
    bool, flag("--no-daemon", "do not expect a daemon to poll: timers rotate")
]


@dataclass(frozen=True, kw_only=True)
class CommandContext:
    """One run of a command."""

    #: None for the environment's choice.
    config: Path | None = None
    log_level: LogLevel = DEFAULT_LOG_LEVEL

    @classmethod
    def of(
        cls, context: typer.Context, config: Path | None = None, level: LogLevel | None = None
    ) -> Self:
        """Return the options given before the command, overridden by those given after it."""
        given = context.obj if isinstance(context.obj, cls) else cls()
        return cls(config=config or given.config, log_level=level or given.log_level)

    @property
    def config_path(self) -> Path:
        """Path of the configuration, whether or not it exists."""
        return self.config or Path(os.environ.get("ROTATOR_CONFIG") or DEFAULT_CONFIG)

    def configured(self, *, is_strict: bool = False) -> "Settings":
        """Load the configuration as written, without discovered accounts; see `config.load`.

        Raises:
            ConfigError: it is invalid.
        """
        from rotator.config import load  # noqa: PLC0415  # `--help` needs no validator

        return load(self.config_path, os.environ, is_strict=is_strict)

    @contextmanager
    def application(
        self,
        *,
        offline: bool = False,
        is_hasty: bool = False,
        as_written: bool = False,
    ) -> "Iterator[Application]":
        """Yield the assembled application for a `with` block.

        `is_hasty` is for a command that only looks: it does not wait long for Vault. `offline` is
        for a command that asks neither Vonage nor Vault: it loads nothing that would log.
        `as_written` leaves out the accounts that the daemon discovered below parents.

        Raises:
            ConfigError: the configuration is invalid.
            LedgerError: the discovered subaccounts cannot be read.
        """
        from rotator.application import Application  # noqa: PLC0415  # `--help` needs none of it

        settings = self.configured()
        if settings.discover and not as_written:
            with Application(settings, os.environ) as application:
                settings = application.ledger.settings_with_discovered()
        if not offline:
            self.log()
        with Application(settings, os.environ, is_hasty=is_hasty) as application:
            yield application

    def log(self) -> None:
        """Configure logging at the requested level."""
        from rotator.telemetry import logging  # noqa: PLC0415  # takes a tenth of a second

        logging.configure(self.log_level)


def completions(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names that complete `incomplete` and are not on the command line yet.

    The shell waits for the answer, and cannot show messages: the file is only parsed, not
    validated, and an unreadable one completes to nothing. Only a file with `[[discover]]` is
    validated, as it determines the names of discovered accounts.
    """
    given = context.params.get("names") or ()
    return [
        name for name in _names(_path(context)) if name.startswith(incomplete) and name not in given
    ]


def hook_completions(context: typer.Context, incomplete: str) -> list[str]:
    """Return the names of hooks that complete `incomplete`, where the file gives them names."""
    document = _document(_path(context))
    return [name for name in _named(document, "hooks") if name.startswith(incomplete)]


def _path(context: typer.Context) -> Path:
    """Return the configuration's path from the options: no command has run yet."""
    above: Any = context
    while above and not above.params.get("config"):
        above = above.parent
    return CommandContext(config=Path(above.params["config"]) if above else None).config_path


def _names(path: Path) -> Iterator[str]:
    document = _document(path)
    yield from _named(document, "accounts")
    if "discover" in document:
        yield from _found(path)


def _document(path: Path) -> dict[str, Any]:
    """Return the file, parsed; empty where it is unreadable."""
    try:
        # Reading a pipe would block.
        return tomllib.loads(path.read_text(encoding="utf-8-sig") if path.is_file() else "")
    except (OSError, ValueError, RecursionError):
        return {}


def _named(document: dict[str, Any], key: str) -> Iterator[str]:
    """Yield the names in a list of tables."""
    tables = document.get(key)
    for table in tables if isinstance(tables, list) else ():
        name = table.get("name") if isinstance(table, dict) else None
        if isinstance(name, str):
            yield name


def _found(path: Path) -> Iterator[str]:
    """Yield the names of discovered accounts in the ledger; none where a server would be asked."""
    from rotator.config import load  # noqa: PLC0415  # few have such a file
    from rotator.config.urls import sqlite_path  # noqa: PLC0415  # likewise
    from rotator.ledger import file  # noqa: PLC0415  # likewise

    try:
        settings = load(path, os.environ)
        ledger = sqlite_path(settings.ledger.read_url())
    except RotatorError:
        return
    if ledger:
        accounts = settings.with_discovered(file.subaccounts(Path(ledger))).accounts
        yield from (account.name for account in accounts if account.discovered)


def argument(meaning: str) -> Any:  # noqa: ANN401  # typer's own type for it
    """Return typer's argument NAME, which completes to account names."""
    return typer.Argument(metavar="NAME", help=meaning, autocompletion=completions)


Name = Annotated[str, argument("the account")]

OnlyName = Annotated[str | None, argument("only this account")]

OnlyNames = Annotated[list[str] | None, argument("only these accounts")]
