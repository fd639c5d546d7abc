import json
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from unittest.mock import patch

import pytest
from sqlalchemy import Engine

from rotator.errors import Stopping
from rotator.hooks.courier import Courier
from rotator.ledger import deliveries as deliveries_module
from rotator.ledger.book import Book
from rotator.ledger.database import open_database
from rotator.ledger.deliveries import Deliveries
from rotator.ledger.outbox import News, news
from rotator.ledger.queries import Queries
from rotator.model import Rotation, Step
from rotator.notice import Delivery, Event, Hook, Undelivered, hearing
from rotator.ports import Draft
from tests.harness.samples import rotation

NOW = datetime(2026, 11, 24, 7, 28, tzinfo=UTC)
MINUTE, WEEK = timedelta(minutes=1), timedelta(days=7)
HOOKS = (
    Hook(name="one", on=frozenset({Event.PUSHED, Event.COMPLETED, Event.OVERDUE})),
    Hook(name="two", on=frozenset({Event.PUSHED, Event.REFUSED, Event.DRIFT})),
    Hook(name="elsewhere", on=frozenset(Event), accounts=frozenset({"other"})),
)
ROTATION = rotation(
    id="r",
    account="a",
    step=Step.VERIFY,
    grace=timedelta(),
    opened_at=NOW,
    new_id="new",
    vault_version=3,
    verified_at=NOW,
)
VERIFIED = Draft(event="done", step=Step.VERIFY, detail={"vault_version": 3}, rotation_id="r")
COMPLETED = Draft(
    event="closed", step=Step.COMPLETE, detail={"outcome": "completed"}, rotation_id="r"
)


def names(event: Event, account: str) -> tuple[str, ...]:
    """Name those of the hooks that hear of an event."""
    return hearing(HOOKS, event, account)


@pytest.fixture
def book(database: Engine) -> Book:
    """Give a ledger that knows the hooks."""
    return Book(database, lease_seconds=60, owner="here/boot/ns/1/100", hearing=names)


@pytest.fixture
def outbox(database: Engine) -> Deliveries:
    """Give what is to be delivered."""
    return Deliveries(database, owner="first")


def happen(book: Book, *drafts: Draft, name: str = "a", rotation: Rotation | None = None) -> None:
    """Record entries in one commit."""
    lease = book.claim(name, NOW)
    book.commit(lease, rotation=rotation, entries=drafts, sighting=None, now=NOW, last=True)


def claim(
    outbox: Deliveries, now: datetime = NOW, hooks: Sequence[str] = ("one", "two")
) -> Delivery | None:
    """Claim what is due now."""
    return outbox.claim(hooks, accounts=None, longest=MINUTE, due=now, now=now)


def claims(outbox: Deliveries, now: datetime = NOW) -> list[Delivery]:
    """Claim all that is due now."""
    return list(iter(lambda: claim(outbox, now), None))


def waiting(outbox: Deliveries) -> list[tuple[str, str]]:
    """Give hook and event of all that is not delivered."""
    return [(each.hook, each.event.value) for each in outbox.undelivered(["one", "two"])]


# -- Recorded with the event. --------------------------------------------------------------


def test_an_event_is_recorded_with_what_has_to_be_told_of_it(
    book: Book, outbox: Deliveries
) -> None:
    """One delivery for each hook that hears of it, with all there is to tell."""
    happen(book, VERIFIED, COMPLETED, rotation=ROTATION)
    found = claims(outbox)
    notice = found[0].notice

    assert [(each.hook, each.notice.event.value) for each in found] == [
        ("one", "pushed"),
        ("two", "pushed"),
        ("one", "completed"),
    ]
    assert (notice.account, notice.at, notice.rotation_id) == ("a", NOW, "r")
    assert (notice.secret_id, notice.old_secret_id, notice.vault_version) == ("new", "old", 3)
    assert found[0].notice.id == found[1].notice.id != found[2].notice.id
    assert len({each.id for each in found}) == 3


def test_a_commit_that_fails_records_neither(
    book: Book, outbox: Deliveries, database: Engine
) -> None:
    """There is no event without its deliveries, and no delivery without its event."""
    with (
        patch.object(book, "_expiry", side_effect=ZeroDivisionError),
        pytest.raises(ZeroDivisionError),
    ):
        # What is committed comes after the entries, in the same transaction.
        happen(book, VERIFIED, rotation=ROTATION)

    assert list(Queries(database).entries()) == []
    assert waiting(outbox) == []


def test_who_hears_of_nothing_is_told_nothing(book: Book, database: Engine) -> None:
    """An event of another account, or one that no hook is for."""
    happen(book, VERIFIED, rotation=ROTATION)

    assert Deliveries(database).undelivered(["elsewhere"]) == []


# -- What is news. -------------------------------------------------------------------------


def draft(event: str, **detail: str) -> Draft:
    """Give an entry of an account."""
    return Draft(event=event, step=None, detail=detail)


FAILED, LOST = draft("failed", code="vonage"), draft("failed", code="vault")
REFUSED = draft("refused", code="foreign-secret", why="x")
HELD = draft("refused", code="held", why="by me")
OLD = draft("drift", code="overdue", why="it is older than max_age allows")
DRIFT, DRIFT_OVER = draft("drift", code="foreign-secret", why="x"), draft("drift-over")


@pytest.mark.parametrize(
    ("drafts", "events"),
    [
        ([VERIFIED], "pushed"),
        ([COMPLETED], "completed"),
        ([FAILED], "failed"),
        ([FAILED, FAILED], "failed"),
        ([FAILED, LOST, FAILED], "failed failed failed"),
        ([FAILED, VERIFIED, FAILED], "failed pushed failed"),
        ([FAILED, COMPLETED, FAILED], "failed completed failed"),
        ([REFUSED, REFUSED], "refused drift"),
        ([REFUSED, DRIFT], "refused drift"),
        ([DRIFT, DRIFT, REFUSED], "drift refused"),
        ([DRIFT, DRIFT_OVER, DRIFT], "drift drift"),
        ([REFUSED, DRIFT_OVER, REFUSED], "refused drift refused drift"),
        ([HELD, HELD], "refused"),
        ([REFUSED, FAILED, REFUSED], "refused drift failed refused"),
        ([draft("overdue", code="due")], "overdue"),
        ([OLD, draft("overdue", code="late"), OLD], "overdue"),
        ([OLD, DRIFT, OLD], "drift"),
        ([draft("overdue-over")], ""),
        ([draft("opened"), draft("intent"), draft("delivered"), draft("undelivered")], ""),
        ([draft("closed", outcome="failed")], ""),
    ],
)
def test_trouble_is_told_once_for_each_change(drafts: list[Draft], events: str) -> None:
    """What stays as it is is not told again; what was overcome and comes back is."""
    told, found = News().told, list[str]()
    for each in drafts:
        what = news(each, told)
        told = what.told
        found += [event.value for event in what.events]

    assert " ".join(found) == events


def test_a_hook_gets_one_message_of_one_entry(book: Book, outbox: Deliveries) -> None:
    """A refusal that is drift as well is told to a hook for both as a refusal."""
    happen(book, REFUSED)

    assert waiting(outbox) == [("two", "refused")]


def test_what_was_told_is_remembered(book: Book, outbox: Deliveries) -> None:
    """Over processes, as it stands in the ledger."""
    happen(book, REFUSED)
    happen(book, REFUSED)

    assert waiting(outbox) == [("two", "refused")]


# -- What is raised by itself. -------------------------------------------------------------


def test_a_notice_is_recorded_and_told_once(
    book: Book, outbox: Deliveries, database: Engine
) -> None:
    """As long as it is the same; its end is recorded and told nobody."""
    words = [
        book.notice("a", Event.OVERDUE, what, why="late", now=NOW)
        for what in ("due", "due", "max-age", None, None, "due")
    ]
    events = [entry.event for entry in Queries(database).entries("a")]

    assert words == [True, False, True, True, False, True]
    assert events == ["overdue", "overdue", "overdue-over", "overdue"]
    assert waiting(outbox) == [("one", "overdue")] * 3
    assert Queries(database).verify("a").fault is None


def test_what_a_hook_that_is_gone_should_have_been_told_is_dropped(
    book: Book, outbox: Deliveries, database: Engine
) -> None:
    """After a week, as another process may still know the hook; and that is recorded."""
    happen(book, VERIFIED, rotation=ROTATION)
    early = outbox.drop(["two"], now=NOW + WEEK - MINUTE)
    late = [outbox.drop(["two"], now=NOW + WEEK) for _ in range(2)]
    last = list(Queries(database).entries("a"))[-1]

    assert (early, late) == (0, [1, 0])
    assert waiting(outbox) == [("two", "pushed")]
    assert (last.event, last.rotation_id) == ("dropped", "r")
    assert json.loads(last.detail)["hook"] == "one"
    assert Queries(database).verify("a").fault is None


def test_what_another_process_still_tries_to_tell_is_not_dropped(
    book: Book, outbox: Deliveries
) -> None:
    """It has a hook that this one does not know, and a push is told for as long as it takes."""
    happen(book, VERIFIED, rotation=ROTATION)
    delivery = claim(outbox, NOW + WEEK, hooks=["one"])
    assert delivery
    outbox.settle(delivery, "why", now=NOW + WEEK)
    count = outbox.drop(["two"], now=NOW + WEEK + MINUTE)

    assert count == 0
    assert ("one", "pushed") in waiting(outbox)


def test_a_try_that_was_broken_off_leaves_the_delivery_due(
    book: Book, outbox: Deliveries, database: Engine
) -> None:
    """To anyone, at once, and nothing is recorded of it; who has lost it gives nothing back."""
    happen(book, COMPLETED, rotation=ROTATION)
    first = claim(outbox)
    assert first
    outbox.give_back(first)
    second = claim(Deliveries(database, owner="second"))
    outbox.give_back(first)

    assert second
    assert (second.id, second.attempts) == (first.id, 2)
    assert claim(outbox) is None
    assert [each.reason for each in outbox.undelivered(["one"])] == [None]
    assert [entry.event for entry in Queries(database).entries("a")] == ["closed"]


def test_a_notice_needs_no_lease(book: Book, database: Engine) -> None:
    """Who works on the account goes on from the chain's new end."""
    lease = book.claim("a", NOW)
    book.notice("a", Event.OVERDUE, "due", why="late", now=NOW)
    book.commit(lease, rotation=None, entries=[VERIFIED], sighting=None, now=NOW)

    assert Queries(database).verify("a").entries == 2
    assert Queries(database).verify("a").fault is None


# -- Claiming and settling. ----------------------------------------------------------------


def test_a_delivery_is_one_process_s_until_its_lease_ends(
    book: Book, outbox: Deliveries, database: Engine
) -> None:
    """A process that dies leaves it to the others; what it says after that does not count."""
    happen(book, COMPLETED, rotation=ROTATION)
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
    assert second_claim.notice == first_claim.notice
    assert late is None
    assert settled == "delivered"
    assert waiting(outbox) == []


def test_a_failure_is_tried_again_ever_more_rarely(book: Book, outbox: Deliveries) -> None:
    """First after half a minute, later once an hour; only the first one is an event."""
    happen(book, VERIFIED, rotation=ROTATION)
    now, waits, events, rows = NOW, list[float](), list[str | None](), list[Undelivered]()
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
    book: Book, outbox: Deliveries, hook: str, drafts: list[Draft], *, is_kept: bool
) -> None:
    """Old news help nobody; consumers that read an old secret go on failing."""
    happen(book, *drafts, rotation=ROTATION)
    delivery = claim(outbox, NOW + WEEK, hooks=[hook])
    assert delivery
    event = outbox.settle(delivery, "why", now=NOW + WEEK)

    assert event == ("undelivered" if is_kept else "given-up")
    assert (outbox.undelivered([hook]) != []) is is_kept


def test_what_became_of_it_is_in_the_record(
    book: Book, outbox: Deliveries, database: Engine
) -> None:
    """With hook, event, tries and the reason; the chain is whole."""
    happen(book, VERIFIED, rotation=ROTATION)
    for delivery, reason in zip(claims(outbox), ["exit status 1", None], strict=True):
        outbox.settle(delivery, reason, now=NOW)
    entries = [entry.exported() for entry in Queries(database).entries("a")][1:]

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
    assert Queries(database).verify("a").fault is None


def test_a_hook_that_is_not_configured_is_left_alone(book: Book, outbox: Deliveries) -> None:
    """Its deliveries stay, and nobody claims or counts them."""
    happen(book, VERIFIED, rotation=ROTATION)

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

    def call(self, hook: Hook, message: object, *, at: datetime) -> str | None:
        """Take a call; every third fails."""
        del at
        notice = message.notice  # type: ignore[attr-defined]  # a `Message`
        key = (hook.name, notice.id, notice.account)
        with self._lock, self._alone(key):
            self.told[key] += 1
            return "why" if sum(self.told.values()) % 3 == 0 else None

    @contextmanager
    def _alone(self, key: tuple[str, str, str]) -> Iterator[None]:
        self.at_once[key] += 1
        self.clashes += self.at_once[key] > 1
        yield
        self.at_once[key] -= 1


class Ending:
    """Stands for hooks that are called when the daemon ends."""

    def call(self, _hook: Hook, _message: object, *, at: datetime) -> str | None:
        """Break off."""
        del at
        raise Stopping


def test_what_the_end_of_a_daemon_breaks_off_is_anybodys(book: Book, outbox: Deliveries) -> None:
    """Another machine's daemon cannot tell that this one is gone, and need not wait for it."""
    happen(book, VERIFIED, rotation=ROTATION)
    due = outbox.undelivered(["one"])
    courier = Courier(
        hooks=HOOKS[:1],
        accounts={},
        mount="secret",
        outbox=lambda: outbox,
        caller=Ending(),  # type: ignore[arg-type]
        now=lambda: NOW,
    )
    with pytest.raises(Stopping):
        list(courier.deliver(None))
    taken = claim(outbox, hooks=["one"])

    assert due
    assert taken


def test_many_deliver_at_once_and_each_notice_once(
    book: Book, database: Engine, ledger_url: str
) -> None:
    """Two daemons of four threads each on one ledger: no notice is told twice or left out."""
    accounts = [f"a{number}" for number in range(10)]
    for name in accounts:
        happen(book, VERIFIED, name=name)
    other, caller = open_database(ledger_url), Counting()
    couriers = [
        Courier(
            hooks=HOOKS,
            accounts={},
            mount="secret",
            outbox=lambda engine=engine, owner=owner: Deliveries(engine, owner=owner),  # type: ignore[misc]
            caller=caller,  # type: ignore[arg-type]
            now=lambda: NOW,
        )
        for engine, owner in ((database, "first"), (other, "second"))
    ]
    with ThreadPoolExecutor(8) as pool:
        done = list(pool.map(lambda courier: list(courier.deliver(None)), couriers * 4))
    other.dispose()
    attempts = [attempt for each in done for attempt in each]

    assert len(attempts) == 2 * len(accounts)
    assert set(caller.told.values()) == {1}
    assert len(caller.told) == 2 * len(accounts)
    failed = Deliveries(database).undelivered(["one", "two"])
    assert len(failed) == len([each for each in attempts if each.reason])
    assert all(Queries(database).verify(name).fault is None for name in accounts)


@pytest.mark.parametrize("kind", ["postgresql"])
@pytest.mark.postgres
def test_a_row_that_another_daemon_is_claiming_is_passed_over(
    book: Book, database: Engine, ledger_url: str
) -> None:
    """Nobody waits for it: the next one is taken."""
    happen(book, VERIFIED, rotation=ROTATION)
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
