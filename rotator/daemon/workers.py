"""The workers: threads with one pass each, bounded in number, on one configuration's objects."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime

import structlog

from rotator.application import Application
from rotator.daemon.health import Health, component_of_code, told_of
from rotator.errors import RotatorError, Stopping
from rotator.model import Account, Outcome, PassResult
from rotator.rotation import schedule

_log = structlog.get_logger(__name__)


@dataclass(kw_only=True)
class PassWorkers:
    """Runs passes in threads and keeps track of them."""

    health: Health
    _running: dict[str, Application] = field(default_factory=dict)
    #: Outcome of each account's last pass, so that only changes are logged.
    _told: dict[str, str] = field(default_factory=dict)
    #: Consecutive unexpected errors by account, and when to retry.
    _failures: dict[str, int] = field(default_factory=dict)
    _retry_at: dict[str, datetime] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _threads: set[threading.Thread] = field(default_factory=set)

    @property
    def busy_with(self) -> list[str]:
        """The accounts that are being worked on."""
        with self._lock:
            return sorted(self._running)

    def uses(self, application: Application) -> bool:
        """Return whether a pass runs on `application`."""
        with self._lock:
            return any(used is application for used in self._running.values())

    def start(
        self,
        account: Account,
        application: Application,
        attempt: Callable[[], PassResult],
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Run `attempt` in a thread of its own, and `then` once it no longer counts as running."""
        # A daemon thread, as the end does not wait for it for ever: see `join`.
        thread = threading.Thread(
            target=self._run, args=(account, attempt, then), name=account.name, daemon=True
        )
        with self._lock:
            self._running[account.name] = application
            self._threads.add(thread)
        thread.start()

    def is_put_off(self, name: str) -> bool:
        """Return whether account `name` must wait after an unexpected error.

        Also if it was not due after all, by Vonage's clock.
        """
        retry_at, now = self._retry_at.get(name), datetime.now(UTC)
        return retry_at is not None and now < retry_at <= now + schedule.LONGEST_RETRY

    def join(self, deadline: float) -> bool:
        """Wait for all passes to end, until `deadline` at most; return whether they did."""
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
        self, account: Account, attempt: Callable[[], PassResult], then: Callable[[], None]
    ) -> None:
        try:
            report = attempt()
            self._tell(report)
            if report.outcome is Outcome.IDLE:
                self._put_off(account, failures=1)
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            _log.error("unexpected error", account=account.name, exc_info=error)
            # The ledger has no record of it, so that it would be retried at once.
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

    def _tell(self, report: PassResult) -> None:
        """Log the result of a pass; a repeated failure is logged only once."""
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


#: Concurrent calls: a hook that takes its full timeout must not block the others.
THREADS = 4

#: Interval for dropping deliveries of removed hooks, in seconds.
INTERVAL = 3600.0


class DeliveryWorkers:
    """Makes deliveries, a bounded number at once, for any configuration."""

    def __init__(self, *, health: Health, stopping: threading.Event) -> None:
        """Store what is needed; nothing is delivered yet."""
        self._health = health
        self._stopping = stopping
        self._lock = threading.Lock()
        self._threads: dict[threading.Thread, Application] = {}
        #: Monotonic seconds; None for never.
        self._tidied_at: float | None = None

    def begin(self, application: Application) -> None:
        """Start delivering, if anything is due.

        Raises:
            RotatorError: the ledger cannot be read.
        """
        hooks = [hook.name for hook in application.settings.hooks]
        self._tidy(application, hooks)
        if not hooks or not application.ledger.deliveries.are_due(hooks, datetime.now(UTC)):
            return
        with self._lock:
            for _ in range(THREADS - len(self._threads)):
                # A daemon thread, as the end does not wait for it for ever: see `join`.
                thread = threading.Thread(
                    target=self._run, args=(application,), name="hooks", daemon=True
                )
                self._threads[thread] = application
                thread.start()

    def _tidy(self, application: Application, hooks: list[str]) -> None:
        """Once an hour, drop deliveries whose hook is no longer configured."""
        now = time.monotonic()
        if self._tidied_at is not None and now - self._tidied_at < INTERVAL:
            return
        self._tidied_at = now
        if count := application.ledger.deliveries.drop(hooks, now=datetime.now(UTC)):
            _log.warning("dropped", deliveries=count, reason="their hooks are not configured")

    def uses(self, application: Application) -> bool:
        """Return whether a delivery is running on `application`."""
        with self._lock:
            return any(used is application for used in self._threads.values())

    def join(self, deadline: float) -> bool:
        """Wait for running deliveries, until `deadline` at most; return whether they ended.

        Unfinished ones are retried by the next process.
        """
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(min(threading.TIMEOUT_MAX, max(0.0, deadline - time.monotonic())))
        return not any(thread.is_alive() for thread in threads)

    def _run(self, application: Application) -> None:
        try:
            for _ in application.dispatcher.deliver(None):
                if self._stopping.is_set():
                    return
        except Stopping:
            # Logged at the daemon's end; the next process retries unfinished deliveries.
            return
        except RotatorError as error:
            if not self._health.failed(error):
                _log.warning("not delivered", **told_of(error))
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            self._health.log_unexpected("hooks", error)
        finally:
            with self._lock:
                self._threads.pop(threading.current_thread(), None)
