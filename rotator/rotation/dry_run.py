"""What a rotation would do, found by running the real rules on assumed results."""

from datetime import datetime, timedelta

from rotator.model import Account, Request
from rotator.rotation.observation import Observation
from rotator.rotation.protocol import decide
from rotator.rotation.steps import Action, At, Open, Performed, Recording


def actions(
    account: Account,
    world: Observation,
    request: Request,
    *,
    propagation_timeout: timedelta,
    now: datetime,
) -> list[Action]:
    """List the steps from `world` to where the rotation ends, waits or is refused.

    Every one is taken to succeed. The last one says how it ends.
    """
    planned: list[Action] = []
    at = At(account=account, request=request, now=now)
    while True:
        step = decide(account, world, request, propagation_timeout=propagation_timeout, now=now)
        planned.append(step)
        after = _after(step, world, at)
        if after is None:
            return planned
        world = after


def _after(step: Action, world: Observation, at: At) -> Observation | None:
    """Return the world after `step`; None where the pass would end."""
    rotation = world.rotation
    if isinstance(step, Open):
        return step.done(world, "planned", at)[0]
    if rotation and isinstance(step, Performed):
        return step.done(world, rotation, step.assumed(world, rotation, at), at)[0]
    return step.done(world, rotation, at)[0] if rotation and isinstance(step, Recording) else None
