"""`rotate-now`: rotate accounts now, whether or not they are due."""

import sys
from collections import Counter
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli import closing, output, prompts, rotate, several
from rotator.cli.actor import ActorOption, ReasonOption, actor_of
from rotator.cli.before import BeforeOption, Remainder, moment, remainder
from rotator.cli.context import (
    CommandContext,
    ConfigOption,
    JsonOption,
    LogLevelOption,
    VersionOption,
    flag,
    option,
)
from rotator.cli.prompts import YesOption
from rotator.cli.selection import AllOption, Names, ParentOption, Selection
from rotator.errors import ConfigError, RotatorError
from rotator.model import Account, Request
from rotator.model.notification import Event, subscribers, waits_for_consumers
from rotator.model.rotation import SecretRole
from rotator.model.times import rfc3339
from rotator.reporting import text
from rotator.rotation import window

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rotator.application import Application
    from rotator.config import Settings


def rotate_now(
    context: typer.Context,
    *,
    names: Names = None,
    every: AllOption = False,
    parent: ParentOption = None,
    before: BeforeOption = None,
    dry_run: Annotated[bool, flag("--dry-run", "read only, and print what would be done")] = False,
    grace: Annotated[
        str | None,
        option(
            "DURATION",
            "how long the old secret stays valid; 0s also ends the wait of an open rotation, "
            "even for a window",
        ),
    ] = None,
    wait: Annotated[bool, flag("--wait", "wait out the grace and delete the old secret")] = False,
    compromised: Annotated[
        bool, flag("--compromised", "the old secret leaked: no grace, no gates")
    ] = False,
    take_over: Annotated[
        bool,
        flag("--take-over", "continue what another ledger left pending and no other host works on"),
    ] = False,
    actor: ActorOption = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
    hooks_may_fail: Annotated[
        bool, flag("--hooks-may-fail", "exit with 0 even if a hook that was called has failed")
    ] = False,
    as_json: JsonOption = False,
    config: ConfigOption = None,
    log_level: LogLevelOption = None,
    _version: VersionOption = False,
) -> None:
    """Rotate accounts now: create, store, verify, and delete the old secret after its grace.

    If a rotation of an account is already open, that one is continued. An account's `window` does
    not delay its rotation; it does delay the deletion, unless no grace is asked for. In a change
    freeze, only --compromised is not refused. On a terminal, several accounts lose their grace only
    after a yes. A hook that fails makes the exit code 1, and no rotation fail.

    A run that was interrupted prints the command that goes on: the same one with `--before` and the
    time at which the first run began, so that nothing is rotated twice.
    """
    began_at = datetime.now(UTC)
    since = moment(before, began_at) if before else None
    request = replace(
        _request(grace, compromised=compromised),
        takes_over=take_over,
        actor=actor_of(actor, reason),
    )
    selection = Selection.of(names, every=every, parent=parent, action="rotate")
    command = CommandContext.of(context, config, log_level)
    with command.application(is_hasty=dry_run) as application:
        settings = application.settings
        accounts = selection.accounts(settings)
        _require_fitting(request.grace, accounts)
        left = _left(application, accounts, request, since)
        accounts = left.accounts
        if dry_run:
            from rotator.cli.dry_run import show  # noqa: PLC0415  # most runs do without

            raise typer.Exit(show(application, accounts, request, as_json=as_json))
        if compromised:
            _warn_of_freezes(accounts)
            _warn_of_gates(settings, accounts)
        elif sys.stderr.isatty():
            _warn_of_consumers(application, accounts)
        if request.grace == timedelta() and len(accounts) > 1 and sys.stdin.isatty() and not yes:
            several.say_first(_losses(application, accounts, request, left.resumed))
            prompts.confirm(f"rotate these {len(accounts)} accounts without a grace?")
        raise typer.Exit(
            rotate.carry_out(
                command,
                application,
                accounts,
                request,
                again=closing.command_to_go_on(context, rfc3339(began_at)),
                wait=wait,
                as_json=as_json,
                resumed=left.resumed,
                recorded=left.results,
                hooks_may_fail=hooks_may_fail,
            )
        )


def _left(
    application: "Application", accounts: list[Account], request: Request, since: datetime | None
) -> Remainder:
    if since is None:
        return Remainder(accounts=accounts)
    names = [account.name for account in accounts]
    found = remainder(accounts, application.ledger.reader.accounts(names), request, since)
    if skipped := len(accounts) - len(found.accounts):
        output.say(
            f"{skipped} of {len(accounts)} accounts are skipped: their secret was made since"
        )
    return found


def _request(grace: str | None, *, compromised: bool) -> Request:
    given = None if grace is None else _duration(grace)
    if not compromised:
        return Request(reason="asked", grace=given)
    if given:
        raise ConfigError(
            "--compromised leaves no grace, so --grace contradicts it", hint="give one of them"
        )
    return Request(reason="compromised", grace=timedelta())


def _duration(text: str) -> timedelta:
    from rotator.config import parse_duration  # noqa: PLC0415  # `--help` needs no validator

    try:
        return parse_duration(text)
    except ConfigError as error:
        raise ConfigError(f"--grace: {error.message}", hint=error.hint) from None


def _require_fitting(grace: timedelta | None, accounts: list[Account]) -> None:
    """Refuse a grace that no configuration may have."""
    from rotator.config import overlap  # noqa: PLC0415  # `--help` needs no validator

    for account in accounts:
        if grace and (what := overlap(replace(account.policy, grace=grace))):
            raise ConfigError(
                f"--grace: {account.name}: {what}", hint="nothing was changed; give a shorter one"
            )


def _losses(
    application: "Application", accounts: list[Account], request: Request, resumed: set[str]
) -> "Iterator[str]":
    """Yield in words which secrets stop working now, by the ledger.

    Of those named in `resumed`, the secret in Vault was made since, and stays.
    """
    now = datetime.now(UTC)
    names = [account.name for account in accounts]
    for account, summary in zip(accounts, application.ledger.reader.accounts(names), strict=True):
        rotation = summary.last_rotation
        opened = rotation if rotation and rotation.closed_at is None else None
        until = window.deletion_at(account.policy, opened) if opened else None
        replaced = opened.predecessor_id if opened and not until else summary.current_id
        if opened and until and opened.predecessor_id and not opened.deleted_at:
            which = _named(opened.predecessor_id, SecretRole.PREDECESSOR)
            lost = f"loses its grace, which lasts until {text.moment(until)}"
            yield f"{account.name}: {which} {lost if until > now else 'is deleted'}"
        if not until or (request.reason == "compromised" and account.name not in resumed):
            which = _named(replaced, SecretRole.CURRENT)
            yield f"{account.name}: {which} is deleted as soon as a new one is in Vault"


def _named(secret_id: str | None, role: SecretRole) -> str:
    return f"secret {output.brief(secret_id)} ({role})" if secret_id else f"the {role} secret"


def _warn_of_freezes(accounts: list[Account]) -> None:
    now = datetime.now(UTC)
    found = Counter(window.freeze_at(account.policy, now) for account in accounts)
    for freeze, count in found.items():
        if freeze:
            which = f"of {count} account{'' if count == 1 else 's'}"
            warning = f"goes through the change freeze {which}, until {text.moment(freeze.until)}"
            output.say(f"warning: {warning}: {freeze.reason}", level="warning")


def _warn_of_gates(settings: "Settings", accounts: list[Account]) -> None:
    found = [(each, subscribers(settings.hooks, Event.GATE, each.name)) for each in accounts]
    several.say_first(
        (
            f"warning: {account.name}: not asked before the predecessor is deleted: gate "
            f"{', '.join(gates)}"
            for account, gates in found
            if gates
        ),
        level="warning",
    )


def _warn_of_consumers(application: "Application", accounts: list[Account]) -> None:
    """Warn of accounts that were never rotated, and whose consumers nothing waits for."""
    from rotator.doctor.consumers import warning  # noqa: PLC0415  # most runs do without

    hooks = application.settings.hooks
    names = [each.name for each in accounts if not waits_for_consumers(hooks, each.name)]
    # What is wrong with the ledger is reported where it is needed.
    with suppress(RotatorError):
        known = application.ledger.reader.accounts(names) if names else ()
        if first := [each.name for each in known if each.last_rotation is None]:
            output.say(f"warning: {warning(first)}", level="warning")
