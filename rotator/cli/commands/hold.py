"""`hold` and `release`: an operator pauses accounts, and ends the pause."""

from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rotator.cli import several
from rotator.cli.actor import ActorOption, ReasonOption, actor_of, usable
from rotator.cli.context import CommandContext, flag, json_option, option
from rotator.cli.prompts import YesOption
from rotator.cli.selection import AllOption, Names, ParentOption, Selection
from rotator.cli.several import Result
from rotator.model import Account, Actor, Hold, Rotation, Step
from rotator.reporting.status import hold_document

if TYPE_CHECKING:
    from collections.abc import Callable

    from rotator.application import Application

JsonOption = Annotated[bool, json_option("a line or a table")]


def hold(
    context: typer.Context,
    *,
    names: Names = None,
    every: AllOption = False,
    parent: ParentOption = None,
    reason: Annotated[str, option("TEXT", "why; everyone who looks will see it")],
    freeze: Annotated[
        bool, flag("--freeze", "do nothing at all, not even finish what has been pushed")
    ] = False,
    actor: ActorOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """Pause accounts: no rotation of one is begun until it is released.

    An open rotation stops before its push. One that has pushed is finished, as consumers use the
    new secret already; with --freeze it stops, too, and the old secret lives on. A process that is
    working on the account stops at its next step. The ledger records who held it, and why. On a
    terminal, several accounts are held only after a yes.
    """
    reason, acting = usable("--reason", reason), actor_of(actor, None)
    selection = Selection.of(names, every=every, parent=parent, action="hold")
    new = Hold(reason=reason, by=acting.by, at=datetime.now(UTC), freeze=freeze)

    def act(application: "Application", account: Account) -> Result:
        before = application.ledger.holds.put(account.name, new, host=acting.host)
        rotation = application.ledger.writer.load(account.name).rotation
        notes = [f"this replaces: {before}"] if before else []
        notes += [_what_becomes_of(rotation, freeze=freeze)] if rotation else []
        return Result(
            document=_document(account.name, new, before),
            text=f"{account.name} is held: {new}",
            row=(account.name, str(new), "; ".join(notes)),
            notes=tuple(notes),
        )

    headers = ("account", "held", "notes")
    _carry_out(context, selection, act, headers, yes=yes, as_json=as_json)


def release(
    context: typer.Context,
    *,
    names: Names = None,
    every: AllOption = False,
    parent: ParentOption = None,
    lease: Annotated[
        bool, flag("--lease", "end the lease of a process that is dead instead, and leave the hold")
    ] = False,
    actor: ActorOption = None,
    reason: ReasonOption = None,
    yes: YesOption = False,
    as_json: JsonOption = False,
) -> None:
    """End the hold of accounts, which become due as if they had never been held.

    With --lease, end the right of another process to work on an account, which ends by itself some
    minutes after that process has died. Use it only where you know that it is dead: a request that
    it has sent may still arrive. A process that runs on this machine keeps its lease. On a
    terminal, several accounts are released only after a yes.
    """
    acting = actor_of(actor, reason)
    selection = Selection.of(names, every=every, parent=parent, action="release")
    act = partial(_end_lease if lease else _end_hold, acting)
    headers = ("account", "ended lease of process" if lease else "was held")
    _carry_out(context, selection, act, headers, yes=yes, as_json=as_json)


def _carry_out(
    context: typer.Context,
    selection: Selection,
    act: "Callable[[Application, Account], Result]",
    headers: tuple[str, ...],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    """Act on each account, write the results and end the command."""
    with CommandContext.of(context).application(offline=True) as application:
        accounts = selection.accounts(application.settings)
        if selection.is_single:
            results = [act(application, *accounts)]
        else:
            several.confirm(accounts, context.command.name or "", yes=yes)
            results = several.in_turn(accounts, partial(act, application))
    if selection.is_single:
        several.show_one(results[0], as_json=as_json)
    else:
        raise typer.Exit(several.show(results, headers, as_json=as_json))


def _end_lease(actor: Actor, application: "Application", account: Account) -> Result:
    name = account.name
    owner = application.ledger.writer.end_lease(name, actor=actor, now=datetime.now(UTC))
    ended = f"the lease on {name} is ended; process {owner} had it"
    return Result(
        document={"account": name, "lease": None, "was": owner},
        text=ended if owner else f"no process has a lease on {name}",
        row=(name, owner) if owner else None,
    )


def _end_hold(actor: Actor, application: "Application", account: Account) -> Result:
    name = account.name
    before = application.ledger.holds.lift(name, actor=actor, now=datetime.now(UTC))
    return Result(
        document=_document(name, None, before),
        text=f"{name} is released; it was held: {before}" if before else f"{name} is not held",
        row=(name, str(before)) if before else None,
    )


def _document(name: str, hold: Hold | None, before: Hold | None) -> dict[str, Any]:
    return {
        "account": name,
        "hold": hold_document(hold) if hold else None,
        "was": hold_document(before) if before else None,
    }


def _what_becomes_of(rotation: Rotation, *, freeze: bool) -> str:
    if freeze:
        return f"its open rotation stays at step {rotation.step} until it is released"
    if rotation.vault_version is not None or rotation.step is Step.PUSH:
        return "its open rotation has pushed the new secret, and will be finished all the same"
    return f"its open rotation stops before its push, at step {rotation.step} or the next"
