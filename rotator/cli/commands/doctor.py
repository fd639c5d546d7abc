"""`doctor`: checks everything that a rotation needs, with a hint for each problem."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotator.cli import output, progress
from rotator.cli.context import CommandContext, JsonOption, NoDaemonOption, flag
from rotator.errors import ConfigError
from rotator.reporting import text

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rotator.doctor import CheckResult
    from rotator.model import Account

HEADERS = ("verdict", "check", "about", "finding", "cure")


def doctor(
    context: typer.Context,
    every: Annotated[bool, flag("--all", "show every check, not only what is wrong")] = False,
    no_daemon: NoDaemonOption = False,
    as_json: JsonOption = False,
) -> None:
    """Check everything that a rotation needs, with a hint for each problem.

    Configuration, files, ledger, Vault, Vonage, hooks, the systemd unit and the daemons' polls are
    read; nothing is changed. The first line is the verdict; what is wrong follows, each cause once,
    however many accounts it concerns. Exits with 1 if any check failed; warnings are no failure.
    """
    from rotator.doctor import Verdict, causes, verdict  # noqa: PLC0415  # all of rotator

    checks, accounts = _examined(CommandContext.of(context), expects_daemon=not no_daemon)
    found = causes(checks, accounts)
    sentence = verdict(found, len(checks))
    rows = [_row(each) for each in (checks if every else found)]
    is_ready = all(check.verdict is not Verdict.FAILED for check in checks)
    if as_json:
        output.write_json(_document(sentence, checks, is_ready=is_ready))
    else:
        output.write(sentence)
        if rows:
            output.write("")
            output.table(HEADERS, rows)
    raise typer.Exit(0 if is_ready else 1)


def _examined(
    command: CommandContext, *, expects_daemon: bool
) -> "tuple[list[CheckResult], Mapping[str, Account]]":
    from rotator.doctor import broken, examined, fine  # noqa: PLC0415  # all of rotator

    path = str(command.config_path)
    try:
        with (
            command.application(is_hasty=True) as application,
            progress.line() as show,
        ):
            count = len(application.settings.accounts)
            checks = [fine("configuration", path, f"{count} account{'' if count == 1 else 's'}")]
            for check in examined(application, expects_daemon=expects_daemon):
                checks.append(check)
                show(f"{len(checks)} checks made, the last: {check.name} {check.about}")
            return checks, application.accounts
    except ConfigError as error:
        return [broken("configuration", path, error)], {}


def _document(sentence: str, checks: "Sequence[CheckResult]", *, is_ready: bool) -> dict[str, Any]:
    return {
        "verdict": sentence,
        "ready": is_ready,
        "checks": [
            {
                "check": check.name,
                "about": check.about,
                "verdict": check.verdict.value,
                "finding": check.finding,
                "cure": check.hint,
            }
            for check in checks
        ],
    }


def _row(check: "CheckResult") -> output.Row:
    return (
        check.verdict.value,
        check.name,
        check.about or text.NOTHING,
        " ".join(check.finding.split()),
        check.hint or text.NOTHING,
    )
