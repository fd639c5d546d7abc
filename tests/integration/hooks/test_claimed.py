"""Who may deliver what, when, and how often."""

import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from unittest.mock import patch

import pytest
from sqlalchemy import Engine, update

from rotator.errors import Stopping
from rotator.hooks.answer import Answer
from rotator.hooks.dispatcher import HookDispatcher
from rotator.ledger import deliveries as deliveries_module
from rotator.ledger import tables
from rotator.ledger.database import open_database
from rotator.ledger.deliveries import Deliveries
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model.notification import Hook, PendingDelivery
from rotator.rotation.ports import NewEntry
from tests.integration.hooks.deliveries_fixture import (
    COMPLETED,
    HOOKS,
    MINUTE,
    NOW,
    ROTATION,
    VERIFIED,
    WEEK,
    claim,
    claims,
    happen,
    waiting,
)

# -- Claiming and settling. ----------------------------------------------------------------


def test_a_delivery_is_one_process_s_until_its_lease_ends(
    writer: LedgerWriter, outbox: Deliveries, database: Engine
) -> None:
    """A process that dies leaves it to the others; what it says after that does not count."""
    happen(writer, COMPLETED, rotation=ROTATION)
    second = Deliveries(database, owner="second")
    first_claim = claim(outbox)
    at_once = claim(second)
    later = NOW + timedelta(minutes=5)
    # PostgreSQL's clock is its own.
    with patch.object(deliveries_module, "clock_of", lambda _connection, now: now + WEEK):
        second_claim = claim(second, later)
    assert first_claim
    assert second_claim
    late = outbox.settle(first_claim, "too late", now=later)
    settled = second.settle(second_claim, None, now=later)

    assert at_once is None
    assert second_claim.attempts == 2
    assert second_claim.notification == first_claim.notification
    assert late is None
    assert settled == "delivered"
    assert waiting(outbox) == []


def test_what_a_clock_ahead_has_put_off_or_claimed_is_not_waited_for(
    writer: LedgerWriter, outbox: Deliveries, database: Engine
) -> None:
    """A notice, a try and a claim from sixty days ahead are there to be had once it is right."""
    ahead = NOW + 8 * WEEK
    second = Deliveries(database, owner="second")
    happen(writer, COMPLETED, rotation=ROTATION, now=ahead)
    with patch.object(deliveries_module, "clock_of", lambda _connection, now: now):
        tried = claim(outbox, ahead)
        assert tried
        outbox.settle(tried, "no answer", now=ahead)
        claimed = claim(outbox, NOW)
        in_between = claim(second, NOW)
        with database.begin() as connection:
            connection.execute(update(tables.delivery).values(lease_expires_at=ahead))
        taken = claim(second, NOW)

    assert claimed
    assert in_between is None
    assert taken
    assert taken.attempts == claimed.attempts + 1


def test_a_failure_is_tried_again_ever_more_rarely(
    writer: LedgerWriter, outbox: Deliveries
) -> None:
    """First after half a minute, later once an hour; only the first one is an event."""
    happen(writer, VERIFIED, rotation=ROTATION)
    now, waits, events, rows = NOW, list[float](), list[str | None](), list[PendingDelivery]()
    for _ in range(10):
        delivery = claim(outbox, now, hooks=["one"])
        assert delivery
        events.append(outbox.settle(delivery, "why", now=now))
        rows = outbox.undelivered(["one"])
        assert claim(outbox, now, hooks=["one"]) is None
        waits.append((rows[0].next_try_at - now).total_seconds())
        now = rows[0].next_try_at

    assert events == ["undelivered", *[None] * 9]
    assert 30 <= waits[0] <= 38
    assert 60 <= waits[1] <= 75
    assert 3600 <= waits[-1] <= 4500
    assert [(row.attempts, row.reason) for row in rows] == [(10, "why")]


@pytest.mark.parametrize(
    ("hook", "drafts", "is_kept"), [("one", [COMPLETED], False), ("two", [VERIFIED], True)]
)
def test_news_is_given_up_after_a_week_and_a_push_never(
    writer: LedgerWriter, outbox: Deliveries, hook: str, drafts: list[NewEntry], *, is_kept: bool
) -> None:
    """Old news help nobody; consumers that read an old secret go on failing."""
    happen(writer, *drafts, rotation=ROTATION)
    delivery = claim(outbox, NOW + WEEK, hooks=[hook])
    assert delivery
    event = outbox.settle(delivery, "why", now=NOW + WEEK)

    assert event == ("undelivered" if is_kept else "given-up")
    assert (outbox.undelivered([hook]) != []) is is_kept


def test_what_became_of_it_is_in_the_record(
    writer: LedgerWriter, outbox: Deliveries, database: Engine
) -> None:
    """With hook, event, tries and the reason; the chain is whole."""
    happen(writer, VERIFIED, rotation=ROTATION)
    for delivery, reason in zip(claims(outbox), ["exit status 1", None], strict=True):
        outbox.settle(delivery, reason, now=NOW)
    entries = [entry.exported() for entry in LedgerReader(database).entries("a")][1:]

    assert [(entry["event"], entry["step"], entry["rotation_id"]) for entry in entries] == [
        ("undelivered", "hooks", "r"),
        ("delivered", "hooks", "r"),
    ]
    assert entries[0]["detail"] == {
        "hook": "one",
        "event": "pushed",
        "attempts": 1,
        "why": "exit status 1",
    }
    assert LedgerReader(database).verify("a").fault is None


def test_a_hook_that_is_not_configured_is_left_alone(
    writer: LedgerWriter, outbox: Deliveries
) -> None:
    """Its deliveries stay, and nobody claims or counts them."""
    happen(writer, VERIFIED, rotation=ROTATION)

    assert claim(outbox, hooks=["three"]) is None
    assert not outbox.are_due(["three"], NOW)
    assert outbox.are_due(["one"], NOW)
    assert not outbox.are_due(["one"], NOW - MINUTE)


# -- Several at once. ----------------------------------------------------------------------


class Counting:
    """Stands for the hooks themselves: counts what each is told."""

    def __init__(self) -> None:
        """Begin."""
        self.told: Counter[tuple[str, str, str]] = Counter()
        self.at_once: Counter[tuple[str, str, str]] = Counter()
        self.clashes = 0
        self._lock = threading.Lock()

    def run(self, hook: Hook, message: object, *, at: datetime) -> Answer:
        """Take a call; every third fails."""
        del at
        notice = message.notification  # type: ignore[attr-defined]  # a `Payload`
        key = (hook.name, notice.id, notice.account)
        with self._lock, self._alone(key):
            self.told[key] += 1
            return Answer(succeeded=sum(self.told.values()) % 3 != 0, text="why")

    @contextmanager
    def _alone(self, key: tuple[str, str, str]) -> Iterator[None]:
        self.at_once[key] += 1
        self.clashes += self.at_once[key] > 1
        yield
        self.at_once[key] -= 1


class Ending:
    """Stands for hooks that are called when the daemon ends."""

    def run(self, _hook: Hook, _message: object, *, at: datetime) -> str | None:
        """Break off."""
        del at
        raise Stopping


def test_what_the_end_of_a_daemon_breaks_off_is_anybodys(
    writer: LedgerWriter, outbox: Deliveries
) -> None:
    """Another machine's daemon cannot tell that this one is gone, and need not wait for it."""
    happen(writer, VERIFIED, rotation=ROTATION)
    due = outbox.undelivered(["one"])
    dispatcher = HookDispatcher(
        hooks=HOOKS[:1],
        accounts={},
        mount="secret",
        outbox=lambda: outbox,
        runner=Ending(),  # type: ignore[arg-type]
        now=lambda: NOW,
    )
    with pytest.raises(Stopping):
        list(dispatcher.deliver(None))
    taken = claim(outbox, hooks=["one"])

    assert due
    assert taken


def test_many_deliver_at_once_and_each_notice_once(
    writer: LedgerWriter, database: Engine, ledger_url: str
) -> None:
    """Two daemons of four threads each on one ledger: no notice is told twice or left out."""
    accounts = [f"a{number}" for number in range(10)]
    for name in accounts:
        happen(writer, VERIFIED, name=name)
    other, runner = open_database(ledger_url), Counting()
    couriers = [
        HookDispatcher(
            hooks=HOOKS,
            accounts={},
            mount="secret",
            outbox=lambda engine=engine, owner=owner: Deliveries(engine, owner=owner),  # type: ignore[misc]
            runner=runner,  # type: ignore[arg-type]
            now=lambda: NOW,
        )
        for engine, owner in ((database, "first"), (other, "second"))
    ]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda dispatcher: list(dispatcher.deliver(None)), couriers * 4))
    other.dispose()
    attempts = [attempt for each in done for attempt in each]

    assert len(attempts) == 2 * len(accounts)
    assert set(runner.told.values()) == {1}
    assert len(runner.told) == 2 * len(accounts)
    failed = Deliveries(database).undelivered(["one", "two"])
    assert len(failed) == len([each for each in attempts if each.reason])
    assert all(LedgerReader(database).verify(name).fault is None for name in accounts)


@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.postgres
def test_a_row_that_another_daemon_is_claiming_is_passed_over(
    writer: LedgerWriter, database: Engine, ledger_url: str
) -> None:
    """Nobody waits for it: the next one is taken."""
    happen(writer, VERIFIED, rotation=ROTATION)
    other = open_database(ledger_url)
    with database.begin() as connection:
        locked = connection.exec_driver_sql(
            "SELECT hook FROM delivery ORDER BY hook LIMIT 1 FOR UPDATE"
        )
        held = locked.scalar_one()
        taken = claim(Deliveries(other, owner="second"))
    other.dispose()

    assert held == "one"
    assert taken
    assert taken.hook == "two"
