"""The workers: one pass each, at most so many at once, on the objects of one configuration."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from rotator import schedule
from rotator.daemon.health import Health, component_of_code, told_of
from rotator.model import Account, Outcome, Report
from rotator.wiring import Wiring

_log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class Crew:
    """Runs passes in threads and knows which ones run."""

    health: Health
    #: Told how each pass ended.
    on_report: Callable[[Report], None] = lambda _report: None
    _running: dict[str, Wiring] = field(default_factory=dict)
    #: What became of each account's last pass, to tell of a change and not of each try.
    _told: dict[str, str] = field(default_factory=dict)
    #: Unforeseen errors in a row by account, and when to try again.
    _failures: dict[str, int] = field(default_factory=dict)
    _retry_at: dict[str, datetime] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: set[threading.Thread] = field(default_factory=set)

    @property
    def busy_with(self) -> list[str]:
        """Name the accounts that are worked on."""
        with self._lock:
            return sorted(self._running)

    def uses(self, wiring: Wiring) -> bool:
        """Whether a pass runs on `wiring`."""
        with self._lock:
            return any(used is wiring for used in self._running.values())

    def start(
        self,
        account: Account,
        wiring: Wiring,
        attempt: Callable[[], Report],
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Run `attempt` in a thread of its own, and `then` once it no longer counts as running."""
        # Not waited for for ever at the end: see `join`.
        thread = threading.Thread(
            target=self._run, args=(account, attempt, then), name=account.name, daemon=True
        )
        with self._lock:
            self._running[account.name] = wiring
            self._threads.add(thread)
        thread.start()

    def is_put_off(self, name: str) -> bool:
        """Whether account `name` ended in an error that nobody foresaw, and has to wait.

        So does one that was not due after all, by Vonage's clock.
        """
        retry_at, now = self._retry_at.get(name), datetime.now(UTC)
        return retry_at is not None and now < retry_at <= now + schedule.LONGEST_RETRY

    def join(self, deadline: float) -> bool:
        """Wait for all passes to end, until `deadline` at most; give whether they did."""
        # One that ends may have started another.
        while threads := self._alive():
            for thread in threads:
                thread.join(min(threading.TIMEOUT_MAX, max(0.0, deadline - time.monotonic())))
            if deadline <= time.monotonic():
                return not self._alive()
        return True

    def _alive(self) -> list[threading.Thread]:
        with self._lock:
            return [thread for thread in self._threads if thread.is_alive()]

    def _run(
        self, account: Account, attempt: Callable[[], Report], then: Callable[[], None]
    ) -> None:
        try:
            report = attempt()
            self._tell(report)
            if report.outcome is Outcome.IDLE:
                self._put_off(account, failures=1)
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            _log.error("unexpected error", account=account.name, exc_info=error)
            # The ledger did not hear of it, so that it would be tried again at once.
            failures = self._failures[account.name] = self._failures.get(account.name, 0) + 1
            self._put_off(account, failures)
        finally:
            with self._lock:
                self._running.pop(account.name, None)
            then()
            with self._lock:
                self._threads.discard(threading.current_thread())

    def _put_off(self, account: Account, failures: int) -> None:
        now = datetime.now(UTC)
        self._retry_at[account.name] = schedule.retry_at(account.name, failures, now)

    def _tell(self, report: Report) -> None:
        """Log what became of a pass; the same failure again is not news."""
        self.on_report(report)
        self._failures.pop(report.account, None)
        error = report.error
        word = error.code if error else report.outcome.value
        is_news, self._told[report.account] = self._told.get(report.account) != word, word
        facts = {"account": report.account, "rotation_id": report.rotation_id}
        if error is None:
            self.health.answered("vonage")
            _log.info(report.outcome.value, **facts, secret_id=report.new_secret_id)
        elif component := component_of_code(error.code):
            self.health.lost(component, error)
        elif report.outcome is not Outcome.BUSY and is_news:
            _log.warning(report.outcome.value, **facts, **told_of(error))
