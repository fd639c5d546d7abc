"""Comparing accounts with Vonage and Vault between their rotations."""

import threading
from collections import deque
from datetime import UTC, datetime

import structlog

from rotator import schedule
from rotator.daemon.health import Health
from rotator.errors import Busy, RotatorError
from rotator.model import Account
from rotator.ports import Draft
from rotator.wiring import Wiring

_log = structlog.get_logger(__name__)


class DriftCheck:
    """Looks at each account once in every interval, one after the other. Of one configuration.

    The first look at an account also settles when it is due for the first time.
    """

    def __init__(self, wiring: Wiring, *, health: Health, stopping: threading.Event) -> None:
        """Prepare; nothing is asked yet."""
        self._wiring = wiring
        self._health = health
        self._stopping = stopping
        # A parent has to find its children's due times settled when it becomes due itself.
        self._order = deque(wiring.settings.children_first())
        #: Failures in a row by account, and when to look again.
        self._failures: dict[str, int] = {}
        self._retry_at: dict[str, datetime] = {}
        self._is_over = False

    def end(self) -> None:
        """Look at no further account: this configuration is no longer the one."""
        self._is_over = True

    def run(self) -> None:
        """Look at every account whose turn it is.

        Raises:
            RotatorError: the ledger cannot be used.
        """
        last_seen = self._wiring.queries.last_seen()
        engine = self._wiring.engine(self._told)
        for account in tuple(self._order):
            if self._stopping.is_set() or self._is_over:
                return
            if not self._is_turn(account, last_seen.get(account.name)):
                continue
            try:
                engine.refresh(account)
            except Busy:
                # Who works on it keeps what it sees.
                continue
            except RotatorError as error:
                if self._health.failed(error):
                    # The others would fare no better. Next time another one is the first, in
                    # case it is about this one after all.
                    self._order.rotate(-1 - self._order.index(account))
                    return
                self._failed(account, error)
            except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
                _log.error("unexpected error", account=account.name, exc_info=error)
                self._put_off(account)
            else:
                self._failures.pop(account.name, None)
                self._health.answered("vault")
                self._health.answered("vonage")

    def _is_turn(self, account: Account, seen_at: datetime | None) -> bool:
        now, interval = datetime.now(UTC), self._wiring.settings.daemon.drift_check
        retry_at = self._retry_at.get(account.name, now)
        return retry_at <= now and schedule.is_check_due(
            account.name, seen_at, interval=interval, now=now
        )

    def _failed(self, account: Account, error: RotatorError) -> None:
        failures = self._put_off(account)
        if failures == 1:
            _log.warning("not seen", account=account.name, code=error.code, reason=error.message)

    def _put_off(self, account: Account) -> int:
        failures = self._failures[account.name] = self._failures.get(account.name, 0) + 1
        self._retry_at[account.name] = schedule.retry_at(account.name, failures, datetime.now(UTC))
        return failures

    def _told(self, name: str, draft: Draft) -> None:
        _log.warning(draft.event, account=name, detail=draft.detail)
