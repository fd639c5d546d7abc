"""The daemons, as of their last polls: whether one polls, and what it cannot use."""

from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime

from rotator.application import Application
from rotator.doctor.check import CheckResult, bad, fine
from rotator.errors import RotatorError
from rotator.reporting.daemons import outages, silence
from rotator.reporting.text import age_text


def checks(application: Application, *, expects_daemon: bool) -> Iterator[CheckResult]:
    """Check the daemons' rows in the ledger. One that cannot be read is the ledger's failure."""
    # Asked for before anything is read, as a missing ledger is not created and none is upgraded.
    with suppress(RotatorError):
        if application.ledger.revision() is not None:
            _ = application.ledger.existing_reader
            yield from _daemons(application, expects_daemon=expects_daemon)


def _daemons(application: Application, *, expects_daemon: bool) -> Iterator[CheckResult]:
    now, records = datetime.now(UTC), application.ledger.daemon_records()
    live = [record for record in records if record.is_live(now)]
    for record in live:
        yield fine("daemon", record.host, f"polled {age_text(record.polled_at, now)} ago")
    if expects_daemon and (silent := silence(records, now)):
        yield bad("daemon", "", *silent)
    elif not live:
        yield fine("daemon", "", "none polls, and none is expected to")
    for what, hint in outages(records, now):
        yield bad("outage", "", what, hint)
