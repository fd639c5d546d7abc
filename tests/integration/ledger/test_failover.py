"""A ledger on two PostgreSQL servers: how its clients find the one that takes writes."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import partial

import pytest
from sqlalchemy import Engine

from rotator.errors import LeaseLost, LedgerError
from rotator.ledger import schema
from rotator.ledger.database import open_database, reading, writing
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.rotation.ports import Lease, NewEntry
from tests.crash.failing_over import DATABASE, Address, Hosts
from tests.support.postgresql_pair import Pair, pair

pytestmark = pytest.mark.postgres
NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
IS_STANDBY = "SELECT pg_is_in_recovery()"


@pytest.fixture
def servers() -> Iterator[Pair]:
    """Yield a primary with a standby, and an empty database."""
    with pair(is_synchronous=False) as made:
        with made.primary.connected() as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())
        made.catch_up()
        made.wait_for_replay()
        yield made


@contextmanager
def opened(url: str) -> Iterator[Engine]:
    """Open a database for a `with` block."""
    engine = open_database(url)
    yield engine
    engine.dispose()


def is_standby(engine: Engine) -> object:
    """Ask the server that a write meets."""
    with writing(engine) as connection:
        found: object = connection.exec_driver_sql(IS_STANDBY).scalar()
        connection.exec_driver_sql("CREATE TABLE IF NOT EXISTS written (x int)")
    return found


def test_the_next_write_finds_the_new_primary(servers: Pair) -> None:
    """With both servers in the URL; until one is promoted, the error names the cause."""
    with opened(Hosts(servers).url) as engine:
        before = is_standby(engine)
        servers.catch_up()
        servers.primary.kill()
        with pytest.raises(LedgerError) as caught:
            is_standby(engine)
        with pytest.raises(LedgerError) as again:
            is_standby(engine)
        servers.promote()
        after = is_standby(engine)

    assert (before, after) == (False, False)
    # libpq names the failure of the last server that it tried.
    assert caught.value.exit_code == again.value.exit_code == 1
    assert {"standby", "No such file"} & {*_words(again.value)}


def _words(error: LedgerError) -> list[str]:
    return [word for word in ("standby", "No such file") if word in error.message]


def test_who_wrote_what_is_lost_writes_nothing_more(servers: Pair) -> None:
    """Its lease is there, but not the intent that it committed last: no effect may follow."""
    with opened(Hosts(servers).url) as engine:
        schema.ensure(engine, auto_upgrade=True)
        writer = LedgerWriter(engine, lease_seconds=600)
        lease = writer.claim("a", NOW)
        append(writer, lease)
        servers.catch_up()
        servers.relay.log.clear()
        append(writer, lease)
        servers.primary.kill()
        servers.promote()
        for attempt in (writer.check, lambda one: writer.renew(one, NOW), partial(append, writer)):
            with pytest.raises(LeaseLost, match="the ledger lacks what was recorded last"):
                _answered(attempt, lease)
        writer.release(lease)
        again = writer.claim("a", NOW)
        append(writer, again)

        assert LedgerReader(engine).verify("a").entries == 2


def append(writer: LedgerWriter, lease: Lease) -> None:
    """Record something under a lease."""
    entry = NewEntry(event="done", step=None, detail={})
    writer.commit(lease, rotation=None, entries=[entry], snapshot=None, now=NOW)


def _answered(attempt: Callable[[Lease], object], lease: Lease) -> None:
    """Try until the server answers: the first connections may be those to the dead one."""
    while True:
        try:
            attempt(lease)
        except LedgerError:
            continue
        return


def test_a_connection_to_a_standby_is_not_used_again(servers: Pair) -> None:
    """Where the address has moved on to the primary, the next write goes there."""
    with Address(servers) as address, opened(address.url) as engine:
        address.follow(servers.standby)
        with reading(engine) as connection:
            first = connection.exec_driver_sql(IS_STANDBY).scalar()
        address.follow(servers.primary)
        with pytest.raises(LedgerError, match="its server is a standby"):
            is_standby(engine)
        second = is_standby(engine)

    assert (first, second) == (True, False)
