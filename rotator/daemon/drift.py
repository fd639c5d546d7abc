"""Compares accounts with Vonage and Vault between their rotations."""

import heapq
import itertools
import threading
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import structlog

from rotator.application import Application
from rotator.daemon.health import Health, told_of
from rotator.errors import Busy, RotatorError
from rotator.model import Account
from rotator.rotation import schedule

if TYPE_CHECKING:
    from rotator.rotation.reconciler import Reconciler

_log = structlog.get_logger(__name__)

#: Earlier than any other time.
_AT_ONCE = datetime.min.replace(tzinfo=UTC)


class DriftCheck:
    """Checks each account once in every interval, one after the other. For one configuration.

    The first check of an account also sets when it is first due. The times of the next checks are
    kept in memory, so that a run with nothing to do costs nothing, however many accounts there are;
    the ledger shows whether another daemon has already checked an account.
    """

    def __init__(
        self, application: Application, *, health: Health, stopping: threading.Event
    ) -> None:
        """Store what is needed; nothing is requested yet."""
        self._application = application
        self._health = health
        self._stopping = stopping
        #: When each account is to be checked, the earliest first; ties in order of insertion. None
        #: before the ledger was read.
        self._turns: list[tuple[datetime, int, Account]] | None = None
        self._numbers = itertools.count()
        #: Consecutive failures by account.
        self._failures: dict[str, int] = {}
        #: Consecutive checks that found Vonage or Vault unreachable, and when the next may start.
        self._away_times = 0
        self._resumes_at = _AT_ONCE
        self._is_over = False

    def end(self) -> None:
        """Check no further account: this configuration is no longer in effect."""
        self._is_over = True

    def run(self) -> None:
        """Check every account that is due.

        Raises:
            RotatorError: the ledger cannot be used.
        """
        if self._turns is None:
            self._turns = self._first_turns()
        began = datetime.now(UTC)
        reconciler = self._application.reconciler()
        while self._resumes_at <= began and self._turns and self._turns[0][0] <= began:
            if self._stopping.is_set() or self._is_over:
                return
            _, _, account = self._turns[0]
            seen_at = self._application.ledger.reader.last_seen([account.name]).get(account.name)
            heapq.heappop(self._turns)
            if seen_at and (turn := self._after(account, seen_at)) > began:
                self._put(account, turn)
            elif not self._looked(reconciler, account):
                return

    def _first_turns(self) -> list[tuple[datetime, int, Account]]:
        last_seen = self._application.ledger.reader.last_seen()
        turns = []
        # A parent must find its children's due times set when it becomes due itself.
        for account in self._application.settings.children_first():
            seen_at = last_seen.get(account.name)
            turn = self._after(account, seen_at) if seen_at else _AT_ONCE
            turns.append((turn, next(self._numbers), account))
        heapq.heapify(turns)
        return turns

    def _after(self, account: Account, seen_at: datetime) -> datetime:
        interval = self._application.settings.daemon.drift_check
        # A future time came from a clock that was ahead.
        seen_at = min(seen_at, datetime.now(UTC))
        return schedule.next_check(account.name, seen_at, interval=interval)

    def _put(self, account: Account, turn: datetime) -> None:
        if self._turns is not None:
            heapq.heappush(self._turns, (turn, next(self._numbers), account))

    def _looked(self, reconciler: "Reconciler", account: Account) -> bool:
        """Check one account; return whether to go on with the others."""
        now = datetime.now(UTC)
        try:
            reconciler.refresh(account)
        except Busy:
            # The process that works on the account records a snapshot itself.
            self._put(account, now)
        except RotatorError as error:
            if self._health.failed(error):
                # The others would fail as well. Next time another account is first, in case the
                # failure is this account's after all.
                self._put(account, now)
                self._away_times += 1
                self._resumes_at = now + schedule.pause(self._away_times)
                return False
            self._failed(account, error)
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            _log.error("unexpected error", account=account.name, exc_info=error)
            self._put_off(account)
        else:
            self._failures.pop(account.name, None)
            self._away_times = 0
            self._put(account, self._after(account, now))
            self._health.answered("vault")
            self._health.answered("vonage")
        return True

    def _failed(self, account: Account, error: RotatorError) -> None:
        failures = self._put_off(account)
        if failures == 1:
            _log.warning("not seen", account=account.name, **told_of(error))

    def _put_off(self, account: Account) -> int:
        failures = self._failures[account.name] = self._failures.get(account.name, 0) + 1
        self._put(account, schedule.retry_at(account.name, failures, datetime.now(UTC)))
        return failures
