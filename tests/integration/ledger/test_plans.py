"""What is asked again and again finds its rows by an index, however long the ledger is."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, event

from rotator.ledger.database import writing
from rotator.ledger.reader import LedgerReader
from rotator.ledger.triggers import Triggers
from rotator.ledger.writer import LedgerWriter
from rotator.model.notification import Event
from rotator.rotation.ports import AccountSummary, Lease
from tests.integration.ledger.test_due import OPEN, put
from tests.support.samples import NOW

LONG_AGO = datetime(2026, 1, 1, tzinfo=UTC)
#: What a plan says of a table that is read from one end to the other. SQLite goes through an index
#: from its end the same way: of open rotations alone, or until there are enough entries.
SCANS = {
    "sqlite": re.compile(
        # Before 3.36, "SCAN TABLE account".
        r"SCAN (?:TABLE )?(account|rotation|entry|delivery|trigger_request)\b(?! USING INDEX)"
    ),
    "postgresql": re.compile(r"Seq Scan on (account|rotation|entry|delivery|trigger_request)\b"),
}
#: SQLite's words for going through an index, which has to be one of these.
THROUGH = re.compile(r"SCAN (?:TABLE )?\w+ USING (?:COVERING )?INDEX (\w+)")
SHORT = {"rotation_delete_due_at", "rotation_open", "entry_at"}

Asked = Callable[[LedgerWriter, LedgerReader], object]


def claimed(writer: LedgerWriter, _queries: LedgerReader) -> list[Lease]:
    """Claim what is due and give it back."""
    leases = writer.claim_due(["a", "b"], limit=1, now=NOW)
    for lease in leases:
        writer.release(lease)
    return leases


def status(_book: LedgerWriter, queries: LedgerReader) -> list[AccountSummary]:
    """Ask for one account."""
    return queries.accounts(["a"])


ASKED: dict[str, Asked] = {
    "poll": lambda writer, _: writer.due(NOW),
    "claim": claimed,
    "load": lambda writer, _: writer.load("a"),
    "status of one": status,
    "open rotations": lambda _, queries: queries.open_accounts(),
    "timeline": lambda _, queries: queries.closed_by_day(LONG_AGO),
    "timeline of one": lambda _, queries: queries.closed_by_day(LONG_AGO, "a"),
    "requests": lambda writer, _: Triggers(writer._engine).pending(NOW),
    "newest entries": lambda _, queries: queries.history(None, limit=8),
    "newest entries of one": lambda _, queries: queries.history("a", limit=8),
}


@pytest.fixture
def filled(database: Engine) -> Engine:
    """Return a ledger in which something is due, and something open."""
    writer = LedgerWriter(database, lease_seconds=60)
    put(writer, "a", NOW - timedelta(hours=1))
    put(writer, "b", NOW + timedelta(hours=1), OPEN)
    return database


def plans(database: Engine, asked: Asked) -> list[str]:
    """Return the database's plan for each statement of what is asked."""
    heard: list[tuple[str, Any]] = []

    def hear(*call: Any) -> None:  # noqa: ANN401
        heard.append((call[2], call[3]))

    event.listen(database, "before_cursor_execute", hear)
    asked(LedgerWriter(database, lease_seconds=60), LedgerReader(database))
    event.remove(database, "before_cursor_execute", hear)
    explain = "EXPLAIN QUERY PLAN" if database.dialect.name == "sqlite" else "EXPLAIN"
    lines: list[str] = []
    with writing(database) as connection:
        if database.dialect.name == "postgresql":
            # Of a few rows, it would read all of them rather than an index.
            connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        for statement, values in heard:
            if statement.startswith(("SELECT", "UPDATE")):
                rows = connection.exec_driver_sql(f"{explain} {statement}", values)
                lines += [str(row[-1]) for row in rows]
    return lines


@pytest.mark.parametrize("what", ASKED)
def test_nothing_is_read_from_end_to_end(filled: Engine, what: str) -> None:
    """A poll, a claim and one account's status take as long in ten years as today."""
    lines = plans(filled, ASKED[what])
    scans = [line for line in lines if SCANS[filled.dialect.name].search(line)]
    through = {name for line in lines for name in THROUGH.findall(line)}

    assert lines
    assert scans == []
    assert through <= SHORT


@pytest.mark.parametrize("what", ["status of one", "timeline of one"])
def test_of_an_account_only_the_last_rotations_are_read(filled: Engine, what: str) -> None:
    """Not all that it ever had, to find the last one that was completed."""
    lines = plans(filled, ASKED[what])

    assert [line for line in lines if "rotation_account_closed_at" in line]


def test_of_an_account_only_the_entries_about_holds_are_read(filled: Engine) -> None:
    """Not all that it ever had, to find that nobody holds it."""
    lines = plans(filled, ASKED["load"])

    assert [line for line in lines if "entry_hold" in line]


def test_a_scan_would_be_seen(filled: Engine) -> None:
    """To find who was told of something takes a look at every account."""
    lines = plans(filled, lambda writer, _: writer.alerted(Event.OVERDUE))

    assert [line for line in lines if SCANS[filled.dialect.name].search(line)]
