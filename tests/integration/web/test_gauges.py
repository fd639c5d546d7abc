"""The gauges of `/metrics`, of a ledger of the test's own, on both databases."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import patch

import pytest
from sqlalchemy import Engine, event

from rotator.application import Application
from rotator.config import load
from rotator.errors import RotatorError
from rotator.ledger.writer import LedgerWriter
from rotator.model import State, Trouble
from rotator.rotation.ports import NewEntry
from rotator.telemetry.metrics import Metrics
from rotator.web.app import Pulse, WebApp

NOW = datetime(2026, 11, 23, 12, tzinfo=UTC)
BROKEN = Trouble(state=State.BROKEN, code="dead", why="it is dead", hint=None, since=NOW)
CONFIGURATION = """\
[vault]
address = "http://127.0.0.1:1"
[ledger]
url = "{url}"
[[accounts]]
name = "sms"
api_key = "abcd1234"
vault_path = "vonage/sms"
[[hooks]]
name = "slack"
on = ["broken", "completed"]
url = "http://127.0.0.1:1/"
"""


@pytest.fixture
def application(ledger_url: str, tmp_path: Path) -> Iterator[Application]:
    """Yield rotator with one account and one hook."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIGURATION.format(url=ledger_url))
    with Application(load(path, {}), {}) as application:
        yield application


@pytest.fixture
def metrics(application: Application) -> Metrics:
    """Return the metrics that the application's page serves."""
    metrics = Metrics("1")
    pulse = Pulse(is_live=lambda: True, outages=dict)
    WebApp(metrics=metrics, pulse=pulse, version="1").show(application)
    return metrics


def record(writer: LedgerWriter, entry: NewEntry) -> None:
    """Record an entry of the account."""
    lease = writer.claim("sms", NOW)
    writer.commit(lease, rotation=None, entries=[entry], snapshot=None, now=NOW, last=True)


def broken() -> NewEntry:
    """Return the entry that says what is wrong."""
    detail = {"state": "broken", "code": "dead", "why": "it is dead"}
    return NewEntry(event="trouble", step=None, detail=detail, trouble=BROKEN)


def test_what_the_ledger_knows_is_served(metrics: Metrics, application: Application) -> None:
    """An account that is broken, and the hook that has not been notified of that yet."""
    record(application.ledger.writer, broken())
    lines = metrics.rendered().decode().splitlines()

    at = f"{NOW.timestamp()!r}"
    since = "rotator_account_condition_since_timestamp_seconds"
    assert {
        'rotator_account_state{account="sms",state="broken"} 1.0',
        f'{since}{{account="sms",state="broken",code="dead"}} {at}',
        'rotator_hook_undelivered{hook="slack"} 1.0',
        f'rotator_hook_oldest_undelivered_timestamp_seconds{{hook="slack"}} {at}',
    } <= set(lines)


def test_a_request_reads_the_accounts_once_and_the_hooks_once(
    metrics: Metrics, application: Application
) -> None:
    """However many accounts and hooks there are, where nothing has changed since the last one."""
    record(application.ledger.writer, broken())
    metrics.rendered()
    statements: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_more: object) -> None:
        if "FROM" in statement:
            statements.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    try:
        metrics.rendered()
    finally:
        event.remove(Engine, "before_cursor_execute", note)

    assert len(statements) == 2
    assert "FROM account" in statements[0]
    assert "FROM delivery" in statements[1]


def test_a_ledger_that_cannot_be_read_is_no_gauge(
    metrics: Metrics, application: Application
) -> None:
    """Neither half of them; what this daemon did is there all the same."""
    with patch.object(application.ledger, "count_undelivered", side_effect=RotatorError):
        text = metrics.rendered().decode()

    assert "rotator_account_state" not in text
    assert 'rotator_rotations_total{account="sms",outcome="failed"} 0.0' in text
