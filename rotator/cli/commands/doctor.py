"""`doctor`: checks everything that a rotation needs, with a hint for each problem."""

from typing import TYPE_CHECKING

import typer

from rotator.cli import output
from rotator.cli.context import CommandContext, JsonOption
from rotator.errors import ConfigError
from rotator.reporting import text

if TYPE_CHECKING:
    from rotator.doctor import CheckResult

HEADERS = ("verdict", "check", "about", "finding", "cure")


def doctor(
    context: typer.Context,
    as_json: JsonOption = False,
) -> None:
    """Check everything that a rotation needs, with a hint for each problem.

    Configuration, files, ledger, Vault, Vonage, hooks and the systemd unit are read; nothing is
    changed. Exits with 1 if any check failed; warnings are no failure.
    """
    checks = _examined(CommandContext.of(context))
    documents = [_document(check) for check in checks]
    output.show_table(documents, HEADERS, [_row(check) for check in checks], as_json=as_json)
    raise typer.Exit(1 if any(check.verdict == "failed" for check in checks) else 0)


def _examined(command: CommandContext) -> "list[CheckResult]":
    from rotator.doctor import broken, examined, fine  # noqa: PLC0415  # all of rotator

    path = str(command.config_path)
    try:
        with command.application(is_hasty=True) as application:
            count = len(application.settings.accounts)
            first = fine("configuration", path, f"{count} account{'' if count == 1 else 's'}")
            return [first, *examined(application)]
    except ConfigError as error:
        return [broken("configuration", path, error)]


def _document(check: "CheckResult") -> dict[str, str | None]:
    return {
        "check": check.name,
        "about": check.about,
        "verdict": check.verdict.value,
        "finding": check.finding,
        "cure": check.hint,
    }


def _row(check: "CheckResult") -> output.Row:
    return (
        check.verdict.value,
        check.name,
        check.about or text.NOTHING,
        " ".join(check.finding.split()),
        check.hint or text.NOTHING,
    )
