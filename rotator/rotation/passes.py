"""A pass: observe, decide, commit the intent, act, commit the outcome, observe again.

It contains no rule, and knows only the kinds of steps. It asks `protocol.decide` which step is
next, performs it, and records the result. The rules rely on two things: whatever it has learned is
committed before it changes anything at Vonage or Vault again, and whatever was not seen to be done
is observed anew.
"""

from dataclasses import dataclass, replace
from datetime import datetime
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
from rotator.model import Account, Outcome, Request, Rotation, Trouble
from rotator.model.retry import Backoff
from rotator.rotation import identity
from rotator.rotation.dependencies import Dependencies
from rotator.rotation.observation import Observation, Observed, observe
from rotator.rotation.ports import AccountState, LastLook, NewEntry
from rotator.rotation.protocol import decide
from rotator.rotation.protocol.waiting import skips_gates, waits_until
from rotator.rotation.remedy import with_working_version
from rotator.rotation.result import aborted, failing, in_freeze, in_grace, snapshot_of, trouble_of
from rotator.rotation.session import LedgerSession, not_begun
from rotator.rotation.steps.base import (
    Action,
    At,
    Check,
    Effect,
    ObserveAgain,
    Recording,
    Site,
    StillAccepted,
)
from rotator.rotation.steps.bookkeeping import Close, Idle, Observe, Refuse
from rotator.rotation.steps.prepare import Open, asked_again, requested
from rotator.rotation.steps.prove import FailedDeletion
from rotator.rotation.steps.retire import AskGates, Delete, Notify, Wait
from rotator.rotation.window import LEAKED

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
    session: LedgerSession
    request: Request
    #: Wait out the grace of a rotation that this pass verifies.
    wait: bool = False
    #: The open rotation as the ledger had it when the pass began.
    remembered: Rotation | None = None
    #: The rotation that this pass ended, before it went on to another one.
    ended: Rotation | None = None
    #: Why nothing shows that the old secret of that rotation is dead; None where something does.
    unproven: RotatorError | None = None
    #: A secret that leaked is replaced next, whatever becomes of the open rotation's old one.
    is_urgent: bool = False
    #: The account's ledger state just read; None where it must be read again.
    state: AccountState | None = None
    #: The latest observation, updated with what this pass did since.
    observed: Observed | None = None
    #: The latest observation may be outdated.
    must_observe: bool = True
    failures: int = 0
    #: Monotonic time of the first of the consecutive failures.
    failing_since: float = 0.0
    #: Pauses in a row.
    pauses: int = 0

    @property
    def rotation(self) -> Rotation | None:
        """The rotation this pass works on."""
        return self.observed.observation.rotation if self.observed else self.remembered

    def carry_out(self) -> Outcome:
        """Work on the account until it is done, must wait, or cannot go on.

        Raises:
            Refused: an operator must decide.
            RotatorError: it failed; an open rotation stays open.
        """
        try:
            outcome = self._carry_out()
        except (LedgerError, LedgerUnusable, LeaseLost):
            raise
        except RotatorError as error:
            if not isinstance(error, Refused | Stopping):
                self._fail(error)
            self._commit(last=True)
            raise
        self._commit(last=True)
        return outcome

    def _carry_out(self) -> Outcome:
        self.state = self.session.begin()
        self.remembered = self.state.rotation
        if self.request.actor:
            self.session.entries.append(requested(self.request, self.request.actor, self.rotation))
            self.session.commit(None, None, last=False)
        if refusal := identity.register(self.account, self.state, self.session):
            self._refuse(refusal)
        self._decline(in_freeze(self.account, self.remembered, self.request, self._at().now))
        # The request applies to the open rotation, whichever process carries it on.
        if self.remembered and (asked := asked_again(self.remembered, self.request)):
            self.remembered, entry = asked
            self.state = replace(self.state, rotation=self.remembered)
            self.session.entries.append(entry)
        was_verified = bool(self.remembered and self.remembered.verified_at)
        self.is_urgent = was_verified and self.request.reason == LEAKED
        outcome = self._loop(wait=self.wait and not was_verified)
        if self.request.reason is None or not was_verified:
            return outcome
        if outcome is Outcome.AWAITING_DELETION:
            frozen = in_freeze(self.account, self.rotation, self.request, self._at().now)
            self._decline(frozen or in_grace(self.account, self.rotation))
        if self.is_urgent:
            self._commit()
            self.ended, self.is_urgent = self.rotation, False
            self.remembered, self.observed, self.must_observe = None, None, True
            return self._loop(wait=self.wait)
        return outcome

    def _decline(self, error: Refused | None) -> None:
        """Refuse a request for which there is an error: nothing is wrong with the account."""
        if error and self.request.actor:
            self.session.entries.append(not_begun("rotate", error))
        if error:
            raise error

    def _loop(self, *, wait: bool) -> Outcome:
        while True:
            self._stop_if_asked()
            until = waits_until(self.account, self.rotation, self.request, self.dependencies.now())
            if until and self._must_wait(until, wait=wait):
                return self._waiting()
            observed = self._observe()
            action = decide(
                self.account,
                observed.observation,
                self.request,
                propagation_timeout=self.dependencies.propagation_timeout,
                now=self.dependencies.now(),
            )
            if self.rotation:
                step = action.step_of(self.rotation).value
                structlog.contextvars.bind_contextvars(rotation_id=self.rotation.id, step=step)
            log.debug("decided", action=type(action).__name__, rule=action.rule)
            if isinstance(action, Idle):
                # What was seen is kept: the secret's real age, and what others made or revoked.
                self.session.is_stale = True
                return Outcome.IDLE
            if isinstance(action, Wait):
                self._wait_for(action, observed)
                if self._must_wait(action.until, wait=wait):
                    return self._waiting()
            elif isinstance(action, Close):
                return self._close(action, observed)
            else:
                self._take(action, observed)

    def _waiting(self) -> Outcome:
        """Return the outcome while waiting: for a deletion, or for a window in which to begin."""
        is_verified = self.rotation is not None and self.rotation.verified_at is not None
        return Outcome.AWAITING_DELETION if is_verified else Outcome.IDLE

    def _stop_if_asked(self) -> None:
        """End the pass between two steps, if asked to; the next pass resumes from the ledger."""
        if self.dependencies.should_stop():
            raise Stopping

    def _observe(self) -> Observed:
        if self.observed is not None and not self.must_observe:
            return self.observed
        self._commit()
        before = self.observed
        self.observed = observe(self.dependencies, self.account, self.state).after(before)
        self.state = None
        self.must_observe = False
        return self.observed

    def _take(self, step: Action, observed: Observed) -> None:
        match step:
            case Refuse():
                self._refuse(step)
            case FailedDeletion():
                self._report(step, observed)
            case Observe():
                self._pause()
                self.must_observe = True
            case Open():
                new_id = self.dependencies.new_id()
                self._learn(observed, *step.done(observed.observation, new_id, self._at()))
                # What the ledger took for an orphan may be this very rotation's secret.
                self.must_observe = step.recovered_id is not None
            case Effect():
                self._warn_of_gates(step, observed)
                self._perform(step, observed)
            case Check():
                self._check(step, observed)
            case AskGates():
                self._ask(step, observed)
            case Recording():
                if isinstance(step, Notify):
                    self._notify()
                self._learn_from(step, observed)
            case _:
                message = f"{type(step).__name__} is handled in the loop"
                raise AssertionError(message)

    def _report(self, step: FailedDeletion, observed: Observed) -> None:
        """Report a deletion that has no effect; go on only where a leaked secret waits for that."""
        error = step.error()
        if not self.is_urgent:
            raise error
        self._fail(error)
        self._learn_from(step, observed)
        self.unproven = error

    def _close(self, step: Close, observed: Observed) -> Outcome:
        self._learn_from(step, observed)
        if step.error_code:
            raise aborted(self.account, step.error_code)
        return Outcome.COMPLETED

    def _refuse(self, action: Refuse) -> None:
        observation, trouble = None, None
        if self.observed:
            observation = self.observed.observation
            action = with_working_version(self.dependencies, self.account, self.observed, action)
        detail = {"code": action.code, "why": action.why}
        if action.code != "held":
            trouble = trouble_of(self.account, action, observation, self.dependencies.now())
            detail["state"] = trouble.state.value
        self._record("refused", trouble, **detail)
        self._commit(last=True)
        raise action.error()

    def _fail(self, error: RotatorError) -> None:
        trouble = failing(error, self.dependencies.now())
        self._record("failed", trouble, code=error.code, why=error.message)

    def _check(self, step: Check[Any], observed: Observed) -> None:
        if step.commits_first:
            self._commit()
        rotation = self._open_rotation()
        try:
            result = step.perform(self._site(observed), rotation)
        except (CredentialRefused, StillAccepted):
            now = self.dependencies.now()
            observed.observation, entry = step.unsettled(observed.observation, rotation, now)
            self.session.entries += [entry] if entry else []
            self._pause(step.pause)
        except ObserveAgain:
            self.must_observe = True
        else:
            self._learn(observed, *step.done(observed.observation, rotation, result, self._at()))

    def _notify(self) -> None:
        """Call each hook once, and wait for those that others are calling at the moment.

        Failed calls are retried outside of the rotation, as are those of older rotations: an urgent
        deletion must not wait for hooks that have long been dead.
        """
        self._commit()
        while True:
            for _ in self.dependencies.hooks.notify(self.account):
                self.session.renew()
            if not self.dependencies.hooks.is_notifying(self.account):
                return
            self._stop_if_asked()
            self._pause()

    def _ask(self, step: AskGates, observed: Observed) -> None:
        """Ask the gates in turn, until one is shut. Asking is no effect: it may be repeated."""
        self._commit()
        for gate in observed.observation.gates.names:
            shut = self.dependencies.hooks.ask(self.account, self._open_rotation(), gate)
            self.session.renew()
            if shut:
                now = self.dependencies.now()
                observed.observation = step.shut(observed.observation, shut, now)
                return
        self._learn_from(step, observed)

    def _wait_for(self, step: Wait, observed: Observed) -> None:
        """Record what is waited for: a gate, the end of a grace, or a window."""
        if self.rotation is None:
            return
        now = self.dependencies.now()
        observation, entry = step.done(observed.observation, self.rotation, now)
        # What only an observation could show is not looked for again before.
        self.session.is_stale = True
        if entry and not step.gate:
            # A pass that knows this from the ledger waits without asking anybody.
            self._learn(observed, observation, entry)
            return
        observed.observation = observation
        if entry and (gate := step.gate):
            self.session.entries.append(entry)
            log.info("gate shut", account=self.account.name, gate=gate.name, reason=gate.reason)

    def _warn_of_gates(self, step: Effect[Any], observed: Observed) -> None:
        """Log and record that a predecessor is about to be deleted without its gates asked."""
        rotation, gates = self._open_rotation(), observed.observation.gates.names
        if not isinstance(step, Delete) or step.secret_id != rotation.predecessor_id:
            return
        if gates and skips_gates(rotation, self.request):
            log.warning("gates skipped", account=self.account.name, gates=gates)
            self.session.entries.append(step.gates_skipped(observed.observation, rotation))

    def _perform(self, step: Effect[Any], observed: Observed) -> None:
        before = self._open_rotation()
        rotation = step.intent(observed.observation, before, self.dependencies.now())
        facts = step.target | step.grounds(observed.observation, rotation, self._at())

        def intend() -> None:
            observed.observation = observed.observation.with_rotation(rotation)
            self.session.entries.append(step.entry("intent", rotation, **facts))
            self._commit_intent(before, observed)

        def send(look: LastLook) -> object:
            return step.perform(self._site(observed), rotation, look)

        def done(result: object) -> None:
            self._learn(observed, *step.done(observed.observation, rotation, result, self._at()))

        def missed(event: str, error: RotatorError) -> None:
            after, entry = step.missed(event, before, rotation, error)
            observed.observation = observed.observation.with_rotation(after)
            self.session.entries.append(entry)
            self.must_observe = True

        hold = observed.observation.ledger.hold
        try:
            self.session.perform(send, hold=hold, intend=intend, done=done, missed=missed)
        except HoldChanged:
            # An operator changed the hold after the decision. Nothing was sent.
            self.failures = self.pauses = 0
        except (IssuerError, StoreError, Withdrawn) as error:
            self._tolerate(error)

    def _commit_intent(self, before: Rotation, observed: Observed) -> None:
        """Commit an intent, or a refusal if the ledger's own entries contradict it."""
        try:
            self._commit()
        except Refused as error:
            self.session.entries.pop()
            observed.observation = observed.observation.with_rotation(before)
            self._refuse(Refuse(code=error.code, why=error.message, hint=error.hint or ""))

    def _tolerate(self, error: RotatorError) -> None:
        """Pause after an effect was refused or its answer lost; raise if trying again is no use."""
        self.failures += 1
        wait = error.retry_after if isinstance(error, RateLimited) else 0.0
        if isinstance(error, HOPELESS) or wait > LONGEST_WAIT or self._is_tried_out(error):
            raise error
        self._pause(wait)

    def _is_tried_out(self, error: RotatorError) -> bool:
        """Return whether an effect failed too often, or for too long."""
        if self.failures == 1:
            self.failing_since = self.dependencies.monotonic()
        if self.failures < MAX_FAILURES:
            return False
        is_away = isinstance(error, StoreUnavailable) and not isinstance(error, StoreSealed)
        seconds = self.dependencies.monotonic() - self.failing_since
        return not is_away or seconds >= self.dependencies.store_patience.total_seconds()

    def _site(self, observed: Observed) -> Site:
        return Site(
            account=self.account,
            request=self.request,
            issuer=self.dependencies.issuer,
            store=self.dependencies.store,
            generate=self.dependencies.generate,
            now=self.dependencies.now,
            observed=observed,
            ledger_head=self.session.head,
        )

    def _at(self) -> At:
        return At(account=self.account, request=self.request, now=self.dependencies.now())

    def _learn(self, observed: Observed, observation: Observation, entry: NewEntry) -> None:
        """Apply an action's result, to be committed before the next call."""
        observed.observation = observation
        self.session.entries.append(entry)
        self.failures = self.pauses = 0

    def _learn_from(self, step: Recording | Close | FailedDeletion, observed: Observed) -> None:
        self._learn(observed, *step.done(observed.observation, self._open_rotation(), self._at()))

    def _record(self, event: str, trouble: Trouble | None, **detail: str) -> None:
        id_ = self.rotation.id if self.rotation else None
        entry = NewEntry(event=event, step=None, detail=detail, rotation_id=id_, trouble=trouble)
        self.session.entries.append(entry)

    def _commit(self, *, last: bool = False) -> None:
        snapshot, observed = None, self.observed
        if observed is not None and observed.observation.listing.secrets is not None:
            snapshot = snapshot_of(self.account, observed.observation)
        committed = self.session.commit(self.rotation, snapshot, last=last)
        if committed and observed and committed.hold != observed.observation.ledger.hold:
            ledger = replace(observed.observation.ledger, hold=committed.hold)
            observed.observation = replace(observed.observation, ledger=ledger)

    def _must_wait(self, until: datetime, *, wait: bool) -> bool:
        """Wait out a grace if asked to; return whether there is still something to wait for."""
        if until <= self.dependencies.now():
            return False
        if not wait:
            return True
        self._commit()
        left = longest = (until - self.dependencies.now()).total_seconds()
        # More is left than before where the clock was ahead and has been corrected: decide again.
        while 0 < left <= longest:
            self._rest(min(left, self.session.lease.seconds / 4))
            longest, left = left, (until - self.dependencies.now()).total_seconds()
        self.must_observe = True
        return False

    def _pause(self, at_least: float = 0.0) -> None:
        """Wait for something to settle: longer each time in a row."""
        self._commit()
        self._rest(max(at_least, _PAUSES.after(self.pauses + 1)))
        self.pauses += 1

    def _rest(self, seconds: float) -> None:
        self.dependencies.sleep(seconds)
        self.session.renew()
        self.state = None

    def _open_rotation(self) -> Rotation:
        if self.rotation is None:
            message = "no rotation is open"
            raise AssertionError(message)
        return self.rotation
