"""Publishes checkpoints of the ledger, each time that `ledger.witness.every` is over."""

import threading
from datetime import UTC, datetime, timedelta

import structlog

from rotator.application import Application
from rotator.daemon.health import Health
from rotator.errors import Busy, LedgerError, LedgerUnusable, RotatorError
from rotator.rotation import schedule

_log = structlog.get_logger(__name__)

#: The component that is away while checkpoints cannot be published.
WITNESS = "witness"


class WitnessCheck:
    """Takes a checkpoint when one is due, and publishes what is not published yet.

    The ledger says when the newest was taken, so downtime loses none, and of several daemons one
    takes it; each of them publishes it to its own places. What was published is in memory alone:
    after a start, every place is looked at once.
    """

    def __init__(
        self, application: Application, *, health: Health, stopping: threading.Event
    ) -> None:
        """Publish nothing yet."""
        self._application = application
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
        """Publish if there is something to publish.

        Raises:
            LedgerError: the ledger cannot be read.
        """
        if not self._application.settings.ledger.witness.is_on:
            if WITNESS in self._health.down:
                # It was configured before, and is not any more.
                self._health.mark_up(WITNESS)
            return
        now = datetime.now(UTC)
        if self._is_over or self._stopping.is_set() or self._must_wait(now):
            return
        try:
            self._publish(now)
        except (Busy, LedgerError, LedgerUnusable):
            raise
        except RotatorError as error:
            self._failures += 1
            self._resumes_at = now + schedule.pause(self._failures)
            self._health.mark_down(WITNESS, error)

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
