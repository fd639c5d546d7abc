"""The loop: observe, decide, commit the intent, act, commit the outcome, look again.

The engine holds no rule. It asks `protocol.decide` what to do, does it, and writes down what
`record` makes of it. Two things it owes the rules: whatever it has learned is committed before
it talks to Vonage or Vault again, and whatever did not come back as done is looked at anew.
"""

import contextlib
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from types import TracebackType

import structlog

from rotator import composition, plan, record, schedule
from rotator.errors import (
    Aborted,
    AccountNotFound,
    Busy,
    CheckAndSetLost,
    CredentialRefused,
    Forbidden,
    IssuerError,
    LeaseLost,
    LedgerError,
    LedgerUnusable,
    MountUnusable,
    RateLimited,
    Refused,
    RequestRefused,
    RotatorError,
    SecretNotFound,
    Stopping,
    StoreError,
    StoreForbidden,
    StoreUnavailable,
    UnexpectedEntry,
)
from rotator.model import (
    Account,
    Credential,
    Note,
    Observation,
    Outcome,
    PendingEntry,
    Problem,
    Report,
    Request,
    Rotation,
    SecretValue,
)
from rotator.observer import Observer, Sight, own_credential
from rotator.ports import (
    Draft,
    Issuer,
    Lease,
    Ledger,
    Sighting,
    Store,
    StoredPending,
)
from rotator.protocol import (
    Abort,
    Action,
    Clear,
    Close,
    Create,
    Delete,
    Effect,
    Evict,
    Idle,
    Learn,
    Look,
    Open,
    Probe,
    Push,
    Refuse,
    Stage,
    Verify,
    Wait,
    decide,
    held_id,
    waits_until,
)

log = structlog.get_logger(__name__)

#: Failed effects in a row, with a look after each, before a pass gives up. The rotation stays
#: open and is carried on by the next pass.
MAX_FAILURES = 6
#: First and longest pause between two looks at something that has to settle, in seconds.
FIRST_PAUSE, LONGEST_PAUSE = 0.1, 5.0
#: No longer wait for a rate limit is worth holding a thread and a lease, in seconds.
LONGEST_WAIT = 60.0
#: Errors that another look does not mend.
HOPELESS = (
    AccountNotFound,
    Forbidden,
    RequestRefused,
    StoreForbidden,
    MountUnusable,
    UnexpectedEntry,
)


def utc_now() -> datetime:
    """Give the present time."""
    return datetime.now(UTC)


@dataclass(frozen=True, kw_only=True)
class Engine:
    """Carries rotations on, one pass at a time, for any account, from any thread."""

    issuer: Issuer
    store: Store
    ledger: Ledger
    #: Every configured account by name.
    accounts: Mapping[str, Account]
    #: How long a new secret may be refused by Vonage before that means anything.
    propagation_timeout: timedelta
    #: Told every ledger entry right after it was committed: account name and entry.
    listener: Callable[[str, Draft], None] = lambda _name, _draft: None
    draw: Callable[[int], str] = composition.draw
    new_id: Callable[[], str] = lambda: str(uuid.uuid4())
    now: Callable[[], datetime] = utc_now
    #: Must go on counting while the process is stopped.
    monotonic: Callable[[], float] = time.monotonic
    sleep: Callable[[float], None] = time.sleep
    #: Asked before each step: whether this process is to end, and passes with it.
    should_stop: Callable[[], bool] = lambda: False

    def attempt(
        self,
        account: Account,
        request: Request,
        *,
        wait: bool = False,
        claimed: Lease | None = None,
    ) -> Report:
        """Take `account` as far as it can go now; with `wait`, through its grace as well.

        `claimed` is the lease where the caller has it already; it is released at the end. Never
        raises a `RotatorError`: what went wrong is in the report.
        """
        run: Pass | None = None
        try:
            with _Claim(self, account, claimed) as lease:
                run = Pass(engine=self, account=account, lease=lease)
                outcome = run.carry_out(request, wait=wait)
                return Report.of(account, outcome, run.rotation)
        except RotatorError as error:
            return failure(account, run.rotation if run else None, error)

    def plan(
        self, account: Account, request: Request
    ) -> tuple[Report, list[Action], Observation | None]:
        """Say what `attempt` would do, and in which world. Reads only, takes no lease."""
        try:
            world = self.observer().look(account).world
        except RotatorError as error:
            return failure(account, None, error), [], None
        actions = plan.actions(
            account, world, request, propagation_timeout=self.propagation_timeout, now=self.now()
        )
        rotation = world.rotation
        if isinstance(actions[-1], Refuse):
            return failure(account, rotation, refused(actions[-1])), actions, world
        is_asked_again = request.reason is not None and rotation and rotation.verified_at
        if is_asked_again and isinstance(actions[-1], Wait):
            return failure(account, rotation, in_grace(rotation)), actions, world
        return Report.of(account, Outcome.PLANNED, rotation), actions, world

    def refresh(self, account: Account) -> None:
        """Look at `account` and keep what was seen for `status`. Changes nothing else.

        Drift that begins or ends is recorded: once, not at each look.

        Raises:
            Busy: another process is working on it, and keeps what it sees itself.
            RotatorError: something of it cannot be seen.
        """
        with _Claim(self, account) as lease:
            known = self.ledger.recall(account.name).drift
            world = self.observer().look(account).world
            drift = self._drift(account, world)
            drafts = [] if drift == known else [_drifted(drift)]
            sighting = seen(account, world, drift=drift)
            now = self.now()
            self.ledger.commit(lease, rotation=None, entries=drafts, sighting=sighting, now=now)
        for draft in drafts:
            self.listener(account.name, draft)

    def _drift(self, account: Account, world: Observation) -> str | None:
        """Say what would keep a rotation from starting or going on; a hold is no drift."""
        action = decide(
            account,
            replace(world, hold=None),
            Request(reason="asked"),
            propagation_timeout=self.propagation_timeout,
            now=self.now(),
        )
        return drift_text(action) if isinstance(action, Refuse) else None

    def observer(self) -> Observer:
        """Give what this engine looks with."""
        return Observer(
            issuer=self.issuer,
            store=self.store,
            ledger=self.ledger,
            accounts=self.accounts,
            now=self.now,
        )


class _Claim:
    """The lease on an account for the length of a `with` block."""

    def __init__(self, engine: Engine, account: Account, claimed: Lease | None = None) -> None:
        self._ledger, self._name = engine.ledger, account.name
        self._lease = claimed or self._ledger.claim(account.name, engine.now())

    def __enter__(self) -> Lease:
        return self._lease

    def __exit__(
        self,
        _type: type[BaseException] | None,
        _error: BaseException | None,
        _traceback: TracebackType | None,
    ) -> None:
        try:
            self._ledger.release(self._lease)
        except (LedgerError, LedgerUnusable):
            log.warning("lease not released; it ends by itself", account=self._name)


@dataclass(kw_only=True)
class Pass:
    """One process's work on one account, for as long as it holds the lease."""

    engine: Engine
    account: Account
    lease: Lease
    #: The open rotation as the ledger had it when the pass began.
    remembered: Rotation | None = None
    #: What was seen last, kept up to date with what this pass did since.
    sight: Sight | None = None
    #: What was seen is no longer sure to be so.
    must_look: bool = True
    #: Entries not committed yet.
    drafts: list[Draft] = field(default_factory=list)
    #: Hash of the newest committed entry.
    head: str = ""
    #: Monotonic time until which the lease is certainly ours.
    lease_until: float = 0.0
    failures: int = 0
    stalls: int = 0

    @property
    def rotation(self) -> Rotation | None:
        """The rotation that this pass works on."""
        return self.sight.world.rotation if self.sight else self.remembered

    def carry_out(self, request: Request, *, wait: bool) -> Outcome:
        """Work on the account until it is done, must wait, or cannot go on.

        Raises:
            Refused: an operator must decide.
            RotatorError: it did not work; what is open stays open.
        """
        try:
            return self._carry_out(request, wait=wait)
        except (LedgerError, LedgerUnusable, LeaseLost, Refused, Stopping):
            raise
        except RotatorError as error:
            self._write("failed", code=error.code)
            self._commit()
            raise

    # -- The loop. -------------------------------------------------------------------------

    def _carry_out(self, request: Request, *, wait: bool) -> Outcome:
        memory = self.engine.ledger.recall(self.account.name)
        self.remembered, self.head = memory.rotation, memory.head
        self.lease_until = self.engine.monotonic() + self.lease.seconds
        was_verified = bool(self.remembered and self.remembered.verified_at)
        outcome = self._loop(request, wait=wait and not was_verified)
        if request.reason is None or not was_verified:
            return outcome
        if outcome is Outcome.AWAITING_DELETION:
            raise in_grace(self.rotation)
        if request.reason == "compromised":
            self.remembered, self.sight, self.must_look = None, None, True
            return self._loop(request, wait=wait)
        return outcome

    def _loop(self, request: Request, *, wait: bool) -> Outcome:
        while True:
            self._stop_if_told()
            until = waits_until(self.rotation, request) if self.rotation else None
            if until and self._must_wait(until, wait=wait):
                return Outcome.AWAITING_DELETION
            sight = self._look() if self.must_look or self.sight is None else self.sight
            action = decide(
                self.account,
                sight.world,
                request,
                propagation_timeout=self.engine.propagation_timeout,
                now=self.engine.now(),
            )
            log.debug("decided", account=self.account.name, action=type(action).__name__)
            if isinstance(action, Idle):
                return Outcome.IDLE
            if isinstance(action, Wait):
                # A pass that knows this from the ledger waits without asking anybody.
                self._fold(sight, *record.waiting(sight.world, self._open_rotation()))
                if self._must_wait(action.until, wait=wait):
                    return Outcome.AWAITING_DELETION
            elif isinstance(action, Close):
                return self._close(action, sight)
            else:
                self._do(action, request, sight)

    def _stop_if_told(self) -> None:
        """End the pass between two steps; the next one goes on from what is recorded."""
        if self.engine.should_stop():
            self._commit()
            raise Stopping

    def _do(self, action: Action, request: Request, sight: Sight) -> None:
        match action:
            case Refuse():
                self._refuse(action)
            case Look():
                self._pause()
                self.must_look = True
            case Open():
                self._open(action, request, sight)
            case Learn():
                self._fold(sight, *record.learned(sight.world, self._open_rotation(), action))
            case Abort():
                self._fold(sight, *record.aborting(sight.world, self._open_rotation(), action))
            case Probe():
                self._probe(sight)
            case Verify():
                self._verify(action, request, sight)
            case Evict() | Stage() | Create() | Push() | Clear() | Delete():
                self._perform(action, sight)
            case _:
                message = f"{type(action).__name__} is the loop's own"
                raise AssertionError(message)

    def _look(self) -> Sight:
        self._commit()
        refused_since = self.sight.world.pending_refused_since if self.sight else None
        self.sight = self.engine.observer().look(self.account)
        world = self.sight.world
        if world.pending is None:
            refused_since = refused_since or world.seen_at
        self.sight.world = replace(world, pending_refused_since=refused_since)
        self.must_look = False
        return self.sight

    # -- What has no effect outside the ledger. --------------------------------------------

    def _open(self, action: Open, request: Request, sight: Sight) -> None:
        rotation, draft = record.opened(
            self.account,
            action,
            request,
            rotation_id=self.engine.new_id(),
            now=self.engine.now(),
        )
        world = replace(sight.world, rotation=rotation, pending_is_unrecorded=False)
        self._fold(sight, world, draft)

    def _close(self, action: Close, sight: Sight) -> Outcome:
        rotation, draft = record.closed(self._open_rotation(), action, self.engine.now())
        self._fold(sight, replace(sight.world, rotation=rotation), draft)
        self._commit()
        if action.error_code:
            raise _aborted(action.error_code)
        return Outcome.COMPLETED

    def _refuse(self, action: Refuse) -> None:
        drift = None if action.code == "held" else drift_text(action)
        self._write("refused", code=action.code, why=action.why)
        self._commit(drift=drift)
        raise refused(action)

    # -- Reads that take part in a rotation. -----------------------------------------------

    def _probe(self, sight: Sight) -> None:
        self._commit()
        credential = Credential(api_key=self.account.api_key, secret=_pending_value(sight))
        try:
            listed = self.engine.issuer.list_secrets(credential, self.account.api_key)
        except CredentialRefused:
            sight.world = record.probe_refused(sight.world, self.engine.now())
            self._pause()
            return
        sight.credential = credential
        world, draft = record.probed(sight.world, self._open_rotation(), listed, self.engine.now())
        self._fold(sight, world, draft)

    def _verify(self, action: Verify, request: Request, sight: Sight) -> None:
        self._commit()
        rotation = self._open_rotation()
        stored = self.engine.store.read_version(self.account, action.version)
        note = stored.entry.note
        is_ours = stored.entry.intact and note is not None and note.rotation_id == rotation.id
        is_same = sight.pending.value is None or sight.pending.value == stored.value
        if not (is_ours and is_same):
            message = f"version {action.version} at Vault is not what rotator wrote"
            raise UnexpectedEntry(message)
        world, draft = record.verified(sight.world, rotation, request, self.engine.now())
        self._fold(sight, world, draft)

    # -- Effects: intent, act, outcome. ----------------------------------------------------

    def _perform(self, action: Effect, sight: Sight) -> None:
        before = self._open_rotation()
        rotation, draft = record.intent(before, action, self.engine.now())
        sight.world = replace(sight.world, rotation=rotation)
        self.drafts.append(draft)
        self._commit()
        self._check_lease()
        try:
            world, draft = self._act(action, sight, rotation)
        except (IssuerError, StoreError) as error:
            self._missed(before, action, error, sight)
        else:
            self._fold(sight, world, draft)

    def _act(self, action: Effect, sight: Sight, rotation: Rotation) -> tuple[Observation, Draft]:
        match action:
            case Evict(secret_id=secret_id):
                self._delete(secret_id, sight)
                return record.evicted(sight.world, rotation, secret_id)
            case Stage(listed_ids=listed_ids):
                return self._stage(listed_ids, sight, rotation)
            case Create():
                secret = self.engine.issuer.create_secret(
                    _credential(sight), self.account.api_key, _pending_value(sight)
                )
                return record.created(sight.world, rotation, secret)
            case Push():
                return self._push(sight, rotation)
            case Clear():
                self.engine.store.clear_pending(self.account)
                sight.pending = StoredPending(version=0)
                return record.cleared(sight.world, rotation)
            case Delete(secret_id=secret_id):  # pragma: no branch  # that is all of them
                self._delete(secret_id, sight)
                return record.deleted(sight.world, rotation, secret_id)

    def _delete(self, secret_id: str, sight: Sight) -> None:
        """Delete with the credential that Vault holds: if it does not work, nothing happens.

        It is read once more, at the last moment: someone may have put back what is to go.
        """
        current = self.engine.store.read_current(self.account)
        credential = own_credential(self.account, current)
        if not (credential and current and current.entry == sight.world.current):
            raise CheckAndSetLost
        # Gone is what was wanted: someone else's deletion, or ours whose answer was lost.
        with contextlib.suppress(SecretNotFound):
            self.engine.issuer.delete_secret(credential, self.account.api_key, secret_id)

    def _stage(
        self, listed_ids: frozenset[str], sight: Sight, rotation: Rotation
    ) -> tuple[Observation, Draft]:
        value = SecretValue(self.engine.draw(self.account.policy.length))
        entry = PendingEntry(
            rotation_id=rotation.id,
            listed_ids=listed_ids,
            predecessor_id=rotation.predecessor_id,
        )
        sight.pending = self.engine.store.write_pending(self.account, sight.pending, value, entry)
        return record.staged(sight.world, rotation, entry)

    def _push(self, sight: Sight, rotation: Rotation) -> tuple[Observation, Draft]:
        value, base = _pending_value(sight), sight.current
        if base is None or rotation.new_id is None:
            raise CheckAndSetLost
        note = Note(
            secret_id=rotation.new_id,
            rotation_id=rotation.id,
            rotated_at=self.engine.now(),
            ledger_head=self.head,
            check=Note.check_of(value, secret_id=rotation.new_id, rotation_id=rotation.id),
        )
        version = self.engine.store.write_current(self.account, base, value, note)
        return record.pushed(sight.world, rotation, self.account, note=note, version=version)

    def _missed(self, before: Rotation, action: Effect, error: RotatorError, sight: Sight) -> None:
        """Write down that an effect was refused or lost, and see to it that it is looked at."""
        rotation = self._open_rotation()
        if _is_definite(error):
            rotation, draft = record.rejected(before, rotation, action, error)
            sight.world = replace(sight.world, rotation=rotation)
        else:
            draft = record.unknown(rotation, action, error)
        self.drafts.append(draft)
        self.must_look = True
        self.failures += 1
        wait = error.retry_after if isinstance(error, RateLimited) else 0.0
        if self.failures >= MAX_FAILURES or isinstance(error, HOPELESS) or wait > LONGEST_WAIT:
            raise error
        self._pause(wait)

    # -- The ledger. -----------------------------------------------------------------------

    def _fold(self, sight: Sight, world: Observation, draft: Draft) -> None:
        """Take over what an action brought about, to be committed before the next call."""
        sight.world = world
        self.drafts.append(draft)
        self.failures = self.stalls = 0

    def _write(self, event: str, **detail: str | int | bool | None) -> None:
        rotation_id = self.rotation.id if self.rotation else None
        self.drafts.append(Draft(event=event, step=None, detail=detail, rotation_id=rotation_id))

    def _commit(self, drift: str | None = None) -> None:
        if not self.drafts:
            return
        began, drafts = self.engine.monotonic(), self.drafts
        self.head = self.engine.ledger.commit(
            self.lease,
            rotation=self.rotation,
            entries=drafts,
            sighting=self._sighting(drift),
            now=self.engine.now(),
        )
        self.lease_until, self.drafts = began + self.lease.seconds, []
        for draft in drafts:
            self.engine.listener(self.account.name, draft)

    def _sighting(self, drift: str | None) -> Sighting | None:
        if self.sight is None or self.sight.world.listed is None:
            return None
        sighting = seen(self.account, self.sight.world, drift=drift)
        return replace(sighting, next_due_at=self._next_due())

    def _next_due(self) -> datetime | None:
        """Give the next due time where a rotation has just completed."""
        rotation = self.rotation
        if rotation is None or rotation.outcome != "completed" or rotation.closed_at is None:
            return None
        return schedule.next_due(self.account, rotation.closed_at)

    def _check_lease(self) -> None:
        """Stop if this process was paused for so long that another may have taken over."""
        if self.engine.monotonic() > self.lease_until - self.lease.seconds / 2:
            raise LeaseLost

    # -- Waiting. --------------------------------------------------------------------------

    def _must_wait(self, until: datetime, *, wait: bool) -> bool:
        """Wait out a grace if asked to. Returns whether there is still something to wait for."""
        if until <= self.engine.now():
            return False
        self._commit()
        if not wait:
            return True
        while (left := (until - self.engine.now()).total_seconds()) > 0:
            self._rest(min(left, self.lease.seconds / 4))
        self.must_look = True
        return False

    def _pause(self, at_least: float = 0.0) -> None:
        """Give something time to settle: longer each time in a row."""
        self._commit()
        self._rest(max(at_least, min(FIRST_PAUSE * 2**self.stalls, LONGEST_PAUSE)))
        self.stalls += 1

    def _rest(self, seconds: float) -> None:
        self.engine.sleep(seconds)
        began = self.engine.monotonic()
        self.engine.ledger.renew(self.lease, self.engine.now())
        self.lease_until = began + self.lease.seconds

    def _open_rotation(self) -> Rotation:
        if self.rotation is None:
            message = "no rotation is open"
            raise AssertionError(message)
        return self.rotation


def in_grace(rotation: Rotation | None) -> Refused:
    """Refuse to rotate again what still waits for its last rotation's deletion."""
    due = rotation.delete_due_at if rotation else None
    until = due.strftime("%Y-%m-%d %H:%M:%S UTC") if due else "later"
    return Refused(
        f"the last rotation waits in its grace until {until}",
        code="in-grace",
        hint="nothing was changed; `--grace 0s` ends the wait, `rotator resume` respects it",
    )


def _drifted(drift: str | None) -> Draft:
    """Write down that drift began, or became another, or ended."""
    if drift is None:
        return Draft(event="drift-over", step=None, detail={})
    code, _, why = drift.partition(": ")
    return Draft(event="drift", step=None, detail={"code": code, "why": why})


def drift_text(action: Refuse) -> str:
    """Name exactly what is wrong, as `status` shows it."""
    return f"{action.code}: {action.why}"


def seen(account: Account, world: Observation, *, drift: str | None) -> Sighting:
    """Make of the world what `status` shows."""
    current_id = held_id(world)
    since = {secret.id: secret.created_at for secret in world.listed or ()}
    current_since = since.get(current_id) if current_id else None
    return Sighting(
        listed_ids=tuple(sorted(world.listed_ids)),
        current_id=current_id,
        current_since=current_since,
        drift=drift,
        first_due_at=schedule.next_due(account, current_since) if current_since else None,
    )


def refused(action: Refuse) -> Refused:
    """Turn a refusal into the error that carries it."""
    return Refused(action.why, code=action.code, hint=action.hint)


def failure(account: Account, rotation: Rotation | None, error: RotatorError) -> Report:
    """Report an account that could not be worked on."""
    outcome = Outcome.FAILED
    if isinstance(error, Busy):
        outcome = Outcome.BUSY
    elif error.exit_code == Refused.exit_code:
        outcome = Outcome.REFUSED
    return replace(
        Report.of(account, outcome, rotation),
        error=Problem(code=error.code, message=error.message, hint=error.hint),
        exit_code=error.exit_code,
    )


def _aborted(code: str) -> RotatorError:
    reasons = {
        "secret-rejected": "Vonage rejected every value that was drawn",
        "new-secret-refused": "the new secret did not authenticate in time",
        "new-secret-revoked": "the new secret was revoked before it was used",
        "overtaken": "someone replaced the account's secret before a new one was made",
        "pending-lost": "the pending entry in Vault was removed by someone else; what Vonage may "
        "have made of it, `rotator secrets list` shows as unknown",
    }
    return Aborted(f"rotation given up: {reasons.get(code, code)}", code=code)


def _is_definite(error: RotatorError) -> bool:
    """Whether the effect certainly did not take place."""
    if isinstance(error, IssuerError):
        return error.definite
    return not isinstance(error, StoreUnavailable)


def _credential(sight: Sight) -> Credential:
    if sight.credential is None:
        raise CredentialRefused
    return sight.credential


def _pending_value(sight: Sight) -> SecretValue:
    if sight.pending.value is None:
        message = "decided on a pending entry that is not there"
        raise AssertionError(message)
    return sight.pending.value
