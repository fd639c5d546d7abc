"""Runs passes on accounts: the common part of `rotate-now` and `resume`."""

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rotator import descriptors
from rotator.cli import output, parallel, progress
from rotator.cli.context import CommandContext, LogLevel
from rotator.cli.errors import described
from rotator.errors import ConfigError, Refused, RotatorError, TooManyFiles
from rotator.model import Account, Outcome, PassResult, Problem, Request, Step
from rotator.model.times import rfc3339
from rotator.reporting import text
from rotator.rotation import window
from rotator.rotation.ports import NewEntry, Observer

if TYPE_CHECKING:
    from rotator.application import Application


HEADERS = ("account", "outcome", "old secret", "new secret", "vault version", "delete due")

_REFUSED = Refused.exit_code


def reports_document(reports: Sequence[PassResult]) -> list[dict[str, Any]]:
    """Return the pass results as `--json` prints them."""
    return [
        {
            "account": report.account,
            "rotation_id": report.rotation_id,
            "outcome": report.outcome.value,
            "old_secret_id": report.old_secret_id,
            "new_secret_id": report.new_secret_id,
            "vault_version": report.vault_version,
            "delete_due_at": rfc3339(report.delete_due_at),
            "error": vars(report.error) if report.error else None,
        }
        for report in reports
    ]


def show(reports: Sequence[PassResult], *, as_json: bool) -> None:
    """Print the results, and failures on standard error."""
    if as_json:
        output.write_json(reports_document(reports))
    else:
        output.table(HEADERS, [_row(report) for report in reports])
    output.flush()
    complain(reports)


def complain(reports: Sequence[PassResult]) -> None:
    """Print what went wrong, account by account."""
    for report in reports:
        if report.error:
            output.complain(report.error.message, report.error.hint, about=report.account)


def exit_code(reports: Sequence[PassResult]) -> int:
    """Return the exit code: 1 if any failed, else 3, else 75; 2 for bad input alone."""
    codes = {report.exit_code for report in reports} - {0}
    is_mixed = ConfigError.exit_code in codes and len(codes) > 1
    return 1 if is_mixed else min(codes, default=0)


def unready_report(account: Account, error: RotatorError) -> PassResult:
    """Report an account that was not started, as Vault or the ledger is unusable."""
    problem = Problem(code=error.code, message=error.message, hint=error.hint)
    return _report(account, problem, error.exit_code)


def internal(account: Account, error: Exception) -> PassResult:
    """Report an account whose pass ended in an unexpected error."""
    return _report(account, described(error), 1)


def _report(account: Account, problem: Problem, code: int) -> PassResult:
    outcome = Outcome.REFUSED if code == _REFUSED else Outcome.FAILED
    return replace(PassResult.of(account, outcome, None), error=problem, exit_code=code)


def _row(report: PassResult) -> output.Row:
    is_waiting = report.outcome is Outcome.AWAITING_DELETION
    return (
        report.account,
        report.outcome.value,
        output.brief(report.old_secret_id),
        output.brief(report.new_secret_id),
        text.NOTHING if report.vault_version is None else str(report.vault_version),
        text.moment(report.delete_due_at) if is_waiting else text.NOTHING,
    )


def carry_out(
    session: CommandContext,
    application: "Application",
    accounts: Sequence[Account],
    request: Request,
    *,
    wait: bool = False,
    as_json: bool = False,
) -> int:
    """Run a pass on each account, print the results, and return the exit code."""
    unready = preflight(application)
    if unready:
        return refuse(accounts, unready, as_json=as_json)
    is_talkative = session.log_level in (LogLevel.DEBUG, LogLevel.INFO)
    names = [account.name for account in accounts]
    with progress.shown(names, quietly=as_json, live=not is_talkative) as shown:
        reports = _attempted(application, accounts, request, wait=wait, shown=shown)
    deliver(application, accounts)
    reports = [report for report in reports if report.outcome is not Outcome.IDLE]
    show(reports, as_json=as_json)
    if request.reason == "compromised":
        _name_the_rest(application, names)
    return exit_code(reports)


def deliver(application: "Application", accounts: Sequence[Account]) -> None:
    """Deliver the pending notifications of these accounts, with one attempt for each.

    A hook that fails is reported and retried later: it does not affect a rotation.
    """
    names = [account.name for account in accounts]
    hooks = [hook.name for hook in application.settings.hooks]
    try:
        application.ledger.deliveries.drop(hooks, now=datetime.now(UTC))
        if not hooks or not application.ledger.deliveries.are_due(hooks, datetime.now(UTC)):
            return
        dispatcher, threads = (
            application.dispatcher,
            min(application.settings.daemon.concurrency, len(names)),
        )
        with ThreadPoolExecutor(threads) as pool:
            # Each thread takes the next delivery: a hook that hangs does not block the others.
            rounds = list(pool.map(lambda _: list(dispatcher.deliver(names)), range(threads)))
    except (RotatorError, OSError) as error:
        # The outcome of the rotations is reported in any case.
        why = error if isinstance(error, RotatorError) else described(error)
        output.complain(why.message, why.hint, about="hooks")
        return
    for attempt in itertools.chain(*rounds):
        if attempt.reason is not None:
            output.say(
                f"note: {attempt.account}: hook {attempt.hook} ({attempt.event}) failed and "
                f"is tried again: {attempt.reason}"
            )


def preflight(application: "Application", *, changes_nothing: bool = False) -> RotatorError | None:
    """Check whether ledger and Vault are usable, before anything starts."""
    try:
        _ = (
            application.ledger.dry_run_writer
            if changes_nothing
            else (application.ledger.writer, application.ledger.deliveries)
        )
        application.clients.store.check()
        _ = application.reconciler(
            ledger=application.ledger.dry_run_writer if changes_nothing else None
        )
    except RotatorError as error:
        return error
    except OSError as error:
        # From a module that is only loaded now. Nothing started, which each account reports.
        if not descriptors.lacking(error):
            raise
        return TooManyFiles()
    return None


def _name_the_rest(application: "Application", names: list[str]) -> None:
    """List the other secrets of an account whose secret leaked: they may have leaked, too."""
    for record in application.ledger.reader.accounts(names):
        for secret_id in sorted(set(record.listed_ids) - {record.current_id}):
            output.say(
                f"warning: {record.name}: secret {secret_id} still works and may have leaked, "
                f"too; `rotator secrets delete {record.name} {secret_id}` if nothing needs it",
                level="warning",
            )


def refuse(
    accounts: Sequence[Account],
    error: RotatorError,
    *,
    as_json: bool,
    also: Mapping[str, object] = MappingProxyType({}),
) -> int:
    """Report that nothing was started; return the exit code. `also` is added to each document."""
    if as_json:
        reports = [unready_report(account, error) for account in accounts]
        output.write_json([{**each, **also} for each in reports_document(reports)])
    output.complain(error.message, error.hint)
    return error.exit_code


class _PassObserver(Observer):
    """Shows until when a pass waits, and ends it between two steps if this process is to end."""

    def __init__(
        self, application: "Application", shown: progress.Progress, brake: parallel.CancelToken
    ) -> None:
        self._application, self._shown, self._brake = application, shown, brake

    def entry_recorded(self, account: str, entry: NewEntry) -> None:
        if entry.event == "done" and entry.step is Step.CLEAR and (until := self._due(account)):
            self._shown.waiting(account, until)
        self._brake.check()

    def _due(self, name: str) -> datetime | None:
        # A failure to show progress must not end a rotation.
        with suppress(RotatorError):
            rotation = self._application.ledger.writer.load(name).rotation
            if rotation and rotation.verified_at and rotation.grace:
                return window.deletion_at(self._application.accounts[name].policy, rotation)
        return None


def _attempted(
    application: "Application",
    accounts: Sequence[Account],
    request: Request,
    *,
    wait: bool,
    shown: progress.Progress,
) -> list[PassResult]:
    brake = parallel.CancelToken(application.stop_waiting)
    observer = _PassObserver(application, shown, brake)
    reconciler = dataclasses.replace(application.reconciler(shown, observer), sleep=brake.sleep)

    def attempt(account: Account) -> PassResult:
        try:
            return reconciler.attempt(account, request, wait=wait)
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            return internal(account, error)

    descriptors.raise_limit()
    concurrency = descriptors.passes_at_once(application.settings.daemon.concurrency)
    return parallel.run(accounts, attempt, concurrency=concurrency, brake=brake)
