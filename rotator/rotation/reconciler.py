"""The reconciler: passes, adoptions and observations of accounts, each under its lease."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace

import structlog

from rotator.errors import Forbidden, LedgerError, LedgerUnusable, Refused, RotatorError
from rotator.model import (
    Account,
    Actor,
    Outcome,
    PassResult,
    Problem,
    Request,
    Rotation,
    SecretValue,
    State,
    Trouble,
)
from rotator.rotation import identity
from rotator.rotation.adoption import Adopted, Adoption
from rotator.rotation.dependencies import Dependencies
from rotator.rotation.dry_run import assumed_steps
from rotator.rotation.look import expected_action
from rotator.rotation.observation import Observation, Observed, observe
from rotator.rotation.origins import Origins
from rotator.rotation.passes import Pass
from rotator.rotation.ports import Lease, NewEntry
from rotator.rotation.remedy import with_working_version
from rotator.rotation.result import (
    WAITING,
    failure,
    in_freeze,
    in_grace,
    result_of,
    snapshot_of,
    trouble_found,
    trouble_of,
)
from rotator.rotation.steps.base import Action
from rotator.rotation.steps.bookkeeping import Refuse
from rotator.rotation.steps.issue import Probe
from rotator.rotation.steps.retire import SecretDeletion, Wait
from rotator.rotation.window import LEAKED, freeze_at

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Reconciler(Dependencies):
    """Reconciles accounts, one pass at a time; may be shared by threads."""

    #: Asks who made the secrets that rotator did not; None where nobody is to be asked.
    origins: Origins | None = None

    def attempt(
        self,
        account: Account,
        request: Request,
        *,
        wait: bool = False,
        looks: bool = False,
        claimed: Lease | None = None,
    ) -> PassResult:
        """Run a pass on `account` as far as it can go now; with `wait`, through the grace as well.

        To wait, a pass needs the ledger alone; with `looks`, it is refused if consumers are cut off
        meanwhile. `claimed` is the lease, if the caller already has it; it is released at the end.
        Never raises a `RotatorError`: failures are in the result.
        """
        self.observer.pass_started(account.name)
        if request.reason == LEAKED and (freeze := freeze_at(account.policy, self.now())):
            log.info("change freeze passed", account=account.name, reason=freeze.reason)
        result: PassResult | None = None
        try:
            result, has_looked = self._attempt(account, request, wait=wait, claimed=claimed)
            if looks and not has_looked:
                result = self._unless_broken(account, result)
        finally:
            self.observer.pass_finished(account.name, result)
        return result

    def _attempt(
        self, account: Account, request: Request, *, wait: bool, claimed: Lease | None
    ) -> tuple[PassResult, bool]:
        """Run a pass; return its result, and whether it has observed the account."""
        run: Pass | None = None
        try:
            with _logged(account), self._claim(account, claimed) as lease:
                run = Pass(
                    dependencies=self,
                    account=account,
                    session=self.session(lease),
                    request=request,
                    wait=wait,
                )
                result = result_of(account, run.carry_out(), run.rotation)
        except RotatorError as error:
            result = failure(account, run.rotation if run else None, error)
        if run and run.ended:
            result = replace(result, earlier=_ended(account, run.ended, run.unproven))
        return result, run is not None and run.observed is not None

    def _unless_broken(self, account: Account, result: PassResult) -> PassResult:
        """Return the result of a pass that waits in a grace, or what breaks consumers meanwhile.

        A pass that is refused names whatever is wrong, as ending the wait might not help. What
        cannot be observed now is left to the next look.
        """
        is_refused = result.error is not None and result.error.code in WAITING
        if result.outcome is not Outcome.AWAITING_DELETION and not is_refused:
            return result
        trouble: Trouble | None = None
        with suppress(RotatorError):
            trouble = self.refresh(account)
        if trouble is None or not (is_refused or trouble.state is State.BROKEN):
            return result
        problem = Problem(code=trouble.code, message=trouble.why, hint=trouble.hint)
        return replace(result, outcome=Outcome.REFUSED, error=problem, exit_code=Refused.exit_code)

    def dry_run(
        self, account: Account, request: Request
    ) -> tuple[PassResult, list[Action], Observation | None]:
        """Return what `attempt` would do, with the observation. Reads only, takes no lease."""
        try:
            state = self.ledger.load(account.name)
            refusal = identity.check(account, state, self.ledger)
            observed = observe(self, account, state)
        except RotatorError as error:
            return failure(account, None, error), [], None
        observation = observed.observation
        timeout, now = self.propagation_timeout, self.now()
        actions: list[Action] = [refusal] if refusal else []
        actions = actions or assumed_steps(
            account, observation, request, propagation_timeout=timeout, now=now
        )
        rotation, last = observation.rotation, actions[-1]
        frozen = None if refusal else in_freeze(account, rotation, request, now)
        if frozen:
            return failure(account, rotation, frozen), actions, observation
        if isinstance(last, Refuse):
            if last is not refusal:
                # What refuses the account itself was not observed.
                last = with_working_version(self, account, observed, last)
            return failure(account, rotation, last.error()), actions, observation
        found = expected_action(account, observation, propagation_timeout=timeout, now=now)
        is_asked_again = request.reason is not None and rotation and rotation.verified_at
        is_named = observation.is_broken or is_asked_again
        if isinstance(last, Wait) and isinstance(found, Refuse) and is_named:
            found = with_working_version(self, account, observed, found)
            return failure(account, rotation, found.error()), actions, observation
        if is_asked_again and isinstance(last, Wait):
            refused = in_grace(account, rotation, last.gate)
            return failure(account, rotation, refused), actions, observation
        return result_of(account, Outcome.PLANNED, rotation), actions, observation

    def examine(self, account: Account) -> tuple[Observation, Trouble | None]:
        """Return the observation of `account`, and what `refresh` would find wrong with it.

        Reads only, takes no lease.

        Raises:
            RotatorError: part of the account cannot be observed.
        """
        state = self.ledger.load(account.name)
        refusal = identity.check(account, state, self.ledger)
        observed = observe(self, account, state)
        self._explain(account, observed, refusal)
        trouble, known = self._trouble(account, observed, refusal), state.trouble
        if trouble and known and not trouble.is_news(known):
            # Its hint may name an older version, which is only looked for once.
            trouble = known
        return observed.observation, trouble

    def adopt(
        self,
        account: Account,
        value: SecretValue | None,
        *,
        actor: Actor,
        secret_id: str | None = None,
    ) -> Adopted:
        """Make `value`, or for None the one in Vault, the account's current secret.

        `secret_id` says which secret it is, where Vonage does not show that. Never rotates. That
        `actor` asks for it is recorded first.

        Raises:
            Busy: another process is working on the account.
            Refused: it is not certain which secret it is.
            CredentialRefused: Vonage does not accept the value.
            RotatorError: it failed; adopting again loses nothing.
        """
        with self._claim(account) as lease:
            adoption = Adoption(
                dependencies=self,
                account=account,
                lease=lease,
                given=value,
                given_id=secret_id,
                actor=actor,
            )
            adopted = adoption.carry_out()
        # For `status`, which would be out of date until the next observation. The adoption itself
        # is done.
        with suppress(RotatorError):
            self.refresh(account)
        return adopted

    def refresh(self, account: Account) -> Trouble | None:
        """Observe `account` and keep the snapshot for `status`. Changes nothing else.

        What is wrong is recorded when it begins, changes or ends, not at each observation, and
        returned.

        Raises:
            Busy: another process is working on it, and records its own snapshot.
            RotatorError: part of the account cannot be observed.
        """
        with _logged(account), self._claim(account) as lease:
            state = self.ledger.load(account.name)
            observed = observe(self, account, state)
            refusal = identity.register(account, state, self.session(lease))
            was_refused = self._may_not_audit(account)
            learned = self._explain(account, observed, refusal)
            if (error := self._may_not_audit(account)) and not was_refused:
                log.warning("not audited", reason=error.message, hint=error.hint)
            trouble = self._trouble(account, observed, refusal)
            if state.chain_fault:
                # Nothing can be recorded: whoever reads the ledger finds it as well.
                return trouble
            snapshot, now = snapshot_of(account, observed.observation), self.now()
            due_at = snapshot.next_due_at
            # Else, what failed is not tried again before the next rotation, perhaps in weeks.
            is_to_begin = not snapshot.is_on_request and (due_at is None or due_at <= now)
            is_tried_again = state.rotation is not None or is_to_begin
            was_wrong = state.trouble is not None or (state.failures > 0 and not is_tried_again)
            is_news = trouble.is_news(state.trouble) if trouble else was_wrong
            entries = [*learned, *([trouble_found(trouble)] if is_news else [])]
            # Where it was refused as another account's, so may be what Vonage lists.
            kept = None if refusal else snapshot
            committed = self.ledger.commit(
                lease, rotation=None, entries=entries, snapshot=kept, now=now, last=True
            )
        for entry in (*committed.found, *entries):
            self.observer.entry_recorded(account.name, entry)
        return trouble

    def _explain(
        self, account: Account, observed: Observed, refusal: Refuse | None
    ) -> list[NewEntry]:
        """Add to `observed` who made what rotator did not; return the entries of what is new.

        Not where the account is refused as another's, as its secrets may be, too.
        """
        if self.origins is None or refusal:
            return []
        observed.observation, learned = self.origins.explain(account, observed, self.now())
        return learned

    def _may_not_audit(self, account: Account) -> Forbidden | None:
        """Return why Vonage does not say who made the account's secrets, if it refuses that."""
        error = self.origins.errors.get(account.name) if self.origins else None
        return error if isinstance(error, Forbidden) else None

    def _trouble(
        self, account: Account, observed: Observed, refusal: Refuse | None
    ) -> Trouble | None:
        """Return what is wrong: with consumers, or what would keep a rotation from going on.

        A hold is nothing wrong. What a pass found and an observation cannot confirm is kept.
        """
        observation, known = observed.observation, observed.observation.ledger.trouble
        if refusal:
            # What was observed may be another account's.
            return trouble_of(account, refusal, None, self.now())
        action = expected_action(
            account, observation, propagation_timeout=self.propagation_timeout, now=self.now()
        )
        if isinstance(action, Refuse):
            action = with_working_version(self, account, observed, action)
            return trouble_of(account, action, observation, self.now())
        if isinstance(action, Probe):
            return known
        is_deletion = isinstance(action, SecretDeletion)
        return known if is_deletion and known and known.code == "ledger-tampered" else None

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


def _ended(account: Account, rotation: Rotation, unproven: RotatorError | None) -> PassResult:
    """Return the result of the rotation that a pass ended before another one."""
    if unproven:
        return failure(account, rotation, unproven)
    return result_of(account, Outcome.COMPLETED, rotation)


@contextmanager
def _logged(account: Account) -> Iterator[None]:
    """Bind the account to all lines logged meanwhile; unbind rotation and step at the end."""
    with structlog.contextvars.bound_contextvars(account=account.name):
        try:
            yield
        finally:
            structlog.contextvars.unbind_contextvars("rotation_id", "step")
