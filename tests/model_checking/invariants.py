"""What must never be false, whatever fails, dies or interferes.

`before_effect` judges each request as it leaves rotator, `always` judges every state of the
world. The numbers tell the rules apart; a violation's message says what it found.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from rotator.model import Rotation
from rotator.rotation.ports import NewEntry
from tests.model_checking.neighbours import is_theirs
from tests.model_checking.world import (
    SLOTS,
    ClearPending,
    CreateSecret,
    DeleteSecret,
    Effect,
    World,
    WriteCurrent,
    WritePending,
    when,
)

#: The steps whose intent covers each kind of effect.
COVERS: dict[type[Effect], frozenset[str]] = {
    CreateSecret: frozenset({"create"}),
    DeleteSecret: frozenset({"evict", "delete"}),
    WriteCurrent: frozenset({"push"}),
    WritePending: frozenset({"stage"}),
    ClearPending: frozenset({"clear"}),
}


class Violation(Exception):
    """An invariant does not hold."""

    def __init__(self, invariant: str, found: str) -> None:
        """Take the invariant that is violated and what was found."""
        self.invariant = invariant
        super().__init__(f"{invariant}: {found}")


@dataclass(frozen=True, kw_only=True)
class Sender:
    """What a process may do."""

    #: The fencing token of its lease.
    token: int
    may_evict_foreign: bool
    #: The grace that its request asks for.
    grace: timedelta | None
    #: Gates that it found open, since it found one shut.
    opened: frozenset[str]
    #: The predecessor leaked.
    is_in_a_hurry: bool
    #: Where outsiders have acted since it looked there: `vonage`, `vault`.
    unseen: frozenset[str]


def before_effect(world: World, effect: Effect, sender: Sender) -> None:
    """Judge a request that is about to leave."""
    _is_intended(world, effect, sender.token)
    _is_not_held(world, effect)
    _is_not_frozen(world, effect, sender)
    _lasts(world, effect)
    _is_not_anothers(world, effect)
    if isinstance(effect, DeleteSecret):
        _may_delete(world, effect.id, sender)
        _has_left(world, effect.id)
    if isinstance(effect, WriteCurrent):
        _keeps_the_rest(world, effect)
        _may_stay(world, effect, sender)


def after_deletion(before: World, world: World, secret_id: str, unseen: frozenset[str]) -> None:
    """Judge a deletion that has just taken place.

    What outsiders did where the sender had not looked since is `unseen`: no client can know of
    it in time, so it is held against the outsider.
    """
    kept, secret = before.consumed, before.find(secret_id)
    if kept is None or secret is None:
        return
    if secret.value == kept.value and "vault" not in unseen:
        raise Violation("I3", f"{secret_id} is deleted, and Vault holds it")
    if not before.works(kept.value) and not unseen:
        raise Violation("I3", f"{secret_id} is deleted while Vault's value is dead")
    if unseen:
        world.harmed |= {secret.value}


def unaccounted_for(world: World) -> frozenset[str]:
    """Return the values that are lost, as far as they are rotator's."""
    return frozenset(
        secret.value
        for secret in world.live
        if secret.maker == "rotator" and not _is_accounted_for(world, secret.id, secret.value)
    )


def always(world: World) -> None:
    """Judge a state of the world."""
    kept = world.consumed
    if kept and not world.works(kept.value) and kept.value not in world.harmed:
        raise Violation("I1", "the value that consumers read does not authenticate")
    if kept and kept.previous in world.doomed:
        raise Violation("I14", f"{kept.previous} is beside the current value, and about to die")
    if not 1 <= len(world.live) <= SLOTS:
        raise Violation("I2", f"there are {len(world.live)} secrets")
    for secret in world.live:
        if secret.maker == "rotator" and not _is_accounted_for(world, secret.id, secret.value):
            raise Violation("I4", f"the value of {secret.id} is lost, and nobody knows the id")
    rotation = world.rotation
    if rotation and rotation.abort_code and world.pushed == rotation.id:
        raise Violation("I6", f"a rotation that was pushed aborts: {rotation.abort_code}")


def is_proof_due(
    world: World, rotation: Rotation | None, entries: Sequence[NewEntry], refused: str | None
) -> None:
    """Judge what is recorded of a deletion's proof; `refused` is what Vonage refused last."""
    events = {entry.event for entry in entries}
    old_id = rotation.predecessor_id if rotation else None
    if rotation is None or old_id is None:
        return
    if "dead-after" in events and (world.find(old_id) or refused != world.buried(old_id)):
        raise Violation("I13", f"{old_id} is said to be dead, and Vonage has not refused it")
    if "not-proven" in events and _is_kept(world, old_id):
        raise Violation("I13", f"{old_id} is said to be unknown, and Vault has its value")
    is_completed = rotation.outcome == "completed" and "closed" in events
    is_settled = rotation.dead_at is not None or "not-proven" in events
    if world.proves and is_completed and old_id != rotation.new_id and not is_settled:
        raise Violation("I13", f"{old_id} was not tried after its deletion")


def _is_kept(world: World, secret_id: str) -> bool:
    """Return whether Vault has an older version with the value of that secret beside its note."""
    older = world.current[-world.keeps : -1] if world.keeps else world.current[:-1]
    return any(
        kept.note.secret_id == secret_id and kept.value == kept.noted
        for kept in older
        if kept and kept.note
    )


def _is_intended(world: World, effect: Effect, token: int) -> None:
    intent, covers = world.intent, COVERS[type(effect)]
    if isinstance(effect, WriteCurrent) and effect.is_withdrawal:
        covers = frozenset({"withdraw"})
    if token != world.token:
        raise Violation("I5", f"{effect} is sent by a process that has lost its lease")
    if intent is None or intent.token != token or intent.step not in covers:
        raise Violation("I5", f"{effect} was not preceded by its intent: {intent}")
    if isinstance(effect, DeleteSecret) and intent.secret_id != effect.id:
        raise Violation("I5", f"{effect} is not the intended one: {intent}")


def _is_not_held(world: World, effect: Effect) -> None:
    """Judge a request that an operator's hold forbids: one from before the last look does."""
    hold, rotation = world.hold, world.rotation
    if hold and hold.freeze:
        raise Violation("I8", f"{effect} is sent, and the account is frozen")
    if hold and not (rotation and world.pushed == rotation.id):
        raise Violation("I8", f"{effect} is sent before the push, and the account is held")


def _is_not_frozen(world: World, effect: Effect, sender: Sender) -> None:
    """Judge a request that a change freeze forbids: it brings home what was sent, and that is all.

    A value may be sent again that was perhaps sent before.
    """
    freeze, rotation = world.freeze, world.rotation
    if freeze is None or not freeze.has(when(world.now)):
        return
    is_leaked = sender.is_in_a_hurry or (rotation and rotation.reason == "compromised")
    is_begun = rotation is not None and rotation.opened_at < freeze.since
    is_finishing = isinstance(effect, WriteCurrent | ClearPending | CreateSecret) and is_begun
    if not is_leaked and not is_finishing:
        raise Violation("I16", f"{effect} is sent in a change freeze")


def _lasts(world: World, effect: Effect) -> None:
    """Judge a request by what Vault removes by itself some day."""
    if isinstance(effect, CreateSecret) and world.staged and world.staged.ends:
        raise Violation("I11", "a value is sent, and its only copy ends by itself")
    if not isinstance(effect, CreateSecret | WritePending | WriteCurrent):
        kept, rotation = world.consumed, world.rotation
        is_pushed = bool(rotation and world.pushed == rotation.id)
        is_last_copy = isinstance(effect, DeleteSecret) or is_pushed
        if kept and kept.ends and is_last_copy:
            raise Violation("I11", f"{effect} is sent, and what consumers read ends by itself")


def _is_not_anothers(world: World, effect: Effect) -> None:
    """Judge a request by what is pending for others: it is neither used nor taken away."""
    theirs = {each.value for each in world.pending if is_theirs(each) and each}
    used = _values_in(effect)
    if theirs & used:
        raise Violation("I10", f"{effect} has a value that is pending for another account")
    if isinstance(effect, ClearPending) and any(map(is_theirs, world.pending[: effect.upto])):
        raise Violation("I10", f"{effect} takes away what is pending for another account")
    if isinstance(effect, WritePending) and effect.base == len(world.pending) and world.is_strange:
        raise Violation("I10", f"{effect} is written over what another ledger has pending")


def _values_in(effect: Effect) -> set[str]:
    """Return the values that a request sends, or authenticates with, but for what it stages."""
    match effect:
        case CreateSecret(credential=credential, value=value):
            return {credential, value}
        case DeleteSecret(credential=credential):
            return {credential}
        case WriteCurrent(kept=kept):
            return {kept.value}
        case _:
            return set()


def _may_delete(world: World, secret_id: str, sender: Sender) -> None:
    if "vault" in sender.unseen:
        raise Violation("I3", f"{secret_id} is about to be deleted, without a last look at Vault")
    step = world.intent.step if world.intent else None
    secret, rotation = world.find(secret_id), world.rotation
    is_foreign = bool(secret and secret.maker == "outsider" and secret_id not in world.held)
    if is_foreign and not (sender.may_evict_foreign and step == "evict"):
        raise Violation("I3", f"{secret_id} is foreign, and about to be deleted")
    if rotation is None:
        raise Violation("I5", f"{secret_id} is about to be deleted without an open rotation")
    if world.pushed == rotation.id and secret_id == rotation.new_id:
        raise Violation("I6", f"{secret_id} was pushed, and its own rotation deletes it")
    _is_not_resting(world, secret_id, sender)
    if step == "delete" and secret_id == rotation.predecessor_id:
        _is_out_of_grace(world, rotation, sender.grace)
        _is_let_go(world, rotation, sender)


def _has_left(world: World, secret_id: str) -> None:
    """Judge a deletion by what consumers may try beside the current value."""
    kept, secret = world.consumed, world.find(secret_id)
    if kept and secret and kept.previous == secret.value:
        raise Violation("I14", f"{secret_id} is about to be deleted, and its value is in Vault")


def _keeps_the_rest(world: World, effect: WriteCurrent) -> None:
    """Judge a write of the current entry by the fields that are not rotator's."""
    base = world.current[-1] if world.current and effect.base == len(world.current) else None
    if base is None:
        return
    kept = effect.kept
    is_theirs = base.previous is not None and base.previous != base.previous_noted
    if kept.other != base.other or (is_theirs and kept.previous != base.previous):
        raise Violation("I15", f"{effect} takes away what others wrote: {base}")
    if effect.is_withdrawal and (kept.value, kept.noted) != (base.value, base.noted):
        raise Violation("I15", f"{effect} changes what consumers read: {base}")


def _may_stay(world: World, effect: WriteCurrent, sender: Sender) -> None:
    """Judge the value that a push keeps beside the new one."""
    rotation, kept = world.rotation, world.consumed
    previous, before = effect.kept.previous, kept.previous if kept else None
    if previous is None or previous == before or rotation is None or kept is None:
        return
    is_leaked = sender.is_in_a_hurry or rotation.reason == "compromised"
    if is_leaked or not rotation.grace or previous in world.doomed:
        raise Violation("I14", f"{effect} keeps {previous}, which is to go")
    is_current = effect.base != len(world.current) or previous == kept.value
    if not is_current or effect.kept.previous == effect.kept.value:
        raise Violation("I14", f"{effect} keeps {previous}, and consumers read {kept.value}")


def _is_not_resting(world: World, secret_id: str, sender: Sender) -> None:
    """Judge a deletion by what the ledger once knew, if not now: who may still use the secret."""
    resting_id, until = world.resting or ("", 0.0)
    is_asked = sender.grace is not None or sender.is_in_a_hurry
    # To the policy, whatever the ledger does not know is expendable.
    is_evicted = world.intent and world.intent.step == "evict" and sender.may_evict_foreign
    if is_evicted:
        return
    if secret_id == resting_id and world.true < until and not is_asked:
        raise Violation("I7", f"{secret_id} is about to be deleted, and its grace is not over")


def _is_out_of_grace(world: World, rotation: Rotation, asked: timedelta | None) -> None:
    grace = rotation.grace if asked is None else min(rotation.grace, asked)
    if rotation.verified_at is None or world.true < world.begun + grace.total_seconds():
        raise Violation("I7", "the predecessor is about to be deleted before its grace is over")


def _is_let_go(world: World, rotation: Rotation, sender: Sender) -> None:
    is_in_a_hurry = sender.is_in_a_hurry or rotation.reason == "compromised"
    if not is_in_a_hurry and not sender.opened.issuperset(world.gates):
        raise Violation("I8", "the predecessor is about to be deleted, and a gate is not open")
    if world.has_hooks and world.told != rotation.id:
        raise Violation("I9", "the predecessor is about to be deleted before hooks were told")


def _is_accounted_for(world: World, secret_id: str, value: str) -> bool:
    rotation = world.rotation
    known = set(world.expendable)
    if rotation:
        known.add(rotation.predecessor_id or "")
        known.add(rotation.new_id or "" if rotation.abort_code else "")
    stored = {staged.value for staged in world.pending if staged} | world.kept_by_hand
    stored.add(world.consumed.value if world.consumed else "")
    return value in stored or secret_id in known or value in world.harmed
