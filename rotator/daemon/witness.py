"""Publishes checkpoints of the ledger, each time that `ledger.witness.every` is over."""

import threading
from datetime import UTC, datetime, timedelta

import structlog

from rotator.application import Application
from rotator.daemon.health import Health, facts_of
from rotator.daemon.workers import WorkerPool
from rotator.errors import Busy, LedgerError, LedgerUnusable, RotatorError, Stopping
from rotator.rotation import schedule

_log = structlog.get_logger(__name__)

#: The component that is away while checkpoints cannot be published.
WITNESS = "witness"


class WitnessCheck:
    """Takes a checkpoint when one is due, and publishes what is not published yet.

    The ledger says when the newest was taken, so downtime loses none, and of several daemons one
    takes it; each of them publishes it to its own places. What was published is in memory alone:
    after a start, every place is looked at once.

    It has a thread of its own, one at a time: a place that does not answer delays no other check.
    """

    def __init__(
        self,
        application: Application,
        *,
        pool: WorkerPool,
        health: Health,
        stopping: threading.Event,
    ) -> None:
        """Publish nothing yet."""
        self._application = application
        self._pool = pool
        self._health = health
        self._stopping = stopping
        #: Number of the checkpoint that every place has.
        self._published: int | None = None
        self._failures, self._resumes_at = 0, datetime.min.replace(tzinfo=UTC)
        self._is_over = False

    def end(self) -> None:
        """Publish nothing more: this configuration is no longer in effect."""
        self._is_over = True

    def run(self) -> None:
        """Begin to publish if there is something to publish, and nothing is being published."""
        if not self._application.settings.ledger.witness.is_on:
            if WITNESS in self._health.down:
                # It was configured before, and is not any more.
                self._health.mark_up(WITNESS)
            return
        is_over = self._is_over or self._stopping.is_set()
        # One of a former configuration may take its time still.
        if not (is_over or self._must_wait(datetime.now(UTC)) or self._pool.running(WITNESS)):
            self._pool.start(WITNESS, WITNESS, self._application, self._try)

    def _try(self) -> None:
        now = datetime.now(UTC)
        try:
            self._publish(now)
        except Stopping:
            # The next process finds what is not published yet.
            return
        except (Busy, LedgerError, LedgerUnusable) as error:
            if not self._health.note_failure(error):
                _log.warning("not published", **facts_of(error))
        except RotatorError as error:
            self._failures += 1
            self._resumes_at = now + schedule.pause(self._failures)
            self._health.mark_down(WITNESS, error)
        except Exception as error:  # noqa: BLE001  # a worker's loop: the next run comes
            self._health.log_unexpected(WITNESS, error)

    def _must_wait(self, now: datetime) -> bool:
        # A later time came from a clock that was ahead.
        return now < self._resumes_at <= now + schedule.LONGEST_PAUSE

    def _publish(self, now: datetime) -> None:
        newest = self._application.ledger.checkpoints.newest()
        is_due = newest is None or not self._is_recent(newest.checkpoint.at, now)
        if newest and newest.number == self._published and not is_due:
            return
        number = newest.number if newest else 0
        published = self._application.witness.publish(now, after=number if is_due else None)
        self._failures, self._published = 0, published.number if published else None
        self._health.mark_up(WITNESS)
        if published:
            size = published.checkpoint.size
            _log.info("checkpoint published", number=published.number, entries=size)

    def _is_recent(self, at: datetime, now: datetime) -> bool:
        """Return whether none is due again; a time far ahead came from a wrong clock."""
        every: timedelta = self._application.settings.ledger.witness.every
        return abs(now - at) < every
