"""The rules before the push: everything can still be undone."""

from rotator.model import Step
from rotator.rotation import refusals
from rotator.rotation.protocol.facts import Facts, Rule, when
from rotator.rotation.protocol.starting import make_room, observation_is_old, version_will_end
from rotator.rotation.protocol.waiting import closed_until
from rotator.rotation.steps.base import Action
from rotator.rotation.steps.bookkeeping import Abort, Close, Learn, Observe, Refuse
from rotator.rotation.steps.issue import Create, Probe
from rotator.rotation.steps.prepare import Evict, Stage
from rotator.rotation.steps.publish import Clear, Push
from rotator.rotation.steps.retire import Delete, Wait

#: How many values are generated before Vonage's rejection is attributed to something else.
MAX_GENERATED = 3


def predecessor_is_known_now(facts: Facts) -> Learn | None:
    """Record what is to be replaced, where only an observation shows it.

    Also where another id was recorded: a ledger that was restored is out of date.
    """
    observation, rotation, pending = facts.observation, facts.rotation, facts.pending
    current_id = observation.current_secret_id
    was_there = current_id in pending.listed_ids if pending else not rotation.sent_at
    if current_id and was_there and rotation.predecessor_id not in observation.listing.ids:
        return Learn(predecessor_id=current_id)
    return None


def slot_is_taken(facts: Facts) -> Action | None:
    """Free a slot, in a window: one that was free when the value was sent may be taken by now."""
    action = make_room(facts)
    until = closed_until(facts.account, facts.rotation, facts.request, facts.now)
    return Wait(until=until) if until and isinstance(action, Evict) else action


def _give_up(facts: Facts, code: str) -> Abort | Refuse:
    """Abort, unless a push was tried: it might still arrive after the secret was deleted."""
    rotation = facts.rotation
    if rotation.step is Step.PUSH:
        return refusals.stopped_working(rotation.account, rotation.new_id)
    return Abort(code=code)


# -- Nothing of this rotation is pending. ----------------------------------------------------------


def sent_value_is_gone(facts: Facts) -> Action | None:
    """Handle a pending entry that is gone, or that a lagging standby does not show yet."""
    if not (facts.rotation.sent_at or facts.rotation.new_id):
        return None
    is_gone = facts.pending is not None or facts.is_refused
    return _give_up(facts, "pending-lost") if is_gone else Observe()


def another_rotation_is_pending(facts: Facts) -> Action | None:
    is_unrecorded = facts.pending is not None and facts.observation.pending.is_unrecorded
    return _give_up(facts, "taken-over") if is_unrecorded else None


def value_is_missing(facts: Facts) -> Stage:
    return Stage(listed_ids=facts.observation.listing.ids)


UNSTAGED: tuple[Rule, ...] = (
    sent_value_is_gone,
    another_rotation_is_pending,
    slot_is_taken,
    value_is_missing,
)


# -- The id of the new secret is known. ------------------------------------------------------------


def new_secret_is_unlisted(facts: Facts) -> Action | None:
    """Wait until the new secret is listed; give up where it was revoked."""
    if facts.rotation.new_id in facts.observation.listing.ids:
        return None
    # In both directions, as the time of sending may come from a clock that was ahead.
    sent_at = facts.rotation.sent_at
    is_settling = sent_at and abs(facts.now - sent_at) < facts.propagation_timeout
    return Observe() if is_settling else _give_up(facts, "new-secret-revoked")


def new_secret_works(facts: Facts) -> Push | None:
    return Push() if facts.is_pending_live else None


def new_secret_is_refused(facts: Facts) -> Action | None:
    """Undo a secret that does not authenticate in time.

    Undoing a first one would require a value in Vault that is seen to authenticate before.
    """
    if not facts.is_refused:
        return None
    if facts.is_first:
        return refusals.first_refused(
            facts.account.name, facts.rotation.new_id, is_only=facts.has_one_secret
        )
    return _give_up(facts, "new-secret-refused")


def value_is_unproven(_facts: Facts) -> Probe:
    return Probe()


CREATED: tuple[Rule, ...] = (
    new_secret_is_unlisted,
    new_secret_works,
    new_secret_is_refused,
    value_is_unproven,
)


# -- An id is new since staging, and no answer said whose it is. -----------------------------------


def new_id_is_ours(facts: Facts) -> Learn | None:
    new_ids = facts.new_ids
    is_ours = len(new_ids) == 1 and facts.is_pending_live
    return Learn(new_id=new_ids[0]) if is_ours else None


def _is_unexplained(facts: Facts) -> bool:
    return len(facts.new_ids) > 1 or facts.is_refused


def rotation_was_overtaken(facts: Facts) -> Action | None:
    is_unsent = facts.rotation.sent_at is None
    if is_unsent and (_is_unexplained(facts) or not facts.may_be_sent):
        return slot_is_taken(facts) or _give_up(facts, "overtaken")
    return None


def new_id_is_unexplained(facts: Facts) -> Refuse | None:
    """Refuse where it may be ours or foreign.

    It may still be ours and not settled yet: the pending value is kept, and no secret is touched.
    """
    is_unexplained = _is_unexplained(facts)
    return refusals.unexplained(facts.account.name, facts.new_ids) if is_unexplained else None


APPEARED: tuple[Rule, ...] = (
    new_id_is_ours,
    rotation_was_overtaken,
    new_id_is_unexplained,
    value_is_unproven,
)


# -- Vonage does not have the pending value. -------------------------------------------------------
#
# A rejection only counts once no earlier attempt can have taken effect: Vonage also rejects an
# active value that is sent again. A value that authenticates exists even if a lagging list omits
# it; a list counts only if it is newer than the last refusal. An id that was adopted meanwhile is
# not new.


def value_was_adopted(facts: Facts) -> Action | None:
    is_adopted = facts.observation.pending.equals_current and facts.current
    return _give_up(facts, "overtaken") if is_adopted and is_adopted.intact else None


def value_may_be_sent(facts: Facts) -> Action | None:
    """Send it, unless Vonage rejected it or Vault will remove it: it would be the only copy."""
    if facts.rotation.rejected or facts.observation.pending.ends_at:
        return None
    return slot_is_taken(facts) or Create()


def earlier_attempt_may_count(facts: Facts) -> Action | None:
    """Find out whether Vonage has the value, before it is given up."""
    if not facts.may_be_sent:
        return None
    if facts.is_pending_live:
        return Observe()
    if not facts.is_refused:
        return Probe()
    refused_at = facts.observation.pending.refused_at
    is_list_older = refused_at is not None and facts.observation.listing.seen_at < refused_at
    return Observe() if is_list_older else None


def pending_will_end(facts: Facts) -> Action | None:
    ends_at = facts.observation.pending.ends_at
    if ends_at is None:
        return None
    is_sent = facts.rotation.sent_at is not None
    return (
        refusals.pending_ends(facts.account, ends_at)
        if is_sent
        else _give_up(facts, "version-ends")
    )


def value_was_rejected(facts: Facts) -> Action:
    if facts.rotation.values_generated < MAX_GENERATED:
        return value_is_missing(facts)
    return _give_up(facts, "secret-rejected")


UNSENT: tuple[Rule, ...] = (
    value_was_adopted,
    value_may_be_sent,
    earlier_attempt_may_count,
    pending_will_end,
    value_was_rejected,
)


BEFORE_PUSH: tuple[Rule, ...] = (
    predecessor_is_known_now,
    when(lambda facts: not facts.is_staged, UNSTAGED),
    when(lambda facts: facts.rotation.new_id, CREATED),
    when(lambda facts: facts.new_ids, APPEARED),
    *UNSENT,
)


# -- The rotation is aborted: delete what it created, then close it. -------------------------------


def first_secret_is_left(facts: Facts) -> Refuse | None:
    """Refuse to delete a first secret: Vault has no other that could be seen to work."""
    if not facts.is_first:
        return None
    return refusals.first_kept(
        facts.account.name, facts.rotation.new_id, is_only=facts.has_one_secret
    )


def deletion_is_unsafe(facts: Facts) -> Refuse | None:
    """Refuse unless Vault certainly holds another secret, and that one works."""
    observation, new_id = facts.observation, facts.rotation.new_id
    current_id = observation.current_secret_id
    is_other = facts.is_staged and not observation.pending.equals_current
    is_other = (is_other or current_id is not None) and current_id != new_id
    if is_other and not facts.has_one_secret and observation.current.authenticated_at:
        return None
    return refusals.unsafe(facts.account.name, new_id)


def secret_may_have_been_used(facts: Facts) -> Refuse | None:
    """Refuse where another rotation has pushed since, unknown to a ledger that was restored.

    It may have replaced this very secret.
    """
    rotation, current_id = facts.rotation, facts.observation.current_secret_id
    if current_id in (None, rotation.predecessor_id):
        return None
    return refusals.once_used(rotation.account, rotation.new_id)


def secret_was_adopted(facts: Facts) -> Refuse | None:
    """Refuse where the write that was to put the secret into Vault may still arrive."""
    new_id, is_adopted = (
        facts.rotation.new_id,
        facts.rotation.new_id == facts.observation.ledger.adopted_id,
    )
    return refusals.adopted(facts.account.name, new_id) if is_adopted else None


def new_secret_is_useless(facts: Facts) -> Delete | None:
    new_id = facts.rotation.new_id
    return Delete(secret_id=new_id) if new_id else None


ORPHANED: tuple[Rule, ...] = (
    first_secret_is_left,
    deletion_is_unsafe,
    secret_may_have_been_used,
    secret_was_adopted,
    version_will_end,
    observation_is_old,
    new_secret_is_useless,
)


def value_is_left(facts: Facts) -> Clear | None:
    return facts.clear() if facts.is_staged else None


def nothing_is_left(facts: Facts) -> Close:
    return Close(error_code=facts.rotation.abort_code)


UNDOING: tuple[Rule, ...] = (
    when(lambda facts: facts.rotation.new_id in facts.observation.listing.ids, ORPHANED),
    value_is_left,
    nothing_is_left,
)
