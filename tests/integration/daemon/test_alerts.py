import dataclasses
import json
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update
from structlog.testing import capture_logs

from rotator.application import Application
from rotator.config import load
from rotator.daemon.alerts import BalanceCheck, OverdueCheck
from rotator.daemon.health import Health
from rotator.daemon.workers import DeliveryWorkers, WorkerPool
from rotator.ledger import tables
from rotator.ledger.reader import LedgerReader
from rotator.model import Step
from rotator.model.times import rfc3339
from rotator.reporting.status import AccountStatus
from rotator.rotation.ports import NewEntry
from tests.support.samples import rotation
from tests.support.webhook_receiver import WebhookReceiver, receiving, status

CONFIG = """
[vault]
address = "http://127.0.0.1:1"
[ledger]
url = "{ledger}"
[[accounts]]
name = "a"
api_key = "abcd1234"
vault_path = "vonage/a"
min_balance = 5
[[hooks]]
on = ["overdue", "balance", "recovered"]
url = "{receiver}"
"""
DAY = timedelta(days=1)


@pytest.fixture
def receiver() -> Iterator[WebhookReceiver]:
    """Yield a web server."""
    with receiving() as made:
        yield made


@pytest.fixture
def application(
    ledger_url: str, tmp_path: Path, receiver: WebhookReceiver
) -> Iterator[Application]:
    """Yield a daemon's application; nothing of it is asked but the ledger and the hook."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(ledger=ledger_url, receiver=receiver.url))
    with Application(load(path, {}), {}) as made:
        lease = made.ledger.writer.claim("a", datetime.now(UTC))
        made.ledger.writer.release(lease)
        yield made


def know(database: Engine, **columns: Any) -> None:  # noqa: ANN401  # whatever a column holds
    """Let the ledger know something of the account."""
    with database.begin() as connection:
        connection.execute(update(tables.account).values(columns))


def events(database: Engine) -> list[str]:
    """Return the account's entries in short."""
    return [entry.event for entry in LedgerReader(database).entries("a")]


def look_for_overdue(application: Application, *, hours: float = 2) -> None:
    """Look for overdue accounts, as a daemon does that was started some hours ago."""
    health = Health()
    health.clock = lambda: time.monotonic() + hours * 3600
    OverdueCheck(application, health=health, stopping=threading.Event()).run()


def have(application: Application, euros: str) -> None:
    """Let the account's balance be found to be so much."""
    check = BalanceCheck(application, health=Health(), stopping=threading.Event())
    check.interpret(application.accounts["a"], Decimal(euros))


def test_an_overdue_account_is_told_of_once(application: Application, database: Engine) -> None:
    """Over restarts; and again when it was rotated in between. An hour late is not overdue yet."""
    now = datetime.now(UTC)
    found = []
    for due_at in (now + DAY, now - DAY / 48, now - DAY, now - DAY, now + DAY, now - 2 * DAY):
        know(database, next_due_at=due_at)
        look_for_overdue(application)
        found.append(events(database))

    assert found == [
        [],
        [],
        ["overdue"],
        ["overdue"],
        ["overdue", "overdue-over"],
        ["overdue", "overdue-over", "overdue"],
    ]
    told = application.ledger.deliveries.undelivered(["127.0.0.1"])
    assert [each.event for each in told] == ["overdue", "recovered", "overdue"]


@pytest.mark.parametrize("kind", ["sqlite"])
def test_it_is_looked_every_few_minutes(application: Application, database: Engine) -> None:
    """Not at every poll: with many accounts it would be most of what an idle daemon does."""
    health = Health()
    health.clock = lambda: time.monotonic() + 7200
    check = OverdueCheck(application, health=health, stopping=threading.Event())
    check.run()
    know(database, next_due_at=datetime.now(UTC) - DAY)
    check.run()

    assert events(database) == []


def test_a_daemon_that_was_just_started_tells_nobody_of_what_it_begins_with(
    application: Application, database: Engine
) -> None:
    """What became due while none was running is late only if it stays so for an hour."""
    know(database, next_due_at=datetime.now(UTC) - 7 * DAY)
    look_for_overdue(application, hours=0.9)
    early = events(database)
    look_for_overdue(application, hours=1.1)

    assert (early, events(database)) == ([], ["overdue"])


def test_a_secret_that_is_too_old_is_told_soon_after_a_start(
    application: Application, database: Engine, receiver: WebhookReceiver
) -> None:
    """With cause and cure, as `status` has them."""
    now = datetime.now(UTC)
    know(database, current_id="x", current_since=now - 60 * DAY, next_due_at=now - 30 * DAY)
    look_for_overdue(application, hours=0.05)
    early = events(database)
    look_for_overdue(application, hours=0.1)
    delivered(application)
    [taken] = receiver.taken
    told = json.loads(taken.body)
    [summary] = application.ledger.reader.accounts(["a"])
    shown = AccountStatus(account=application.accounts["a"], summary=summary, now=now).condition

    assert early == []
    assert (told["state"], told["code"], told["account"]) == ("overdue", "overdue", "a")
    assert (told["reason"], told["hint"]) == (shown.why, shown.hint)
    assert told["since"] == rfc3339(shown.since)


def test_a_secret_that_is_too_old_and_not_due_is_told_at_once(
    application: Application, database: Engine
) -> None:
    """Nothing that a daemon begins with when it starts will replace it now."""
    now = datetime.now(UTC)
    know(database, current_id="x", current_since=now - 60 * DAY, next_due_at=now + DAY)
    look_for_overdue(application, hours=0)

    assert events(database) == ["overdue"]


@pytest.mark.parametrize("minutes", [5, 90])
def test_what_is_being_rotated_is_not_told_of(
    application: Application, database: Engine, minutes: int
) -> None:
    """Unless the rotation does not get anywhere."""
    now = datetime.now(UTC)
    know(database, current_id="x", current_since=now - 60 * DAY, next_due_at=now - 30 * DAY)
    lease = application.ledger.writer.claim("a", now)
    opened = rotation(account="a", opened_at=now - timedelta(minutes=minutes))
    entry = NewEntry(event="opened", step=Step.OPEN, detail={}, rotation_id=opened.id)
    application.ledger.writer.commit(
        lease, rotation=opened, entries=[entry], snapshot=None, now=now, last=True
    )
    look_for_overdue(application)

    assert ("overdue" in events(database)) is (minutes > 60)


def test_an_account_with_a_hold_is_not_overdue(
    application: Application, database: Engine, receiver: WebhookReceiver
) -> None:
    """And a hold is no end of what was told; the release may show that it goes on."""
    now = datetime.now(UTC)
    know(database, current_id="x", current_since=now - 60 * DAY, hold_reason="audit", held_at=now)
    look_for_overdue(application)
    held = events(database)
    know(database, hold_reason=None)
    look_for_overdue(application)
    know(database, hold_reason="audit")
    look_for_overdue(application)
    know(database, hold_reason=None, current_since=now)
    look_for_overdue(application)
    delivered(application)

    assert held == []
    assert events(database)[:2] == ["overdue", "overdue-over"]
    assert [json.loads(taken.body)["event"] for taken in receiver.taken] == ["overdue", "recovered"]


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_low_balance_is_told_of_once(application: Application, database: Engine) -> None:
    """And again after it had recovered."""
    for euros in ("5", "4", "3.5", "5", "1"):
        have(application, euros)
    entries = list(LedgerReader(database).entries("a"))

    assert [entry.event for entry in entries] == ["balance", "balance-over", "balance"]
    assert '"4 EUR are left, less than 5"' in entries[0].detail


def begun(application: Application) -> WorkerPool:
    """Begin to deliver what is due by a daemon's threads."""
    pool = WorkerPool()
    DeliveryWorkers(pool=pool, health=Health(), stopping=threading.Event()).begin(application)
    return pool


def delivered(application: Application) -> WorkerPool:
    """Deliver what is due by a daemon's threads."""
    pool = begun(application)
    assert pool.join(float("inf"))
    return pool


@pytest.mark.parametrize("kind", ["sqlite"])
def test_what_is_due_is_delivered_by_threads(
    application: Application, database: Engine, receiver: WebhookReceiver
) -> None:
    """Each notice once, and nothing is left running."""
    know(database, next_due_at=datetime.now(UTC) - DAY)
    look_for_overdue(application)
    pool = delivered(application)
    delivered(application)
    [taken] = receiver.taken

    assert json.loads(taken.body)["reason"] == "a rotation is due and has not begun"
    assert events(database) == ["overdue", "delivered"]
    assert not pool.uses(application)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_what_is_left_of_hooks_that_are_gone_is_dropped(
    application: Application, database: Engine
) -> None:
    """Also where no hook is configured any more."""
    have(application, "1")
    with database.begin() as connection:
        connection.execute(update(tables.delivery).values(retry_at=datetime.now(UTC) - 8 * DAY))
    with Application(dataclasses.replace(application.settings, hooks=()), {}) as without:
        delivered(without)

    assert events(database) == ["balance", "dropped"]
    assert application.ledger.deliveries.undelivered(["127.0.0.1"]) == []


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_delivery_that_hangs_is_not_waited_for_for_ever(
    application: Application, receiver: WebhookReceiver
) -> None:
    """The process can end all the same; what was not recorded is told again."""
    receiver.answer = receiver.hang
    have(application, "1")
    pool = begun(application)

    assert not pool.join(0.0)
    assert pool.uses(application)
    receiver.is_over.set()
    assert pool.join(float("inf"))


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_failure_is_logged_and_survived(
    application: Application,
    database: Engine,
    receiver: WebhookReceiver,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A hook that fails is told of once; an error that nobody foresaw by its kind alone."""
    receiver.answer = status(500)
    have(application, "1")
    with capture_logs() as logs:
        delivered(application)
        know(database, next_due_at=datetime.now(UTC) - DAY)
        look_for_overdue(application)

        def fail(*_arguments: object, **_named: object) -> None:
            raise ValueError("s3cret")

        monkeypatch.setattr(type(application.ledger.deliveries), "claim", fail)
        delivered(application)

    assert [(log["event"], log.get("reason")) for log in logs][:1] == [
        ("undelivered", "answered 500")
    ]
    assert {log["event"] for log in logs[1:]} == {"unexpected error"}
