"""The daemons that use the ledger, as people and programs are told of them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rotator.ledger.daemons import DaemonRecord, Outage, is_silent, last_poll
from rotator.model.times import rfc3339
from rotator.reporting.text import moment

#: A text, and what to do about it; None where it says it all.
Warned = tuple[str, str | None]


def daemons_document(records: Sequence[DaemonRecord], now: datetime) -> dict[str, Any]:
    """Return the daemons as `status --json` prints them."""
    return {
        "daemons": [_document(record, now) for record in records],
        "silent": is_silent(records, now),
    }


def _document(record: DaemonRecord, now: datetime) -> dict[str, Any]:
    return {
        "host": record.host,
        "version": record.version,
        "started_at": rfc3339(record.started_at),
        "polled_at": rfc3339(record.polled_at),
        "poll_seconds": record.poll_seconds,
        "silent": not record.is_live(now),
        "outages": {name: _outage(each) for name, each in record.outages.items()},
    }


def _outage(outage: Outage) -> dict[str, Any]:
    return {
        "code": outage.code,
        "why": outage.why,
        "hint": outage.hint,
        "since": rfc3339(outage.since),
    }


def silence(records: Sequence[DaemonRecord], now: datetime) -> Warned | None:
    """Return that no daemon polls; None where one does, or none is expected to."""
    if not is_silent(records, now):
        return None
    return (
        f"no daemon has polled since {moment(last_poll(records))}: nothing is rotated",
        "see why on its host: `systemctl status rotator.service`; hosts: "
        + ", ".join(record.host for record in records),
    )


def warnings(records: Sequence[DaemonRecord], now: datetime) -> Iterator[Warned]:
    """Yield that no daemon polls, or what those that do cannot use."""
    if silent := silence(records, now):
        yield silent
    for record in records:
        for component, outage in record.outages.items() if record.is_live(now) else ():
            what = f"{component} on {record.host} cannot be used (since {moment(outage.since)})"
            yield f"{what}: {outage.why} ({outage.code})", outage.hint
