"""The daemon's row in the ledger, by which others see that it polls and what it cannot use."""

import socket
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

from rotator import own_version
from rotator.daemon.outages import Outages
from rotator.ledger.daemons import DaemonRecord

if TYPE_CHECKING:
    from rotator.application import Application


class PollRecorder:
    """Records each poll in the daemon's row, with the outages."""

    def __init__(self, outages: Outages, started_at: datetime) -> None:
        """Record nothing yet."""
        self._outages = outages
        self._record = DaemonRecord(
            host=socket.gethostname(),
            version=own_version(),
            started_at=started_at,
            polled_at=started_at,
            poll_seconds=0.0,
        )
        self._has_begun = False

    def record(self, application: "Application", now: datetime, *, seconds: float) -> None:
        """Record a poll, of which there is one in so many seconds.

        Raises:
            LedgerError: it cannot be recorded.
        """
        daemons = application.ledger.daemons
        polled = replace(self._record, polled_at=now, poll_seconds=seconds)
        if not self._has_begun:
            self._outages.inherit(daemons.begin(polled))
            self._has_begun = True
        outages = self._outages.recorded
        host = daemons.write(replace(polled, known_outages=outages))
        self._record = replace(self._record, host=host)
