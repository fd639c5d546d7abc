"""Assembles the commands: `rotator` and, for `rotate-now` alone, a program of its own."""

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from rotator.cli import output
from rotator.cli.context import (
    DEFAULT_LOG_LEVEL,
    CommandContext,
    ConfigOption,
    LogLevel,
    LogLevelOption,
    VersionOption,
)
from rotator.errors import docstring_of

_ID = "3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10"

#: Each command's function in `rotator.cli.commands`, and the examples at the end of its help.
_COMMANDS: Mapping[str, tuple[str, ...]] = {
    "init": ("init.init", ""),
    "install-units": ("install_units.install_units", "", "--to ./units"),
    "adopt": (
        "adopt.adopt",
        "sms-prod",
        "sms-prod --from-vault",
        "'sms-*' --from-vault --yes",
        "sms-prod --from-file - < value",
        f"sms-prod --secret-id {_ID}",
        'sms-prod --actor ann --reason "ticket 42"',
    ),
    "doctor": ("doctor.doctor", "", "--all", "--json"),
    "run": ("run.run", ""),
    "health": ("health.health", ""),
    "rotate-now": (
        "rotate_now.rotate_now",
        "sms-prod",
        "sms-prod --dry-run",
        "--all --json",
        'sms-prod --compromised --reason "incident 42"',
        "--all --compromised --yes --actor ann",
        "--all --compromised --before 2026-11-30T02:41:25Z",
        "sms-prod --take-over",
    ),
    "resume": ("resume.resume", "", "sms-prod", "--json"),
    "status": ("status.status", "", "sms-prod --refresh", "--check", "--json"),
    "history": ("history.history", "", "sms-prod", "--limit 500 --json"),
    "hold": (
        "hold.hold",
        'sms-prod --reason "moving to another data centre"',
        'sms-prod --reason "incident 42" --freeze',
        '--parent main --reason "incident 42"',
    ),
    "release": (
        "hold.release",
        "sms-prod",
        'sms-prod --actor ann --reason "moved"',
        "--all --yes",
        "sms-prod --lease",
    ),
    "forget": ("forget.forget", "sms-old", 'sms-old --abandon --reason "renamed to sms"'),
    "report": (
        "report.report",
        "--output report.html",
        "sms-prod --since 2026-07-01 --until 2026-10-01 --format csv",
        "--since 30d --format json --offline",
    ),
    "demo": ("demo.demo", ""),
    "sim": ("sim.sim", "--accounts 3 --latency 50ms", "--write-config ./sim.toml"),
    "ledger verify": (
        "ledger.verify",
        "",
        "sms-prod --offline",
        "--rules --offline",
        "--witness ./checkpoints --key ./rotator.vkey",
        "--json",
    ),
    "ledger export": ("ledger.export", "> ledger.ndjson", "sms-prod"),
    "ledger backup": ("ledger.backup", "/var/backups/rotator-ledger.db", "./ledger.db --json"),
    "ledger witness key": ("witness.key", ""),
    "ledger witness publish": ("witness.publish", "", "--json"),
    "ledger witness check": (
        "witness.check",
        "./checkpoints --key ./rotator.vkey",
        "./checkpoints --key ./rotator.vkey --max-age 2d --json",
    ),
    "secrets list": ("secrets.list_", "sms-prod", "sms-prod --json"),
    "secrets show": ("secrets.show", f"sms-prod {_ID}"),
    "secrets create": (
        "secrets.create",
        "sms-prod",
        "sms-prod --from-file - --json < value",
        'sms-prod --actor ann --reason "incident 42"',
    ),
    "secrets delete": (
        "secrets.delete",
        f"sms-prod {_ID}",
        f"sms-prod {_ID[:8]} --yes --json",
        f'sms-prod {_ID} --reason "ticket 42"',
    ),
    "account balance": ("account.balance", "", "sms-prod --json"),
    "account top-up": (
        "account.top_up",
        "sms-prod --transaction 8ef2447e69604f64",
        "sms-prod --transaction 8ef2447e --reason March",
    ),
    "account callbacks": (
        "account.callbacks",
        "sms-prod",
        "sms-prod --inbound https://example.com/inbound",
        "sms-prod --no-delivery --forward-method POST_JSON",
        'sms-prod --no-inbound --reason "ticket 42"',
    ),
    "subaccounts list": ("subaccounts.list_", "parent", "parent --json"),
    "hooks test": ("hooks.try_", "", "chat", "chat --json"),
    "gate file": (
        "gate.file",
        "/run/sms-gateway/api.env --account sms-prod",
        "'/run/*/vonage.env' --account sms-prod",
        f"./api.env --secret-id {_ID} --json",
    ),
    "gate http": (
        "gate.http",
        "https://sms-gateway.example.com/vonage --account sms-prod",
        "http://10.0.0.1:8080/vonage http://10.0.0.2:8080/vonage --account sms-prod",
    ),
    "gate audit": (
        "gate.audit",
        "'/var/log/vault/audit.log*' --account sms-prod",
        "'/var/log/vault/audit.log*' --within 8d --ignore backup --account sms-prod",
        "./audit.log --mount secret --path vonage/sms-prod --vault-version 5",
    ),
    "config check": ("config.check", ""),
    "config show": ("config.show", "", "--json"),
    "config schema": ("config.schema", "> config.schema.json"),
    "db current": ("db.current", ""),
    "db upgrade": ("db.upgrade", ""),
    "db copy": (
        "db.copy",
        "--to postgresql+psycopg://rotator@db.example.com/rotator",
        "--to-file /etc/rotator/new-ledger-url --reason moving",
    ),
}

#: Each group's summary, and its examples; "" is the program.
_GROUPS: Mapping[str, tuple[str, ...]] = {
    "": (
        "Keep Vonage API secrets young: create, store in Vault, verify, wait, delete.",
        "config check",
        "rotate-now sms-prod --dry-run",
        "rotate-now --all",
        "--config ./rotator.toml status --check",
    ),
    "ledger": (
        "The record of every step: check it, export it, back it up.",
        "verify",
        "backup /var/backups/rotator-ledger.db",
        "export > ledger.ndjson",
    ),
    "ledger witness": (
        "Checkpoints of the ledger for somebody outside, who can prove by them what it was.",
        "key",
        "check ./checkpoints --key ./rotator.vkey",
    ),
    "secrets": ("An account's secrets at Vonage, by hand.", "list sms-prod", "create sms-prod"),
    "account": (
        "An account's balance and callbacks at Vonage, by hand.",
        "balance",
        "callbacks sms-prod",
    ),
    "subaccounts": ("A primary account's subaccounts at Vonage.", "list parent"),
    "hooks": ("The hooks that are called for events.", "test", "test chat"),
    "gate": (
        "Gates: whether every consumer uses the new secret, for hooks and by hand.",
        "file '/run/*/vonage.env' --account sms-prod",
        "audit '/var/log/vault/audit.log*' --account sms-prod",
    ),
    "config": (
        "The configuration: check it, show what is in effect, help editors with it.",
        "check",
        "show --json",
    ),
    "db": ("The ledger's schema, and a copy of the ledger elsewhere.", "current", "upgrade"),
}


def command_of(program: str) -> Any:  # noqa: ANN401  # typer has no public name for it
    """Return the command that belongs to `program`."""
    return _group("") if program == "rotator" else _command(program, program)


@cache
def _group(path: str) -> Any:  # noqa: ANN401  # likewise
    summary, *tried = _GROUPS[path]
    app = _app(name=path or None, help=summary, cls=_Group, add_completion=not path)
    epilog = _examples(f"rotator {path}".rstrip(), tried)
    app.callback(invoke_without_command=True, epilog=epilog)(_help_alone if path else _options)
    group: Any = get_command(app)
    group.commands = _Commands(path)
    return group


@cache
def _command(path: str, program: str) -> Any:  # noqa: ANN401  # likewise
    function, *tried = _COMMANDS[path]
    module, _, attribute = function.partition(".")
    command = getattr(import_module(f"rotator.cli.commands.{module}"), attribute)
    # Each paragraph on one line, for the terminal to wrap.
    text = "\n\n".join(part.replace("\n", " ") for part in docstring_of(command).split("\n\n"))
    app = _app(add_completion=path == program)
    name = path.rpartition(" ")[2]
    app.command(name, cls=_Command, help=text, epilog=_examples(program, tried))(command)
    return get_command(app)


def _app(**given: Any) -> typer.Typer:  # noqa: ANN401  # as typer's own
    return typer.Typer(
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
        **given,
    )


def _examples(program: str, tried: list[str]) -> str:
    return "\n".join(["Examples:", *(f"$ {program} {each}".rstrip() for each in tried)])


class _Commands(Mapping[str, Any]):
    """The commands of a group. A command's module is imported when that command is looked up."""

    def __init__(self, group: str) -> None:
        paths = [path.split() for path in (*_COMMANDS, *_GROUPS) if path]
        self._group = group.split()
        self._names = [path[-1] for path in paths if path[:-1] == self._group]

    def __getitem__(self, name: str) -> Any:  # noqa: ANN401  # see above
        path = " ".join([*self._group, name])
        return _group(path) if path in _GROUPS else _command(path, f"rotator {path}")

    def __iter__(self) -> Iterator[str]:
        return iter(self._names)

    def __len__(self) -> int:
        return len(self._names)


def _options(
    context: typer.Context,
    config: ConfigOption = None,
    log_level: LogLevelOption = None,
    _version: VersionOption = False,
) -> None:
    # A service's log is its only output.
    usual = LogLevel.INFO if context.invoked_subcommand == "run" else DEFAULT_LOG_LEVEL
    context.obj = CommandContext(config=config, log_level=log_level or usual)
    _help_alone(context)


def _help_alone(context: typer.Context) -> None:
    """Print the help of a group that is called without a command."""
    if context.invoked_subcommand is None:
        output.write(context.get_help())


class _Helpful:
    """Help for users, without Python's terms."""

    def get_params(self, ctx: Any) -> Any:  # noqa: ANN401  # see above
        """Return arguments and options, without types that are plain: `<bool>`, `<list[str]>`."""
        parameters = super().get_params(ctx)  # type: ignore[misc]  # typer's
        for parameter in parameters:
            if parameter.param_type_name == "argument" or parameter.is_flag:
                parameter.display_type_rich = lambda ctx: None  # noqa: ARG005  # its signature
        return parameters

    def format_help(self, ctx: Any, formatter: Any) -> None:  # noqa: ANN401  # see above
        """Write it to standard output; raises as `output.write`."""
        with output.translated():
            super().format_help(ctx, formatter)  # type: ignore[misc]  # typer's


class _Command(_Helpful, TyperCommand):
    """A command with such help."""


class _Group(_Helpful, TyperGroup):
    """A group of commands, likewise."""
