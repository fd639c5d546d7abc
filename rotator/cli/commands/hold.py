"""`hold` and `release`: an operator pauses an account, and ends the pause."""

from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from rotator.cli import output
from rotator.cli.actor import ActorOption, ReasonOption, actor_of, usable
from rotator.cli.context import CommandContext, Name, flag, json_option, option
from rotator.model import Hold, Rotation, Step
from rotator.reporting.status import hold_document

JsonOption = Annotated[bool, json_option("a line")]


def hold(
    context: typer.Context,
    name: Name,
    reason: Annotated[str, option("TEXT", "why; everyone who looks will see it")],
    freeze: Annotated[
        bool, flag("--freeze", "do nothing at all, not even finish what has been pushed")
    ] = False,
    actor: ActorOption = None,
    as_json: JsonOption = False,
) -> None:
    """Pause an account: no rotation of it is begun until it is released.

    An open rotation stops before its push. One that has pushed is finished, as consumers use the
    new secret already; with --freeze it stops, too, and the old secret lives on. A process that is
    working on the account stops at its next step. The ledger records who held it, and why.
    """
    reason, acting = usable("--reason", reason), actor_of(actor, None)
    with CommandContext.of(context).application(offline=True) as application:
        application.settings.account(name)
        new = Hold(reason=reason, by=acting.by, at=datetime.now(UTC), freeze=freeze)
        before = application.ledger.holds.put(name, new, host=acting.host)
        rotation = application.ledger.writer.load(name).rotation
    output.show(_document(name, new, before), f"{name} is held: {new}", as_json=as_json)
    if before:
        output.say(f"note: this replaces: {before}")
    if rotation:
        output.say(f"note: {_what_becomes_of(rotation, freeze=freeze)}")


def release(
    context: typer.Context,
    name: Name,
    lease: Annotated[
        bool, flag("--lease", "end the lease of a process that is dead instead, and leave the hold")
    ] = False,
    actor: ActorOption = None,
    reason: ReasonOption = None,
    as_json: JsonOption = False,
) -> None:
    """End the hold of an account, which becomes due as if it had never been held.

    With --lease, end the right of another process to work on the account, which ends by itself some
    minutes after that process has died. Use it only where you know that it is dead: a request that
    it has sent may still arrive. A process that runs on this machine keeps its lease.
    """
    acting = actor_of(actor, reason)
    with CommandContext.of(context).application(offline=True) as application:
        application.settings.account(name)
        now = datetime.now(UTC)
        if lease:
            owner = application.ledger.writer.end_lease(name, actor=acting, now=now)
            document = {"account": name, "lease": None, "was": owner}
            ended = f"the lease on {name} is ended; process {owner} had it"
            text = ended if owner else f"no process has a lease on {name}"
        else:
            before = application.ledger.holds.lift(name, actor=acting, now=now)
            document = _document(name, None, before)
            text = f"{name} is released; it was held: {before}" if before else f"{name} is not held"
    output.show(document, text, as_json=as_json)


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
