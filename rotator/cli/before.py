"""`--before`: what of an earlier run is done, so that the same command may be given again."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated

import typer

from rotator.errors import ConfigError, RotatorError
from rotator.model import Account, Outcome, PassResult, Request, Rotation
from rotator.rotation import schedule
from rotator.rotation.ports import AccountSummary
from rotator.rotation.result import failure, result_of

BeforeOption = Annotated[
    str | None,
    typer.Option(
        "--before",
        metavar="TIME",
        help="only accounts whose secret was made before then, and what is open",
    ),
]


def moment(text: str, now: datetime) -> datetime:
    """Return the time that the option names.

    Raises:
        ConfigError: it names none, without a time zone, or one that is still to come.
    """
    hint = "write a time with its offset, such as 2026-11-30T02:41:25Z"
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise ConfigError(f"--before: {text!r} is not a time", hint=hint) from None
    if at.tzinfo is None:
        raise ConfigError(f"--before: {text!r} has no time zone", hint=hint)
    if at > now:
        raise ConfigError(f"--before: {text!r} is still to come", hint=hint)
    return at.astimezone(UTC)


@dataclass(kw_only=True)
class Remainder:
    """What is left of a command that was given before, and what it has done."""

    #: Accounts to work on.
    accounts: list[Account] = field(default_factory=list)
    #: Names of those of them whose rotation is to be completed, and no other one opened.
    resumed: set[str] = field(default_factory=set)
    #: What was done since, by the record.
    results: list[PassResult] = field(default_factory=list)


def remainder(
    accounts: Sequence[Account],
    summaries: Iterable[AccountSummary],
    request: Request,
    before: datetime,
) -> Remainder:
    """Return what is left of `request`, which was first made at `before`, by the ledger.

    An account of which the ledger does not know it is left: rather twice than not at all. A secret
    that somebody else made since is nothing to replace.
    """
    found = Remainder()
    for account, summary in zip(accounts, summaries, strict=True):
        rotation = summary.last_rotation
        is_made = _is_made_since(summary, before)
        if rotation and is_made and rotation.closed_at:
            found.results.append(result_of(account, Outcome.COMPLETED, rotation))
        elif rotation and is_made:
            found.accounts.append(account)
            if _is_asked_for(rotation, request):
                found.resumed.add(account.name)
        elif summary.current_since is None or summary.current_since < before + schedule.MOMENT:
            found.accounts.append(account)
    return found


def interrupted(
    accounts: Sequence[Account],
    summaries: Iterable[AccountSummary],
    began_at: datetime,
    error: RotatorError,
) -> tuple[list[PassResult], list[PassResult]]:
    """Return what a run that began at `began_at` has completed, by the ledger, and what is left.

    The last step of a pass may be done although the pass itself was ended by `error`.
    """
    done, left = [], []
    for account, summary in zip(accounts, summaries, strict=True):
        rotation = summary.last_rotation
        if rotation and rotation.opened_at < began_at:
            rotation = None
        if rotation and rotation.closed_at and _is_made_since(summary, began_at):
            done.append(result_of(account, Outcome.COMPLETED, rotation))
        else:
            is_open = rotation and rotation.closed_at is None
            left.append(failure(account, rotation if is_open else None, error))
    return done, left


def _is_asked_for(rotation: Rotation, request: Request) -> bool:
    """Return whether an open rotation, left to itself, does what is asked for."""
    is_urgent = request.reason != "compromised" or rotation.reason == request.reason
    return is_urgent and (request.grace is None or rotation.grace <= request.grace)


def _is_made_since(summary: AccountSummary, before: datetime) -> bool:
    """Return whether a rotation that was opened since made the current secret.

    That is by this machine's clock alone. The secret's own time is Vonage's.
    """
    rotation = summary.last_rotation
    if rotation is None or rotation.opened_at < before or rotation.verified_at is None:
        return False
    return rotation.outcome in (None, "completed") and rotation.new_id == summary.current_id
