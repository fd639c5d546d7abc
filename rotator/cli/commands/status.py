"""`status`: the state of every account."""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli import output, parallel
from rotator.cli.context import (
    CommandContext,
    JsonOption,
    NoDaemonOption,
    flag,
)
from rotator.cli.selection import ChosenNames, chosen
from rotator.errors import Busy
from rotator.model import Account, Problem, State
from rotator.model.redaction import printable
from rotator.reporting.status import AccountStatus

if TYPE_CHECKING:
    from rotator.application import Application

HEADERS = ("account", "state", "secret", "age", "next due (UTC)", "last rotation", "notes")


def status(
    context: typer.Context,
    names: ChosenNames = None,
    refresh: Annotated[bool, flag("--refresh", "look at Vonage and Vault first")] = False,
    check: Annotated[
        bool,
        flag(
            "--check",
            "exit 1 if any account needs attention, no daemon polls, one cannot use something, or "
            "a hook is not notified for an hour",
        ),
    ] = False,
    no_daemon: NoDaemonOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show the status of accounts from the ledger. Asks Vonage and Vault only with --refresh."""
    # Its database would be loaded for `--help` and completion, too.
    from rotator.reporting.daemons import daemons_document, warnings  # noqa: PLC0415

    command = CommandContext.of(context)
    with command.application(offline=not refresh, is_hasty=True) as application:
        accounts = chosen(application.settings, names)
        is_complete = not refresh or _refresh(application, accounts)
        now, daemons = datetime.now(UTC), application.ledger.daemon_records()
        statuses = _statuses(application, accounts, now)
    document = {"accounts": [each.document() for each in statuses]}
    document |= daemons_document(daemons, now)
    output.show_table(document, HEADERS, [each.row() for each in statuses], as_json=as_json)
    if not as_json and (cures := [*_cures(statuses)]):
        output.write("\n".join(["", *map(output.fitted, map(printable, cures))]))
    found = [*warnings(daemons, now, expects_daemon=not no_daemon)]
    found += [warning for each in statuses for warning in each.late_deliveries()]
    for text, hint in found:
        output.say(f"warning: {text}", level="warning")
        if hint:
            output.say(f"hint: {hint}", level="warning")
    is_well = not (found or any(each.needs_attention for each in statuses))
    raise typer.Exit(0 if is_complete and (is_well or not check) else 1)


#: Accounts whose cures are written below the table.
_MOST_CURES = 20


def _cures(statuses: Sequence[AccountStatus]) -> Iterator[str]:
    """Yield the cures of the accounts that need attention, as hints, the worst first."""
    ranks = [*State]
    wrong = [each for each in statuses if each.needs_attention]
    wrong.sort(key=lambda each: ranks.index(each.condition.state))
    for status in wrong[:_MOST_CURES]:
        for condition in status.conditions:
            if condition.needs_attention and condition.hint:
                yield f"{status.account.name} is {condition.state.value}: {condition.hint}"
    if left := len(wrong[_MOST_CURES:]):
        yield f"{left} more need attention; `rotator status NAME` says what to do about each"


def _statuses(
    application: "Application", accounts: Sequence[Account], now: datetime
) -> list[AccountStatus]:
    summaries = application.ledger.reader.accounts([account.name for account in accounts])
    undelivered = application.ledger.pending_deliveries()
    return [
        AccountStatus(
            account=account,
            summary=summary,
            now=now,
            undelivered=undelivered.get(account.name, ()),
        )
        for account, summary in zip(accounts, summaries, strict=True)
    ]


def _refresh(application: "Application", accounts: Sequence[Account]) -> bool:
    """Observe each account; return whether all were observed, here or by another process."""
    application.clients.store.check()
    reconciler = application.reconciler()

    def look(account: Account) -> Problem | None:
        try:
            reconciler.refresh(account)
        except Busy as error:
            output.say(f"note: {account.name}: shown as recorded: {error.message}")
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            return output.problem_of(error)
        return None

    problems = parallel.run(
        accounts,
        look,
        concurrency=application.settings.daemon.concurrency,
        cancel=parallel.CancelToken(application.stop_waiting),
    )
    for account, problem in zip(accounts, problems, strict=True):
        if problem:
            output.complain(problem.message, problem.hint, about=account.name)
    return not any(problems)
