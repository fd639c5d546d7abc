"""The daemons that use the ledger, as people and programs are told of them."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from rotator.ledger.daemons import DaemonRecord, Outage, is_silent, last_poll
from rotator.model.notification import outage_title
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
    hosts = ", ".join(record.host for record in records)
    text = f"no daemon has polled since {moment(last_poll(records))}: nothing is rotated"
    hint = (
        f"see why on its host ({hosts}): `systemctl status rotator.service`; where timers rotate "
        "instead, give `rotator status` and `rotator doctor` the option `--no-daemon`"
    )
    return text, hint


def outages(records: Sequence[DaemonRecord], now: datetime) -> Iterator[Warned]:
    """Yield what the daemons that poll cannot use: each outage once, however many have it."""
    found: dict[tuple[str, str], list[tuple[str, Outage]]] = {}
    for record in records:
        for component, outage in record.outages.items() if record.is_live(now) else ():
            found.setdefault((component, outage.code), []).append((record.host, outage))
    for (component, code), of_hosts in found.items():
        hosts = ", ".join(host for host, _ in of_hosts)
        since = min(each.since for _, each in of_hosts)
        first = of_hosts[0][1]
        what = f"{outage_title(component)} on {hosts} (since {moment(since)})"
        yield f"{what}: {first.why} ({code})", first.hint


def warnings(
    records: Sequence[DaemonRecord], now: datetime, *, expects_daemon: bool = True
) -> Iterator[Warned]:
    """Yield that no daemon polls, unless none is expected to, or what those that do cannot use."""
    if expects_daemon and (silent := silence(records, now)):
        yield silent
    yield from outages(records, now)
