"""What the global options say, and what a command gets from it."""

import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Self

import typer

from rotator.cli import output
from rotator.cli.version import version

if TYPE_CHECKING:
    from rotator.config import Settings
    from rotator.model import Account
    from rotator.wiring import Wiring

DEFAULT_CONFIG = Path("/etc/rotator/config.toml")


class LogLevel(StrEnum):
    """How much is logged."""

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
        output.write(version())
        raise typer.Exit


JsonOption = Annotated[
    bool, typer.Option("--json", help="print one JSON document instead of a table")
]
VersionOption = Annotated[
    bool,
    typer.Option("--version", callback=_print_version, is_eager=True, help="print the version"),
]


@dataclass(frozen=True, kw_only=True)
class Session:
    """One run of the command."""

    #: None: as the environment says.
    config: Path | None = None
    log_level: LogLevel = DEFAULT_LOG_LEVEL

    @classmethod
    def of(
        cls, context: typer.Context, config: Path | None = None, level: LogLevel | None = None
    ) -> Self:
        """Give what the options before the command say, and after it, which count more."""
        given = context.obj if isinstance(context.obj, cls) else cls()
        return cls(config=config or given.config, log_level=level or given.log_level)

    @property
    def config_path(self) -> Path:
        """Where the configuration is, or is to be."""
        return self.config or Path(os.environ.get("ROTATOR_CONFIG") or DEFAULT_CONFIG)

    def configured(self) -> "Settings":
        """Load the configuration: what stands in it, and nothing that was found.

        Raises:
            ConfigError: it is not usable.
        """
        from rotator.config import load  # noqa: PLC0415  # `--help` needs no validator

        return load(self.config_path, os.environ)

    def settings(self) -> "Settings":
        """Load the configuration, with the accounts that the daemon found below parents.

        Raises:
            ConfigError: it is not usable.
            LedgerError: what was found cannot be read.
        """
        settings = self.configured()
        if not settings.discover:
            return settings
        with self.wiring(settings, offline=True) as wiring:
            return wiring.settings_with_found()

    @contextmanager
    def wiring(
        self, settings: "Settings", *, offline: bool = False, is_hasty: bool = False
    ) -> "Iterator[Wiring]":
        """Yield rotator, put together, for the length of a `with` block.

        `is_hasty` is for a command that only looks: it does not wait long for Vault.
        `offline` is for a command that asks neither Vonage nor Vault: nothing that it loads
        logs anything.
        """
        from rotator.wiring import Wiring  # noqa: PLC0415  # `--help` needs none of it

        if not offline:
            self.log()
        with Wiring(settings, os.environ, is_hasty=is_hasty) as wiring:
            yield wiring

    def log(self) -> None:
        """Log what is asked for."""
        from rotator import logs  # noqa: PLC0415  # takes a tenth of a second

        logs.configure(self.log_level)


def chosen(settings: "Settings", names: Iterable[str] | None) -> "list[Account]":
    """Give the accounts of these names, each once, in the order given; without any, all.

    Raises:
        UnknownAccount: one of them is not configured.
    """
    named = [settings.account(name) for name in dict.fromkeys(names or ())]
    return named or list(settings.accounts)
