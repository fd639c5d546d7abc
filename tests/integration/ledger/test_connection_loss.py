"""PostgreSQL goes away, at every message of a commit and between two calls."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import replace

import pytest
from sqlalchemy import Engine, text

from rotator.errors import LedgerError
from rotator.ledger.database import open_database
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.rotation.ports import AccountSnapshot, Lease, NewEntry
from tests.support.database_proxy import DatabaseProxy
from tests.support.samples import NOW, rotation

pytestmark = [pytest.mark.postgres, pytest.mark.parametrize("kind", ["postgresql"])]
ROTATION = rotation(id="r", account="a")
SIGHTING = AccountSnapshot(listed_ids=(), current_id=None, current_since=None)


@pytest.fixture
def far(far_url: str) -> Iterator[Engine]:
    """Yield the ledger as it is reached through the proxy."""
    engine = open_database(far_url)
    yield engine
    engine.dispose()


def commit(writer: LedgerWriter, lease: Lease, number: int) -> str:
    """Record a rotation's step, two entries and a snapshot, each recognisable by `number`."""
    entry = NewEntry(event="done", step=None, detail={"n": number})
    return writer.commit(
        lease,
        rotation=replace(ROTATION, values_generated=number),
        entries=[entry, entry],
        snapshot=replace(SIGHTING, current_id=str(number)),
        now=NOW,
    ).head


def recorded(database: Engine) -> tuple[int, int, str | None]:
    """Return what was committed: entries, the rotation's number, the snapshot's."""
    queries = LedgerReader(database)
    [account] = queries.accounts(["a"])
    assert queries.verify("a").fault is None
    assert account.last_rotation
    return queries.verify("a").entries, account.last_rotation.values_generated, account.current_id


@pytest.mark.parametrize("delivers_last", [False, True])
def test_a_commit_that_loses_its_connection_anywhere(
    database: Engine,
    far: Engine,
    proxy: DatabaseProxy,
    caplog: pytest.LogCaptureFixture,
    *,
    delivers_last: bool,
) -> None:
    """At whichever message it is lost, all or nothing is recorded, and the next commit works."""
    writer = LedgerWriter(far, lease_seconds=60)
    lease = writer.claim("a", NOW)
    commit(writer, lease, 0)
    lost: list[bool] = []
    number, before = 0, recorded(database)
    while True:
        number += 1
        proxy.hang_up_after(number, delivers_last=delivers_last)
        try:
            head = commit(writer, lease, number)
        except LedgerError:
            after = recorded(database)
            all_of_it = (before[0] + 2, number, str(number))
            assert after in (before, all_of_it)
            lost.append(after == all_of_it)
        else:
            if not proxy.has_hung_up:
                break
            assert head == writer.load("a").head
        commit(writer, lease, number)
        before = recorded(database)

    assert len(lost) >= 5
    # Only the last message, the COMMIT, is one whose answer can be missing from a record.
    assert lost == [False] * (len(lost) - 1) + [delivers_last]
    assert proxy.left is not None
    # A library's warning would reach the operator's terminal.
    assert caplog.records == []


CALLS: dict[str, Callable[[LedgerWriter, Lease], object]] = {
    "load": lambda writer, _lease: writer.load("a"),
    "knows_rotation": lambda writer, _lease: writer.knows_rotation("a", "r"),
    "claim": lambda writer, _lease: writer.claim("b", NOW),
    "claim_due": lambda writer, _lease: writer.claim_due(["a", "b"], limit=9, now=NOW),
    "renew": lambda writer, lease: writer.renew(lease, NOW),
    "release": lambda writer, lease: writer.release(lease),
    "commit": lambda writer, lease: commit(writer, lease, 1),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_any_call_after_a_loss_works(
    far: Engine, proxy: DatabaseProxy, call: Callable[[LedgerWriter, Lease], object]
) -> None:
    """The same ledger object goes on as soon as the server is back."""
    writer = LedgerWriter(far, lease_seconds=60)
    lease = writer.claim("a", NOW)
    proxy.hang_up_after(3, delivers_last=False)
    with contextlib.suppress(LedgerError):
        writer.renew(lease, NOW)

    assert proxy.has_hung_up
    call(writer, lease)


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
def test_any_call_after_the_server_was_restarted_works(
    database: Engine, far: Engine, call: Callable[[LedgerWriter, Lease], object]
) -> None:
    """A connection that died while idle is replaced before anything is asked of it."""
    writer = LedgerWriter(far, lease_seconds=60)
    lease = writer.claim("a", NOW)
    with database.connect() as connection:
        others = text(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE pid <> pg_backend_pid() AND datname = current_database()"
            " AND backend_type = 'client backend'"
        )
        ended = connection.execute(others).all()

    assert len(ended) == 1
    call(writer, lease)


def test_a_terminated_transaction(database: Engine, far: Engine) -> None:
    """The server may end a transaction in its middle; nothing of it is recorded."""
    writer = LedgerWriter(far, lease_seconds=60)
    lease = writer.claim("a", NOW)
    commit(writer, lease, 1)
    before = recorded(database)
    with database.begin() as connection:
        connection.execute(text(TERMINATES_ITSELF))
        connection.execute(
            text("CREATE TRIGGER ends BEFORE INSERT ON entry EXECUTE FUNCTION ends()")
        )
    with pytest.raises(LedgerError):
        commit(writer, lease, 2)
    with database.begin() as connection:
        connection.execute(text("DROP TRIGGER ends ON entry"))

    assert recorded(database) == before
    assert commit(writer, lease, 3) == writer.load("a").head


TERMINATES_ITSELF = """
CREATE FUNCTION ends() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN NEW; END $$
"""
