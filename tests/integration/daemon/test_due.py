"""Which accounts a daemon takes for due, by the configuration that it has."""

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import Engine, select, update

from rotator.application import Application
from rotator.config import load
from rotator.daemon.health import Health
from rotator.daemon.scheduler import Scheduler
from rotator.daemon.workers import PassWorkers, WorkerPool
from rotator.ledger import tables
from rotator.model import Outcome
from rotator.rotation.result import result_of

CONFIG = """
[vault]
address = "http://127.0.0.1:1"
[ledger]
url = "{ledger}"
[policy]
every = "{every}"
jitter = "0s"
grace = "1h"
[[accounts]]
name = "a"
api_key = "abcd1234"
vault_path = "vonage/a"
"""
DAY = timedelta(days=1)


def looks_for(folder: Path, url: str, *, every: str) -> list[str]:
    """Return what a daemon that was just started with this interval finds due."""
    path = folder / "config.toml"
    path.write_text(CONFIG.format(ledger=url, every=every))
    with Application(load(path, {}), {}) as application:
        health = Health()
        poll = Scheduler(
            application,
            workers=PassWorkers(pool=WorkerPool(), health=health),
            health=health,
            stopping=threading.Event(),
        )
        return poll.due()


@pytest.fixture
def made_at(ledger_url: str, database: Engine, tmp_path: Path) -> datetime:
    """Return when the current secret of the ledger's account was made."""
    looks_for(tmp_path, ledger_url, every="30d")
    at = datetime.now(UTC) - 10 * DAY
    with database.begin() as connection:
        connection.execute(tables.account.insert().values(name="a", current_since=at))
    return at


def test_a_changed_interval_holds_from_the_next_poll_on(
    made_at: datetime, ledger_url: str, database: Engine, tmp_path: Path
) -> None:
    """A shorter one makes due what is old enough for it; a longer one takes that back."""
    found = []
    for every in ("30d", "7d", "30d"):
        due = looks_for(tmp_path, ledger_url, every=every)
        with database.connect() as connection:
            recorded = connection.execute(select(tables.account.c.next_due_at)).scalar_one()
        found.append((due, recorded - made_at))

    assert found == [([], 30 * DAY), (["a"], 7 * DAY), ([], 30 * DAY)]


def test_where_the_age_is_not_known_nothing_becomes_due(
    made_at: datetime, ledger_url: str, database: Engine, tmp_path: Path
) -> None:
    """An interval says nothing of a secret that nobody knows the creation of."""
    with database.begin() as connection:
        connection.execute(update(tables.account).values(current_since=None))

    assert made_at < datetime.now(UTC) - DAY
    assert looks_for(tmp_path, ledger_url, every="1d") == []


def test_an_account_that_was_not_due_after_all_waits_until_the_ledger_agrees(
    made_at: datetime, ledger_url: str, database: Engine, tmp_path: Path
) -> None:
    """As Vonage's clock is behind, or after a failover that lost commits: then it is news again."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(ledger=ledger_url, every="7d"))
    row = update(tables.account)
    with Application(load(path, {}), {}) as application:
        workers = PassWorkers(pool=WorkerPool(), health=Health())
        poll = Scheduler(application, workers=workers, health=Health(), stopping=threading.Event())
        first = poll.due()
        account = application.accounts["a"]
        workers.start(account, application, lambda: result_of(account, Outcome.IDLE, None))
        assert workers.pool.join(float("inf"))
        second = poll.due()
        with database.begin() as connection:
            connection.execute(row.values(next_due_at=datetime.now(UTC) + DAY))
        third = poll.due()
        with database.begin() as connection:
            connection.execute(row.values(next_due_at=made_at))
        fourth = poll.due()

    assert (first, second, third, fourth) == (["a"], [], [], ["a"])
