"""`sim`: simulated Vonage and Vault on loopback, for a user's own tests."""

import os
import re
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli import output
from rotator.cli.context import option
from rotator.cli.signals import Interrupted, wait_while
from rotator.errors import ConfigError, reason_of

if TYPE_CHECKING:
    from rotator.sim import Environment

#: Marks a file that the next run may overwrite.
MARK = "# made by `rotator sim`, and overwritten by its next run\n"


def sim(
    *,
    accounts: Annotated[int, typer.Option(min=1, metavar="N", help="primary accounts")] = 2,
    subaccounts: Annotated[
        int, typer.Option(min=0, metavar="N", help="subaccounts of the first one")
    ] = 1,
    latency: Annotated[
        str, option("DURATION", "what each request to Vonage takes: 50ms, 1s")
    ] = "0s",
    vault_latency: Annotated[str, option("DURATION", "what each request to Vault takes")] = "0s",
    propagation: Annotated[str, option("DURATION", "until a new secret authenticates")] = "0s",
    write_config: Annotated[
        Path | None, option("PATH", "write a configuration there, and a token file beside it")
    ] = None,
) -> None:
    """Run a simulated Vonage and Vault until a signal, and print where they are as JSON."""
    from rotator.sim import Environment  # noqa: PLC0415  # nobody else needs it

    with Environment.build(
        accounts=accounts,
        subaccounts=subaccounts,
        latency=_seconds("--latency", latency),
        vault_latency=_seconds("--vault-latency", vault_latency),
        propagation=_seconds("--propagation", propagation),
    ) as environment:
        try:
            if write_config:
                _write_config(environment, write_config.absolute())
            output.write_json_line(environment.describe())
            output.flush()
            wait_while(lambda: True)
        except Interrupted:
            return


def _seconds(option: str, text: str) -> float:
    """Parse a duration, here also in milliseconds."""
    from rotator.config import parse_duration  # noqa: PLC0415  # `--help` needs no validator

    if match := re.fullmatch("([0-9]{1,9})ms", text):
        return timedelta(milliseconds=int(match[1])).total_seconds()
    try:
        return parse_duration(text).total_seconds()
    except ConfigError as error:
        raise ConfigError(f"{option}: {error.message}", hint=f"{error.hint}, or 50ms") from None


def _write_config(environment: "Environment", path: Path) -> None:
    """Write a configuration with its token beside it; its ledger will be there, too."""
    ledger, token = path.with_name(f"{path.name}.ledger.db"), path.with_name(f"{path.name}.token")
    try:
        # Reading something other than a file, such as a pipe, would not end.
        is_ours = path.is_file() and path.read_text(errors="replace").startswith(MARK)
        if path.exists() and not is_ours:
            raise ConfigError(
                f"--write-config: {path} already exists", hint="name a file that does not exist yet"
            )
        # Ledger of the previous run, whose servers are gone.
        for suffix in ("", "-wal", "-shm"):
            ledger.with_name(f"{ledger.name}{suffix}").unlink(missing_ok=True)
        token.unlink(missing_ok=True)
        with os.fdopen(os.open(token, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write(environment.vault.token)
        path.write_text(MARK + environment.config(f"sqlite:///{ledger}", token))
    except OSError as error:
        raise ConfigError(
            f"--write-config: {path} cannot be written: {reason_of(error)}",
            hint="name a file in an existing directory",
        ) from None
