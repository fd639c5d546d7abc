import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine

from rotator.ledger.holds import Holds
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import Actor, Hold
from rotator.rotation.ports import AccountSnapshot, Lease, NewEntry
from tests.support.samples import ANN

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
HOUR = timedelta(hours=1)
HOLD = Hold(reason="audit", by="ann", at=NOW)


@pytest.fixture
def holds(database: Engine) -> Holds:
    """Return the holds of a ledger."""
    return Holds(database)


def commit(
    writer: LedgerWriter, lease: Lease, event: str = "done", now: datetime = NOW
) -> Hold | None:
    """Commit an entry; give the hold that the commit tells of."""
    entry = NewEntry(event=event, step=None, detail={})
    committed = writer.commit(lease, rotation=None, entries=[entry], snapshot=None, now=now)
    return committed.hold


def test_a_hold_says_who_and_why(database: Engine, writer: LedgerWriter, holds: Holds) -> None:
    """Whoever finds an account held is told whom to ask."""
    before = writer.load("a").hold
    replaced = holds.put("a", HOLD)

    assert (before, replaced) == (None, None)
    assert writer.load("a").hold == LedgerReader(database).accounts(["a"])[0].hold == HOLD
    assert str(HOLD) == "audit (ann)"
    assert str(replace(HOLD, freeze=True)) == "audit (ann, frozen)"


def test_holds_and_releases_are_part_of_the_record(database: Engine, holds: Holds) -> None:
    """Each is an entry in the account's chain: who, why, and whether nothing at all is done."""
    holds.put("a", HOLD)
    incident = Hold(reason="incident", by="bob", at=NOW + HOUR, freeze=True)
    replaced = holds.put("a", incident, host="here")
    eve = Actor(by="eve", host="there", because="over")
    lifted = holds.lift("a", actor=eve, now=NOW + 2 * HOUR)
    queries = LedgerReader(database)
    entries = list(queries.entries("a"))

    assert replaced == HOLD
    assert lifted == incident
    assert [(entry.event, json.loads(entry.detail)) for entry in entries] == [
        ("held", {"reason": "audit", "by": "ann", "freeze": False}),
        ("held", {"reason": "incident", "by": "bob", "from": "here", "freeze": True}),
        (
            "released",
            {
                "reason": "incident",
                "held_by": "bob",
                "by": "eve",
                "from": "there",
                "because": "over",
            },
        ),
    ]
    assert entries[2].at == "2026-11-23T09:28:00.000000Z"
    assert queries.verify("a").fault is None
    assert queries.accounts(["a"])[0].hold is None


def test_what_is_not_held_is_released_without_a_trace(database: Engine, holds: Holds) -> None:
    """To release twice adds nothing to the record."""
    assert holds.lift("a", actor=ANN, now=NOW) is None
    assert list(LedgerReader(database).entries("a")) == []


def test_who_works_on_the_account_hears_of_it_with_the_next_commit(
    writer: LedgerWriter, holds: Holds
) -> None:
    """A hold needs no lease, takes none away, and is seen by the commit that follows it."""
    lease = writer.claim("a", NOW)
    before = commit(writer, lease)
    holds.put("a", HOLD)
    held = commit(writer, lease)
    holds.lift("a", actor=ANN, now=NOW)
    released = commit(writer, lease)

    assert (before, held, released) == (None, HOLD, None)


def test_a_release_forgets_what_was_refused(writer: LedgerWriter, holds: Holds) -> None:
    """The account is tried at once: what it waited for was the release."""
    lease = writer.claim("a", NOW)
    due_now = AccountSnapshot(listed_ids=(), current_id=None, current_since=None, next_due_at=NOW)
    refused = NewEntry(event="refused", step=None, detail={})
    writer.commit(lease, rotation=None, entries=[refused], snapshot=due_now, now=NOW)
    put_off = [each.name for each in writer.due(NOW)]
    holds.put("a", HOLD)
    holds.lift("a", actor=ANN, now=NOW)

    assert put_off == []
    assert [each.name for each in writer.due(NOW)] == ["a"]
