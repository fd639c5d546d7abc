"""The daemon: its recurring jobs, signals, reload and shutdown.

APScheduler only wakes the jobs. Due times are rows in the ledger, so that nothing is forgotten
while no daemon runs, and nothing is done twice while several do.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Protocol

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from rotator.application import Application, Observers
from rotator.config import Settings
from rotator.daemon.alerts import BalanceCheck, OverdueCheck
from rotator.daemon.health import EntryLog, Health, Heartbeat, facts_of
from rotator.daemon.listeners import Listeners
from rotator.daemon.outages import Outages
from rotator.daemon.periodic import Discovery, DriftCheck, PeriodicCheck
from rotator.daemon.poll_recorder import PollRecorder
from rotator.daemon.scheduler import ClockWatch, Scheduler
from rotator.daemon.status_server import StatusServer
from rotator.daemon.systemd import SystemdNotifier
from rotator.daemon.trigger_server import TriggerServer
from rotator.daemon.witness import WitnessCheck
from rotator.daemon.workers import DeliveryWorkers, PassWorkers, WorkerPool
from rotator.errors import ConfigError, LedgerUnusable, RotatorError

_log = structlog.get_logger(__name__)

#: How long a pass may take to end its present step, beyond one call's timeout, in seconds.
PATIENCE = 10.0
#: Upper bound of that, whatever the timeouts: well within the unit's `TimeoutStopSec`.
LONGEST_PATIENCE = 60.0


class Load(Protocol):
    """Loads the settings anew."""

    def __call__(self, *, is_strict: bool = ...) -> Settings:
        """Return the settings; if `is_strict`, as `config check` does."""
        ...


class Daemon:
    """Runs until it is asked to stop."""

    def __init__(self, load: Load, environ: Mapping[str, str]) -> None:
        """Prepare to run with the settings from `load`; it is called again for each reload.

        Raises:
            ConfigError: the configuration is not usable.
        """
        self._load = load
        self._environ = environ
        self._stopping = threading.Event()
        #: Orders for the main thread: "reload" or "stop".
        self._orders: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._health = Health()
        self._pool = WorkerPool()
        self._passes = PassWorkers(pool=self._pool, health=self._health)
        self._deliveries = DeliveryWorkers(
            pool=self._pool, health=self._health, stopping=self._stopping
        )
        self._outages = Outages(pool=self._pool, health=self._health)
        self._recorder = PollRecorder(self._outages, datetime.now(UTC))
        self._heartbeat = Heartbeat()
        self._observers = Observers(EntryLog())
        self._page = StatusServer(
            self._heartbeat, self._health, self._outages, self._observers, pool=self._pool
        )
        self._listeners = Listeners(self._health, page=self._page, trigger=TriggerServer())
        self._notifier = SystemdNotifier(environ)
        self._jobs = BackgroundScheduler(timezone=UTC)
        self._clock = ClockWatch()
        #: Locked by a job while it runs, and to replace the application.
        self._polling, self._checking = threading.Lock(), threading.Lock()
        #: Version of the discovered subaccounts that are managed; None before the first.
        self._discovered_version: tuple[int, datetime | None] | None = None
        #: Applications of former configurations that passes still use.
        self._retired: list[Application] = []
        self._configure(self._build(load()))

    def stop(self) -> None:
        """Ask the daemon to stop. May be called from a signal handler."""
        self._orders.put("stop")

    def reload(self) -> None:
        """Ask the daemon to read its configuration again. May be called likewise."""
        self._orders.put("reload")

    def run(self) -> bool:
        """Work until asked to stop; return whether every pass ended in time.

        Raises:
            LedgerUnusable: the ledger exists, but is not one of this version.
            ConfigError: it cannot listen at the configured address.
        """
        # Jobs that are late or fail are reported here, with more detail.
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
        self._open_ledger()
        self._listeners.start(self._application)
        self._schedule()
        self._jobs.start()
        _log.info("started", accounts=len(self._application.accounts))
        self._notifier.ready()
        while (order := self._next_order()) != "stop":
            if order:
                self._reload()
            elif self._clock.went_back():
                self._begin_anew()
        return self._end()

    def _next_order(self) -> str | None:
        """Wait for an order, up to a second."""
        # The kernel may deliver a signal to another thread than the one that sleeps here, and
        # Python runs its handler only once this one wakes up.
        with suppress(queue.Empty):
            return self._orders.get(timeout=1.0)
        return None

    def _open_ledger(self) -> None:
        """Refuse a ledger that waiting will not fix; wait for one that is only unavailable."""
        try:
            _ = self._application.ledger.writer
        except LedgerUnusable:
            raise
        except RotatorError as error:
            self._health.note_failure(error)

    def _schedule(self) -> None:
        """Schedule the jobs to run now and at intervals. A late run is not dropped."""
        seconds = self._application.settings.daemon.poll.total_seconds()
        if self._notifier.watchdog_seconds:
            seconds = min(seconds, self._notifier.watchdog_seconds)
        self._heartbeat.every = seconds
        for job in (self._poll_once, self._check_once, self._keep_token_once):
            self._jobs.add_job(
                job,
                "interval",
                seconds=seconds,
                id=job.__name__,
                next_run_time=datetime.now(UTC),
                misfire_grace_time=None,
                coalesce=True,
                max_instances=1,
                replace_existing=True,
            )

    def _end(self) -> bool:
        running = self._passes.busy_with
        # Before the state is announced: its readers may rely on no further pass starting.
        self._stopping.set()
        _log.info("stopping", running=running)
        self._notifier.stopping()
        self._jobs.shutdown(wait=False)
        deadline = time.monotonic() + self._patience()
        are_over = self._await_jobs(deadline) and self._pool.join(deadline)
        are_over = self._listeners.close(deadline) and are_over
        if are_over:
            for application in [*self._retired, self._application]:
                application.close()
        else:
            _log.warning("leaving passes behind", running=self._passes.busy_with)
        _log.info("stopped")
        return are_over

    def _await_jobs(self, deadline: float) -> bool:
        """Wait for the jobs to end, until `deadline` at most. One that starts now does nothing."""
        for lock in (self._polling, self._checking):
            if not lock.acquire(timeout=max(0.0, deadline - time.monotonic())):
                return False
            # A job that was about to start must not wait for ever: its thread would be joined.
            lock.release()
        return True

    def _patience(self) -> float:
        """Return how long a pass may take for its current step, in seconds."""
        settings = self._application.settings
        longest = max(settings.vonage.timeout, settings.vault.timeout)
        return min(PATIENCE + longest.total_seconds(), LONGEST_PATIENCE)

    def _build(self, settings: Settings) -> Application:
        """Build what can be built without any connection, and check that it works.

        Raises:
            ConfigError: it does not.
        """
        application = Application(
            settings,
            self._environ,
            observer=self._observers,
            should_stop=self._stopping.is_set,
        )
        _ = application.ledger.database, application.clients.vonage, application.clients.store
        return application

    def _configure(self, application: Application) -> None:
        self._application = application
        self._scheduler = Scheduler(
            application, workers=self._passes, health=self._health, stopping=self._stopping
        )
        self._checks: list[PeriodicCheck | WitnessCheck] = [
            check(application, health=self._health, stopping=self._stopping)
            for check in (Discovery, DriftCheck, BalanceCheck, OverdueCheck)
        ]
        witness = WitnessCheck(
            application, pool=self._pool, health=self._health, stopping=self._stopping
        )
        self._checks.append(witness)

    def _reload(self) -> None:
        """Apply the present configuration; an invalid one is refused and the old one kept."""
        self._notifier.reloading()
        try:
            application = self._build(self._load(is_strict=True))
            with self._polling:
                self._serve(application)
        except ConfigError as error:
            _log.error("configuration refused", **facts_of(self._outages.refuse(error)))
            self._page.note_reload(is_accepted=False)
        else:
            with self._polling:
                self._replace(application)
                self._discovered_version = None
            self._schedule()
            self._page.note_reload(is_accepted=True)
            self._outages.accept()
            _log.info("reloaded", accounts=len(application.accounts))
        self._notifier.ready()

    def _serve(self, application: Application) -> None:
        try:
            self._listeners.show(application)
        except ConfigError:
            # Its accounts may have been read for the page already.
            self._retired.append(application)
            raise

    def _replace(self, application: Application) -> None:
        """Continue with another application; running passes keep theirs."""
        for check in self._checks:
            check.end()
        self._scheduler.end()
        self._retired.append(self._application)
        self._configure(application)

    def _begin_anew(self) -> None:
        """Forget all times until which work was delayed: the clock has been set back since."""
        _log.warning("clock put back")
        with self._polling:
            self._replace(self._build(self._application.settings))
            self._listeners.follow(self._application)
        self._schedule()

    def _adopt_discovered(self) -> None:
        """Manage the subaccounts that this daemon or another one has discovered.

        Raises:
            RotatorError: the ledger cannot be read.
        """
        if not self._application.settings.discover:
            return
        version = self._application.ledger.discovered.version()
        if version == self._discovered_version:
            return
        settings = self._application.ledger.settings_with_discovered()
        if settings != self._application.settings:
            self._replace(self._build(settings))
            self._listeners.follow(self._application)
            _log.info("accounts found", accounts=len(settings.accounts))
        self._discovered_version = version

    def _close_retired(self) -> None:
        if not self._retired or not self._checking.acquire(blocking=False):
            return
        try:
            for application in [each for each in self._retired if not self._pool.uses(each)]:
                application.close()
                self._retired.remove(application)
        finally:
            self._checking.release()

    def _poll_once(self) -> None:
        with self._polling:
            self._guarded(self._find_work)
            if not self._stopping.is_set():
                self._guarded(self._tell_outages)
                self._notifier.status(self._status())

    def _find_work(self) -> None:
        if self._stopping.is_set():
            return
        try:
            # First, as a ledger that cannot be written is of no use.
            now, seconds = datetime.now(UTC), self._heartbeat.every
            self._outages.observe(now)
            self._recorder.record(self._application, now, seconds=seconds)
            self._adopt_discovered()
            due = self._scheduler.due()
        except RotatorError:
            # The scheduler runs and the ledger was asked: a restart would not help.
            self._tick()
            raise
        self._health.mark_up("ledger")
        self._tick()
        self._listeners.retry()
        self._scheduler.begin(due)
        self._deliveries.begin(self._application)
        self._close_retired()

    def _tell_outages(self) -> None:
        now = datetime.now(UTC)
        self._outages.observe(now)
        self._outages.tell(self._application, now)

    def _tick(self) -> None:
        self._heartbeat.tick()
        self._notifier.watchdog()

    def _check_once(self) -> None:
        with self._checking:
            for check in self._checks:
                if not self._stopping.is_set():
                    self._guarded(check.run)

    def _keep_token_once(self) -> None:
        if not self._stopping.is_set():
            self._guarded(self._keep_token)

    def _keep_token(self) -> None:
        """Keep the Vault token alive, even if nothing is due for days."""
        try:
            if self._application.clients.vault.keep_token():
                self._health.mark_up("vault")
        except RotatorError as error:
            self._health.mark_down("vault", error)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run a job; whatever error it ends in, the next run comes."""
        try:
            work()
        except RotatorError as error:
            if not self._health.note_failure(error):
                _log.warning("not done", **facts_of(error))
        except Exception as error:  # noqa: BLE001  # a worker's loop: see above
            self._health.log_unexpected(getattr(work, "__qualname__", ""), error)

    def _status(self) -> str:
        """Return what `systemctl status` shows."""
        accounts, down = len(self._application.accounts), self._health.down
        return (
            f"{accounts} account{'' if accounts == 1 else 's'}, "
            f"{len(self._passes.busy_with)} being worked on"
            f"{', away: ' if down else ''}{' '.join(down)}"
        )
