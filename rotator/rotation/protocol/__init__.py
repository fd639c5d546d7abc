"""The rules of a rotation: the next action for what was observed.

`decide` is pure. It reads no clock, does no input or output and never sees a secret value.
The caller performs the one action it returns, records intent and outcome, observes the
account again, and asks again. Nothing here remembers anything, so a process that was killed
and started again decides exactly what an uninterrupted one would have.

The rules stand in tables, in order: the first one that answers decides, and its name is logged. A
rule is a function named after the fact that it applies to. `starting` has those for an account
without an open rotation, `before_push` and `after_push` those for an open one, `waiting` those that
need the ledger alone, `facts` what several of them rely on.

The order of the steps, and why it is safe to be killed between any two of them:

    open     Record which secret is to be replaced: the one in Vault. Where that is not certain,
             refuse; a wrong guess here would later delete a live secret.
    evict    If both slots are taken and the one not in Vault is ours or expendable, free its slot.
    stage    Generate a value and make it durable at Vault's pending path, with the ids that
             Vonage lists now. From here on the value cannot be lost.
    create   Send that value to Vonage. If the answer is lost: an id that was not listed at staging,
             while the pending value authenticates, is ours. Without a new id, the value did not
             arrive, so the same one is sent again. Never a second, different value.
    probe    Check that the new value authenticates before any consumer depends on it.
    push     Write it to the current entry, check-and-set. Both secrets are valid now, so it
             does not matter which of them a consumer has read.
    verify   Read that version back from Vault and compare.
    clear    Destroy the pending entry's versions: the value is safe in the current entry. A request
             that arrives late cannot affect what a later rotation has staged.
    hooks    Notify the hooks that there is a new secret. Each is tried at least once before
             the predecessor may be deleted, and retried independently of the rotation.
    wait     The predecessor stays valid until its grace is over, by this machine's clock and by
             Vonage's, and until every gate is open.
    withdraw Remove the predecessor's value from the current entry, if it is kept there beside the
             new one: no consumer reads a value that is about to be deleted.
    delete   Check that Vault's value authenticates, then delete the predecessor.
    prove    If it leaked, or the policy asks for it: check that Vonage refuses its value.

Before `push` a rotation may abort: the secret that it created is deleted again. After `push` it
only rolls forward.

An account that was discovered below its parent, and not configured by name, may have no entry in
Vault: none of its values is known. Its first secret is created with the parent's credential and
pushed as the first version of the entry, with a check-and-set that fails if a version ever existed.
Until then no consumer can have read anything, so nothing can break; from then on it is an account
like any other. A secret that existed before is foreign, as its users are unknown: it is not the
predecessor and is not deleted. For the same reason a slot must be free: Vault has no value that
could be seen to authenticate before a slot is freed.

The pending entry records its api key, its issuer, the target path, and the ledger that has the
rotation. Another account's entry is not sent, pushed, cleared or overwritten, and a rotation that
another ledger began is not treated as this ledger's loss until an operator says so. A rotation,
too, records its identity: it does not continue under another api key or at another path.

An account may have windows. Outside of them no rotation begins, and one that has not sent its
value yet does not continue; once it has, finishing is safer than waiting with a secret that is in
use nowhere. No secret is deleted outside of them either, not even to free a slot for a value that
was sent and did not arrive. A rotation that an operator requests starts now; its deletion waits for
a window, unless the operator asked for no grace.

A change freeze closes every window, and a request of an operator does not pass it: the pass refuses
that before it begins. Only what replaces a leaked secret goes through.

An operator's hold prevents a rotation from being opened, and an open one from pushing: no consumer
has seen the new secret yet, so the rotation may pause there. One that has pushed is finished
regardless, unless the hold is a freeze: then nothing is done.
"""

from datetime import datetime, timedelta

from rotator.model import Account, Request
from rotator.rotation import refusals
from rotator.rotation.causes import explained
from rotator.rotation.observation import Observation
from rotator.rotation.protocol.after_push import AFTER_PUSH
from rotator.rotation.protocol.before_push import BEFORE_PUSH, UNDOING
from rotator.rotation.protocol.facts import Facts, Rule, first, when
from rotator.rotation.protocol.starting import (
    STARTING,
    UNUSABLE,
    account_is_held,
    pending_is_not_ours,
)
from rotator.rotation.protocol.waiting import altered, moved, waits_until
from rotator.rotation.steps.base import Action
from rotator.rotation.steps.bookkeeping import Close, Refuse
from rotator.rotation.steps.retire import SecretDeletion, Wait
from rotator.rotation.steps.withdraw import Withdraw


def decide(
    account: Account,
    observation: Observation,
    request: Request,
    *,
    propagation_timeout: timedelta,
    now: datetime,
) -> Action:
    """Decide the one next action for `account`.

    `propagation_timeout` is how long Vonage may refuse a secret that was just created before the
    refusal counts.
    """
    facts = Facts(
        account=account,
        observation=observation,
        request=request,
        propagation_timeout=propagation_timeout,
        now=now,
    )
    action = first(RULES, facts)
    if action is None:
        message = "the last rule always applies"
        raise AssertionError(message)
    if isinstance(action, Refuse):
        return explained(action, account, observation)
    return previous_value_is_left(facts, action) or action


def previous_value_is_left(facts: Facts, action: Action) -> Withdraw | None:
    """Remove the replaced value from the current entry before any deletion, whatever the rule.

    Also where its secret is gone already: a completed rotation leaves no value that is dead.
    """
    is_over = isinstance(action, Close) and action.error_code is None
    field = facts.current.previous if facts.current else None
    if field is None or not (is_over or isinstance(action, SecretDeletion)):
        return None
    return Withdraw(field=field, rule=previous_value_is_left.__name__)


def ledger_was_altered(facts: Facts) -> Refuse | None:
    return altered(facts.account, facts.observation.ledger)


def account_was_changed(facts: Facts) -> Refuse | None:
    return moved(facts.account, facts.observation.rotation)


def rotation_is_frozen(facts: Facts) -> Refuse | None:
    hold = facts.observation.ledger.hold
    is_frozen = hold and hold.freeze and facts.observation.rotation
    return refusals.held(facts.account, hold) if hold and is_frozen else None


def window_is_closed(facts: Facts) -> Wait | None:
    until = waits_until(facts.account, facts.observation.rotation, facts.request, facts.now)
    return Wait(until=until) if until else None


#: All rules, in order.
RULES: tuple[Rule, ...] = (
    ledger_was_altered,
    account_was_changed,
    rotation_is_frozen,
    # Only forward, even while the account is held.
    when(lambda facts: facts.is_pushed, AFTER_PUSH),
    window_is_closed,
    when(lambda facts: facts.observation.rotation is None, STARTING),
    account_is_held,
    *UNUSABLE,
    when(lambda facts: facts.rotation.abort_code, UNDOING),
    pending_is_not_ours,
    *BEFORE_PUSH,
)
