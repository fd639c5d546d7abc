"""The rows of daemons: who polls, who is silent, and what outlasts a restart."""

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Engine, text

from rotator.ledger import daemons as daemons_module
from rotator.ledger.daemons import GONE, DaemonRecord, Daemons, Outage, is_silent, last_poll

NOW = datetime(2026, 11, 24, 7, 28, 0, 123456, tzinfo=UTC)
SECOND = timedelta(seconds=1)
SEALED = Outage(
    code="vault-sealed",
    why="Vault is sealed",
    hint="unseal it",
    since=NOW,
    told=frozenset({"chat"}),
)
FIRST = DaemonRecord(
    host="one", version="1.0", started_at=NOW, polled_at=NOW, poll_seconds=15, known_outages={}
)


@pytest.fixture
def daemons(database: Engine, monkeypatch: pytest.MonkeyPatch) -> Daemons:
    """Return the daemons of a ledger whose database has the tests' clock."""
    monkeypatch.setattr(daemons_module, "clock_of", lambda _connection, now: now)
    return Daemons(database)


def polled(record: DaemonRecord, seconds: float, **known: Outage) -> DaemonRecord:
    """Return a daemon that polls that long after it has started."""
    return replace(record, polled_at=record.started_at + seconds * SECOND, known_outages=known)


def test_a_poll_is_read_back(daemons: Daemons) -> None:
    """With what the daemon cannot use, whatever was recorded at the poll before."""
    daemons.begin(FIRST)
    name = daemons.write(polled(FIRST, 15, vault=SEALED))
    found = daemons.read(NOW)
    daemons.write(polled(FIRST, 30))

    assert name == "one"
    assert found == [polled(FIRST, 15, vault=SEALED)]
    assert found[0].outages == {"vault": SEALED}
    assert daemons.read(NOW) == [polled(FIRST, 30)]


def test_no_daemon_is_silent_where_there_is_none(daemons: Daemons) -> None:
    """Accounts may be rotated by timers."""
    found = daemons.read(NOW)

    assert not is_silent(found, NOW)
    assert last_poll(found) is None


@pytest.mark.parametrize(
    ("later", "found"),
    [(0, ""), (45, ""), (46, "silent"), (-45, ""), (-46, "silent"), (GONE / SECOND, "")],
)
def test_daemons_are_silent_after_three_polls(later: float, found: str) -> None:
    """A poll from a clock that was ahead is none; after a month nobody waits for them."""
    assert is_silent([FIRST], NOW + later * SECOND) is bool(found)


def test_one_daemon_that_polls_is_enough() -> None:
    """However long ago another one did."""
    other = replace(FIRST, host="two", polled_at=NOW - timedelta(days=2))

    assert not is_silent([other, FIRST], NOW)
    assert last_poll([other, FIRST]) == NOW


def test_a_restarted_daemon_knows_what_was_told(daemons: Daemons) -> None:
    """Its row is the one of the daemon before it, and still has the outages."""
    daemons.begin(FIRST)
    daemons.write(polled(FIRST, 15, vault=SEALED))
    again = replace(FIRST, started_at=NOW + 20 * SECOND, polled_at=NOW + 20 * SECOND)
    taken = daemons.begin(again)

    assert taken == {"vault": SEALED}
    assert daemons.read(NOW) == [replace(again, known_outages=taken)]


def test_a_renamed_host_takes_over_what_its_old_name_was_told(daemons: Daemons) -> None:
    """From a daemon that is silent, once; one that polls keeps its own."""
    daemons.begin(FIRST)
    daemons.write(polled(FIRST, 15, vault=SEALED))
    second, third = (replace(FIRST, host=name) for name in ("two", "three"))
    early = daemons.begin(polled(second, 20))
    late = daemons.begin(polled(second, 90))
    again = daemons.begin(polled(third, 90))

    assert (early, late, again) == ({}, {"vault": SEALED}, {})


def test_two_daemons_on_one_host_have_a_row_each(daemons: Daemons) -> None:
    """The older one leaves the host's row to the one that started later, and keeps its new one."""
    second = replace(FIRST, started_at=NOW + SECOND)
    daemons.begin(FIRST)
    daemons.begin(second)
    name = daemons.write(polled(FIRST, 15))
    renamed = replace(FIRST, host=name)
    names = [
        daemons.write(each)
        for each in (polled(renamed, 30, vault=SEALED), polled(second, 30), polled(renamed, 45))
    ]

    assert name == f"one/{os.getpid()}"
    assert names == [name, "one", name]
    assert [each.host for each in daemons.read(NOW)] == ["one", name]


def test_a_row_that_is_missing_is_written_again(daemons: Daemons, database: Engine) -> None:
    """Under the same name: the ledger may be another one since a reload."""
    daemons.begin(FIRST)
    with database.begin() as connection:
        connection.execute(text("DELETE FROM daemon"))

    assert daemons.write(polled(FIRST, 15)) == "one"
    assert daemons.read(NOW) == [polled(FIRST, 15)]


def test_a_host_that_is_gone_for_a_month_is_removed(daemons: Daemons) -> None:
    """By whichever daemon polls then."""
    daemons.begin(replace(FIRST, host="old", polled_at=NOW - GONE))
    daemons.begin(FIRST)
    daemons.write(polled(FIRST, 0))
    kept = [each.host for each in daemons.read(NOW)]
    daemons.write(polled(FIRST, 1))

    assert kept == ["old", "one"]
    assert [each.host for each in daemons.read(NOW)] == ["one"]


def test_what_is_over_is_no_outage(daemons: Daemons) -> None:
    """It is only kept for the hooks that do not know yet."""
    over = replace(SEALED, over_at=NOW + SECOND)
    daemons.begin(polled(FIRST, 1, vault=over))
    [found] = daemons.read(NOW)

    assert found.known_outages == {"vault": over}
    assert found.outages == {}


@pytest.mark.parametrize("outages", ["{", "[]", '{"vault": {}}', '{"vault": 1}'])
def test_what_somebody_else_wrote_is_no_outage(
    daemons: Daemons, database: Engine, outages: str
) -> None:
    """And no reason for a daemon not to poll."""
    daemons.begin(FIRST)
    with database.begin() as connection:
        connection.execute(text("UPDATE daemon SET outages = :text"), {"text": outages})

    assert daemons.read(NOW) == [FIRST]
    assert daemons.begin(FIRST) == {}


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgresql"])
def test_daemons_share_the_database_s_clock(database: Engine) -> None:
    """A host whose own clock is wrong is not silent, neither as who polls nor as who looks."""
    daemons, wrong = Daemons(database), datetime.now(UTC) - timedelta(hours=2)
    daemons.begin(replace(FIRST, started_at=wrong, polled_at=wrong))

    assert not is_silent(daemons.read(datetime.now(UTC)), datetime.now(UTC))
    assert not is_silent(daemons.read(wrong), wrong)
