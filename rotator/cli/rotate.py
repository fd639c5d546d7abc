"""Runs passes on accounts: the common part of `rotate-now` and `resume`."""

import gc
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from rotator import descriptors
from rotator.cli import before, closing, output, parallel, progress, several
from rotator.cli.context import CommandContext, LogLevel
from rotator.cli.hook_delivery import HookDelivery
from rotator.cli.signals import Interrupted
from rotator.errors import RotatorError, Stopping, TooManyFiles
from rotator.model import Account, Outcome, PassResult, Request, Step
from rotator.model.rotation import SecretRole
from rotator.model.times import rfc3339
from rotator.reporting import text
from rotator.rotation import window
from rotator.rotation.ports import AccountSummary, NewEntry, Observer
from rotator.rotation.result import failure, result_of

if TYPE_CHECKING:
    from rotator.application import Application


#: With more accounts than these, garbage is collected on the way, as often as that.
_FEW, _UNTIL_COLLECTED = 20, 2_000

HEADERS = ("account", "outcome", "old secret", "new secret", "vault version")


def results_document(
    results: Sequence[PassResult], delivery: HookDelivery | None = None
) -> list[dict[str, Any]]:
    """Return the pass results as `--json` prints them; `delivery` has the outcomes of hooks."""
    return [
        {
            "account": result.account,
            "rotation_id": result.rotation_id,
            "outcome": result.outcome.value,
            "old_secret_id": result.old_secret_id,
            "new_secret_id": result.new_secret_id,
            "vault_version": result.vault_version,
            "delete_due_at": rfc3339(result.delete_due_at),
            "old_secret_dead_at": rfc3339(result.old_secret_dead_at),
            "dead_after": result.dead_after,
            "error": vars(result.error) if result.error else None,
            "hooks": delivery.outcomes(result.account) if delivery else [],
        }
        for result in results
    ]


def show(
    results: Sequence[PassResult],
    delivery: HookDelivery,
    *,
    as_json: bool,
    is_leak: bool = False,
) -> None:
    """Print the results, and failures on standard error.

    Of a leaked secret, the table says since when it is dead, else until when it works.

    Where a pass ended one rotation and began another, both have a result.

    An account with nothing to do is only printed for a program, and only if a hook has an outcome.
    """
    results = closing.with_earlier(results)
    done = [each for each in results if each.outcome is not Outcome.IDLE]
    failed = [each for each in done if each.error and each.error.code != Stopping.code]
    named = [each for each in results if each in done or delivery.outcomes(each.account)]
    document = results_document(named, delivery)
    if done or as_json:
        headers = (*HEADERS, "dead since" if is_leak else "delete due")
        rows = [(*_row(each), _dead_since(each) if is_leak else _due(each)) for each in done]
        output.show_table(document, headers, rows, as_json=as_json)
    else:
        output.write("nothing to resume")
    output.flush()
    complain(failed)


def complain(results: Sequence[PassResult]) -> None:
    """Print what went wrong, account by account."""
    for result in results:
        if result.error:
            output.complain(result.error.message, result.error.hint, about=result.account)


def exit_code(results: Sequence[PassResult], *, hook_failed: bool = False) -> int:
    """Return the exit code: 1 if any failed, or a hook, else 3, else 75; 2 for bad input alone."""
    return several.exit_code([*(result.exit_code for result in results), int(hook_failed)])


def internal(account: Account, error: Exception) -> PassResult:
    """Return the result for an account whose pass ended in an unexpected error."""
    result = result_of(account, Outcome.FAILED, None)
    return replace(result, error=output.problem_of(error), exit_code=1)


def _row(result: PassResult) -> output.Row:
    return (
        result.account,
        result.outcome.value,
        output.brief(result.old_secret_id),
        output.brief(result.new_secret_id),
        text.NOTHING if result.vault_version is None else str(result.vault_version),
    )


def _due(result: PassResult) -> str:
    is_waiting = result.outcome is Outcome.AWAITING_DELETION
    return text.moment(result.delete_due_at) if is_waiting else text.NOTHING


def _dead_since(result: PassResult) -> str:
    return text.moment(result.old_secret_dead_at)


def carry_out(
    command: CommandContext,
    application: "Application",
    accounts: Sequence[Account],
    request: Request,
    *,
    again: str,
    wait: bool = False,
    as_json: bool = False,
    also: Sequence[Account] = (),
    resumed: Collection[str] = (),
    recorded: Sequence[PassResult] = (),
    hooks_may_fail: bool = False,
) -> int:
    """Run a pass on each account, print the results, and return the exit code.

    For those named in `resumed`, the pass opens no rotation. `recorded` is what was done before,
    and is printed as well. Notifications are delivered for these accounts, and for those in `also`.
    A hook that fails counts for the exit code, unless `hooks_may_fail`. `again` is the command that
    goes on after an interruption.
    """
    unready = preflight(application) if accounts else None
    if unready:
        return refuse(accounts, unready, as_json=as_json)
    is_talkative = command.log_level in (LogLevel.DEBUG, LogLevel.INFO)
    names = [account.name for account in accounts]
    is_leak = request.reason == "compromised"
    delivery = HookDelivery(application)
    resumption = Request(reason=None, takes_over=request.takes_over)
    done: dict[str, PassResult] = {}
    began_at = datetime.now(UTC)
    least = _least_seconds(application, accounts, request)
    live = not is_talkative
    try:
        if accounts:
            with progress.display(names, is_quiet=as_json, live=live, least=least) as shown:
                _attempt(
                    application,
                    delivery,
                    accounts,
                    lambda account: resumption if account.name in resumed else request,
                    wait=wait,
                    shown=shown,
                    results=done,
                )
    except Interrupted as stop:
        if len(accounts) > 1:
            stopping = Stopping(hint=f"`{again}` goes on")
            stop.message = f"interrupted; nothing is lost, {stopping.hint}"
            ended = [each for each in accounts if each.name not in done]
            also_done, left = _interrupted(application, ended, began_at, stopping)
            made = [*recorded, *done.values(), *also_done]
            _show_run(made, left, delivery, as_json=as_json, is_leak=is_leak)
        raise
    results = [done[name] for name in names]
    others = [account for account in also if account.name not in names]
    delivery.deliver([*accounts, *others])
    idle = [result_of(account, Outcome.IDLE, None) for account in others]
    _show_run([*recorded, *results, *idle], [], delivery, as_json=as_json, is_leak=is_leak)
    _warn_of_trouble(application, results)
    if is_leak:
        _warn_of_other_secrets(application, names)
    return exit_code(
        closing.with_earlier(results), hook_failed=delivery.has_failed and not hooks_may_fail
    )


def _interrupted(
    application: "Application", accounts: Sequence[Account], began_at: datetime, error: RotatorError
) -> tuple[list[PassResult], list[PassResult]]:
    """Return what passes that were ended have completed all the same, and what is left."""
    try:
        known = application.ledger.reader.accounts([account.name for account in accounts])
    except RotatorError:
        return [], [failure(account, None, error) for account in accounts]
    return before.interrupted(accounts, known, began_at, error)


#: Requests to Vonage for a rotation up to its grace: list, create, probe. Then come the deletion
#: and, where that is asked for, its proof.
_CALLS = 3


def _least_seconds(
    application: "Application", accounts: Sequence[Account], request: Request
) -> float:
    """Return how long the rate limit makes a rotation take at the least, on average."""
    if request.reason is None or not accounts:
        return 0.0
    calls = sum(_calls(account, request) for account in accounts) / len(accounts)
    return calls / application.settings.vonage.max_requests_per_second


def _calls(account: Account, request: Request) -> int:
    grace = account.policy.grace if request.grace is None else request.grace
    is_proved = request.reason == "compromised" or account.policy.prove_deletion
    return _CALLS if grace else _CALLS + 1 + is_proved


def _show_run(
    results: Sequence[PassResult],
    left: Sequence[PassResult],
    delivery: HookDelivery,
    *,
    as_json: bool,
    is_leak: bool,
) -> None:
    """Print the results of a run, and what of leaked secrets is dead.

    `left` are accounts that it was interrupted before; they are in the document alone.
    """
    shown = [*results, *left] if as_json else results
    show(shown, delivery, as_json=as_json, is_leak=is_leak)
    if is_leak and (said := closing.verdict(closing.with_earlier([*results, *left]))):
        (output.say if as_json else output.write)(said)


def preflight(application: "Application", *, changes_nothing: bool = False) -> RotatorError | None:
    """Check whether ledger and Vault are usable, before anything starts."""
    try:
        if changes_nothing:
            ledger = application.ledger.dry_run_writer
        else:
            ledger, _ = application.ledger.writer, application.ledger.deliveries
        application.clients.store.check()
        application.reconciler(ledger=ledger)
    except RotatorError as error:
        return error
    except OSError as error:
        # From a module that is only loaded now.
        if not descriptors.lacking(error):
            raise
        return TooManyFiles()
    return None


def _warn_of_trouble(application: "Application", results: Sequence[PassResult]) -> None:
    """Warn of what will keep an account that waits in its grace from going on."""
    waiting = [each.account for each in results if each.outcome is Outcome.AWAITING_DELETION]
    summaries: list[AccountSummary] = []
    # What was done is done, even if the ledger cannot be read any more.
    with suppress(RotatorError):
        summaries = application.ledger.reader.accounts(waiting) if waiting else []
    for summary in summaries:
        if trouble := summary.trouble:
            output.say(f"warning: {summary.name}: {trouble.why}", level="warning")
            if trouble.hint:
                output.say(f"hint: {trouble.hint}", level="warning")


def _warn_of_other_secrets(application: "Application", names: list[str]) -> None:
    """Warn of the other secrets of accounts whose secret leaked: they may have leaked, too."""
    for summary in application.ledger.reader.accounts(names):
        name, others = summary.name, set(summary.listed_ids) - {summary.current_id}
        state = application.ledger.writer.load(name) if others else None
        for secret_id in sorted(others):
            role = SecretRole.of(
                secret_id,
                current_id=None,
                opened=state.rotation if state else None,
                expendable_ids=state.expendable_ids if state else (),
            )
            is_rotating = role in (SecretRole.PREDECESSOR, SecretRole.NEW)
            cure = (
                f"`rotator resume {name}` continues its rotation"
                if is_rotating
                else f"`rotator secrets delete {name} {secret_id}` if nothing needs it"
            )
            output.say(
                f"warning: {name}: secret {output.brief(secret_id)} ({role}) still works and may "
                f"have leaked, too; {cure}",
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
        results = [failure(account, None, error) for account in accounts]
        output.write_json([{**each, **also} for each in results_document(results)])
    output.complain(error.message, error.hint)
    return error.exit_code


class _PassObserver(Observer):
    """Shows until when a pass waits, and ends it between two steps if this process is to end."""

    def __init__(
        self, application: "Application", shown: progress.Progress, cancel: parallel.CancelToken
    ) -> None:
        self._application, self._shown, self._cancel = application, shown, cancel

    def entry_recorded(self, account: str, entry: NewEntry) -> None:
        if entry.event == "done" and entry.step is Step.CLEAR and (until := self._due(account)):
            self._shown.waiting(account, until)
        self._cancel.check()

    def _due(self, name: str) -> datetime | None:
        # A failure to show progress must not end a rotation.
        with suppress(RotatorError):
            rotation = self._application.ledger.writer.load(name).rotation
            if rotation and rotation.verified_at and rotation.grace:
                return window.deletion_at(self._application.accounts[name].policy, rotation)
        return None


def _attempt(  # half by name
    application: "Application",
    delivery: HookDelivery,
    accounts: Sequence[Account],
    request_for: Callable[[Account], Request],
    *,
    wait: bool,
    shown: progress.Progress,
    results: dict[str, PassResult],
) -> None:
    """Run a pass on each account; put what becomes of it into `results`."""
    cancel = parallel.CancelToken(application.stop_waiting)
    observer = _PassObserver(application, shown, cancel)
    reconciler = replace(delivery.reconciler(shown, observer), sleep=cancel.sleep)

    def attempt(account: Account) -> PassResult:
        try:
            return reconciler.attempt(account, request_for(account), wait=wait, looks=True)
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            return internal(account, error)

    descriptors.raise_limit()
    if len(accounts) > _FEW:
        # What a finished pass leaves behind has secret values, which each text is searched for.
        # What is there now stays, so that looking for garbage costs little.
        gc.freeze()
        gc.set_threshold(_UNTIL_COLLECTED)
    concurrency = descriptors.passes_at_once(application.settings.daemon.concurrency)
    parallel.run(accounts, attempt, concurrency=concurrency, cancel=cancel, results=results)
