"""Look: what an observation of an account finds wrong, whether a rotation is due or none."""

from dataclasses import replace
from datetime import datetime, timedelta

from rotator.model import Account, Request, Rotation, Step
from rotator.rotation import refusals
from rotator.rotation.causes import explained
from rotator.rotation.observation import Observation
from rotator.rotation.protocol import decide
from rotator.rotation.steps.base import Action
from rotator.rotation.steps.bookkeeping import Refuse


def expected_action(
    account: Account, observation: Observation, *, propagation_timeout: timedelta, now: datetime
) -> Action:
    """Return what there is to do, or the refusal that says what is wrong.

    A hold is nothing wrong, nor is a change freeze.
    """
    account = replace(account, policy=replace(account.policy, freezes=()))
    observation = replace(observation, ledger=replace(observation.ledger, hold=None))
    # First without a grace, as what is wrong matters to consumers now, not at its end. With one,
    # the clock may be what is wrong.
    first, second = (
        decide(
            account,
            observation,
            Request(reason="asked", grace=grace),
            propagation_timeout=propagation_timeout,
            now=now,
        )
        for grace in (timedelta(), None)
    )
    action = second if isinstance(second, Refuse) and not isinstance(first, Refuse) else first
    if isinstance(action, Refuse):
        return action
    if observation.is_broken and observation.current.entry:
        # The rotation that is open, or the next one, can replace the value all the same.
        return explained(refusals.replaceable(account, observation), account, observation)
    rotation = observation.rotation
    if rotation and _lost_its_predecessor(rotation, observation):
        return explained(refusals.predecessor_revoked(account, rotation), account, observation)
    return action


def _lost_its_predecessor(rotation: Rotation, observation: Observation) -> bool:
    """Return whether someone else revoked the old secret while consumers could still use it."""
    gone_id, ledger = rotation.predecessor_id, observation.ledger
    if rotation.step is not Step.WAIT or not gone_id or observation.listing.secrets is None:
        return False
    known_ids = observation.listing.ids | ledger.deleted_ids | ledger.perhaps_deleted_ids
    return gone_id not in known_ids
