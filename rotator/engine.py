"""Working on an account: take its lease, go through the loop, report what became of it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta

import structlog

from rotator import identity, plan
from rotator.actions import Action, Probe, Refuse, Wait
from rotator.adoption import Adopted, Adoption
from rotator.errors import LedgerError, LedgerUnusable, RotatorError
from rotator.loop import Pass
from rotator.means import Means
from rotator.model import Account, Observation, Outcome, Report, Request, SecretValue
from rotator.ports import Lease
from rotator.protocol import decide
from rotator.reports import (
    drift_text,
    drifted,
    failure,
    in_grace,
    overdue_text,
    refused,
    reported,
    seen,
)

log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class Engine(Means):
    """Carries rotations on, one pass at a time, for any account, from any thread."""

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
            with _named(account), self._claim(account, claimed) as lease:
                run = Pass.on(account, lease, self)
                outcome = run.carry_out(request, wait=wait)
                return reported(account, outcome, run.rotation)
        except RotatorError as error:
            return failure(account, run.rotation if run else None, error)

    def plan(
        self, account: Account, request: Request
    ) -> tuple[Report, list[Action], Observation | None]:
        """Say what `attempt` would do, and in which world. Reads only, takes no lease."""
        try:
            memory = self.ledger.recall(account.name)
            taken = identity.foreseen(account, memory, self.ledger)
            world = self.observer().look(account, memory).world
        except RotatorError as error:
            return failure(account, None, error), [], None
        patience, now = self.propagation_timeout, self.now()
        actions: list[Action] = [taken] if taken else []
        actions = actions or plan.actions(
            account, world, request, propagation_timeout=patience, now=now
        )
        rotation = world.rotation
        if isinstance(actions[-1], Refuse):
            return failure(account, rotation, refused(actions[-1])), actions, world
        is_asked_again = request.reason is not None and rotation and rotation.verified_at
        if is_asked_again and isinstance(actions[-1], Wait):
            refusal = in_grace(account, rotation, actions[-1].gate)
            return failure(account, rotation, refusal), actions, world
        return reported(account, Outcome.PLANNED, rotation), actions, world

    def adopt(
        self, account: Account, value: SecretValue | None, *, secret_id: str | None = None
    ) -> Adopted:
        """Have `value`, or for None what Vault has, be the account's current secret.

        `secret_id` is which one it is, where Vonage does not tell. Never rotates.

        Raises:
            Busy: another process is working on it.
            Refused: it is not certain which secret it is.
            CredentialRefused: Vonage does not accept it.
            RotatorError: it did not work; nothing is lost by adopting it again.
        """
        with self._claim(account) as lease:
            adoption = Adoption(
                means=self, account=account, lease=lease, given=value, secret_id=secret_id
            )
            adopted = adoption.carry_out()
        # For `status`, which would not know of it before the next look; it is done all the same.
        with suppress(RotatorError):
            self.refresh(account)
        return adopted

    def refresh(self, account: Account) -> None:
        """Look at `account` and keep what was seen for `status`. Changes nothing else.

        Drift that begins or ends is recorded: once, not at each look.

        Raises:
            Busy: another process is working on it, and keeps what it sees itself.
            RotatorError: something of it cannot be seen.
        """
        with _named(account), self._claim(account) as lease:
            memory = self.ledger.recall(account.name)
            world = self.observer().look(account, memory).world
            taken = identity.refusal(account, memory, self.journal(lease))
            drift = drift_text(taken) if taken else self._drift(account, world, memory.drift)
            drafts = [] if drift == memory.drift else [drifted(drift)]
            sighting = seen(account, world, drift=drift)
            now = self.now()
            self.ledger.commit(
                lease, rotation=None, entries=drafts, sighting=sighting, now=now, last=True
            )
        for draft in drafts:
            self.listener(account.name, draft)

    def _drift(self, account: Account, world: Observation, known: str | None) -> str | None:
        """Say what would keep a rotation from starting or going on, or that one is overdue.

        A hold is no drift. What a pass found and a look cannot tell stays `known`.
        """
        action = decide(
            account,
            replace(world, hold=None),
            # Not at the end of a grace: what is wrong by then is wrong for consumers now.
            Request(reason="asked", grace=timedelta()),
            propagation_timeout=self.propagation_timeout,
            now=self.now(),
        )
        if isinstance(action, Refuse):
            return drift_text(action)
        if isinstance(action, Probe) and known:
            return known
        return overdue_text(account, world, self.now())

    @contextmanager
    def _claim(self, account: Account, claimed: Lease | None = None) -> Iterator[Lease]:
        """Have the lease on `account` for the length of a `with` block."""
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
    """Have each line that is logged meanwhile, by whomever, name the account and what is bound."""
    with structlog.contextvars.bound_contextvars(account=account.name):
        try:
            yield
        finally:
            structlog.contextvars.unbind_contextvars("rotation_id", "step")
