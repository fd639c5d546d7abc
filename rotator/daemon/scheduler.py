"""Finds due accounts and hands them to the workers; notices a clock that was set back."""

import dataclasses
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING

import structlog

from rotator.application import Application
from rotator.daemon.health import Health
from rotator.daemon.triggered import TriggeredPasses
from rotator.daemon.workers import PassWorkers
from rotator.errors import RotatorError, StoreUnavailable
from rotator.model import Account, Request, Rotation
from rotator.model.account import without_parents
from rotator.model.trigger import TriggerRequest
from rotator.rotation import schedule
from rotator.rotation.ports import Lease
from rotator.rotation.protocol.waiting import waits_until

if TYPE_CHECKING:
    from rotator.rotation.reconciler import Reconciler


_log = structlog.get_logger(__name__)

#: Smallest number of due accounts offered in one claim: other processes may take some.
OFFERED = 32

_DUE = Request(reason="due")

#: How long to wait for Vault before starting passes, in seconds: the next poll asks again, and this
#: one blocks others.
_VAULT_SECONDS = 2.0


class Scheduler:
    """Claims due accounts, as many as there are free workers. For one configuration."""

    def __init__(
        self,
        application: Application,
        *,
        workers: PassWorkers,
        health: Health,
        stopping: threading.Event,
    ) -> None:
        """Store what is needed; nothing is read yet."""
        self._application = application
        self._workers = workers
        self._health = health
        self._stopping = stopping
        self._triggered = TriggeredPasses(
            application=application, workers=workers, stopping=stopping
        )
        #: Due accounts that still wait for a free worker, the longest overdue first.
        self._backlog: list[str] = []
        self._is_over = False
        #: Whether the recorded due times follow this configuration.
        self._is_scheduled = False
        #: Locked while claiming from the backlog.
        self._claiming = threading.Lock()

    def due(self) -> list[str]:
        """Return the accounts that may be worked on now and are not being worked on here.

        Accounts that only wait for a window are left out: each claim would cost two commits.

        Raises:
            RotatorError: the ledger cannot be read.
        """
        if not self._is_scheduled:
            self._schedule()
        now, accounts = datetime.now(UTC), self._application.accounts
        busy = self._workers.busy_with
        found = self._application.ledger.writer.due(now)
        self._workers.forget_but({each.name: each.due_at for each in found})
        due = [
            accounts[each.name]
            for each in found
            if each.name in accounts
            and not self._workers.must_wait(each.name)
            and not _waits(accounts[each.name], each.rotation, now)
        ]
        running = [accounts[name] for name in busy if name in accounts]
        ready = without_parents(due, running)
        return [account.name for account in ready if account.name not in busy]

    def _schedule(self) -> None:
        """Update the recorded due times to this configuration."""
        accounts = self._application.accounts

        def next_due(name: str, created_at: datetime) -> datetime | None:
            return schedule.next_due(accounts[name], created_at) if name in accounts else None

        on_request = {name for name, each in accounts.items() if each.policy.is_on_request}
        if changed := self._application.ledger.writer.reschedule(next_due, on_request=on_request):
            _log.info("due times changed", accounts=changed)
        self._is_scheduled = True

    def begin(self, names: Sequence[str]) -> None:
        """Claim those of `names` that are due and start passes on them, if Vault is usable.

        Passes that were asked for through the trigger come first.

        Raises:
            RotatorError: the ledger cannot be read or written.
        """
        requests = self._triggered.waiting()
        # Also asked where nothing is due, to see that Vault is back.
        is_asked = bool(names or requests) or "vault" in self._health.down
        if not (is_asked and self._can_store() and (names or requests)):
            return
        with self._claiming:
            started = {
                request.account for request in requests[: self._free] if self._carry_out(request)
            }
            self._backlog = [name for name in names if name not in started]
        self._fill()

    def _carry_out(self, request: TriggerRequest) -> bool:
        """Start a pass that carries out a request; return whether it was started."""
        if self._is_over or self._stopping.is_set():
            return False
        account = self._application.accounts[request.account]
        self._workers.start(
            account,
            self._application,
            lambda: self._triggered.attempt(self._reconciler, account, request),
            then=self._go_on,
        )
        return True

    @property
    def _free(self) -> int:
        """How many passes more may run at once."""
        running = len(self._workers.busy_with)
        return max(0, self._application.settings.daemon.concurrency - running)

    def end(self) -> None:
        """Start nothing more: this configuration is no longer in effect."""
        with self._claiming:
            self._is_over, self._backlog = True, []

    def _fill(self) -> None:
        """Claim as many of the backlog as there are free workers, and start them."""
        with self._claiming:
            free = self._free
            if free <= 0 or not self._backlog or self._is_over or self._stopping.is_set():
                return
            offered = self._backlog[: max(OFFERED, 4 * free)]
            leases = self._application.ledger.writer.claim_due(
                offered, limit=free, now=datetime.now(UTC)
            )
            taken = {lease.account for lease in leases}
            # An account that was offered and could not be claimed is another process's.
            rest = offered if len(leases) == free else []
            later = self._backlog[len(offered) :]
            self._backlog = [*(name for name in rest if name not in taken), *later]
            for lease in leases:
                self._start(lease)

    def _start(self, lease: Lease) -> None:
        account = self._application.accounts[lease.account]
        self._workers.start(
            account,
            self._application,
            lambda: self._reconciler.attempt(account, _DUE, claimed=lease),
            then=self._go_on,
        )

    def _go_on(self) -> None:
        """Claim more work for a worker that is done, without waiting for the next poll."""
        # The next poll meets the same failure and reports it.
        with suppress(RotatorError):
            self._fill()

    @cached_property
    def _reconciler(self) -> "Reconciler":
        return dataclasses.replace(self._application.reconciler(), sleep=self._sleep)

    def _can_store(self) -> bool:
        """Return whether Vault is usable. Otherwise no pass starts, and no failure is counted."""
        try:
            self._application.clients.store.check(seconds=_VAULT_SECONDS)
        except StoreUnavailable as error:
            self._health.note_failure(error)
            return False
        except RotatorError as error:
            self._health.mark_down("vault", error)
            return False
        self._health.mark_up("vault")
        return True

    def _sleep(self, seconds: float) -> None:
        """Pause a pass, which then checks whether it is to end."""
        self._stopping.wait(seconds)


def _waits(account: Account, rotation: Rotation | None, now: datetime) -> bool:
    until = waits_until(account, rotation, _DUE, now)
    return until is not None and until > now


#: Seconds. A gradually adjusted clock is not set back by as much at once.
_AT_LEAST = 10.0


@dataclass(kw_only=True)
class ClockWatch:
    """Compares the wall clock with the monotonic one."""

    wall: Callable[[], float] = time.time
    monotonic: Callable[[], float] = time.monotonic
    #: By how much the wall clock was ahead at the last comparison.
    _ahead: float = field(init=False)

    def __post_init__(self) -> None:
        """Compare them for the first time."""
        self._ahead = self.wall() - self.monotonic()

    def went_back(self) -> bool:
        """Return whether the clock was set back since the last call. Forward does no harm."""
        ahead = self.wall() - self.monotonic()
        is_back, self._ahead = ahead < self._ahead - _AT_LEAST, ahead
        return is_back
