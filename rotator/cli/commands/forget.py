"""`forget`: free an account's API key and Vault path for another name."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated

import typer

from rotator.cli import output
from rotator.cli.actor import ActorOption, ReasonOption, actor_of
from rotator.cli.context import CommandContext, Name, flag, json_option
from rotator.errors import Refused, UnknownAccount
from rotator.model import Actor, Rotation
from rotator.rotation.steps import bookkeeping

if TYPE_CHECKING:
    from rotator.application import Application
    from rotator.rotation.ports import Lease


def forget(
    context: typer.Context,
    name: Name,
    abandon: Annotated[
        bool, flag("--abandon", "even while a rotation is open, which ends where it is, for good")
    ] = False,
    actor: ActorOption = None,
    reason: ReasonOption = None,
    as_json: Annotated[bool, json_option("a sentence")] = False,
) -> None:
    """Free this account's API key and Vault path for another name.

    For an account that was renamed, or moved to another ledger. Its record stays. Nothing is done
    at Vonage or in Vault; first stop whatever still works under the old name.
    """
    acting = actor_of(actor, reason)
    with CommandContext.of(context).application(offline=True) as application:
        if name not in application.ledger.reader.recorded_accounts():
            raise UnknownAccount(
                f"the ledger has no account {name!r}", hint="`rotator history` shows which it has"
            )
        lease = application.ledger.writer.claim(name, datetime.now(UTC))
        try:
            ended = _forget(application, lease, acting, abandon=abandon)
        finally:
            application.ledger.writer.release(lease)
        is_configured = name in application.accounts
    document = {"account": name, "abandoned": ended.id if ended else None}
    text = f"{name} is forgotten: its API key and Vault path are free for another name"
    output.show(document, text, as_json=as_json)
    if ended:
        output.say(f"note: rotation {ended.id} was ended at step {ended.step}")
    if is_configured:
        output.say(f"note: {name} is still configured, and the next run takes it up again")


def _forget(
    application: "Application", lease: "Lease", actor: Actor, *, abandon: bool
) -> Rotation | None:
    """Record that the account is forgotten; return the rotation that was abandoned for it."""
    now, rotation = datetime.now(UTC), application.ledger.writer.load(lease.account).rotation
    entries = [bookkeeping.forgotten(actor)]
    if rotation and not abandon:
        raise Refused(
            f"a rotation of {lease.account} is open, at step {rotation.step}",
            code="rotation-open",
            hint="let `rotator resume` finish it, with the configuration that it was begun with; "
            "--abandon ends it where it is, and leaves what it made at Vonage and in Vault to you",
        )
    if rotation:
        rotation, abandoned = bookkeeping.abandoned(rotation, now)
        entries.insert(0, abandoned)
    application.ledger.writer.commit(
        lease, rotation=rotation, entries=entries, snapshot=None, now=now
    )
    application.ledger.writer.register(lease, None, now)
    return rotation
