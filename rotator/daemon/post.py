"""Having hooks called: a few threads that deliver what is due, apart from rotations."""

import threading
import time
from datetime import UTC, datetime

import structlog

from rotator.daemon.health import Health, told_of
from rotator.errors import RotatorError, Stopping
from rotator.wiring import Wiring

_log = structlog.get_logger(__name__)

#: Calls at once: a hook that takes all of its time must not keep the others waiting.
THREADS = 4
#: How often it is looked for what hooks that are gone have left, in seconds.
INTERVAL = 3600.0


class Post:
    """Delivers, at most so much at once, whatever configuration it is for."""

    def __init__(self, *, health: Health, stopping: threading.Event) -> None:
        """Prepare; nothing is delivered yet."""
        self._health = health
        self._stopping = stopping
        self._lock = threading.Lock()
        self._threads: dict[threading.Thread, Wiring] = {}
        #: Monotonic; None for never.
        self._tidied_at: float | None = None

    def begin(self, wiring: Wiring) -> None:
        """Start to deliver, if anything is due.

        Raises:
            RotatorError: the ledger cannot be read.
        """
        hooks = [hook.name for hook in wiring.settings.hooks]
        self._tidy(wiring, hooks)
        if not hooks or not wiring.deliveries.are_due(hooks, datetime.now(UTC)):
            return
        with self._lock:
            for _ in range(THREADS - len(self._threads)):
                # Not waited for for ever at the end: see `join`.
                thread = threading.Thread(
                    target=self._run, args=(wiring,), name="hooks", daemon=True
                )
                self._threads[thread] = wiring
                thread.start()

    def _tidy(self, wiring: Wiring, hooks: list[str]) -> None:
        """Drop what nobody is there for any more, now and then."""
        now = time.monotonic()
        if self._tidied_at is not None and now - self._tidied_at < INTERVAL:
            return
        self._tidied_at = now
        if count := wiring.deliveries.drop(hooks, now=datetime.now(UTC)):
            _log.warning("dropped", deliveries=count, reason="their hooks are not configured")

    def uses(self, wiring: Wiring) -> bool:
        """Whether something is being delivered on `wiring`."""
        with self._lock:
            return any(used is wiring for used in self._threads.values())

    def join(self, deadline: float) -> bool:
        """Wait for what is being delivered, until `deadline` at most; give whether it ended.

        What is left behind is tried again by whoever comes next.
        """
        with self._lock:
            threads = list(self._threads)
        for thread in threads:
            thread.join(min(threading.TIMEOUT_MAX, max(0.0, deadline - time.monotonic())))
        return not any(thread.is_alive() for thread in threads)

    def _run(self, wiring: Wiring) -> None:
        try:
            for _ in wiring.courier.deliver(None):
                if self._stopping.is_set():
                    return
        except Stopping:
            # Said by the daemon's end; what was not told is told by whoever comes next.
            return
        except RotatorError as error:
            if not self._health.failed(error):
                _log.warning("not delivered", **told_of(error))
        except Exception as error:  # noqa: BLE001  # a worker's loop: the others go on
            self._health.surprised("hooks", error)
        finally:
            with self._lock:
                self._threads.pop(threading.current_thread(), None)
