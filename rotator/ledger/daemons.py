"""The daemons that use the ledger: when each polled last, and what it cannot use.

One row for each host, written at each poll. A second daemon on a host has its process id in its
row's name. No entry records any of this: what happens to accounts does not depend on it.
"""

import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, RowMapping, delete, select, update

from rotator.ledger import tables
from rotator.ledger.clock import clock_of
from rotator.ledger.database import reading, run_again, writing

#: Polls that a daemon may miss before it counts as silent.
MISSED = 3
#: How long after its last poll a daemon counts as removed: its row is deleted.
GONE = timedelta(days=30)


@dataclass(frozen=True, kw_only=True)
class Outage:
    """A component that a daemon cannot use, or a configuration that it has refused."""

    #: The cause, in a word for programs and in a sentence; and the cure.
    code: str
    why: str
    hint: str | None
    since: datetime
    #: Since when it can be used again; None while it cannot. The outage ends once that lasts.
    back_at: datetime | None = None
    #: When it ended; None while it lasts. Kept until every hook that was told of it knows.
    over_at: datetime | None = None
    #: Names of the hooks that were told of it, and not of its end.
    told: frozenset[str] = frozenset()

    @property
    def is_present(self) -> bool:
        """Whether it lasts, as of the daemon's last look."""
        return self.back_at is None and self.over_at is None


@dataclass(frozen=True, kw_only=True)
class DaemonRecord:
    """A daemon, as of its last poll."""

    host: str
    version: str
    started_at: datetime
    polled_at: datetime
    poll_seconds: float
    #: By component, including those that are over and that a hook still believes in.
    known_outages: Mapping[str, Outage] = field(default_factory=dict)

    @property
    def outages(self) -> dict[str, Outage]:
        """What it cannot use now, by component."""
        return {name: each for name, each in self.known_outages.items() if each.is_present}

    def is_live(self, now: datetime) -> bool:
        """Return whether it has polled lately; a later time came from a clock that was ahead."""
        return abs(now - self.polled_at) <= MISSED * timedelta(seconds=self.poll_seconds)


def last_poll(records: Collection[DaemonRecord]) -> datetime | None:
    """Return when any daemon polled last; None where none ever has."""
    return max((record.polled_at for record in records), default=None)


def is_silent(records: Collection[DaemonRecord], now: datetime) -> bool:
    """Return whether no daemon has polled for longer than three of its polls.

    False where there is none, as where timers rotate, or once all have been gone for a month.
    """
    expected = [record for record in records if now - record.polled_at < GONE]
    return bool(expected) and not any(record.is_live(now) for record in expected)


class Daemons:
    """The rows of all daemons. Every method may raise `LedgerError`."""

    def __init__(self, engine: Engine) -> None:
        """Keep them in `engine`'s database."""
        self._engine = engine

    def read(self, now: datetime) -> list[DaemonRecord]:
        """Return all daemons by host, with their last polls on the clock that shows `now`.

        Daemons on several hosts write the database's time, from which this host's may differ.
        """
        with reading(self._engine) as connection:
            ahead = clock_of(connection, now) - now
            rows = connection.execute(select(tables.daemon).order_by(_ROW.host)).mappings().all()
        return [
            replace(record, polled_at=record.polled_at - ahead) for record in map(_record, rows)
        ]

    @run_again
    def begin(self, record: DaemonRecord) -> dict[str, Outage]:
        """Write the row of a daemon that has just started; return the outages that it takes over.

        They are those of its host's former daemon, and of other daemons that are silent: a host
        may have a new name. Their rows no longer have them.
        """
        with writing(self._engine) as connection:
            polled_at = clock_of(connection, record.polled_at)
            # Whose row is locked is polling.
            query = select(tables.daemon).order_by(_ROW.host).with_for_update(skip_locked=True)
            found = map(_record, connection.execute(query).mappings().all())
            former = [
                each for each in found if each.host == record.host or not each.is_live(polled_at)
            ]
            taken = {name: each for one in former for name, each in one.known_outages.items()}
            hosts = [each.host for each in former]
            connection.execute(
                update(tables.daemon).where(_ROW.host.in_(hosts)).values(outages="{}")
            )
            written = replace(record, known_outages=taken | dict(record.known_outages))
            _put(connection, record.host, _columns(written, polled_at))
        return taken

    @run_again
    def write(self, record: DaemonRecord) -> str:
        """Write a poll into the daemon's row; return the row's name from now on.

        That changes where a daemon that started later on the same host has taken the row.
        """
        is_mine = _ROW.host == record.host, _ROW.started_at == record.started_at
        host = record.host
        with writing(self._engine) as connection:
            polled_at = clock_of(connection, record.polled_at)
            columns = _columns(record, polled_at)
            found = connection.execute(update(tables.daemon).where(*is_mine).values(columns))
            if found.rowcount == 0:
                taken = connection.execute(select(_ROW.host).where(_ROW.host == host)).first()
                host = f"{host}/{os.getpid()}" if taken else host
                _put(connection, host, columns)
            connection.execute(delete(tables.daemon).where(_ROW.polled_at < polled_at - GONE))
        return host


_ROW = tables.daemon.c


def _put(connection: Connection, host: str, columns: tables.Row) -> None:
    tables.upsert(connection, tables.daemon, {"host": host}, columns)


def _columns(record: DaemonRecord, polled_at: datetime) -> tables.Row:
    outages = {name: _document(outage) for name, outage in record.known_outages.items()}
    return {
        "version": record.version,
        "started_at": record.started_at,
        "polled_at": polled_at,
        "poll_seconds": record.poll_seconds,
        "outages": json.dumps(outages, sort_keys=True),
    }


def _document(outage: Outage) -> dict[str, Any]:
    times = {
        name: at.isoformat() if (at := getattr(outage, name)) else None
        for name in ("since", "back_at", "over_at")
    }
    return vars(outage) | times | {"told": sorted(outage.told)}


def _record(row: RowMapping) -> DaemonRecord:
    outages: dict[str, Outage] = {}
    # What somebody else wrote there is ignored: the next poll writes it anew.
    with suppress(AttributeError, KeyError, TypeError, ValueError):
        found = json.loads(row["outages"])
        outages = {name: _outage(document) for name, document in found.items()}
    own = {key: value for key, value in row.items() if key != "outages"}
    return DaemonRecord(**own, known_outages=outages)


def _outage(document: dict[str, Any]) -> Outage:
    # An older version does not write when it is back.
    back_at, over_at = document.get("back_at"), document["over_at"]
    return Outage(
        code=document["code"],
        why=document["why"],
        hint=document["hint"],
        since=datetime.fromisoformat(document["since"]),
        back_at=datetime.fromisoformat(back_at) if back_at else None,
        over_at=datetime.fromisoformat(over_at) if over_at else None,
        told=frozenset(document["told"]),
    )
