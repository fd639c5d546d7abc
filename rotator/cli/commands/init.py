"""`init`: writes an initial configuration."""

import os
import shlex
from pathlib import Path
from typing import Annotated

import typer

from rotator.cli import output
from rotator.cli.context import DEFAULT_CONFIG, CommandContext, flag
from rotator.cli.file import write_whole
from rotator.errors import ConfigError, reason_of


def init(
    context: typer.Context,
    force: Annotated[bool, flag("--force", "overwrite an existing file")] = False,
) -> None:
    """Write a configuration with every key, its default and what it means, to be edited.

    It is written to the path in `--config` or $ROTATOR_CONFIG. Vault's address and namespace are
    those of $VAULT_ADDR and $VAULT_NAMESPACE where they are set. Its first line leads editors to
    the schema.
    """
    from rotator.config.example import filled_in  # noqa: PLC0415  # `--help` needs no validator

    path = CommandContext.of(context).config_path
    text, used = filled_in(os.environ)
    _write(path, text, force=force)
    output.write(f"wrote {path}{f', with {_listed(used)}' if used else ''}")
    rotator = "rotator" if path == DEFAULT_CONFIG else f"rotator --config {shlex.quote(str(path))}"
    output.write(
        "name your accounts in it, and how rotator logs in to Vault; then:\n"
        f"  {rotator} config check\n"
        f"  {rotator} adopt sms-prod\n"
        f"  {rotator} doctor"
    )


def _listed(variables: list[str]) -> str:
    return " and ".join(f"${variable}" for variable in variables)


def _write(path: Path, text: str, *, force: bool) -> None:
    if not force and (path.is_file() or path.is_dir()):
        raise ConfigError(
            f"{path} already exists",
            hint="--force overwrites it; `rotator --config PATH init` writes another",
        )
    try:
        path.parent.mkdir(exist_ok=True)
        write_whole(path, text)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be written: {reason_of(error)}",
            hint="`rotator --config ./config.toml init` writes it here",
        ) from None
