"""The rules of a rotation: the next action for what was observed. Pure.

`decide` is pure. It reads no clock, does no input or output and never sees a secret value.
The caller performs the one action it returns, records intent and outcome, observes the
account again, and asks again. Nothing here remembers anything, so a process that was killed
and started again decides exactly what an uninterrupted one would have.

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
    delete   Check that Vault's value authenticates, then delete the predecessor.

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

An operator's hold prevents a rotation from being opened, and an open one from pushing: no consumer
has seen the new secret yet, so the rotation may pause there. One that has pushed is finished
regardless, unless the hold is a freeze: then nothing is done.
"""

from datetime import datetime, timedelta

from rotator.model import (
    LONGEST_GATE_WAIT,
    MOST_LEAD,
    Account,
    CurrentEntry,
    Note,
    OnForeign,
    PendingEntry,
    Request,
    Rotation,
    ShutGate,
    Step,
)
from rotator.rotation import refusals, schedule, window
from rotator.rotation.observation import Observation
from rotator.rotation.steps import (
    Abort,
    Action,
    Ask,
    Clear,
    Close,
    Create,
    Delete,
    Evict,
    Idle,
    Learn,
    Look,
    Notify,
    Open,
    Probe,
    Push,
    Redate,
    Refuse,
    Stage,
    Verify,
    Wait,
)

#: Maximum age of an observation of Vonage for a decision that cannot be undone.
FRESH = timedelta(seconds=60)
#: First wait before a shut gate is asked again.
FIRST_GATE_WAIT = timedelta(minutes=1)
#: How many values are generated before Vonage's rejection is attributed to something else.
MAX_DRAWS = 3


def decide(
    account: Account,
    world: Observation,
    request: Request,
    *,
    propagation_timeout: timedelta,
    now: datetime,
) -> Action:
    """Decide the one next action for `account`.

    `propagation_timeout` is how long Vonage may refuse a secret that was just created before the
    refusal counts.
    """
    rotation = world.rotation
    refusal = altered(account, world.hold_fault, world.rotation_fault)
    if refusal := refusal or moved(account, rotation):
        return refusal
    if rotation is not None and world.hold and world.hold.freeze:
        return refusals.held(account, world.hold)
    if rotation is not None and _is_pushed(world, rotation):
        return _after_push(account, world, rotation, request, now)
    if until := waits_until(account, rotation, request, now):
        return Wait(until=until)
    if rotation is None:
        return _start(account, world, request, now)
    if world.hold:
        return refusals.held(account, world.hold)
    if refusal := _unusable(account, world):
        return refusal
    if rotation.abort_code:
        return _undo(account, world, rotation, now)
    if refusal := _not_ours(account, world, request):
        return refusal
    action = _before_push(account, world, rotation, propagation_timeout, now)
    # A slot that was free when the value was sent may be taken by now.
    closed_until = _closed_until(account, rotation, request, now)
    return Wait(until=closed_until) if isinstance(action, Evict) and closed_until else action


def moved(account: Account, rotation: Rotation | None) -> Refuse | None:
    """Refuse to continue a rotation that was opened for another api key, issuer or path.

    Decided from the ledger alone, so that Vonage and Vault are not asked in vain.
    """
    if rotation is None or rotation.identity in (None, account.identity):
        return None
    return refusals.account_changed(account, rotation.identity)


def altered(account: Account, hold_fault: str | None, rotation_fault: str | None) -> Refuse | None:
    """Refuse to work by rows of the ledger that are not as its entries say.

    What is recorded next is made of them, so that entries would come to say the same.
    """
    if hold_fault:
        return refusals.hold_altered(account.name, hold_fault)
    return refusals.rows_altered(rotation_fault) if rotation_fault else None


def waits_until(
    account: Account, rotation: Rotation | None, request: Request, now: datetime
) -> datetime | None:
    """Return the time until which there is nothing to do but wait; None where there is more.

    Decided from the ledger alone, so that waiting costs no call to Vonage or Vault.
    """
    if rotation is not None and rotation.verified_at:
        if _is_misdated(rotation, now):
            return None
        due = _due(account, rotation, rotation.verified_at, request, now)
        return due if rotation.step is Step.WAIT else None
    is_resting = _may_rest(rotation, request)
    return _closed_until(account, rotation, request, now) if is_resting else None


def _is_misdated(rotation: Rotation, now: datetime) -> bool:
    """Return whether the recorded start of the grace is later than any plausible clock could be."""
    return rotation.verified_at is not None and rotation.verified_at > now + MOST_LEAD


def _closed_until(
    account: Account, rotation: Rotation | None, request: Request, now: datetime
) -> datetime | None:
    """Return when the next window opens for work that nobody asked for; None where one is open."""
    is_by_hand = rotation is not None and rotation.reason in window.BY_HAND
    if is_by_hand or request.reason in window.BY_HAND:
        return None
    opening = window.opens_at(account.policy, now)
    return opening if opening > now else None


def _may_rest(rotation: Rotation | None, request: Request) -> bool:
    """Return whether an unverified rotation may wait for a window, as nothing is in transit."""
    if rotation is None:
        return request.reason is not None
    if rotation.abort_code:
        return rotation.new_id is not None
    return not (rotation.sent_at or rotation.new_id or rotation.vault_version)


def current_secret_id(world: Observation) -> str | None:
    """Return the id of the secret that Vault's value certainly is; None where unsure.

    There are two certain cases: the note beside the value names it, the value is still the one
    that the note was written with, and Vonage lists the id; or there is no note, but just one
    secret exists and Vault's value authenticates.
    """
    current = world.current
    if current is None or world.listed is None:
        return None
    if current.note is not None:
        is_certain = current.intact and current.note.secret_id in world.listed_ids
        return current.note.secret_id if is_certain else None
    if len(world.listed) == 1 and world.current_live_at:
        return world.listed[0].id
    return None


# -- No rotation is open. ------------------------------------------------------------------


def _start(account: Account, world: Observation, request: Request, now: datetime) -> Action:
    if request.reason is None:
        return Idle()
    if world.hold:
        return refusals.held(account, world.hold)
    if refusal := _not_ours(account, world, request) or _unusable(account, world):
        return refusal
    if world.pending and world.pending_is_unrecorded:
        return _recover(world, world.pending)
    if world.current and world.current.ends_at:
        return refusals.version_ends(account, world.current)
    predecessor_id = current_secret_id(world)
    if predecessor_id is None and (refusal := _unknown_current(account, world)):
        return refusal
    if request.reason == "due" and _is_young(account, world, now):
        return Idle()
    grace = account.policy.grace if request.grace is None else request.grace
    if grace and world.clock_lead < -MOST_LEAD:
        return refusals.clock_behind(world.clock_lead)
    blocked = _make_room(account, world, now)
    return blocked if isinstance(blocked, Refuse | Look) else Open(predecessor_id=predecessor_id)


def _is_young(account: Account, world: Observation, now: datetime) -> bool:
    """Return whether the secret in use is not due by its age, whatever ledger and clock say.

    A restored ledger may know an older secret; a clock ahead of Vonage's makes every secret look
    older than it is.
    """
    current_id, today = current_secret_id(world), now - max(world.clock_lead, timedelta())
    return any(
        schedule.next_due(account, secret.created_at) > today
        for secret in world.listed or ()
        if secret.id == current_id
    )


def _recover(world: Observation, pending: PendingEntry) -> Action:
    """Resume a rotation that is in Vault but not in the ledger.

    The pending entry contains everything: its rotation, the secret to be replaced, and the ids
    listed before its value was sent. An id that Vonage does not list is not adopted.
    """
    is_listed = pending.predecessor_id in world.listed_ids
    predecessor_id = pending.predecessor_id if is_listed else None
    return Open(predecessor_id=predecessor_id, recovered_id=pending.rotation_id)


def _unknown_current(account: Account, world: Observation) -> Refuse | None:
    """Refuse where Vault's value works, but it is unknown which listed secret it is.

    Where the value is dead, no listed secret is the predecessor, and rotating with the parent's
    credential is the remedy: no secret will be deleted at its end.
    """
    if world.current_live_at is None:
        return None
    if note := _note(world):
        return refusals.revoked(account, note.secret_id if _is_known(world, note) else None)
    return refusals.unknown_current(account, world.listed or ())


# -- Before the push: everything can still be undone. --------------------------------------


def _before_push(
    account: Account,
    world: Observation,
    rotation: Rotation,
    propagation_timeout: timedelta,
    now: datetime,
) -> Action:
    pending = world.pending
    current = current_secret_id(world)
    was_there = current in pending.listed_ids if pending else not rotation.sent_at
    # Also where another id was recorded: a ledger that was restored is out of date.
    if rotation.predecessor_id not in world.listed_ids and current and was_there:
        return Learn(predecessor_id=current)
    if pending is None or not _is_staged(account, world, rotation):
        if rotation.sent_at or rotation.new_id:
            return _without_pending(world, rotation, propagation_timeout)
        if pending and world.pending_is_unrecorded:
            # It is not overwritten: the next pass resumes the rotation it belongs to.
            return _give_up(rotation, "taken-over")
        return _make_room(account, world, now) or Stage(listed_ids=world.listed_ids)
    if rotation.new_id:
        return _with_new_secret(world, rotation, propagation_timeout, now)
    if _new_ids(world):
        return _with_new_id(account, world, rotation, propagation_timeout, now)
    return _without_new_id(account, world, rotation, propagation_timeout, now)


def _without_pending(world: Observation, rotation: Rotation, patience: timedelta) -> Action:
    """Handle a pending entry that is gone, or that a lagging standby does not show yet."""
    is_gone = world.pending is not None or _is_refused_for(patience, world, rotation)
    return _give_up(rotation, "pending-lost") if is_gone else Look()


def _with_new_secret(
    world: Observation, rotation: Rotation, patience: timedelta, now: datetime
) -> Action:
    """Probe the new secret, whose id is known, then push it."""
    if rotation.new_id not in world.listed_ids:
        # In both directions, as the time of sending may come from a clock that was ahead.
        is_settling = rotation.sent_at and abs(now - rotation.sent_at) < patience
        return Look() if is_settling else _give_up(rotation, "new-secret-revoked")
    if _is_fresh(world.pending_live_at, now):
        return Push()
    if _is_refused_for(patience, world, rotation):
        if world.entry_is_new:
            # Undoing it would require a value in Vault that is seen to authenticate first.
            return refusals.first_refused(rotation.account, rotation.new_id)
        return _give_up(rotation, "new-secret-refused")
    return Probe()


def _with_new_id(
    account: Account, world: Observation, rotation: Rotation, patience: timedelta, now: datetime
) -> Action:
    """Probe the pending value: an id is new since staging, and no answer said whose it is.

    It is ours if the pending value authenticates. If not, it may still be ours and not settled
    yet: the pending value is kept, and no other secret is touched.
    """
    new_ids = _new_ids(world)
    if len(new_ids) == 1 and _is_fresh(world.pending_live_at, now):
        return Learn(new_id=new_ids[0])
    is_over = len(new_ids) > 1 or _is_refused_for(patience, world, rotation)
    if rotation.sent_at is None and (is_over or not _may_be_sent(world, rotation)):
        return _make_room(account, world, now) or _give_up(rotation, "overtaken")
    return refusals.unexplained(rotation.account, new_ids) if is_over else Probe()


def _without_new_id(
    account: Account, world: Observation, rotation: Rotation, patience: timedelta, now: datetime
) -> Action:
    """Send the pending value, which Vonage does not have; generate another if it was rejected.

    A rejection only counts once no earlier attempt can have taken effect: Vonage also rejects an
    active value that is sent again. A value that authenticates exists even if a lagging list omits
    it; a list counts only if it is newer than the last refusal. An id that was adopted meanwhile is
    not new.
    """
    if world.current_is_pending and world.current and world.current.intact:
        return _give_up(rotation, "overtaken")
    # A pending entry that Vault will remove is never sent: it would be the only copy.
    if not rotation.rejected and world.pending_ends_at is None:
        return _make_room(account, world, now) or Create()
    is_sent = _may_be_sent(world, rotation)
    if is_sent and _is_fresh(world.pending_live_at, now):
        return Look()
    if is_sent and not _is_refused_for(patience, world, rotation):
        return Probe()
    if is_sent and _is_listed_before_refused(world):
        return Look()
    if world.pending_ends_at and rotation.sent_at:
        return refusals.pending_ends(account, world.pending_ends_at)
    if world.pending_ends_at:
        return _give_up(rotation, "version-ends")
    if rotation.draws < MAX_DRAWS:
        return Stage(listed_ids=world.listed_ids)
    return _give_up(rotation, "secret-rejected")


def _give_up(rotation: Rotation, code: str) -> Action:
    """Abort, unless a push was tried: it might still arrive after the secret was deleted."""
    if rotation.step is Step.PUSH:
        return refusals.stopped_working(rotation.account, rotation.new_id)
    return Abort(code=code)


def _undo(account: Account, world: Observation, rotation: Rotation, now: datetime) -> Action:
    """Delete what an aborted rotation created, then close it."""
    is_staged = _is_staged(account, world, rotation)
    if rotation.new_id and rotation.new_id in world.listed_ids:
        if world.entry_is_new:
            return refusals.first_kept(rotation.account, rotation.new_id)
        current = current_secret_id(world)
        is_other = current is not None or (is_staged and not world.current_is_pending)
        is_only = len(world.listed_ids) == 1
        if not is_other or current == rotation.new_id or is_only or not world.current_live_at:
            return refusals.unsafe(rotation.account, rotation.new_id)
        if current not in (None, rotation.predecessor_id):
            # Another rotation has pushed since, unknown to a ledger that was restored; it may have
            # replaced this very secret.
            return refusals.once_used(rotation.account, rotation.new_id)
        if rotation.new_id == world.adopted_id:
            # The write that was to put it into Vault may still arrive.
            return refusals.adopted(rotation.account, rotation.new_id)
        if world.current and world.current.ends_at:
            return refusals.version_ends(account, world.current)
        if not _is_fresh(world.current_live_at, now) or not _is_fresh(world.seen_at, now):
            return Look()
        return Delete(secret_id=rotation.new_id)
    return _clear(world, rotation) if is_staged else Close(error_code=rotation.abort_code)


# -- After the push: only forward. ---------------------------------------------------------


def _after_push(
    account: Account, world: Observation, rotation: Rotation, request: Request, now: datetime
) -> Action:
    current = world.current
    if refusal := _out_of_sight(account, world):
        return refusal
    if current is None or current.note is None or not _is_its_own(current, rotation):
        return refusals.overwritten(account, rotation, world)
    if current.ends_at:
        # While the new version is going to be removed, neither the predecessor is deleted nor the
        # pending entry, which is another copy; and hooks are not called.
        return refusals.version_ends(account, current)
    if rotation.vault_version is None or rotation.new_id is None:
        return _learn_push(account, world, rotation, current.note)
    is_misdated = _is_misdated(rotation, now)
    if rotation.verified_at is None or is_misdated:
        if _grace(rotation, request) and world.clock_lead < -MOST_LEAD:
            return refusals.clock_behind(world.clock_lead)
        # Since then, others may have written other fields, and the pushed version may have rolled
        # off.
        newest = max(rotation.vault_version, current.version)
        return Redate() if is_misdated else Verify(version=newest)
    # After verification even if no entry is seen: a standby may not show it.
    is_uncleared = world.pending is None and rotation.step in (Step.VERIFY, Step.CLEAR)
    if is_uncleared or _is_staged(account, world, rotation):
        return _clear(world, rotation)
    if rotation.step is Step.HOOKS:
        return Notify()
    due = _due(account, rotation, rotation.verified_at, request, now)
    if now < due:
        return Wait(until=due)
    return _delete_predecessor(world, rotation, request, now)


def _out_of_sight(account: Account, world: Observation) -> Refuse | None:
    """Refuse where the pushed version is not visible yet, or Vault reports it as removed."""
    if world.is_behind:
        return refusals.behind(account, world)
    if world.removed and world.removed.ends_at:
        return refusals.version_ended(account, world.removed, code="drift")
    return None


def _is_its_own(current: CurrentEntry, rotation: Rotation) -> bool:
    """Return whether the entry is as this rotation wrote it."""
    is_noted = current.note is not None and current.note.rotation_id == rotation.id
    return is_noted and current.has_value and current.intact


def _learn_push(
    account: Account, world: Observation, rotation: Rotation, note: Note
) -> Learn | Refuse:
    """Learn from the entry about a push whose answer was lost.

    An id from a note alone is not accepted, as the ledger keeps it for good.
    """
    if rotation.new_id is None and not _is_known(world, note):
        is_dead = world.listed is None
        return refusals.dead(account.name) if is_dead else refusals.revoked(account, None)
    new_id = rotation.new_id or note.secret_id
    return Learn(new_id=new_id, vault_version=world.current_version)


def _delete_predecessor(
    world: Observation, rotation: Rotation, request: Request, now: datetime
) -> Action:
    """Delete the predecessor, once Vault's value authenticates without it."""
    if world.listed is None or world.current_live_at is None:
        return refusals.dead(rotation.account)
    if not _is_fresh(world.seen_at, now) or not _is_fresh(world.current_live_at, now):
        return Look()
    # The rotation's own secret is never its predecessor, whatever was recorded.
    if rotation.predecessor_id not in world.listed_ids - {rotation.new_id}:
        return Close()
    if rotation.predecessor_id == world.adopted_id:
        return refusals.adopted(rotation.account, rotation.predecessor_id)
    if current_secret_id(world) != rotation.new_id:
        return refusals.unlisted(rotation.account, rotation.new_id)
    if _is_early(world, rotation, request, now):
        gate = refusals.clock_ahead(world.clock_lead)
        return Wait(until=_gate_retry_at(rotation, gate, now), gate=gate)
    if world.gates and not skips_gates(rotation, request):
        if not _is_fresh(world.gates_asked_at, now):
            return Ask()
        if world.shut_gate:
            return Wait(until=_gate_retry_at(rotation, world.shut_gate, now), gate=world.shut_gate)
    return Delete(secret_id=rotation.predecessor_id)


def _is_early(world: Observation, rotation: Rotation, request: Request, now: datetime) -> bool:
    """Return whether the grace is over only by a clock that is ahead of Vonage's."""
    grace = _grace(rotation, request)
    if not grace or rotation.verified_at is None:
        return False
    return now - rotation.verified_at < grace + world.clock_lead


def skips_gates(rotation: Rotation, request: Request) -> bool:
    """Return whether gates are skipped: a leaked secret must go, whatever still uses it."""
    return "compromised" in (rotation.reason, request.reason)


def _gate_retry_at(rotation: Rotation, gate: ShutGate, now: datetime) -> datetime:
    """Return when to ask a gate again: after as long as it has been shut, so ever more rarely."""
    since = rotation.gate_since if rotation.gate == gate.name else None
    wait = now - since if since else FIRST_GATE_WAIT
    return now + min(max(wait, FIRST_GATE_WAIT), LONGEST_GATE_WAIT)


def _due(
    account: Account,
    rotation: Rotation,
    verified_at: datetime,
    request: Request,
    now: datetime,
) -> datetime:
    """Return when the predecessor may be deleted: after its grace, or a shorter one asked for now.

    It is in a window, unless an operator asked for no grace.
    """
    grace = _grace(rotation, request)
    is_asked = rotation.reason in window.BY_HAND or request.grace is not None
    if is_asked and not grace:
        return min(verified_at, now)
    return window.opens_at(account.policy, max(verified_at + grace, now))


def _grace(rotation: Rotation, request: Request) -> timedelta:
    """Return the rotation's own grace, or a shorter one asked for now."""
    return rotation.grace if request.grace is None else min(rotation.grace, request.grace)


# -- Shared by several of the above. -------------------------------------------------------


def _note(world: Observation) -> Note | None:
    return world.current.note if world.current else None


def _is_known(world: Observation, note: Note) -> bool:
    """Return whether the note's id is certain: Vonage lists it, or the ledger has it."""
    return note.secret_id in world.listed_ids or world.noted_is_recorded


def _is_staged(account: Account, world: Observation, rotation: Rotation) -> bool:
    """Return whether the pending entry is this rotation's."""
    pending = world.pending
    if pending is None or pending.rotation_id != rotation.id:
        return False
    return pending.difference(account.identity) is None


def _not_ours(account: Account, world: Observation, request: Request) -> Refuse | None:
    """Refuse to touch a pending entry of another account, or of a rotation in another ledger.

    Without an open rotation, one that this ledger has lost may be resumed: it was restored from a
    backup. An older entry names no ledger and is treated the same.
    """
    pending = world.pending
    if pending is None:
        return None
    if difference := pending.difference(account.identity):
        return refusals.pending_foreign(account, *difference)
    if not world.pending_is_unrecorded or request.takes_over:
        return None
    is_lost = world.rotation is None and pending.ledger_id in (None, world.ledger_id)
    return None if is_lost else refusals.pending_unknown(account)


def _clear(world: Observation, rotation: Rotation) -> Clear:
    """Clear the visible and the pushed versions: a lagging standby may not show the pushed one."""
    return Clear(upto=max(world.pending_version, rotation.pending_version))


def _may_be_sent(world: Observation, rotation: Rotation) -> bool:
    """Return whether Vonage may have received the pending value.

    A pass that staged it knows what became of it. For an entry it finds, only the ledger knows,
    which may have been restored, or have lost its latest entries.
    """
    return rotation.sent_at is not None or not world.pending_is_unsent


def _is_pushed(world: Observation, rotation: Rotation) -> bool:
    """Return whether this rotation's value is, or was, the current one."""
    note = _note(world)
    return rotation.vault_version is not None or bool(note and note.rotation_id == rotation.id)


def _unusable(account: Account, world: Observation) -> Refuse | None:
    """Refuse to work on an entry that is missing, another account's, changed or dead."""
    current = world.current
    if world.is_behind:
        return refusals.behind(account, world)
    if current is None and account.discovered and world.entry_is_new:
        return refusals.parent_refused(account) if world.listed is None else None
    if current is None:
        return _missing(account, world.removed)
    if not current.has_value:
        return refusals.field_missing(account)
    if current.is_foreign:
        return refusals.wrong_entry(account)
    if current.note is not None and not current.intact:
        return refusals.changed(
            account, world.written.version, "someone else changed the value at Vault"
        )
    return refusals.dead(account.name) if world.listed is None else None


def _missing(account: Account, removed: CurrentEntry | None) -> Refuse:
    if removed and removed.ends_at:
        return refusals.version_ended(account, removed)
    return refusals.entry_missing(account, removed.version if removed else 0)


def _make_room(account: Account, world: Observation, now: datetime) -> Evict | Look | Refuse | None:
    """Return None if a slot is free, else the action that frees one, or a refusal."""
    listed = world.listed or ()
    if len(listed) < 2:  # noqa: PLR2004  # Vonage's two slots
        return None
    current = current_secret_id(world)
    others = sorted(world.listed_ids - {current})
    if world.entry_is_new:
        return refusals.no_slot(account, others)
    expendable = [secret_id for secret_id in others if secret_id in world.expendable_ids]
    is_foreign = not expendable
    if is_foreign and account.policy.on_foreign is OnForeign.EVICT_OLDEST:
        expendable = others
    if world.adopted_id in expendable:
        return refusals.adopted(account.name, world.adopted_id)
    if not expendable:
        return refusals.foreign(account, others)
    if current is None or world.current_live_at is None:
        return refusals.unsafe(account.name, expendable[0])
    if world.current and world.current.ends_at:
        return refusals.version_ends(account, world.current)
    if not _is_fresh(world.seen_at, now) or not _is_fresh(world.current_live_at, now):
        return Look()
    return Evict(secret_id=expendable[0], is_foreign=is_foreign)


def _new_ids(world: Observation) -> list[str]:
    """Return the ids listed since staging that may be the secret that was sent.

    Excluded are ids in the ledger, as an orphan may appear late and a deleted one may be listed
    again; and the id in Vault's note, which an operator adopted since.
    """
    staged = world.pending.listed_ids if world.pending else frozenset()
    note = _note(world)
    adopted = {note.secret_id} if note and world.current and world.current.intact else set()
    known = world.expendable_ids | world.deleted_ids | adopted
    return sorted(world.listed_ids - staged - known)


def _is_fresh(at: datetime | None, now: datetime) -> bool:
    # An observation later than now is not fresh: the clock has been set back since.
    return at is not None and abs(now - at) <= FRESH


def _is_refused_for(patience: timedelta, world: Observation, rotation: Rotation) -> bool:
    """Return whether the pending value was still refused after the propagation timeout.

    The passing of time alone proves nothing: what counts is how long after the value was sent, and
    first refused, the last answer came.
    """
    since, at = world.pending_refused_since, world.pending_refused_at
    if since is None or at is None:
        return False
    # A time of sending later than the refusal came from a clock that was ahead.
    sent_at = rotation.sent_at if rotation.sent_at and rotation.sent_at <= at else since
    return at - max(since, sent_at) >= patience


def _is_listed_before_refused(world: Observation) -> bool:
    """Return whether the list is older than the last refusal of the pending value."""
    return world.pending_refused_at is not None and world.seen_at < world.pending_refused_at
