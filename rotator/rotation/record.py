"""How the record of a rotation, and what is known of the world, change with each action.

Pure, like `protocol`, and its other half: `decide` says what to do, this says what is then
written down. The engine commits `intent` before an effect starts and one of `done`,
`rejected`, `unknown` or `withdrawn` after it.

Events of a rotation in the ledger: `opened`, `asked` (a person asked for it, or for another
grace, while it was open), `intent`, `done`, `rejected` (the server said
no: certainly no effect), `unknown` (the answer was lost), `withdrawn` (it was not sent after
all, as an operator held or released the account meanwhile, or the last look took too long),
`learned` (looking showed that the effect took place), `aborting`, `closed`. Events of an account:
`refused` (an operator must decide), `failed` (a pass ended in an error), `drift` and `drift-over`
(someone else changed something that keeps the account from being rotated, or the secret in use is
older than the policy allows; that is mended), `held` and `released` (an operator paused it, or
ended that), `lease-ended` (an operator ended the lease of a process that is dead), `registered`
(what it is was not recorded before, or the configuration has changed it) and `forgotten` (an
operator let another account have what it was).
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from rotator.errors import RotatorError, SecretRejected
from rotator.model import (
    ABANDONED,
    MOST_LEAD,
    SUPERSEDED,
    Account,
    CurrentEntry,
    Note,
    PendingEntry,
    Request,
    Rotation,
    Secret,
    ShutGate,
    Step,
    Written,
)
from rotator.rotation.actions import (
    Abort,
    Action,
    Clear,
    Close,
    Create,
    Delete,
    Effect,
    Evict,
    Learn,
    Open,
    Probe,
    Push,
    Stage,
    Verify,
    Wait,
)
from rotator.rotation.observation import Observation
from rotator.rotation.ports import Draft, StoredPending
from rotator.rotation.window import BY_HAND

#: The step that each effect belongs to.
_STEPS: Mapping[type[Action], Step] = {
    Evict: Step.EVICT,
    Stage: Step.STAGE,
    Create: Step.CREATE,
    Push: Step.PUSH,
    Clear: Step.CLEAR,
    Delete: Step.DELETE,
}
#: The same for what changes nothing at Vonage or Vault.
_STEPS_OF_OTHERS: Mapping[type[Action], Step] = {
    Probe: Step.PROBE,
    Verify: Step.VERIFY,
    Wait: Step.WAIT,
    Close: Step.COMPLETE,
    Abort: Step.ABORT,
}


def step_of(action: Effect) -> Step:
    """Give the step that an effect belongs to."""
    return _STEPS[type(action)]


def step_at(action: Action, rotation: Rotation) -> Step:
    """Give the step that a rotation is at while `action` is done."""
    return _STEPS_OF_OTHERS.get(type(action)) or _STEPS.get(type(action)) or rotation.step


def target_of(action: Effect) -> dict[str, str | int | bool | None]:
    """Give what an effect is aimed at, for the ledger."""
    if not isinstance(action, Evict | Delete):
        return {}
    is_foreign = isinstance(action, Evict) and action.is_foreign
    return {"secret_id": action.secret_id} | ({"is_foreign": True} if is_foreign else {})


def opened(  # noqa: PLR0913  # half of them by name
    account: Account,
    action: Open,
    request: Request,
    *,
    rotation_id: str,
    now: datetime,
    listed: tuple[Secret, ...] = (),
) -> tuple[Rotation, Draft]:
    """Open a rotation. A recovered one may have sent its value already.

    `listed` is for the record to tell how old the secret is that is to be replaced.
    """
    recovered = action.recovered_id is not None
    rotation = Rotation(
        id=action.recovered_id or rotation_id,
        account=account.name,
        reason="recovered" if recovered else request.reason or "asked",
        step=Step.OPEN,
        predecessor_id=action.predecessor_id,
        grace=account.policy.grace if request.grace is None else request.grace,
        opened_at=now,
        identity=account.identity,
        sent_at=now if recovered else None,
    )
    made = {secret.id: secret.created_at for secret in listed}
    since = made.get(rotation.predecessor_id or "")
    detail = {
        "reason": rotation.reason,
        "predecessor_id": rotation.predecessor_id,
        "predecessor_since": f"{since.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}" if since else None,
        "grace_seconds": int(rotation.grace.total_seconds()),
        **vars(account.identity),
    }
    return rotation, Draft(event="opened", step=Step.OPEN, detail=detail, rotation_id=rotation.id)


def taken_over(rotation: Rotation, request: Request) -> tuple[Rotation, Draft] | None:
    """A person asks for what is open already: it goes on as asked for, whoever carries it on.

    None where that changes nothing. What leaked stays so. Of a rotation that is verified nothing
    is kept but that: another end of its grace is for the one pass that is asked for it.
    """
    is_news = request.reason == "compromised" or not rotation.verified_at
    if request.reason not in BY_HAND or not is_news:
        return None
    is_leaked = "compromised" in (rotation.reason, request.reason)
    reason = "compromised" if is_leaked else request.reason
    grace = rotation.grace if request.grace is None else request.grace
    # What waits for a window does not any more; what is verified waits for a gate.
    retry_at = rotation.gate_retry_at if rotation.verified_at else None
    after = replace(rotation, reason=reason, grace=grace, gate_retry_at=retry_at)
    if after == rotation:
        return None
    seconds = int(grace.total_seconds())
    return after, _draft("asked", rotation.step, after, reason=reason, grace_seconds=seconds)


def intent(
    world: Observation, rotation: Rotation, action: Effect, now: datetime
) -> tuple[Rotation, Draft]:
    """Write down that `action` is about to be tried."""
    step = step_of(action)
    rotation = replace(rotation, step=step)
    if isinstance(action, Stage):
        rotation = replace(rotation, draws=rotation.draws + 1)
    if isinstance(action, Create):
        rotation = replace(rotation, sent_at=now)
    if isinstance(action, Push):
        rotation = replace(rotation, pending_version=world.pending_version)
    if isinstance(action, Delete):
        rotation = _ungated(rotation)
    return rotation, _draft("intent", step, rotation, **target_of(action))


def evicted(world: Observation, rotation: Rotation, secret_id: str) -> tuple[Observation, Draft]:
    """A slot was freed."""
    draft = _draft("done", Step.EVICT, rotation, secret_id=secret_id)
    return _without(world, secret_id, rotation), draft


def staged(
    world: Observation, rotation: Rotation, entry: PendingEntry, stored: StoredPending
) -> tuple[Observation, Draft]:
    """A new value stands at the pending path. Vonage certainly does not know it."""
    rotation = replace(rotation, rejected=False, sent_at=None)
    world = replace(
        world,
        rotation=rotation,
        pending=entry,
        pending_version=stored.version,
        pending_ends_at=stored.ends_at,
        pending_is_unrecorded=False,
        pending_is_unsent=True,
        pending_live_at=None,
        pending_refused_since=None,
        pending_refused_at=None,
        current_is_pending=False,
    )
    return world, _draft("done", Step.STAGE, rotation)


def created(
    world: Observation, rotation: Rotation, secret: Secret, now: datetime
) -> tuple[Observation, Draft]:
    """Vonage made the secret and told its id: later than the intent said, if it was slow."""
    rotation = replace(rotation, new_id=secret.id, sent_at=now)
    world = replace(world, rotation=rotation, listed=(*(world.listed or ()), secret))
    return world, _draft("done", Step.CREATE, rotation, secret_id=secret.id)


def probed(
    world: Observation, rotation: Rotation, listed: tuple[Secret, ...], now: datetime
) -> tuple[Observation, Draft]:
    """The pending value authenticated, and listed the secrets."""
    world = replace(
        world,
        listed=listed,
        seen_at=now,
        pending_live_at=now,
        pending_refused_since=None,
        pending_refused_at=None,
    )
    return world, _draft("done", Step.PROBE, rotation, secret_id=rotation.new_id)


def probe_refused(world: Observation, now: datetime) -> Observation:
    """The pending value did not authenticate; it may yet."""
    since = world.pending_refused_since or now
    return replace(world, pending_live_at=None, pending_refused_since=since, pending_refused_at=now)


def seen_again(before: Observation | None, world: Observation) -> Observation:
    """A look does not show for how long the pending value has been refused, or not found.

    Nor what gates said: their answers count for a while, as to ask them may take longer than a
    look at Vonage is good for. One that was shut is asked anew.
    """
    since = before.pending_refused_since if before else None
    at = before.pending_refused_at if before else None
    if world.pending is None:
        since, at = since or world.seen_at, world.seen_at
    asked_at = before.gates_asked_at if before and before.shut_gate is None else None
    is_unsent = before is not None and before.pending_is_unsent and before.pending == world.pending
    return replace(
        world,
        pending_is_unsent=is_unsent,
        pending_refused_since=since,
        pending_refused_at=at,
        gates_asked_at=asked_at,
    )


def pushed(
    world: Observation, rotation: Rotation, *, note: Note, written: Written
) -> tuple[Observation, Draft]:
    """The value that just authenticated is the current one."""
    rotation = replace(rotation, vault_version=written.version)
    current = CurrentEntry(
        version=written.version, note=note, intact=True, has_value=True, ends_at=written.ends_at
    )
    world = replace(
        world,
        rotation=rotation,
        current=current,
        current_live_at=world.pending_live_at,
        current_is_pending=True,
        written=written,
    )
    draft = _draft("done", Step.PUSH, rotation, vault_version=written.version)
    return world, replace(draft, written=written)


def verified(
    world: Observation, rotation: Rotation, version: int, request: Request, now: datetime
) -> tuple[Observation, Draft]:
    """Vault was seen to hold the new value, as `version`. The grace starts now."""
    grace = rotation.grace if request.grace is None else request.grace
    verified_at = _begun_at(grace, world.clock_lead, now)
    rotation = replace(
        rotation, step=Step.VERIFY, verified_at=verified_at, grace=grace, vault_version=version
    )
    draft = _draft(
        "done",
        Step.VERIFY,
        rotation,
        vault_version=version,
        verified_at=_told(verified_at),
        grace_seconds=int(grace.total_seconds()),
    )
    is_replaced = rotation.replaces(world.adopted_id, over=world.adopted_over)
    adopted_id = None if is_replaced else world.adopted_id
    return replace(world, rotation=rotation, adopted_id=adopted_id), draft


def _begun_at(grace: timedelta, clock_lead: timedelta, now: datetime) -> datetime:
    """Give when a grace begins that does now.

    Where this clock is behind, by Vonage's: put right, it would end the grace early, be it this one
    or a shorter one that is asked for later.
    """
    return now + min(max(-clock_lead, timedelta()), MOST_LEAD) if grace else now


def _told(at: datetime) -> str:
    """Return a time as an entry's facts have it: in full, as rows are compared with it."""
    return at.astimezone(UTC).isoformat(timespec="microseconds")


def cleared(world: Observation, rotation: Rotation) -> tuple[Observation, Draft]:
    """The pending entry is gone; a verified rotation has to be told of, or just waits."""
    if rotation.verified_at:
        rotation = replace(rotation, step=Step.HOOKS if world.has_hooks else Step.WAIT)
    world = replace(
        world, rotation=rotation, pending=None, pending_ends_at=None, current_is_pending=False
    )
    return world, _draft("done", Step.CLEAR, rotation)


def waiting(world: Observation, rotation: Rotation) -> tuple[Observation, Draft]:
    """Looking showed that the pending entry is gone: nothing is left to do but wait."""
    rotation = replace(rotation, step=Step.WAIT)
    return replace(world, rotation=rotation), _draft("learned", Step.CLEAR, rotation)


def put_off(world: Observation, rotation: Rotation, until: datetime) -> Observation:
    """The rotation cannot go on before a window opens."""
    return replace(world, rotation=replace(rotation, gate_retry_at=until))


def told(world: Observation, rotation: Rotation) -> tuple[Observation, Draft]:
    """Each hook that wants to know of the new secret was called, here or elsewhere."""
    rotation = replace(rotation, step=Step.WAIT)
    return replace(world, rotation=rotation), _draft("done", Step.HOOKS, rotation)


def gates_open(world: Observation, rotation: Rotation, now: datetime) -> tuple[Observation, Draft]:
    """Every gate lets the predecessor be deleted."""
    rotation = _ungated(rotation)
    world = replace(world, rotation=rotation, gates_asked_at=now, shut_gate=None)
    return world, _draft("gates-open", Step.WAIT, rotation, gates=", ".join(world.gates))


def _ungated(rotation: Rotation) -> Rotation:
    return replace(rotation, gate=None, gate_reason=None, gate_since=None, gate_retry_at=None)


def gate_shut(world: Observation, gate: ShutGate, now: datetime) -> Observation:
    """One of the gates does not let the predecessor be deleted."""
    return replace(world, gates_asked_at=now, shut_gate=gate)


def gated(
    world: Observation, rotation: Rotation, gate: ShutGate, *, until: datetime, now: datetime
) -> tuple[Observation, Draft | None]:
    """The rotation waits for a gate. That is an event once, and not each time it is asked."""
    is_news = rotation.gate != gate.name
    rotation = replace(
        rotation,
        step=Step.WAIT,
        gate=gate.name,
        gate_reason=gate.reason,
        gate_since=now if is_news else rotation.gate_since,
        gate_retry_at=until,
    )
    draft = _draft("gate-shut", Step.WAIT, rotation, gate=gate.name, why=gate.reason)
    return replace(world, rotation=rotation), draft if is_news else None


def gates_skipped(world: Observation, rotation: Rotation) -> Draft:
    """The predecessor leaked and is deleted without asking the gates."""
    return _draft("gates-skipped", Step.WAIT, rotation, gates=", ".join(world.gates))


def deleted(world: Observation, rotation: Rotation, secret_id: str) -> tuple[Observation, Draft]:
    """A secret of this rotation is gone."""
    draft = _draft("done", Step.DELETE, rotation, secret_id=secret_id)
    return _without(world, secret_id, rotation), draft


def rejected(
    before: Rotation, rotation: Rotation, action: Effect, error: RotatorError
) -> tuple[Rotation, Draft]:
    """The server refused: certainly no effect, so all is as it was `before` the intent."""
    step = step_of(action)
    rotation = replace(
        before,
        draws=rotation.draws,
        rejected=before.rejected or isinstance(error, SecretRejected),
    )
    return rotation, _draft("rejected", step, rotation, code=error.code, **target_of(action))


def unknown(rotation: Rotation, action: Effect, error: RotatorError) -> Draft:
    """The answer was lost: the effect may have taken place."""
    return _draft("unknown", step_of(action), rotation, code=error.code, **target_of(action))


def withdrawn(before: Rotation, action: Effect) -> Draft:
    """The intent was committed and then not sent: all is as it was `before` it."""
    return _draft("withdrawn", step_of(action), before, **target_of(action))


def learned(world: Observation, rotation: Rotation, action: Learn) -> tuple[Observation, Draft]:
    """Looking showed what was not known before.

    The new secret is no predecessor: an operator adopted it, when a standby that lags did not show
    whose it is. What else was to be replaced is not known any more.
    """
    new_id = action.new_id or rotation.new_id
    predecessor_id = action.predecessor_id or rotation.predecessor_id
    rotation = replace(
        rotation,
        new_id=new_id,
        vault_version=action.vault_version or rotation.vault_version,
        predecessor_id=_other_than(new_id, predecessor_id),
    )
    if action.predecessor_id:
        draft = _draft("learned", Step.OPEN, rotation, predecessor_id=rotation.predecessor_id)
        return replace(world, rotation=rotation), draft
    step = Step.CREATE if action.vault_version is None else Step.PUSH
    draft = _draft(
        "learned", step, rotation, secret_id=rotation.new_id, vault_version=rotation.vault_version
    )
    if action.vault_version is None:
        return replace(world, rotation=rotation), draft
    written = Written(version=action.vault_version)
    world = replace(world, rotation=rotation, written=written)
    return world, replace(draft, written=written)


def redated(world: Observation, rotation: Rotation, now: datetime) -> tuple[Observation, Draft]:
    """The grace begins now, as its recorded beginning came from a clock that was ahead.

    That makes it longer than it was meant to be, and never shorter.
    """
    verified_at = _begun_at(rotation.grace, world.clock_lead, now)
    rotation = replace(rotation, verified_at=verified_at)
    draft = _draft("learned", Step.VERIFY, rotation, verified_at=_told(verified_at))
    return replace(world, rotation=rotation), draft


def aborting(world: Observation, rotation: Rotation, action: Abort) -> tuple[Observation, Draft]:
    """The rotation is to be undone."""
    rotation = replace(rotation, step=Step.ABORT, abort_code=action.code)
    draft = _draft("aborting", Step.ABORT, rotation, code=action.code)
    return replace(world, rotation=rotation), draft


def closed(rotation: Rotation, action: Close, now: datetime) -> tuple[Rotation, Draft]:
    """The rotation is over."""
    outcome = "failed" if action.error_code else "completed"
    step = Step.ABORT if action.error_code else Step.COMPLETE
    rotation = replace(
        rotation, step=step, closed_at=now, outcome=outcome, error_code=action.error_code
    )
    return rotation, _draft("closed", step, rotation, outcome=outcome, code=action.error_code)


def abandoned(rotation: Rotation, now: datetime) -> tuple[Rotation, Draft]:
    """An operator ended the rotation as it stood: what it made and staged is left alone."""
    rotation = replace(rotation, closed_at=now, outcome="failed", error_code=ABANDONED)
    return rotation, _draft("closed", rotation.step, rotation, outcome="failed", code=ABANDONED)


def forgotten(by: str) -> Draft:
    """An operator let another account have the api key and the path of this one."""
    return Draft(event="forgotten", step=None, detail={"by": by})


def adopted(  # noqa: PLR0913  # all but one by name
    rotation: Rotation,
    *,
    secret_id: str,
    vault_version: int,
    is_own: bool,
    pushed_version: int | None,
    clock_lead: timedelta,
    now: datetime,
) -> tuple[Rotation, Draft | None]:
    """An operator had a secret written to the current entry while this rotation is open.

    The rotation's own secret is what it pushed, or would have: it goes on from there, with a grace
    that begins anew where something else stood in its place. It is no predecessor, for which it was
    taken if it was adopted before, while a standby hid what was pending. Any other
    ends a rotation that had pushed, as there is nothing to go on with; before a push, it is what
    the rotation now replaces. One that is being undone goes on with that, unless Vault now holds
    what was to be removed: with a version of Vault's to its name, it is not taken for an orphan.
    Nor is what had been pushed, as `pushed_version`, where the answer to the push was lost.
    """
    if is_own and not rotation.abort_code:
        after = replace(
            rotation,
            new_id=secret_id,
            vault_version=vault_version,
            predecessor_id=_other_than(secret_id, rotation.predecessor_id),
        )
        verified_at = {}
        if rotation.verified_at and rotation.vault_version != vault_version:
            # What stood there meanwhile is what consumers have read: their grace begins anew.
            begun_at = _begun_at(rotation.grace, clock_lead, now)
            after = replace(after, verified_at=begun_at)
            verified_at = {"verified_at": _told(begun_at)}
        draft = _draft(
            "learned",
            Step.PUSH,
            after,
            secret_id=secret_id,
            vault_version=vault_version,
            **verified_at,
        )
        return after, None if after == rotation else draft
    if not is_own and pushed_version is None:
        after = replace(rotation, predecessor_id=secret_id)
        draft = _draft("learned", Step.OPEN, after, predecessor_id=secret_id)
        return (rotation, None) if rotation.abort_code or after == rotation else (after, draft)
    rotation = replace(
        rotation,
        vault_version=vault_version if is_own else pushed_version,
        closed_at=now,
        outcome="failed",
        error_code=rotation.abort_code or SUPERSEDED,
    )
    return rotation, _draft(
        "closed",
        rotation.step,
        rotation,
        outcome="failed",
        code=rotation.error_code,
        vault_version=rotation.vault_version,
    )


def let_go(rotation: Rotation, secret_id: str, *, is_pushed: bool) -> Rotation:
    """Have a rotation not delete what an operator is about to have in Vault.

    From before it is written: the write may arrive when the rotation has gone on.
    """
    if rotation.abort_code and secret_id == rotation.new_id:
        return replace(rotation, new_id=None)
    if is_pushed and secret_id == rotation.predecessor_id:
        return replace(rotation, predecessor_id=None)
    return rotation


def _other_than(new_id: str | None, predecessor_id: str | None) -> str | None:
    return None if predecessor_id == new_id else predecessor_id


def _without(world: Observation, secret_id: str, rotation: Rotation) -> Observation:
    listed = tuple(secret for secret in world.listed or () if secret.id != secret_id)
    deleted = world.deleted_ids | {secret_id}
    return replace(world, rotation=rotation, listed=listed, deleted_ids=deleted)


def _draft(event: str, step: Step, rotation: Rotation, **detail: str | int | bool | None) -> Draft:
    return Draft(event=event, step=step, detail=detail, rotation_id=rotation.id)
