"""A command on several accounts: confirmed first, and a failure of one account stops no other."""

import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self

from rotator.cli import output, parallel, prompts
from rotator.errors import ConfigError, LedgerConflict, LedgerError, RotatorError
from rotator.model import Account, Problem

if TYPE_CHECKING:
    from rotator.application import Application

#: Number of accounts that are named in a sentence about all of them.
MOST_NAMES = 20


@dataclass(frozen=True, kw_only=True)
class Result:
    """Result of a command on one account."""

    #: For programs.
    document: dict[str, Any]
    #: For people, where it is the only account.
    text: str = ""
    #: The row of a table, where there are several accounts; None for nothing worth showing.
    row: output.Row | None = None
    #: Whatever else to know, for people, where it is the only account.
    notes: tuple[str, ...] = ()
    #: What went wrong instead.
    problem: Problem | None = None
    exit_code: int = 0

    @classmethod
    def failed(cls, account: Account, error: Exception) -> Self:
        """Return the result for an account on which the command failed."""
        problem = output.problem_of(error)
        code = error.exit_code if isinstance(error, RotatorError) else 1
        document = {"account": account.name}
        return cls(document=document, problem=problem, exit_code=code)


def confirm(accounts: Sequence[Account], action: str, *, yes: bool) -> None:
    """Ask on a terminal whether to do it, where there is more than one account.

    Raises:
        typer.Abort: the answer is no, or missing.
    """
    if len(accounts) > 1 and sys.stdin.isatty() and not yes:
        output.say(listed([account.name for account in accounts]))
        prompts.confirm(f"{action} these {len(accounts)} accounts?")


def listed(names: Iterable[str]) -> str:
    """Return the first names, and how many more there are."""
    names = list(names)
    left = len(names) - MOST_NAMES
    return ", ".join(names[:MOST_NAMES]) + (f" and {left} more" if left > 0 else "")


def say_first(lines: Iterable[str], *, level: str = "info") -> None:
    """Write the first lines to standard error, and how many more there are."""
    lines = list(lines)
    for line in lines[:MOST_NAMES]:
        output.say(line, level=level)
    if left := lines[MOST_NAMES:]:
        output.say(f"and {len(left)} more like these", level=level)


def in_turn(accounts: Iterable[Account], act: Callable[[Account], Result]) -> list[Result]:
    """Act on one account after another.

    A ledger that cannot be used is not tried again for the rest: its timeouts would add up.
    """
    results: list[Result] = []
    lost: LedgerError | None = None
    for account in accounts:
        try:
            if lost:
                raise lost
            results.append(act(account))
        except RotatorError as error:
            if isinstance(error, LedgerError) and not isinstance(error, LedgerConflict):
                lost = error
            results.append(Result.failed(account, error))
    return results


def at_once(
    application: "Application", accounts: Sequence[Account], act: Callable[[Account], Result]
) -> list[Result]:
    """Act on several accounts at a time, on a parent after those that it manages."""

    def attempt(account: Account) -> Result:
        try:
            return act(account)
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            return Result.failed(account, error)

    return parallel.run(
        accounts,
        attempt,
        concurrency=application.settings.daemon.concurrency,
        cancel=parallel.CancelToken(application.stop_waiting),
    )


def show_one(result: Result, *, as_json: bool) -> None:
    """Write the result of a command on one account, named by itself; raises as `output.write`."""
    output.show(result.document, result.text, as_json=as_json)
    for note in result.notes:
        output.say(f"note: {note}")


def show(results: Sequence[Result], headers: output.Row, *, as_json: bool) -> int:
    """Write the results of several accounts, and failures on standard error.

    Returns the exit code; raises as `output.write`.
    """
    documents = [
        each.document | {"error": vars(each.problem) if each.problem else None} for each in results
    ]
    rows = [each.row for each in results if each.row]
    if rows or as_json:
        output.show_table(documents, headers, rows, as_json=as_json)
    elif not any(each.problem for each in results):
        output.write("nothing to do")
    output.flush()
    for each in results:
        if each.problem:
            output.complain(each.problem.message, each.problem.hint, about=each.document["account"])
    return exit_code(each.exit_code for each in results)


def exit_code(codes: Iterable[int]) -> int:
    """Return the exit code: 1 if any failed, else 3, else 75; 2 for bad input alone."""
    found = set(codes) - {0}
    is_mixed = ConfigError.exit_code in found and len(found) > 1
    return 1 if is_mixed else min(found, default=0)
