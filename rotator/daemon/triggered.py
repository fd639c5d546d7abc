"""Passes that were asked for through the trigger, by this daemon or another one on its ledger."""

import threading
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from rotator.application import Application
from rotator.daemon.workers import PassWorkers
from rotator.errors import Busy
from rotator.model import Account, Outcome, PassResult
from rotator.model.account import without_parents
from rotator.model.trigger import TriggerRequest
from rotator.rotation.result import failure

if TYPE_CHECKING:
    from rotator.rotation.reconciler import Reconciler

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True)
class TriggeredPasses:
    """Finds requests through the trigger, and carries each out once. For one configuration."""

    application: Application
    workers: PassWorkers
    stopping: threading.Event
    now: Callable[[], datetime] = lambda: datetime.now(UTC)

    def waiting(self) -> list[TriggerRequest]:
        """Return the requests that may be carried out now, one for each account at most.

        Without those for accounts that are being worked on here, and for parents of others.

        Raises:
            RotatorError: the ledger cannot be read.
        """
        accounts, busy = self.application.accounts, self.workers.busy_with
        found: dict[str, TriggerRequest] = {}
        for request in self.application.ledger.triggers.pending(self.now()):
            if request.account in accounts:
                found.setdefault(request.account, request)
        running = [accounts[name] for name in busy if name in accounts]
        ready = without_parents([accounts[name] for name in found], running)
        return [found[account.name] for account in ready if account.name not in busy]

    def attempt(
        self, reconciler: "Reconciler", account: Account, request: TriggerRequest
    ) -> PassResult:
        """Run the pass that was asked for, unless a rotation has carried the request out.

        Whether one has is looked at under the account's lease, as another process may have just
        finished it.

        Raises:
            RotatorError: what became of it cannot be recorded; the request stays as it was.
        """
        ledger = self.application.ledger
        try:
            lease = ledger.writer.claim(account.name, self.now())
        except Busy as busy:
            return failure(account, None, busy)
        try:
            is_over = self._settle(request)
        except BaseException:
            ledger.writer.release(lease)
            raise
        if is_over:
            ledger.writer.release(lease)
            self._settle_others(request)
            return failure(account, None, Busy("another rotation has carried the request out"))
        result = None
        try:
            result = reconciler.attempt(account, request.request(), claimed=lease)
        finally:
            # Also after an unexpected error, so that it is not tried at each poll.
            is_tried = result is None or result.outcome is not Outcome.BUSY
            if is_tried and not self.stopping.is_set():
                self._settle(request, result, has_failed=result is None or result.error is not None)
        self._settle_others(request)
        return result

    def _settle_others(self, request: TriggerRequest) -> None:
        """Record which other requests for the account a rotation has carried out.

        Otherwise each would be looked at by a poll of its own, and seem to wait until then.
        """
        for other in self.application.ledger.triggers.pending(self.now()):
            if other.account == request.account and not self.stopping.is_set():
                self._settle(other)

    def _settle(
        self, request: TriggerRequest, result: PassResult | None = None, *, has_failed: bool = False
    ) -> bool:
        """Record what became of a request, by the result of its pass; return whether it is over.

        A leak is not over because the account is held: it is replaced once that is released.
        """
        error = result.error if result and result.outcome is Outcome.REFUSED else None
        is_put_off = request.is_compromised and error is not None and error.code == "held"
        is_over = self.application.ledger.triggers.settle(
            request,
            refusal=error.code if error and not is_put_off else None,
            has_failed=has_failed,
            now=self.now(),
        )
        if error:
            _log.warning(
                "request put off" if is_put_off else "request refused",
                account=request.account,
                trigger=request.id,
                by=request.actor.host,
                code=error.code,
                reason=error.message,
            )
        return is_over
