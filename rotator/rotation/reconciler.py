"""The loop: observe, decide, commit the intent, act, commit the outcome, observe again.

The loop holds no rule, and knows the kinds of steps alone. It asks `protocol.decide` which step is
next, has it done, and writes down what the step makes of it. Two things it owes the rules: whatever
it has learned is committed before it changes anything at Vonage or Vault again, and whatever did
not come back as done is looked at anew.
"""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

import structlog

from rotator.errors import (
    AccountNotFound,
    CredentialRefused,
    Forbidden,
    HoldChanged,
    IssuerError,
    LeaseLost,
    LedgerError,
    LedgerUnusable,
    MountUnusable,
    RateLimited,
    Refused,
    RequestRefused,
    RotatorError,
    Stopping,
    StoreError,
    StoreForbidden,
    StoreSealed,
    StoreUnavailable,
    UnexpectedEntry,
    Withdrawn,
)
from rotator.model import (
    Account,
    Outcome,
    PassResult,
    Request,
    Rotation,
    SecretValue,
    ShutGate,
)
from rotator.model.retry import Backoff
from rotator.rotation import dry_run, identity
from rotator.rotation.adoption import Adopted, Adoption
from rotator.rotation.dependencies import Dependencies
from rotator.rotation.observation import Observation, Observed, seen_again
from rotator.rotation.ports import AccountState, LastLook, Lease, NewEntry
from rotator.rotation.protocol import decide, skips_gates, waits_until
from rotator.rotation.result import (
    aborted,
    drift_text,
    drifted,
    failure,
    in_grace,
    overdue_text,
    reported,
    seen,
)
from rotator.rotation.session import LedgerSession
from rotator.rotation.steps import (
    Action,
    Ask,
    At,
    Check,
    Close,
    Delete,
    Effect,
    Idle,
    Look,
    LookAgain,
    Notify,
    Open,
    Probe,
    Recording,
    Refuse,
    SecretDeletion,
    Site,
    Wait,
)
from rotator.rotation.steps.prepare import taken_over

log = structlog.get_logger(__name__)

#: Consecutive failed effects, each followed by an observation, before a pass gives up. The
#: rotation stays open for the next pass.
MAX_FAILURES = 6

#: Pauses between two observations of something that must settle, in seconds.
_PAUSES = Backoff(0.1, 5.0)

#: Longest wait for a rate limit that is worth occupying a thread and a lease, in seconds.
LONGEST_WAIT = 60.0

#: Errors that observing again does not resolve.
HOPELESS = (
    AccountNotFound,
    Forbidden,
    RequestRefused,
    StoreForbidden,
    MountUnusable,
    UnexpectedEntry,
)


@dataclass(kw_only=True)
class Pass:
    """One process's work on one account, for as long as it has the lease."""

    dependencies: Dependencies
    account: Account
    journal: LedgerSession
    #: The open rotation as the ledger had it when the pass began.
    remembered: Rotation | None = None
    #: The account's ledger state just read; None where it must be read again.
    memory: AccountState | None = None
    #: The latest observation, updated with what this pass did since.
    observed: Observed | None = None
    #: The latest observation may be outdated.
    must_look: bool = True
    failures: int = 0
    #: Monotonic time of the first of the consecutive failures.
    failing_since: float = 0.0
    stalls: int = 0

    @classmethod
    def on(cls, account: Account, lease: Lease, dependencies: Dependencies) -> "Pass":
        """Begin a pass on `account` under `lease`."""
        return cls(dependencies=dependencies, account=account, journal=dependencies.journal(lease))

    @property
    def rotation(self) -> Rotation | None:
        """The rotation this pass works on."""
        return self.observed.world.rotation if self.observed else self.remembered

    def carry_out(self, request: Request, *, wait: bool) -> Outcome:
        """Work on the account until it is done, must wait, or cannot go on.

        Raises:
            Refused: an operator must decide.
            RotatorError: it failed; an open rotation stays open.
        """
        try:
            outcome = self._carry_out(request, wait=wait)
        except (LedgerError, LedgerUnusable, LeaseLost):
            raise
        except RotatorError as error:
            if not isinstance(error, Refused | Stopping):
                self._write("failed", code=error.code)
            self._commit(last=True)
            raise
        self._commit(last=True)
        return outcome

    # -- The loop. -------------------------------------------------------------------------

    def _carry_out(self, request: Request, *, wait: bool) -> Outcome:
        self.memory = self.journal.begin()
        self.remembered = self.memory.rotation
        if refusal := identity.refusal(self.account, self.memory, self.journal):
            self._refuse(refusal)
        self._take_over(request)
        was_verified = bool(self.remembered and self.remembered.verified_at)
        outcome = self._loop(request, wait=wait and not was_verified)
        if request.reason is None or not was_verified:
            return outcome
        if outcome is Outcome.AWAITING_DELETION:
            raise in_grace(self.account, self.rotation)
        if request.reason == "compromised":
            self._commit()
            self.remembered, self.observed, self.must_look = None, None, True
            return self._loop(request, wait=wait)
        return outcome

    def _take_over(self, request: Request) -> None:
        """Apply `request` to the open rotation, whichever process carries it on."""
        if self.memory is None or self.remembered is None:
            return
        if taken := taken_over(self.remembered, request):
            self.remembered, draft = taken
            self.memory = replace(self.memory, rotation=self.remembered)
            self.journal.drafts.append(draft)

    def _loop(self, request: Request, *, wait: bool) -> Outcome:
        while True:
            self._stop_if_told()
            until = waits_until(self.account, self.rotation, request, self.dependencies.now())
            if until and self._must_wait(until, wait=wait):
                return self._waiting()
            observed = self._look() if self.must_look or self.observed is None else self.observed
            action = decide(
                self.account,
                observed.world,
                request,
                propagation_timeout=self.dependencies.propagation_timeout,
                now=self.dependencies.now(),
            )
            self._name(action)
            log.debug("decided", action=type(action).__name__)
            if isinstance(action, Idle):
                # By the ledger, the account seemed due and is not: the secret's real age must be
                # recorded.
                self.journal.is_stale |= request.reason is not None
                return Outcome.IDLE
            if isinstance(action, Wait):
                self._wait_for(action, observed)
                if self._must_wait(action.until, wait=wait):
                    return self._waiting()
            elif isinstance(action, Close):
                return self._close(action, request, observed)
            else:
                self._do(action, request, observed)

    def _name(self, action: Action) -> None:
        """Bind the rotation and its step to the lines logged from now on."""
        if self.rotation:
            step = action.step_of(self.rotation)
            structlog.contextvars.bind_contextvars(rotation_id=self.rotation.id, step=step.value)

    def _waiting(self) -> Outcome:
        """Return what is waited for: a deletion, or a window in which to begin."""
        is_verified = self.rotation is not None and self.rotation.verified_at is not None
        return Outcome.AWAITING_DELETION if is_verified else Outcome.IDLE

    def _stop_if_told(self) -> None:
        """End the pass between two steps, if told to; the next pass resumes from the ledger."""
        if self.dependencies.should_stop():
            raise Stopping

    def _do(self, step: Action, request: Request, observed: Observed) -> None:
        match step:
            case Refuse():
                self._refuse(step)
            case Look():
                self._pause()
                self.must_look = True
            case Open():
                self._open(step, request, observed)
            case Effect():
                self._warn_of_gates(step, request, observed)
                self._perform(step, request, observed)
            case Check():
                self._check(step, request, observed)
            case Ask():
                self._ask(step, request, observed)
            case Recording():
                if isinstance(step, Notify):
                    self._tell()
                self._fold(
                    observed, *step.done(observed.world, self._open_rotation(), self._at(request))
                )
            case _:
                message = f"{type(step).__name__} is the loop's own"
                raise AssertionError(message)

    def _look(self) -> Observed:
        self._commit()
        before = self.observed.world if self.observed else None
        self.observed = self.dependencies.observe(self.account, self.memory)
        self.observed.world = seen_again(before, self.observed.world)
        self.memory = None
        self.must_look = False
        return self.observed

    # -- Steps without an effect outside the ledger. ---------------------------------------

    def _open(self, step: Open, request: Request, observed: Observed) -> None:
        self._fold(
            observed, *step.done(observed.world, self.dependencies.new_id(), self._at(request))
        )
        # What the ledger took for an orphan may be this very rotation's secret.
        self.must_look = step.recovered_id is not None

    def _close(self, step: Close, request: Request, observed: Observed) -> Outcome:
        self._fold(observed, *step.done(observed.world, self._open_rotation(), self._at(request)))
        if step.error_code:
            raise aborted(self.account, step.error_code)
        return Outcome.COMPLETED

    def _refuse(self, action: Refuse) -> None:
        drift = None if action.code == "held" else drift_text(action)
        self._write("refused", code=action.code, why=action.why)
        self._commit(drift=drift, last=True)
        raise action.error()

    # -- Reads that take part in a rotation. -----------------------------------------------

    def _check(self, step: Check[Any], request: Request, observed: Observed) -> None:
        if step.commits_first:
            self._commit()
        rotation = self._open_rotation()
        try:
            result = step.perform(self._site(request, observed), rotation)
        except CredentialRefused:
            observed.world = step.refused(observed.world, self.dependencies.now())
            self._pause()
        except LookAgain:
            self.must_look = True
        else:
            self._fold(observed, *step.done(observed.world, rotation, result, self._at(request)))

    # -- Hooks and gates. ------------------------------------------------------------------

    def _tell(self) -> None:
        """Call each hook once, and wait for those that others are calling at the moment.

        Failed calls are retried outside of the rotation, as are those of older rotations: an urgent
        deletion must not wait for hooks that have long been dead.
        """
        self._commit()
        while True:
            for _ in self.dependencies.hooks.tell(self.account):
                self.journal.renew()
            if not self.dependencies.hooks.is_telling(self.account):
                return
            self._stop_if_told()
            self._pause()

    def _ask(self, step: Ask, request: Request, observed: Observed) -> None:
        """Ask the gates in turn, until one is shut. Asking is no effect: it may be repeated."""
        self._commit()
        for gate in observed.world.gates:
            reason = self.dependencies.hooks.ask(self.account, self._open_rotation(), gate)
            self.journal.renew()
            if reason is not None:
                shut = ShutGate(name=gate, reason=reason)
                observed.world = step.shut(observed.world, shut, self.dependencies.now())
                return
        self._fold(observed, *step.done(observed.world, self._open_rotation(), self._at(request)))

    def _wait_for(self, step: Wait, observed: Observed) -> None:
        """Record what is waited for: a gate, the end of a grace, or a window."""
        if self.rotation is None:
            return
        world, draft = step.done(observed.world, self.rotation, self.dependencies.now())
        # What only a look could tell is not looked for again before.
        self.journal.is_stale = True
        if draft and not step.gate:
            # A pass that knows this from the ledger waits without asking anybody.
            self._fold(observed, world, draft)
            return
        observed.world = world
        if draft and step.gate:
            self.journal.drafts.append(draft)
            gate = step.gate
            log.info("gate shut", account=self.account.name, gate=gate.name, reason=gate.reason)

    def _warn_of_gates(self, step: Effect[Any], request: Request, observed: Observed) -> None:
        """Log and record that a predecessor is about to be deleted without its gates asked."""
        rotation = self._open_rotation()
        if not isinstance(step, Delete) or step.secret_id != rotation.predecessor_id:
            return
        if observed.world.gates and skips_gates(rotation, request):
            log.warning("gates skipped", account=self.account.name, gates=observed.world.gates)
            self.journal.drafts.append(step.gates_skipped(observed.world, rotation))

    # -- Effects: intent, act, outcome. ----------------------------------------------------

    def _perform(self, step: Effect[Any], request: Request, observed: Observed) -> None:
        before = self._open_rotation()
        rotation = step.intent(observed.world, before, self.dependencies.now())

        def intend() -> None:
            observed.world = replace(observed.world, rotation=rotation)
            self.journal.drafts.append(step.entry("intent", rotation, **step.target))
            self._commit_first(before, observed)

        def send(look: LastLook) -> object:
            return step.perform(self._site(request, observed), rotation, look)

        def done(result: object) -> None:
            self._fold(observed, *step.done(observed.world, rotation, result, self._at(request)))

        def missed(event: str, error: RotatorError) -> None:
            after, draft = step.missed(event, before, rotation, error)
            observed.world = replace(observed.world, rotation=after)
            self.journal.drafts.append(draft)
            self.must_look = True

        hold = observed.world.hold
        try:
            self.journal.perform(send, hold=hold, intend=intend, done=done, missed=missed)
        except HoldChanged:
            # An operator changed the hold after the decision. Nothing was sent.
            self.failures = self.stalls = 0
        except (IssuerError, StoreError, Withdrawn) as error:
            self._bear(error)

    def _commit_first(self, before: Rotation, observed: Observed) -> None:
        """Commit an intent, or a refusal if the ledger's own entries contradict it."""
        try:
            self._commit()
        except Refused as error:
            self.journal.drafts.pop()
            observed.world = replace(observed.world, rotation=before)
            self._refuse(Refuse(code=error.code, why=error.message, hint=error.hint or ""))

    def _bear(self, error: RotatorError) -> None:
        """Go on after an effect was refused or lost, with a pause, unless there is no use."""
        self.failures += 1
        wait = error.retry_after if isinstance(error, RateLimited) else 0.0
        if isinstance(error, HOPELESS) or wait > LONGEST_WAIT or self._is_tried_out(error):
            raise error
        self._pause(wait)

    def _is_tried_out(self, error: RotatorError) -> bool:
        """Return whether an effect failed too often, or for too long, to retry it in this pass."""
        if self.failures == 1:
            self.failing_since = self.dependencies.monotonic()
        if self.failures < MAX_FAILURES:
            return False
        is_away = isinstance(error, StoreUnavailable) and not isinstance(error, StoreSealed)
        seconds = self.dependencies.monotonic() - self.failing_since
        return not is_away or seconds >= self.dependencies.store_patience.total_seconds()

    def _site(self, request: Request, observed: Observed) -> Site:
        return Site(
            account=self.account,
            request=request,
            issuer=self.dependencies.issuer,
            store=self.dependencies.store,
            draw=self.dependencies.draw,
            now=self.dependencies.now,
            observed=observed,
            ledger_head=self.journal.head,
        )

    def _at(self, request: Request) -> At:
        return At(account=self.account, request=request, now=self.dependencies.now())

    # -- The ledger. -----------------------------------------------------------------------

    def _fold(self, observed: Observed, world: Observation, draft: NewEntry) -> None:
        """Apply an action's result, to be committed before the next call."""
        observed.world = world
        self.journal.drafts.append(draft)
        self.failures = self.stalls = 0

    def _write(self, event: str, **detail: str | int | bool | None) -> None:
        rotation_id = self.rotation.id if self.rotation else None
        self.journal.drafts.append(
            NewEntry(event=event, step=None, detail=detail, rotation_id=rotation_id)
        )

    def _commit(self, *, drift: str | None = None, last: bool = False) -> None:
        snapshot = None
        if self.observed is not None and self.observed.world.listed is not None:
            snapshot = seen(self.account, self.observed.world, drift=drift)
        committed = self.journal.commit(self.rotation, snapshot, last=last)
        if committed and self.observed and committed.hold != self.observed.world.hold:
            self.observed.world = replace(self.observed.world, hold=committed.hold)

    # -- Waiting. --------------------------------------------------------------------------

    def _must_wait(self, until: datetime, *, wait: bool) -> bool:
        """Wait out a grace if asked to. Returns whether there is still something to wait for."""
        if until <= self.dependencies.now():
            return False
        if not wait:
            return True
        self._commit()
        left = longest = (until - self.dependencies.now()).total_seconds()
        # Longer than at first: the clock was ahead and has been corrected, and the end with it.
        while 0 < left <= longest:
            self._rest(min(left, self.journal.lease.seconds / 4))
            longest, left = left, (until - self.dependencies.now()).total_seconds()
        self.must_look = True
        return False

    def _pause(self, at_least: float = 0.0) -> None:
        """Wait for something to settle: longer each time in a row."""
        self._commit()
        self._rest(max(at_least, _PAUSES.after(self.stalls + 1)))
        self.stalls += 1

    def _rest(self, seconds: float) -> None:
        self.dependencies.sleep(seconds)
        self.journal.renew()
        self.memory = None

    def _open_rotation(self) -> Rotation:
        if self.rotation is None:
            message = "no rotation is open"
            raise AssertionError(message)
        return self.rotation


@dataclass(frozen=True, kw_only=True)
class Reconciler(Dependencies):
    """Reconciles accounts, one pass at a time; may be shared by threads."""

    def attempt(
        self,
        account: Account,
        request: Request,
        *,
        wait: bool = False,
        claimed: Lease | None = None,
    ) -> PassResult:
        """Run a pass on `account` as far as it can go now; with `wait`, through the grace as well.

        `claimed` is the lease, if the caller already has it; it is released at the end. Never
        raises a `RotatorError`: failures are in the result.
        """
        run: Pass | None = None
        result: PassResult | None = None
        self.observer.pass_started(account.name)
        try:
            with _named(account), self._claim(account, claimed) as lease:
                run = Pass.on(account, lease, self)
                outcome = run.carry_out(request, wait=wait)
                result = reported(account, outcome, run.rotation)
        except RotatorError as error:
            result = failure(account, run.rotation if run else None, error)
        finally:
            self.observer.pass_finished(account.name, result)
        return result

    def plan(
        self, account: Account, request: Request
    ) -> tuple[PassResult, list[Action], Observation | None]:
        """Return what `attempt` would do, with the observation. Reads only, takes no lease."""
        try:
            memory = self.ledger.load(account.name)
            taken = identity.foreseen(account, memory, self.ledger)
            world = self.observe(account, memory).world
        except RotatorError as error:
            return failure(account, None, error), [], None
        patience, now = self.propagation_timeout, self.now()
        actions: list[Action] = [taken] if taken else []
        actions = actions or dry_run.actions(
            account, world, request, propagation_timeout=patience, now=now
        )
        rotation = world.rotation
        if isinstance(actions[-1], Refuse):
            return failure(account, rotation, actions[-1].error()), actions, world
        is_asked_again = request.reason is not None and rotation and rotation.verified_at
        if is_asked_again and isinstance(actions[-1], Wait):
            refusal = in_grace(account, rotation, actions[-1].gate)
            return failure(account, rotation, refusal), actions, world
        return reported(account, Outcome.PLANNED, rotation), actions, world

    def adopt(
        self, account: Account, value: SecretValue | None, *, secret_id: str | None = None
    ) -> Adopted:
        """Make `value`, or for None the one in Vault, the account's current secret.

        `secret_id` says which secret it is, where Vonage does not show that. Never rotates.

        Raises:
            Busy: another process is working on the account.
            Refused: it is not certain which secret it is.
            CredentialRefused: Vonage does not accept the value.
            RotatorError: it failed; adopting again loses nothing.
        """
        with self._claim(account) as lease:
            adoption = Adoption(
                dependencies=self, account=account, lease=lease, given=value, secret_id=secret_id
            )
            adopted = adoption.carry_out()
        # For `status`, which would be out of date until the next observation. The adoption itself
        # is done.
        with suppress(RotatorError):
            self.refresh(account)
        return adopted

    def refresh(self, account: Account) -> None:
        """Observe `account` and keep the snapshot for `status`. Changes nothing else.

        Drift that begins or ends is recorded once, not at each observation.

        Raises:
            Busy: another process is working on it, and records its own snapshot.
            RotatorError: part of the account cannot be observed.
        """
        with _named(account), self._claim(account) as lease:
            memory = self.ledger.load(account.name)
            world = self.observe(account, memory).world
            taken = identity.refusal(account, memory, self.journal(lease))
            drift = drift_text(taken) if taken else self._drift(account, world, memory.drift)
            drafts = [] if drift == memory.drift else [drifted(drift)]
            snapshot = seen(account, world, drift=drift)
            now = self.now()
            self.ledger.commit(
                lease, rotation=None, entries=drafts, snapshot=snapshot, now=now, last=True
            )
        for draft in drafts:
            self.observer.entry_recorded(account.name, draft)

    def _drift(self, account: Account, world: Observation, known: str | None) -> str | None:
        """Return what would keep a rotation from starting or going on, or that one is overdue.

        A hold is no drift. Drift that a pass found and an observation cannot confirm stays `known`.
        """
        action = decide(
            account,
            replace(world, hold=None),
            # Not as at the end of a grace: drift matters to consumers now.
            Request(reason="asked", grace=timedelta()),
            propagation_timeout=self.propagation_timeout,
            now=self.now(),
        )
        if isinstance(action, Refuse):
            return drift_text(action)
        if isinstance(action, Probe) and known:
            return known
        if isinstance(action, SecretDeletion) and (known or "").startswith("ledger-tampered:"):
            return known
        return overdue_text(account, world, self.now())

    @contextmanager
    def _claim(self, account: Account, claimed: Lease | None = None) -> Iterator[Lease]:
        """Yield the lease on `account` for the length of a `with` block, then release it."""
        lease = claimed or self.ledger.claim(account.name, self.now())
        try:
            yield lease
        finally:
            try:
                self.ledger.release(lease)
            except (LedgerError, LedgerUnusable):
                log.warning("lease not released; it ends by itself", account=account.name)


@contextmanager
def _named(account: Account) -> Iterator[None]:
    """Bind the account to all lines logged meanwhile; unbind rotation and step at the end."""
    with structlog.contextvars.bound_contextvars(account=account.name):
        try:
            yield
        finally:
            structlog.contextvars.unbind_contextvars("rotation_id", "step")
