"""Results of a pass, as people and programs see them."""

from dataclasses import replace
from datetime import datetime

from rotator.errors import Aborted, Busy, PendingEnds, Refused, RotatorError
from rotator.model import (
    CLOCK,
    DRIFT,
    Account,
    GateWait,
    Outcome,
    PassResult,
    Problem,
    Request,
    Rotation,
    ShutGate,
    State,
    Trouble,
)
from rotator.rotation import refusals, schedule, window
from rotator.rotation.observation import Observation
from rotator.rotation.ports import AccountSnapshot, NewEntry
from rotator.rotation.protocol.waiting import waits_until
from rotator.rotation.steps.bookkeeping import Refuse

#: Codes of a new rotation that is refused while the last one waits: see `in_grace`.
WAITING = frozenset({"in-grace", "gate-shut"})
#: Why a rotation was given up, by its code; `{name}` is the account's.
_ABORTED = {
    "secret-rejected": "Vonage rejected every value that was generated",
    "new-secret-refused": "the new secret did not authenticate in time",
    "new-secret-revoked": "the new secret was revoked before it was used",
    "overtaken": "someone replaced the account's secret before a new one was made",
    "version-ends": "Vault removes the pending entry by itself (`delete_version_after`), and with "
    "it what may be the only copy of a new secret",
    "taken-over": "what another ledger has pending is carried on instead, from the next run on",
    "pending-lost": "the pending entry is no longer in Vault: someone else removed it, or rotator "
    "had done so before the ledger was restored; what Vonage may have made of it, "
    "`rotator secrets list {name}` shows as foreign",
}


def result_of(account: Account, outcome: Outcome, rotation: Rotation | None) -> PassResult:
    """Return the result for `rotation` as it now is, with its deletion time in a window."""
    return PassResult(
        account=account.name,
        rotation_id=rotation.id if rotation else None,
        outcome=outcome,
        old_secret_id=rotation.predecessor_id if rotation else None,
        new_secret_id=rotation.new_id if rotation else None,
        vault_version=rotation.vault_version if rotation else None,
        delete_due_at=window.deletion_at(account.policy, rotation) if rotation else None,
        old_secret_dead_at=rotation.dead_at if rotation else None,
        dead_after=rotation.dead_after if rotation else None,
    )


def in_grace(account: Account, rotation: Rotation | None, gate: ShutGate | None = None) -> Refused:
    """Refuse a new rotation while the last one still waits to delete its predecessor.

    `gate` is the gate that it would wait for, if none is recorded.
    """
    if rotation and gate:
        rotation = replace(rotation, waiting=GateWait(gate=gate.name, reason=gate.reason))
    waiting = rotation.waiting if rotation else None
    if waiting and waiting.gate == CLOCK:
        return Refused(
            f"the last rotation waits: {waiting.reason}",
            code="gate-shut",
            hint="nothing was deleted; set the clock right (`timedatectl set-ntp true`), or end "
            f"the grace with `rotator rotate-now {account.name} --grace 0s`",
        )
    if waiting and waiting.gate:
        return Refused(
            f"the last rotation waits for gate {waiting.gate}: {waiting.reason}",
            code="gate-shut",
            hint="nothing was deleted; it goes on when every gate is open, and `--compromised` "
            "skips them",
        )
    due = window.deletion_at(account.policy, rotation) if rotation else None
    until = due.strftime("%Y-%m-%d %H:%M:%S UTC") if due else "later"
    return Refused(
        f"the last rotation waits in its grace until {until}",
        code="in-grace",
        hint=f"nothing was changed; `rotator rotate-now {account.name} --grace 0s` ends the grace "
        "now",
    )


def in_freeze(
    account: Account, rotation: Rotation | None, request: Request, now: datetime
) -> Refused | None:
    """Refuse what an operator asks for in a change freeze; None where nothing has to wait for it.

    A rotation whose value was sent goes on to its push, as outside of a window.
    """
    freeze = window.freeze_at(account.policy, now) if request.reason == "asked" else None
    if freeze is None or not waits_until(account, rotation, request, now):
        return None
    until = window.thaws_at(account.policy, now)
    return Refused(
        f"a change freeze is on until {until:%Y-%m-%d %H:%M} UTC: {freeze.reason}",
        code="frozen",
        hint="nothing was begun; `--compromised` goes through it, if the secret leaked",
    )


def failing(error: RotatorError, now: datetime) -> Trouble:
    """Return what is wrong after a pass that failed."""
    return Trouble(
        state=State.FAILING, code=error.code, why=error.message, hint=error.hint, since=now
    )


def aborted(account: Account, code: str) -> RotatorError:
    """Return the error that says why a rotation was undone."""
    message = f"rotation given up: {_ABORTED.get(code, code).format(name=account.name)}"
    if code != PendingEnds.code:
        return Aborted(message, code=code)
    remedy = refusals.lasting(account, account.identity.pending_path)
    return PendingEnds(message, code=code, hint=f"{PendingEnds.default_hint}: {remedy}")


def failure(account: Account, rotation: Rotation | None, error: RotatorError) -> PassResult:
    """Return the result for an account that could not be processed."""
    outcome = Outcome.FAILED
    if isinstance(error, Busy):
        outcome = Outcome.BUSY
    elif error.exit_code == Refused.exit_code:
        outcome = Outcome.REFUSED
    return replace(
        result_of(account, outcome, rotation),
        error=Problem(code=error.code, message=error.message, hint=error.hint),
        exit_code=error.exit_code,
    )


def trouble_of(
    account: Account, action: Refuse, observation: Observation | None, now: datetime
) -> Trouble:
    """Return what is wrong if `action` is what there is to do; `observation` is what it is about.

    That is None where nothing was observed, as the ledger alone has led to the refusal.
    """
    state = State.DRIFTED if action.code in DRIFT else State.REFUSED
    if observation and observation.is_broken:
        state = State.BROKEN
    elif observation and not (observation.is_managed or account.discovered):
        state = State.UNMANAGED
    return Trouble(state=state, code=action.code, why=action.why, hint=action.hint, since=now)


def trouble_found(trouble: Trouble | None) -> NewEntry:
    """Record that what is wrong began, changed or ended."""
    if trouble is None:
        return NewEntry(event="trouble-over", step=None, detail={})
    detail = {"state": trouble.state.value, "code": trouble.code, "why": trouble.why}
    return NewEntry(event="trouble", step=None, detail=detail, trouble=trouble)


def snapshot_of(account: Account, observation: Observation) -> AccountSnapshot:
    """Return the snapshot of an observation, for `status`."""
    current_id = observation.current_secret_id
    since = {secret.id: secret.created_at for secret in observation.listing.secrets or ()}
    current_since = since.get(current_id) if current_id else None
    # Nothing was ever written for consumers to read.
    is_first = account.discovered and observation.current.version == 0
    is_on_request = account.policy.is_on_request
    return AccountSnapshot(
        listed_ids=tuple(sorted(observation.listing.ids)),
        current_id=current_id,
        current_since=current_since,
        is_broken=observation.is_broken,
        next_due_at=schedule.next_due(account, current_since) if current_since else None,
        is_on_request=is_on_request,
        first_due_at=(
            observation.listing.seen_at
            if is_first and not current_since and not is_on_request
            else None
        ),
    )
