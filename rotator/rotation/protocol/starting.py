"""The rules while no rotation is open, and those that apply to any work before the push."""

from datetime import timedelta

from rotator.model import OnForeign
from rotator.rotation import refusals, schedule
from rotator.rotation.protocol.facts import Facts, Rule
from rotator.rotation.steps.bookkeeping import Idle, Observe, Refuse
from rotator.rotation.steps.prepare import Evict, Open


def nothing_is_asked(facts: Facts) -> Idle | None:
    return Idle() if facts.request.reason is None else None


def account_is_held(facts: Facts) -> Refuse | None:
    hold = facts.observation.ledger.hold
    return refusals.held(facts.account, hold) if hold else None


def pending_is_not_ours(facts: Facts) -> Refuse | None:
    """Refuse to touch a pending entry of another account, or of a rotation in another ledger.

    Without an open rotation, one that this ledger has lost may be resumed: it was restored from a
    backup. An older entry names no ledger and is treated the same.
    """
    pending, ledger = facts.pending, facts.observation.ledger
    if pending is None:
        return None
    if difference := pending.difference(facts.account.identity):
        return refusals.pending_foreign(facts.account, *difference)
    if not facts.observation.pending.is_unrecorded or facts.request.takes_over:
        return None
    is_lost = ledger.rotation is None and pending.ledger_id in (None, ledger.ledger_id)
    return None if is_lost else refusals.pending_unknown(facts.account)


# -- The current entry is missing, another account's, changed or dead. ----------------------------


def vault_is_behind(facts: Facts) -> Refuse | None:
    is_behind = facts.observation.is_behind
    return refusals.behind(facts.account, facts.observation) if is_behind else None


def parent_is_refused(facts: Facts) -> Refuse | None:
    is_refused = facts.is_first and facts.observation.listing.secrets is None
    return refusals.parent_refused(facts.account) if is_refused else None


def entry_is_missing(facts: Facts) -> Refuse | None:
    current = facts.observation.current
    if current.entry is not None or facts.is_first:
        return None
    return refusals.entry_missing(facts.account, facts.observation)


def field_is_missing(facts: Facts) -> Refuse | None:
    is_missing = facts.current is not None and not facts.current.has_value
    return refusals.field_missing(facts.account, facts.observation) if is_missing else None


def entry_is_another_accounts(facts: Facts) -> Refuse | None:
    is_foreign = facts.current is not None and facts.current.is_foreign
    return refusals.wrong_entry(facts.account) if is_foreign else None


def value_was_changed(facts: Facts) -> Refuse | None:
    if facts.current is None or facts.note is None or facts.current.intact:
        return None
    return refusals.changed(facts.account, facts.observation)


def no_credential_works(facts: Facts) -> Refuse | None:
    is_dead = facts.observation.listing.secrets is None
    return refusals.dead(facts.account, facts.observation) if is_dead else None


UNUSABLE: tuple[Rule, ...] = (
    vault_is_behind,
    parent_is_refused,
    entry_is_missing,
    field_is_missing,
    entry_is_another_accounts,
    value_was_changed,
    no_credential_works,
)


def observation_is_old(facts: Facts) -> Observe | None:
    return None if facts.is_fresh else Observe()


# -- Opening a rotation. ---------------------------------------------------------------------------


def rotation_is_unrecorded(facts: Facts) -> Open | None:
    """Resume a rotation that is in Vault but not in the ledger.

    The pending entry contains everything: its rotation, the secret to be replaced, and the ids
    listed before its value was sent. An id that Vonage does not list is not adopted.
    """
    pending = facts.pending
    if pending is None or not facts.observation.pending.is_unrecorded:
        return None
    is_listed = pending.predecessor_id in facts.observation.listing.ids
    predecessor_id = pending.predecessor_id if is_listed else None
    return Open(predecessor_id=predecessor_id, recovered_id=pending.rotation_id)


def version_will_end(facts: Facts) -> Refuse | None:
    if facts.current is None or facts.current.ends_at is None:
        return None
    return refusals.version_ends(facts.account, facts.current)


def current_is_unknown(facts: Facts) -> Refuse | None:
    """Refuse where Vault's value works, but it is unknown which listed secret it is.

    Where the value is dead, no listed secret is the predecessor, and rotating with the parent's
    credential is the remedy: no secret will be deleted at its end.
    """
    observation = facts.observation
    is_live = observation.current.authenticated_at is not None
    if observation.current_secret_id is not None or not is_live:
        return None
    if facts.note:
        return refusals.revoked(facts.account, observation)
    return refusals.unknown_current(facts.account, observation)


def secret_is_young(facts: Facts) -> Idle | None:
    """Do nothing where the secret in use is not due by its age, whatever ledger and clock say.

    A restored ledger may know an older secret; a clock ahead of Vonage's makes every secret look
    older than it is.
    """
    if facts.request.reason != "due":
        return None
    if facts.account.policy.is_on_request:
        return Idle()
    listing, current_id = facts.observation.listing, facts.observation.current_secret_id
    today = facts.now - max(listing.clock_offset, timedelta())
    is_young = any(
        (due_at := schedule.next_due(facts.account, secret.created_at)) and due_at > today
        for secret in listing.secrets or ()
        if secret.id == current_id
    )
    return Idle() if is_young else None


def clock_is_behind(facts: Facts) -> Refuse | None:
    asked = facts.request.grace
    grace = facts.account.policy.grace if asked is None else asked
    if not grace or not facts.is_clock_unusable:
        return None
    return refusals.clock_behind()


def no_slot_can_be_freed(facts: Facts) -> Refuse | Observe | None:
    blocked = make_room(facts)
    return None if isinstance(blocked, Evict) else blocked


def rotation_is_wanted(facts: Facts) -> Open:
    return Open(predecessor_id=facts.observation.current_secret_id)


STARTING: tuple[Rule, ...] = (
    nothing_is_asked,
    account_is_held,
    pending_is_not_ours,
    *UNUSABLE,
    rotation_is_unrecorded,
    version_will_end,
    current_is_unknown,
    secret_is_young,
    clock_is_behind,
    no_slot_can_be_freed,
    rotation_is_wanted,
)


def make_room(facts: Facts) -> Evict | Observe | Refuse | None:
    """Return None if a slot is free, else the action that frees one, or a refusal."""
    account, observation = facts.account, facts.observation
    if len(observation.listing.secrets or ()) < 2:  # noqa: PLR2004  # Vonage's two slots
        return None
    current_id, adopted_id = observation.current_secret_id, observation.ledger.adopted_id
    others = sorted(observation.listing.ids - {current_id})
    if facts.is_first:
        return refusals.no_slot(account, others)
    expendable = [id_ for id_ in others if id_ in observation.ledger.expendable_ids]
    is_foreign = not expendable
    if is_foreign and account.policy.on_foreign is OnForeign.EVICT_OLDEST:
        expendable = others
    if adopted_id in expendable:
        return refusals.adopted(account.name, adopted_id)
    if not expendable:
        return refusals.foreign(account, others)
    if current_id is None or observation.current.authenticated_at is None:
        return refusals.unsafe(account.name, expendable[0])
    evict = Evict(secret_id=expendable[0], is_foreign=is_foreign)
    return version_will_end(facts) or observation_is_old(facts) or evict
