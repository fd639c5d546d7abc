"""What became of each account, as `rotate-now` and `resume` tell it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from rotator import words
from rotator.cli import output
from rotator.cli.unexpected import described
from rotator.errors import ConfigError, Refused, RotatorError
from rotator.model import Account, Outcome, Problem, Report

HEADERS = ("account", "outcome", "old secret", "new secret", "vault version", "delete due")
_REFUSED = Refused.exit_code


def document(reports: Sequence[Report]) -> list[dict[str, Any]]:
    """Give the reports as `--json` prints them."""
    return [
        {
            "account": report.account,
            "rotation_id": report.rotation_id,
            "outcome": report.outcome.value,
            "old_secret_id": report.old_secret_id,
            "new_secret_id": report.new_secret_id,
            "vault_version": report.vault_version,
            "delete_due_at": words.rfc3339(report.delete_due_at),
            "error": vars(report.error) if report.error else None,
        }
        for report in reports
    ]


def show(reports: Sequence[Report], *, as_json: bool) -> None:
    """Print the reports, and what went wrong on standard error."""
    if as_json:
        output.write_json(document(reports))
    else:
        output.table(HEADERS, [_row(report) for report in reports])
    output.flush()
    complain(reports)


def complain(reports: Sequence[Report]) -> None:
    """Say of each account what went wrong there."""
    for report in reports:
        if report.error:
            output.complain(report.error.message, report.error.hint, about=report.account)


def exit_code(reports: Sequence[Report]) -> int:
    """Give what the process exits with: 1 if any failed, else 3, else 75; 2 for bad input alone."""
    codes = {report.exit_code for report in reports} - {0}
    is_mixed = ConfigError.exit_code in codes and len(codes) > 1
    return 1 if is_mixed else min(codes, default=0)


def unready(account: Account, error: RotatorError) -> Report:
    """Report an account that was not begun with, as Vault or the ledger cannot be used."""
    problem = Problem(code=error.code, message=error.message, hint=error.hint)
    return _report(account, problem, error.exit_code)


def internal(account: Account, error: Exception) -> Report:
    """Report an account whose pass ended in an error that nobody foresaw."""
    return _report(account, described(error), 1)


def _report(account: Account, problem: Problem, code: int) -> Report:
    outcome = Outcome.REFUSED if code == _REFUSED else Outcome.FAILED
    return replace(Report.of(account, outcome, None), error=problem, exit_code=code)


def _row(report: Report) -> output.Row:
    is_waiting = report.outcome is Outcome.AWAITING_DELETION
    return (
        report.account,
        report.outcome.value,
        output.brief(report.old_secret_id),
        output.brief(report.new_secret_id),
        words.NOTHING if report.vault_version is None else str(report.vault_version),
        words.moment(report.delete_due_at) if is_waiting else words.NOTHING,
    )
