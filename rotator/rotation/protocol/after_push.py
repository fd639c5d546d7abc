"""The rules after the push: only forward."""

from rotator.model import Step
from rotator.model.retry import Backoff
from rotator.rotation import refusals
from rotator.rotation.protocol.facts import FRESH, Facts, Rule
from rotator.rotation.protocol.starting import observation_is_old, vault_is_behind, version_will_end
from rotator.rotation.protocol.waiting import (
    deletion_due_at,
    gate_retry_at,
    is_misdated,
    skips_gates,
    wants_proof,
)
from rotator.rotation.steps.bookkeeping import Close, Learn, Redate, Refuse
from rotator.rotation.steps.prove import FailedDeletion, Prove
from rotator.rotation.steps.publish import Clear, Verify
from rotator.rotation.steps.retire import AskGates, Delete, Notify, Wait, effective_grace

#: Most times that a deleted value is tried in a pass; the pauses double, so that they come to the
#: propagation timeout. The longest pause is as long as an observation stays recent, in seconds.
MOST_TRIES, LONGEST_PAUSE = 10, FRESH.total_seconds()


def entry_was_overwritten(facts: Facts) -> Refuse | None:
    current, note = facts.current, facts.note
    is_noted = note is not None and note.rotation_id == facts.rotation.id
    if current and is_noted and current.has_value and current.intact:
        return None
    return refusals.overwritten(facts.account, facts.rotation, facts.observation)


def push_is_unrecorded(facts: Facts) -> Learn | Refuse | None:
    """Learn from the entry about a push whose answer was lost.

    An id from a note alone is not accepted, as the ledger keeps it for good.
    """
    rotation, note, observation = facts.rotation, facts.note, facts.observation
    if note is None or (rotation.vault_version is not None and rotation.new_id is not None):
        return None
    if rotation.new_id is None and not facts.is_note_known:
        is_dead = observation.listing.secrets is None
        refusal = refusals.dead if is_dead else refusals.revoked
        return refusal(facts.account, observation)
    new_id = rotation.new_id or note.secret_id
    return Learn(new_id=new_id, vault_version=observation.current.version)


def grace_cannot_start(facts: Facts) -> Refuse | None:
    rotation = facts.rotation
    is_begun = rotation.verified_at is not None and not is_misdated(rotation, facts.now)
    if is_begun or not effective_grace(rotation, facts.request) or not facts.is_clock_unusable:
        return None
    return refusals.clock_behind()


def grace_is_misdated(facts: Facts) -> Redate | None:
    return Redate() if is_misdated(facts.rotation, facts.now) else None


def push_is_unverified(facts: Facts) -> Verify | None:
    """Read the value back.

    Since the push, others may have written other fields, and its version may have rolled off.
    """
    if facts.rotation.verified_at is not None:
        return None
    versions = (facts.rotation.vault_version, facts.observation.current.version)
    return Verify(version=max(version or 0 for version in versions))


def pending_is_left(facts: Facts) -> Clear | None:
    """Clear what was pending, even if no entry is seen: a standby may not show it."""
    is_uncleared = facts.pending is None and facts.rotation.step in (Step.VERIFY, Step.CLEAR)
    return facts.clear() if is_uncleared or facts.is_staged else None


def hooks_are_due(facts: Facts) -> Notify | None:
    return Notify() if facts.rotation.step is Step.HOOKS else None


def grace_goes_on(facts: Facts) -> Wait | None:
    """Wait, unless the predecessor was deleted already: a shorter grace was asked for then."""
    rotation = facts.rotation
    if _is_predecessor_gone(facts) and rotation.step in (Step.DELETE, Step.PROVE):
        return None
    verified_at = rotation.verified_at or facts.now
    due = deletion_due_at(facts.account, rotation, verified_at, facts.request, facts.now)
    return Wait(until=due) if facts.now < due else None


# -- The deletion of the predecessor, once Vault's value authenticates without it. -----------------


def current_is_refused(facts: Facts) -> Refuse | None:
    observation = facts.observation
    is_live = observation.listing.secrets is not None and observation.current.authenticated_at
    return None if is_live else refusals.dead(facts.account, observation)


def _is_predecessor_gone(facts: Facts) -> bool:
    """Return whether Vonage does not list it; a rotation's own secret is never its predecessor."""
    others = facts.observation.listing.ids - {facts.rotation.new_id}
    return facts.rotation.predecessor_id not in others


def death_is_unproven(facts: Facts) -> Prove | FailedDeletion | None:
    """Try the value of the predecessor, where that is wanted, until Vonage refuses it."""
    rotation, proof = facts.rotation, facts.observation.proof
    old_id = rotation.predecessor_id
    is_known = rotation.dead_at is not None or proof.is_impossible
    is_wanted = wants_proof(facts.account, rotation, facts.request) and not is_known
    if not is_wanted or old_id is None or old_id == rotation.new_id:
        return None
    if not _is_predecessor_gone(facts):
        return None
    if proof.tries == MOST_TRIES or _is_overlong(facts):
        return FailedDeletion(secret_id=old_id)
    is_last = proof.tries + 1 == MOST_TRIES
    first = facts.propagation_timeout.total_seconds() / (2 ** (MOST_TRIES - 1) - 1)
    pauses = Backoff(first, LONGEST_PAUSE)
    return Prove(seconds=0.0 if is_last else pauses.after(proof.tries + 1))


def _is_overlong(facts: Facts) -> bool:
    """Return whether Vonage accepted the value for as long as news may take to reach all of it.

    As with a new value, an answer counts, and not the time that has passed.
    """
    proof, deleted_at = facts.observation.proof, facts.rotation.deleted_at
    if proof.accepted_at is None or proof.accepted_since is None:
        return False
    # A time of deletion that is later came from a clock that was ahead.
    since = min(deleted_at or proof.accepted_since, proof.accepted_since)
    return proof.accepted_at - since >= facts.propagation_timeout


def predecessor_is_gone(facts: Facts) -> Close | None:
    return Close() if _is_predecessor_gone(facts) else None


def predecessor_was_adopted(facts: Facts) -> Refuse | None:
    predecessor_id = facts.rotation.predecessor_id
    is_adopted = predecessor_id == facts.observation.ledger.adopted_id
    return refusals.adopted(facts.account.name, predecessor_id) if is_adopted else None


def pushed_secret_is_unlisted(facts: Facts) -> Refuse | None:
    is_current = facts.observation.current_secret_id == facts.rotation.new_id
    return None if is_current else refusals.unlisted(facts.account, facts.observation)


def clock_is_ahead(facts: Facts) -> Wait | None:
    grace, verified_at = effective_grace(facts.rotation, facts.request), facts.rotation.verified_at
    offset = facts.observation.listing.clock_offset
    if not grace or verified_at is None or facts.now - verified_at >= grace + offset:
        return None
    gate = refusals.clock_ahead()
    return Wait(until=gate_retry_at(facts.rotation, gate, facts.now), gate=gate)


def _has_gates(facts: Facts) -> bool:
    is_skipped = skips_gates(facts.rotation, facts.request)
    return bool(facts.observation.gates.names) and not is_skipped


def gates_are_unasked(facts: Facts) -> AskGates | None:
    is_recent = facts.is_recent(facts.observation.gates.asked_at)
    return AskGates() if _has_gates(facts) and not is_recent else None


def gate_is_shut(facts: Facts) -> Wait | None:
    shut = facts.observation.gates.shut
    if shut is None or not _has_gates(facts):
        return None
    return Wait(until=gate_retry_at(facts.rotation, shut, facts.now), gate=shut)


def predecessor_is_replaced(facts: Facts) -> Delete | None:
    predecessor_id = facts.rotation.predecessor_id
    return Delete(secret_id=predecessor_id) if predecessor_id else None


AFTER_PUSH: tuple[Rule, ...] = (
    vault_is_behind,
    entry_was_overwritten,
    # While the new version is going to be removed, neither the predecessor is deleted nor the
    # pending entry, which is another copy; and hooks are not called.
    version_will_end,
    push_is_unrecorded,
    grace_cannot_start,
    grace_is_misdated,
    push_is_unverified,
    pending_is_left,
    hooks_are_due,
    grace_goes_on,
    current_is_refused,
    observation_is_old,
    death_is_unproven,
    predecessor_is_gone,
    predecessor_was_adopted,
    pushed_secret_is_unlisted,
    clock_is_ahead,
    gates_are_unasked,
    gate_is_shut,
    predecessor_is_replaced,
)
