"""`config check`, `config show` and `config schema`: the configuration."""

import json
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from rotator.cli import output
from rotator.cli.context import CommandContext, json_option
from rotator.errors import ConfigError
from rotator.reporting.text import moment


def check(context: typer.Context) -> None:
    """Report whether the configuration is usable, or everything that is wrong with it."""
    from rotator.doctor import consumers  # noqa: PLC0415  # `--help` needs none of it
    from rotator.doctor.hooks import fault  # noqa: PLC0415  # likewise

    settings = CommandContext.of(context).configured(is_strict=True)
    for hook in settings.hooks:
        files = (hook.url_file, hook.secret_file, hook.routing_key_file)
        if (found := fault(hook)) and not _is_hidden(*files):
            output.say(f"warning: hook {hook.name}: {found[0]}", level="warning")
            output.say(f"hint: {found[1]}", level="warning")
    trigger = settings.trigger
    try:
        if trigger.listen:
            trigger.read_keys()
    except ConfigError as error:
        if not _is_hidden(trigger.secret_file):
            output.say(f"warning: {error.message}", level="warning")
            output.say(f"hint: {error.hint}", level="warning")
    if names := consumers.unawaited(settings):
        output.say(f"warning: {consumers.warning(names)}", level="warning")
    for freeze in settings.freezes:
        if freeze.until <= datetime.now(UTC):
            over = f"the change freeze until {moment(freeze.until)} is over"
            output.say(f"note: {over}, its table can go: {freeze.reason}")
    count = len(settings.accounts)
    output.write(f"ok: {count} account{'' if count == 1 else 's'}")


def _is_hidden(*files: Path | None) -> bool:
    """Return whether files are in a place that this process may not read.

    systemd shows a unit's credentials only to the service, not to the process that reloads it.
    """
    return any(not os.access(path.parent, os.X_OK) for path in files if path)


def show(
    context: typer.Context,
    as_json: Annotated[bool, json_option("TOML")] = False,
) -> None:
    """Show what is in effect: the file, the environment and the defaults."""
    shown = CommandContext.of(context).configured().shown()
    if as_json:
        output.write_json(shown)
    else:
        output.write("\n\n".join(_tables(shown)))


def schema() -> None:
    """Print the JSON Schema of the configuration, by which editors complete and check it.

    `rotator init` writes a first line that leads editors to the installed copy.
    """
    from rotator.config.schema import schema  # noqa: PLC0415  # `--help` needs no validator

    output.write_json(schema())


def _tables(shown: Mapping[str, Any]) -> Iterator[str]:
    """Format the settings as TOML, one text for each table."""
    for name, value in shown.items():
        if isinstance(value, list):
            yield from (_table(f"[[{name}]]", item) for item in value)
        else:
            inner = {key: part for key, part in value.items() if isinstance(part, dict)}
            yield _table(f"[{name}]", value)
            yield from (_table(f"[{name}.{key}]", part) for key, part in inner.items())


def _table(header: str, values: Mapping[str, Any]) -> str:
    # JSON's texts, numbers and booleans are valid TOML.
    lines = [
        f"{key} = {json.dumps(value, ensure_ascii=False)}"
        for key, value in values.items()
        if not isinstance(value, dict)
    ]
    return "\n".join([header, *lines])
