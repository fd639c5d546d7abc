"""How a run over several accounts ends: what is done, what is not, and how to go on."""

import shlex
import sys
from collections.abc import Sequence

import typer

from rotator.cli import several
from rotator.model import Outcome, PassResult


def verdict(results: Sequence[PassResult]) -> str:
    """Return how many of the leaked secrets are dead, and which ones are not; "" for none."""
    leaked = [each for each in results if each.old_secret_id or not is_dead(each)]
    alive = [each for each in leaked if not is_dead(each)]
    if not leaked:
        return ""
    dead, total = len(leaked) - len(alive), len(leaked)
    verb = "is" if 1 in (dead, total) else "are"
    said = f"{dead} of {total} leaked secret{'' if total == 1 else 's'} {verb} dead"
    if not alive:
        return said
    names = several.listed(f"{each.account} ({_reason(each)})" for each in alive)
    return f"{said}; {len(alive)} {'is' if len(alive) == 1 else 'are'} not: {names}"


def with_earlier(results: Sequence[PassResult]) -> list[PassResult]:
    """Return all results, those of rotations that were ended for another one before its own."""
    both = ((each.earlier, each) for each in results)
    return [each for pair in both for each in pair if each]


def is_dead(result: PassResult) -> bool:
    """Return whether Vonage was seen to refuse the account's old secret, or there was none."""
    is_done = result.outcome is Outcome.COMPLETED
    return result.old_secret_dead_at is not None or (is_done and result.old_secret_id is None)


def _reason(result: PassResult) -> str:
    if result.error:
        return result.error.code
    return "not proved" if result.outcome is Outcome.COMPLETED else result.outcome.value


def command_to_go_on(context: typer.Context, began_at: str | None) -> str:
    """Return this command line, which does what is left of it when it is given once more.

    `began_at` is since when it is done; None where the command itself finds what is left.
    """
    words = [context.find_root().info_name or "", *sys.argv[1:]]
    is_told = any(word.partition("=")[0] == "--before" for word in words)
    return shlex.join(words if is_told or not began_at else [*words, "--before", began_at])
