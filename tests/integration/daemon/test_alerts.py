import dataclasses
import json
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, update
from structlog.testing import capture_logs

from rotator.application import Application
from rotator.config import load
from rotator.daemon.alerts import Alerts
from rotator.daemon.health import Health
from rotator.daemon.workers import DeliveryWorkers
from rotator.ledger import tables
from rotator.ledger.reader import LedgerReader
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
on = ["overdue", "balance"]
url = "{receiver}"
"""
DAY = timedelta(days=1)
LOW = "1 EUR is left, less than 5"


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


def test_an_overdue_account_is_told_of_once(application: Application, database: Engine) -> None:
    """Over restarts; and again when it was rotated in between. An hour late is not overdue yet."""
    now = datetime.now(UTC)
    found = []
    for due_at in (now + DAY, now - DAY / 48, now - DAY, now - DAY, now + DAY, now - 2 * DAY):
        know(database, next_due_at=due_at)
        Alerts(application).overdue()
        found.append(events(database))

    assert found == [
        [],
        [],
        ["overdue"],
        ["overdue"],
        ["overdue", "overdue-over"],
        ["overdue", "overdue-over", "overdue"],
    ]
    assert len(application.ledger.deliveries.undelivered(["127.0.0.1"])) == 2


@pytest.mark.parametrize("kind", ["sqlite"])
def test_it_is_looked_every_few_minutes(application: Application, database: Engine) -> None:
    """Not at every poll: with many accounts it would be most of what an idle daemon does."""
    notices = Alerts(application)
    notices.overdue()
    know(database, next_due_at=datetime.now(UTC) - DAY)
    notices.overdue()

    assert events(database) == []


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_low_balance_is_told_of_once(application: Application, database: Engine) -> None:
    """And again after it had recovered."""
    notices, account = Alerts(application), application.accounts["a"]
    for why in (None, "4 EUR are left", "3.5 EUR are left", None, "1 EUR is left"):
        notices.balance(account, why)

    assert events(database) == ["balance", "balance-over", "balance"]


def delivered(application: Application) -> tuple[DeliveryWorkers, Health]:
    """Deliver what is due by a daemon's threads."""
    health = Health()
    post = DeliveryWorkers(health=health, stopping=threading.Event())
    post.begin(application)
    assert post.join(float("inf"))
    return post, health


@pytest.mark.parametrize("kind", ["sqlite"])
def test_what_is_due_is_delivered_by_threads(
    application: Application, database: Engine, receiver: WebhookReceiver
) -> None:
    """Each notice once, and nothing is left running."""
    know(database, next_due_at=datetime.now(UTC) - DAY)
    Alerts(application).overdue()
    post, _ = delivered(application)
    delivered(application)
    [taken] = receiver.taken

    assert json.loads(taken.body)["reason"].startswith("due for ")
    assert events(database) == ["overdue", "delivered"]
    assert not post.uses(application)


@pytest.mark.parametrize("kind", ["sqlite"])
def test_what_is_left_of_hooks_that_are_gone_is_dropped(
    application: Application, database: Engine
) -> None:
    """Also where no hook is configured any more."""
    Alerts(application).balance(application.accounts["a"], LOW)
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
    Alerts(application).balance(application.accounts["a"], LOW)
    post = DeliveryWorkers(health=Health(), stopping=threading.Event())
    post.begin(application)

    assert not post.join(0.0)
    assert post.uses(application)
    receiver.is_over.set()
    assert post.join(float("inf"))


@pytest.mark.parametrize("kind", ["sqlite"])
def test_a_failure_is_logged_and_survived(
    application: Application, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hook that fails is told of once; an error that nobody foresaw by its kind alone."""
    receiver.answer = status(500)
    Alerts(application).balance(application.accounts["a"], LOW)
    with capture_logs() as logs:
        delivered(application)
        Alerts(application).balance(application.accounts["a"], None)
        Alerts(application).balance(application.accounts["a"], LOW)

        def fail(*_arguments: object, **_named: object) -> None:
            raise ValueError("s3cret")

        monkeypatch.setattr(type(application.ledger.deliveries), "claim", fail)
        delivered(application)

    assert [(log["event"], log.get("reason")) for log in logs][:1] == [
        ("undelivered", "answered 500")
    ]
    assert {log["event"] for log in logs[1:]} == {"unexpected error"}
