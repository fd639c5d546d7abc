"""What a rotation would do, found by asking the rules themselves with made-up answers."""

from dataclasses import replace
from datetime import datetime, timedelta

from rotator.model import Account, Note, PendingEntry, Request, Rotation, Secret, Written
from rotator.rotation import record
from rotator.rotation.actions import (
    Abort,
    Action,
    Ask,
    Clear,
    Create,
    Delete,
    Evict,
    Learn,
    Notify,
    Open,
    Probe,
    Push,
    Redate,
    Stage,
    Verify,
)
from rotator.rotation.observation import Observation
from rotator.rotation.ports import StoredPending
from rotator.rotation.protocol import decide

#: Stands for the id that Vonage would give the new secret.
NEW_ID = "NEW"


def actions(
    account: Account,
    world: Observation,
    request: Request,
    *,
    propagation_timeout: timedelta,
    now: datetime,
) -> list[Action]:
    """List the actions from `world` to where the rotation ends, waits or is refused.

    Every effect is taken to succeed. The last action says how it ends.
    """
    planned: list[Action] = []
    while True:
        action = decide(account, world, request, propagation_timeout=propagation_timeout, now=now)
        planned.append(action)
        after = _after(account, world, action, request, now)
        if after is None:
            return planned
        world = after


def _after(
    account: Account, world: Observation, action: Action, request: Request, now: datetime
) -> Observation | None:
    """Give the world after `action`; None where the pass would end."""
    if isinstance(action, Open):
        rotation, _ = record.opened(account, action, request, rotation_id="planned", now=now)
        return replace(world, rotation=rotation, pending_is_unrecorded=False)
    if world.rotation is None:
        return None
    return _progress(world, world.rotation, action, request, now)


def _progress(  # noqa: C901, PLR0912  # one line for each action
    world: Observation,
    rotation: Rotation,
    action: Action,
    request: Request,
    now: datetime,
) -> Observation | None:
    match action:
        case Evict(secret_id=secret_id):
            return record.evicted(world, rotation, secret_id)[0]
        case Stage(listed_ids=listed_ids):
            entry = PendingEntry(
                rotation_id=rotation.id,
                listed_ids=listed_ids,
                predecessor_id=rotation.predecessor_id,
            )
            stored = StoredPending(version=world.pending_version + 1)
            return record.staged(world, rotation, entry, stored)[0]
        case Create():
            secret = Secret(id=NEW_ID, created_at=now)
            return record.created(world, rotation, secret, now)[0]
        case Probe():
            return record.probed(world, rotation, world.listed or (), now)[0]
        case Push():
            return _pushed(world, rotation, now)
        case Verify(version=version):
            return record.verified(world, rotation, version, request, now)[0]
        case Clear():
            return record.cleared(world, rotation)[0]
        case Notify():
            return record.told(world, rotation)[0]
        case Ask():
            return record.gates_open(world, rotation, now)[0]
        case Delete(secret_id=secret_id):
            return record.deleted(world, rotation, secret_id)[0]
        case Learn():
            return record.learned(world, rotation, action)[0]
        case Redate():
            return record.redated(world, rotation, now)[0]
        case Abort():
            return record.aborting(world, rotation, action)[0]
        case _:
            return None


def _pushed(world: Observation, rotation: Rotation, now: datetime) -> Observation:
    note = Note(
        secret_id=rotation.new_id or NEW_ID,
        rotation_id=rotation.id,
        rotated_at=now,
        ledger_head="",
        check="",
    )
    written = Written(version=world.current.version + 1 if world.current else 1)
    return record.pushed(world, rotation, note=note, written=written)[0]
