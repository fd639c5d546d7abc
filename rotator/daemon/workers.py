"""Worker threads, and what they do: passes over accounts, and deliveries to hooks."""

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

import structlog

from rotator.application import Application
from rotator.daemon.health import ChangeDetector, Health, component_of, facts_of
from rotator.daemon.periodic import FailureBook
from rotator.errors import RotatorError, Stopping
from rotator.model import Account, Outcome, PassResult

_log = structlog.get_logger(__name__)

#: Concurrent calls of hooks: one that takes its full timeout must not block the others.
THREADS = 4
#: Interval for dropping deliveries of removed hooks, in seconds.
INTERVAL = 3600.0


class _Job(NamedTuple):
    kind: str
    name: str
    application: Application


class WorkerPool:
    """Runs each job in a thread of its own, on one configuration's objects."""

    def __init__(self) -> None:
        """Start nothing yet."""
        self._lock = threading.Lock()
        self._running: dict[threading.Thread, _Job] = {}
        #: Also those whose job is over, while they start another.
        self._threads: set[threading.Thread] = set()

    def start(
        self,
        kind: str,
        name: str,
        application: Application,
        run: Callable[[], None],
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Start `run`, which raises nothing, and `then` once it no longer counts as running."""

        def forget() -> None:
            with self._lock:
                del self._running[thread]

        def work_off() -> None:
            try:
                run()
            finally:
                forget()
                then()
                with self._lock:
                    self._threads.discard(thread)

        # A daemon thread, as the end does not wait for it for ever: see `join`.
        thread = threading.Thread(target=work_off, name=name, daemon=True)
        with self._lock:
            self._running[thread] = _Job(kind, name, application)
            self._threads.add(thread)
        try:
            thread.start()
        except RuntimeError:
            # The system has no thread to give: a job that never ran must not count as running.
            forget()
            self._threads.discard(thread)
            raise

    def running(self, kind: str) -> list[str]:
        """Return the names of the jobs of this kind that are running."""
        with self._lock:
            return sorted(job.name for job in self._running.values() if job.kind == kind)

    def uses(self, application: Application) -> bool:
        """Return whether a job runs on `application`."""
        with self._lock:
            return any(job.application is application for job in self._running.values())

    def join(self, deadline: float) -> bool:
        """Wait for all jobs to end, until `deadline` at most; return whether they did."""
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


@dataclass(kw_only=True)
class PassWorkers:
    """Runs passes, and logs their results. For any configuration."""

    pool: WorkerPool
    health: Health
    _changes: ChangeDetector = field(default_factory=ChangeDetector)
    #: Unexpected errors, of which the ledger has no record.
    _failures: FailureBook = field(default_factory=FailureBook)

    @property
    def busy_with(self) -> list[str]:
        """The accounts that are being worked on."""
        return self.pool.running("pass")

    def start(
        self,
        account: Account,
        application: Application,
        attempt: Callable[[], PassResult],
        then: Callable[[], None] = lambda: None,
    ) -> None:
        """Run `attempt`, and `then` once the account no longer counts as being worked on."""
        self.pool.start(
            "pass", account.name, application, lambda: self._run(account.name, attempt), then
        )

    def must_wait(self, name: str) -> bool:
        """Return whether account `name` must wait after an unexpected error.

        Also if it was not due after all, by Vonage's clock.
        """
        return self._failures.must_wait(name)

    def forget_but(self, due: Mapping[str, datetime | None]) -> None:
        """Let no account wait that was not `due` all the time since its failed pass began.

        What has made it due again is news, such as a rotation that a command has left open, or the
        age of a secret that this pass has found.
        """
        self._failures.keep(due)

    def _run(self, name: str, attempt: Callable[[], PassResult]) -> None:
        began = datetime.now(UTC)
        try:
            result = attempt()
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            _log.error("unexpected error", account=name, exc_info=error)
            self._failures.add(name, began)
            return
        self._failures.clear(name)
        if result.outcome is Outcome.IDLE:
            self._failures.add(name, began)
        self._log_result(result)

    def _log_result(self, result: PassResult) -> None:
        """Log the result of a pass; a repeated failure is logged only once."""
        error, outcome = result.error, result.outcome
        is_change = self._changes.is_change(result.account, error.code if error else outcome.value)
        facts = {"account": result.account, "rotation_id": result.rotation_id}
        if error is None:
            self.health.mark_up("vonage")
            _log.info(outcome.value, **facts, secret_id=result.new_secret_id)
        elif component := component_of(error):
            self.health.mark_down(component, error)
        elif outcome is not Outcome.BUSY and is_change:
            _log.warning(outcome.value, **facts, **facts_of(error))


class DeliveryWorkers:
    """Makes deliveries to hooks, a bounded number at once. For any configuration."""

    def __init__(self, *, pool: WorkerPool, health: Health, stopping: threading.Event) -> None:
        """Store what is needed; nothing is delivered yet."""
        self._pool = pool
        self._health = health
        self._stopping = stopping
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
        for _ in range(THREADS - len(self._pool.running("delivery"))):
            self._pool.start("delivery", "hooks", application, lambda: self._deliver(application))

    def _tidy(self, application: Application, hooks: list[str]) -> None:
        """Once an hour, drop deliveries whose hook is no longer configured."""
        now = time.monotonic()
        if self._tidied_at is not None and now - self._tidied_at < INTERVAL:
            return
        self._tidied_at = now
        if count := application.ledger.deliveries.drop(hooks, now=datetime.now(UTC)):
            _log.warning("dropped", deliveries=count, reason="their hooks are not configured")

    def _deliver(self, application: Application) -> None:
        try:
            for _ in application.dispatcher.deliver(None):
                if self._stopping.is_set():
                    return
        except Stopping:
            # Logged at the daemon's end; the next process retries unfinished deliveries.
            return
        except RotatorError as error:
            if not self._health.note_failure(error):
                _log.warning("not delivered", **facts_of(error))
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            self._health.log_unexpected("hooks", error)
