"""What a rotation would do, found by running the real rules on assumed results."""

from datetime import datetime, timedelta

from rotator.model import Account, Request
from rotator.rotation.observation import Observation
from rotator.rotation.protocol import decide
from rotator.rotation.steps.base import Action, At, Performed, Recording
from rotator.rotation.steps.prepare import Open


def assumed_steps(
    account: Account,
    observation: Observation,
    request: Request,
    *,
    propagation_timeout: timedelta,
    now: datetime,
) -> list[Action]:
    """List the steps from `observation` to where the rotation ends, waits or is refused.

    Every one is assumed to succeed. The last one says how it ends.
    """
    actions: list[Action] = []
    at = At(account=account, request=request, now=now)
    after: Observation | None = observation
    while after is not None:
        step = decide(account, after, request, propagation_timeout=propagation_timeout, now=now)
        actions.append(step)
        after = _after(step, after, at)
    return actions


def _after(step: Action, observation: Observation, at: At) -> Observation | None:
    """Return the observation after `step`; None where the pass would end."""
    rotation = observation.rotation
    if isinstance(step, Open):
        return step.done(observation, "planned", at)[0]
    if rotation and isinstance(step, Performed):
        result = step.assumed(observation, rotation, at)
        return step.done(observation, rotation, result, at)[0]
    if rotation and isinstance(step, Recording):
        return step.done(observation, rotation, at)[0]
    return None
