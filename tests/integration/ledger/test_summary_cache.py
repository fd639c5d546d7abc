from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, delete, event, insert, text

from rotator.errors import LedgerError
from rotator.ledger import mapping, tables
from rotator.ledger.database import writing
from rotator.ledger.holds import Holds
from rotator.ledger.reader import LedgerReader, SummaryCache
from rotator.ledger.writer import LedgerWriter
from rotator.model import Hold, Rotation
from rotator.rotation.ports import AccountSnapshot, AccountSummary, NewEntry
from tests.support.samples import NOW, rotation

DAY = timedelta(days=1)
ROTATION = rotation(account="a")
CLOSED = replace(ROTATION, closed_at=NOW, outcome="completed")
FAILED = replace(ROTATION, closed_at=NOW, outcome="failed", error_code="x")


@pytest.fixture
def cache(database: Engine) -> SummaryCache:
    """Return the cache of account summaries, which is tested."""
    return SummaryCache(database)


def write(
    writer: LedgerWriter,
    rotation: Rotation | None = None,
    *,
    name: str = "a",
    event: str = "done",
    snapshot: AccountSnapshot | None = None,
) -> None:
    """Commit an entry with a rotation and a snapshot, as a pass does."""
    lease = writer.claim(name, NOW)
    entries = [
        NewEntry(event=event, step=None, detail={}, rotation_id=rotation.id if rotation else None)
    ]
    writer.commit(lease, rotation=rotation, entries=entries, snapshot=snapshot, now=NOW, last=True)


def silent(writer: LedgerWriter, rotation: Rotation) -> None:
    """Commit a rotation of which nothing is to be told."""
    lease = writer.claim(rotation.account, NOW)
    writer.commit(lease, rotation=rotation, entries=[], snapshot=None, now=NOW, last=True)


def seen(**facts: Any) -> AccountSnapshot:  # noqa: ANN401  # of `AccountSnapshot`
    """Return an account snapshot with these facts."""
    usual: dict[str, Any] = {
        "listed_ids": ("i",),
        "current_id": "i",
        "current_since": NOW - DAY,
        "first_due_at": NOW + DAY,
    }
    return AccountSnapshot(**(usual | facts))


def statements(database: Engine) -> list[str]:
    """Collect the statements that the database gets from now on."""
    found: list[str] = []
    event.listen(
        database,
        "before_cursor_execute",
        lambda *arguments: found.append(arguments[2]),
    )
    return found


# -- All accounts, again and again. --------------------------------------------------------


def test_it_knows_what_the_queries_know(
    database: Engine, writer: LedgerWriter, cache: SummaryCache
) -> None:
    """Every account of the ledger has the record that `status` reads."""
    write(writer, CLOSED, snapshot=seen())
    write(writer, replace(ROTATION, account="b"), name="b", event="failed")
    write(writer, name="c", snapshot=seen(current_id="x"))

    found = cache.read()

    assert list(found.values()) == LedgerReader(database).accounts(["a", "b", "c"])
    assert found["a"].last_success_at == NOW
    assert found["b"].failures == 1
    assert found["b"].retry_at is not None


@pytest.mark.parametrize(
    "change",
    [
        lambda writer: write(writer, CLOSED),
        lambda writer: write(writer, FAILED),
        lambda writer: silent(
            writer, replace(CLOSED, id="r0", opened_at=NOW - DAY, values_generated=9)
        ),
        lambda writer: write(writer, ROTATION, snapshot=seen()),
        lambda writer: write(writer, ROTATION, event="refused"),
        lambda writer: write(writer, replace(ROTATION, id="r2", opened_at=NOW + DAY)),
    ],
)
def test_what_changes_is_seen(
    database: Engine,
    writer: LedgerWriter,
    cache: SummaryCache,
    change: Any,  # noqa: ANN401  # a function
) -> None:
    """Whatever a pass commits is in the next look, and the others are the very same as before."""
    write(writer, replace(CLOSED, id="r0", opened_at=NOW - DAY))
    write(writer, name="b")
    before = dict(cache.read())
    change(writer)

    after = cache.read()

    assert after["a"] != before["a"]
    assert after["b"] is before["b"]
    assert [after["a"]] == LedgerReader(database).accounts(["a"])


def test_a_hold_is_seen(database: Engine, writer: LedgerWriter, cache: SummaryCache) -> None:
    """An operator's hold shows in the next look, though nothing is rotated."""
    write(writer)
    cache.read()
    hold = Hold(reason="x", by="y", at=NOW)
    Holds(database).put("a", hold)

    assert cache.read()["a"].hold == hold


def test_a_look_at_what_is_known_is_one_statement(
    database: Engine, writer: LedgerWriter, cache: SummaryCache
) -> None:
    """Where nothing changed, the accounts' rows are read and nothing else."""
    write(writer, CLOSED)
    cache.read()
    found = statements(database)
    cache.read()

    assert len([each for each in found if each.startswith("SELECT")]) == 1


def test_many_changes_are_read_at_once(
    writer: LedgerWriter, cache: SummaryCache, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a ledger that is new to it, not every name goes into the statements."""
    monkeypatch.setattr(mapping, "MOST_NAMES", 1)
    write(writer, CLOSED)
    write(writer, replace(FAILED, account="b"), name="b")
    found = cache.read()

    assert [each.last_rotation for each in found.values()] == [
        CLOSED,
        replace(FAILED, account="b"),
    ]


@pytest.mark.parametrize("kind", ["sqlite"])
def test_an_account_that_is_gone_is_gone(database: Engine, cache: SummaryCache) -> None:
    """A ledger that was replaced by another does not show what only the old one had."""
    with writing(database) as connection:
        connection.execute(insert(tables.account), [{"name": "a"}, {"name": "b"}])
    cache.read()
    with writing(database) as connection:
        connection.execute(delete(tables.account).where(tables.account.c.name == "a"))

    assert cache.read() == {"b": AccountSummary(name="b")}


# -- What else a page shows. ---------------------------------------------------------------


def test_closed_rotations_are_counted_by_day(database: Engine, writer: LedgerWriter) -> None:
    """By the day in UTC on which each was closed; of one account, or of all."""
    late = datetime(2026, 11, 22, 23, 59, 59, tzinfo=UTC)
    write(writer, replace(CLOSED, id="r0", opened_at=NOW - DAY, closed_at=late))
    write(writer, FAILED)
    write(writer, replace(CLOSED, account="b"), name="b")
    write(writer, replace(CLOSED, account="b", id="r9", closed_at=NOW - 90 * DAY), name="b")
    queries = LedgerReader(database)

    assert queries.closed_by_day(NOW - DAY) == {
        late.date(): {"completed": 1},
        NOW.date(): {"failed": 1, "completed": 1},
    }
    assert queries.closed_by_day(NOW - DAY, "b") == {NOW.date(): {"completed": 1}}


def test_the_progress_of_rotations_is_told(database: Engine, writer: LedgerWriter) -> None:
    """Each rotation's own entries, in their order, and no other's."""
    write(writer, replace(CLOSED, id="r0", opened_at=NOW - DAY))
    write(writer, ROTATION, event="opened")
    write(writer, ROTATION)
    write(writer, replace(ROTATION, account="b"), name="b")
    other = replace(ROTATION, account="c")

    found = LedgerReader(database).progress([ROTATION, other])

    assert [entry.event for entry in found["a"]] == ["opened", "done"]
    assert found["c"] == []
    assert found.keys() == {"a", "c"}


def test_a_ledger_that_can_be_read_passes_the_check(database: Engine) -> None:
    """One without its tables does not."""
    LedgerReader(database).check()
    with writing(database) as connection:
        connection.execute(text("ALTER TABLE account RENAME TO elsewhere"))

    with pytest.raises(LedgerError):
        LedgerReader(database).check()
