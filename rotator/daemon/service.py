"""The daemon: its recurring jobs, signals, reload and shutdown.

APScheduler only wakes the jobs. Due times are rows in the ledger, so that nothing is forgotten
while no daemon runs, and nothing is done twice while several do.
"""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.background import BackgroundScheduler

from rotator.application import Application, Observers
from rotator.config import Settings
from rotator.daemon.alerts import Alerts
from rotator.daemon.balance import BalanceCheck
from rotator.daemon.clock import ClockWatch
from rotator.daemon.discovery import Discovery
from rotator.daemon.drift import DriftCheck
from rotator.daemon.health import EntryLog, Health, Heartbeat, told_of
from rotator.daemon.scheduler import Scheduler
from rotator.daemon.status_server import StatusServer
from rotator.daemon.systemd import SystemdNotifier
from rotator.daemon.workers import DeliveryWorkers, PassWorkers
from rotator.errors import AddressTaken, ConfigError, LedgerUnusable, RotatorError

_log = structlog.get_logger(__name__)

#: How long a pass may take to end its present step, beyond one call's timeout, in seconds.
PATIENCE = 10.0
#: Upper bound of that, whatever the timeouts: well within the unit's `TimeoutStopSec`.
LONGEST_PATIENCE = 60.0


#: Name of the component that is unavailable while the page's address is taken.
_PAGE = "page"


class Daemon:
    """Runs until it is told to stop."""

    def __init__(self, load: Callable[[], Settings], environ: Mapping[str, str]) -> None:
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
        self._post = DeliveryWorkers(health=self._health, stopping=self._stopping)
        self._heart = Heartbeat()
        self._observers = Observers(EntryLog())
        self._front = StatusServer(self._heart, lambda: self._health.away, self._observers)
        self._workers = PassWorkers(health=self._health)
        self._notifier = SystemdNotifier(environ)
        self._scheduler = BackgroundScheduler(timezone=UTC)
        self._clock = ClockWatch()
        #: Locked by a job while it runs, and to replace the application.
        self._polling, self._looking = threading.Lock(), threading.Lock()
        #: Version of the discovered subaccounts that are managed; None before the first.
        self._found_version: tuple[int, datetime | None] | None = None
        #: Applications of former configurations that passes still use.
        self._retired: list[Application] = []
        self._configure(self._built())

    # -- Orders; may be sent from a signal handler. ----------------------------------------

    def stop(self) -> None:
        """Ask the daemon to stop."""
        self._orders.put("stop")

    def reload(self) -> None:
        """Ask the daemon to read its configuration again."""
        self._orders.put("reload")

    # -- The main loop. --------------------------------------------------------------------

    def run(self) -> bool:
        """Work until told to stop; return whether every pass ended in time.

        Raises:
            LedgerUnusable: the ledger exists, but is not one of this version.
            ConfigError: it cannot listen at the configured address.
        """
        # Jobs that are late or fail are reported here, with more detail.
        logging.getLogger("apscheduler").setLevel(logging.CRITICAL)
        self._open_ledger()
        self._show_again()
        self._schedule()
        self._scheduler.start()
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
            self._health.failed(error)

    def _show_again(self) -> None:
        """Serve the page; while its address is taken, rotations go on without it."""
        try:
            self._front.show(self._application)
        except AddressTaken as error:
            self._health.lost(_PAGE, error)
        else:
            self._health.answered(_PAGE)

    def _schedule(self) -> None:
        """Schedule the jobs to run now and at intervals. A late run is not dropped."""
        seconds = self._application.settings.daemon.poll.total_seconds()
        if self._notifier.watchdog_seconds:
            seconds = min(seconds, self._notifier.watchdog_seconds)
        self._heart.every = seconds
        for job in (self._poll_once, self._look_once, self._keep_once):
            self._scheduler.add_job(
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
        running = self._workers.busy_with
        # Before the state is announced: its readers may rely on no further pass starting.
        self._stopping.set()
        _log.info("stopping", running=running)
        self._notifier.stopping()
        self._scheduler.shutdown(wait=False)
        deadline = time.monotonic() + self._patience()
        is_quiet = (
            self._quiet(deadline) and self._workers.join(deadline) and self._post.join(deadline)
        )
        is_quiet = self._front.close(deadline) and is_quiet
        if is_quiet:
            for application in [*self._retired, self._application]:
                application.close()
        else:
            _log.warning("leaving passes behind", running=self._workers.busy_with)
        _log.info("stopped")
        return is_quiet

    def _quiet(self, deadline: float) -> bool:
        """Wait for the jobs to end, until `deadline` at most. One that starts now does nothing."""
        for lock in (self._polling, self._looking):
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

    # -- The configuration. ----------------------------------------------------------------

    def _built(self) -> Application:
        """Build what can be built without any connection, and check that it works.

        Raises:
            ConfigError: it does not.
        """
        return self._wired(self._load())

    def _wired(self, settings: Settings) -> Application:
        application = Application(
            settings,
            self._environ,
            observer=self._observers,
            should_stop=self._stopping.is_set,
        )
        _ = application.ledger.database, application.clients.secrets, application.clients.store
        return application

    def _configure(self, application: Application) -> None:
        self._application = application
        self._poll = Scheduler(
            application,
            workers=self._workers,
            health=self._health,
            stopping=self._stopping,
        )
        self._drift = DriftCheck(application, health=self._health, stopping=self._stopping)
        self._notices = Alerts(application)
        self._balance = BalanceCheck(
            application,
            health=self._health,
            stopping=self._stopping,
            on_balance=self._notices.balance,
        )
        self._discovery = Discovery(application, health=self._health, stopping=self._stopping)

    def _reload(self) -> None:
        """Apply the present configuration; an invalid one is refused and the old one kept."""
        self._notifier.reloading()
        try:
            application = self._built()
            self._show(application)
        except ConfigError as error:
            _log.error(  # names no place in the program
                "configuration refused", reason=error.message, hint=error.hint
            )
        else:
            with self._polling:
                self._replace(application)
                self._found_version = None
            self._schedule()
            _log.info("reloaded", accounts=len(application.accounts))
        self._notifier.ready()

    def _show(self, application: Application) -> None:
        """Serve the page with another configuration.

        Raises:
            ConfigError: it cannot listen there, and is not already waiting for the address.
        """
        with self._polling:
            try:
                self._front.show(application)
            except AddressTaken:
                if _PAGE not in self._health.away:
                    raise
            else:
                self._health.answered(_PAGE)

    def _replace(self, application: Application) -> None:
        """Continue with another application; running passes keep theirs."""
        self._drift.end()
        self._poll.end()
        self._retired.append(self._application)
        self._configure(application)

    def _begin_anew(self) -> None:
        """Forget all times until which work was delayed: the clock has been set back since."""
        _log.warning("clock put back")
        with self._polling:
            self._replace(self._wired(self._application.settings))
            self._front.follow(self._application)
        self._schedule()

    def _adopt_found(self) -> None:
        """Manage the subaccounts that this daemon or another one has discovered.

        Raises:
            RotatorError: the ledger cannot be read.
        """
        if not self._application.settings.discover:
            return
        version = self._application.ledger.discovered.version()
        if version == self._found_version:
            return
        settings = self._application.ledger.settings_with_discovered()
        if settings != self._application.settings:
            self._replace(self._wired(settings))
            self._front.follow(self._application)
            _log.info("accounts found", accounts=len(settings.accounts))
        self._found_version = version

    def _close_retired(self) -> None:
        if not self._retired or not self._looking.acquire(blocking=False):
            return
        try:
            for application in [each for each in self._retired if not self._uses(each)]:
                application.close()
                self._retired.remove(application)
        finally:
            self._looking.release()

    def _uses(self, application: Application) -> bool:
        return self._workers.uses(application) or self._post.uses(application)

    # -- The jobs. -------------------------------------------------------------------------

    def _poll_once(self) -> None:
        with self._polling:
            self._guarded(self._find_work)
            if not self._stopping.is_set():
                self._notifier.status(self._status())

    def _find_work(self) -> None:
        if self._stopping.is_set():
            return
        try:
            self._adopt_found()
            due = self._poll.due()
        except RotatorError:
            # The scheduler runs and the ledger was asked: a restart would not help.
            self._tick()
            raise
        self._health.answered("ledger")
        self._tick()
        if _PAGE in self._health.away:
            self._show_again()
        self._poll.begin(due)
        self._post.begin(self._application)
        self._close_retired()

    def _tick(self) -> None:
        self._heart.tick()
        self._notifier.watchdog()

    def _look_once(self) -> None:
        with self._looking:
            if not self._stopping.is_set():
                self._guarded(self._discovery.run)
                self._guarded(self._drift.run)
                self._guarded(self._balance.run)
                self._guarded(self._notices.overdue)

    def _keep_once(self) -> None:
        """Keep the Vault token alive, even if nothing is due for days."""
        if not self._stopping.is_set():
            self._guarded(self._keep_token)

    def _keep_token(self) -> None:
        try:
            if self._application.clients.vault.keep_token():
                self._health.answered("vault")
        except RotatorError as error:
            self._health.lost("vault", error)

    def _guarded(self, work: Callable[[], None]) -> None:
        """Run a job; whatever error it ends in, the next run comes."""
        try:
            work()
        except RotatorError as error:
            if not self._health.failed(error):
                _log.warning("not done", **told_of(error))
        except Exception as error:  # noqa: BLE001  # a worker's loop: see above
            self._health.log_unexpected(getattr(work, "__qualname__", ""), error)

    def _status(self) -> str:
        return ", ".join(_sentences(len(self._application.accounts), self._workers, self._health))


def _sentences(accounts: int, workers: PassWorkers, health: Health) -> Iterable[str]:
    yield f"{accounts} account{'' if accounts == 1 else 's'}"
    yield f"{len(workers.busy_with)} being worked on"
    if health.away:
        yield f"away: {' '.join(health.away)}"
