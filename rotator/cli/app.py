"""Assembles the commands: `rotator` and, for `rotate-now` alone, a program of its own."""

from collections.abc import Callable
from typing import Any

import typer
from typer.main import get_command

from rotator.cli import output
from rotator.cli.commands import (
    account,
    adopt,
    config,
    db,
    demo,
    doctor,
    forget,
    history,
    hold,
    init,
    ledger,
    report,
    resume,
    rotate_now,
    run,
    secrets,
    sim,
    status,
    subaccounts,
)
from rotator.cli.context import (
    DEFAULT_LOG_LEVEL,
    CommandContext,
    ConfigOption,
    LogLevel,
    LogLevelOption,
    VersionOption,
)
from rotator.cli.help import Command, Group, examples, text_of


def command_of(program: str) -> Any:  # noqa: ANN401  # typer has no public name for it
    """Return the command that belongs to `program`."""
    if program != "rotate-now":
        return get_command(_rotator())
    app = _program(None)
    _add(app, "rotate-now", rotate_now.rotate_now, *_ROTATE_NOW, program="rotate-now")
    return get_command(app)


_ROTATE_NOW = (
    "sms-prod",
    "sms-prod --dry-run",
    "--all --json",
    "sms-prod --compromised",
    "sms-prod --take-over",
)


def _rotator() -> typer.Typer:
    app = _program("Keep Vonage API secrets young: create, store in Vault, verify, wait, delete.")
    app.callback(
        invoke_without_command=True,
        epilog=examples(
            "rotator",
            "config check",
            "rotate-now sms-prod --dry-run",
            "rotate-now --all",
            "--config ./rotator.toml status --check",
        ),
    )(_options)
    _add(app, "init", init.init, "")
    _add(
        app,
        "adopt",
        adopt.adopt,
        "sms-prod",
        "sms-prod --from-vault",
        "sms-prod --from-file - < value",
        "sms-prod --secret-id 3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10",
    )
    _add(app, "doctor", doctor.doctor, "", "--json")
    _add(app, "run", run.run, "")
    _add(app, "rotate-now", rotate_now.rotate_now, *_ROTATE_NOW)
    _add(app, "resume", resume.resume, "", "sms-prod", "--json")
    _add(app, "status", status.status, "", "sms-prod --refresh", "--check", "--json")
    _add(app, "history", history.history, "", "sms-prod", "--limit 500 --json")
    _add(
        app,
        "hold",
        hold.hold,
        'sms-prod --reason "moving to another data centre"',
        'sms-prod --reason "incident 42" --freeze',
    )
    _add(app, "release", hold.release, "sms-prod", "sms-prod --lease")
    _add(app, "forget", forget.forget, "sms-old", "sms-old --abandon")
    _add(
        app,
        "report",
        report.report,
        "--output report.html",
        "sms-prod --since 2026-07-01 --until 2026-10-01 --format csv",
        "--since 30d --format json --offline",
    )
    app.add_typer(_ledger(), name="ledger")
    app.add_typer(_secrets(), name="secrets")
    app.add_typer(_account(), name="account")
    app.add_typer(_subaccounts(), name="subaccounts")
    app.add_typer(_config(), name="config")
    app.add_typer(_db(), name="db")
    _add(app, "demo", demo.demo, "")
    _add(app, "sim", sim.sim, "--accounts 3 --latency 50ms", "--write-config ./sim.toml")
    return app


def _ledger() -> typer.Typer:
    app = _group(
        "ledger", "The record of every step: check it, copy it.", "verify", "export > ledger.ndjson"
    )
    _add(app, "ledger verify", ledger.verify, "", "sms-prod --offline", "--json")
    _add(app, "ledger export", ledger.export, "> ledger.ndjson", "sms-prod")
    return app


def _secrets() -> typer.Typer:
    app = _group(
        "secrets", "An account's secrets at Vonage, by hand.", "list sms-prod", "create sms-prod"
    )
    _add(app, "secrets list", secrets.list_, "sms-prod", "sms-prod --json")
    _add(app, "secrets show", secrets.show, "sms-prod 3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10")
    _add(app, "secrets create", secrets.create, "sms-prod", "sms-prod --from-file - --json < value")
    _add(
        app,
        "secrets delete",
        secrets.delete,
        "sms-prod 3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10",
        "sms-prod 3b8f0a52-1a6c-4f0e-9d6e-2f5f3c1f7a10 --yes --json",
    )
    return app


def _account() -> typer.Typer:
    app = _group(
        "account",
        "An account's balance and callbacks at Vonage, by hand.",
        "balance",
        "callbacks sms-prod",
    )
    _add(app, "account balance", account.balance, "", "sms-prod --json")
    _add(app, "account top-up", account.top_up, "sms-prod --transaction 8ef2447e69604f64")
    _add(
        app,
        "account callbacks",
        account.callbacks,
        "sms-prod",
        "sms-prod --inbound https://example.com/inbound",
        "sms-prod --no-delivery --forward-method POST_JSON",
    )
    return app


def _subaccounts() -> typer.Typer:
    app = _group("subaccounts", "A primary account's subaccounts at Vonage.", "list parent")
    _add(app, "subaccounts list", subaccounts.list_, "parent", "parent --json")
    return app


def _config() -> typer.Typer:
    app = _group(
        "config", "The configuration: check it, show what is in effect.", "check", "show --json"
    )
    _add(app, "config check", config.check, "")
    _add(app, "config show", config.show, "", "--json")
    return app


def _db() -> typer.Typer:
    app = _group(
        "db", "The ledger's schema, and a copy of the ledger elsewhere.", "current", "upgrade"
    )
    _add(app, "db current", db.current, "")
    _add(app, "db upgrade", db.upgrade, "")
    _add(
        app,
        "db copy",
        db.copy,
        "--to postgresql+psycopg://rotator@db.example.com/rotator",
        "--to-file /etc/rotator/new-ledger-url",
    )
    return app


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


def _group(name: str, summary: str, *tried: str) -> typer.Typer:
    app = _program(summary)
    epilog = examples(f"rotator {name}", *tried)
    app.callback(invoke_without_command=True, epilog=epilog)(_help_alone)
    return app


def _program(summary: str | None) -> typer.Typer:
    return typer.Typer(
        help=summary,
        cls=Group,
        pretty_exceptions_enable=False,
        rich_markup_mode="rich",
        context_settings={"help_option_names": ["-h", "--help"]},
    )


def _add(
    app: typer.Typer,
    path: str,
    command: Callable[..., None],
    *tried: str,
    program: str = "",
) -> None:
    program = program or f"rotator {path}"
    name = path.rsplit(maxsplit=1)[-1]
    epilog = examples(program, *tried)
    app.command(name, cls=Command, help=text_of(command), epilog=epilog)(command)
