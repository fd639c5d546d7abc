"""What is recorded to be told, and of whom: with an event, as news, by itself."""

import json
from dataclasses import replace
from unittest.mock import patch

import pytest
from sqlalchemy import Engine, update

from rotator.ledger import tables
from rotator.ledger.deliveries import Deliveries
from rotator.ledger.outbox import AlertState, notifications_for
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import GateWait, State, Step, Trouble
from rotator.model.convergence import Convergence
from rotator.model.notification import Event
from rotator.rotation.ports import NewEntry
from tests.integration.hooks.deliveries_fixture import (
    COMPLETED,
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

# -- Recorded with the event. --------------------------------------------------------------


def test_an_event_is_recorded_with_what_has_to_be_told_of_it(
    writer: LedgerWriter, outbox: Deliveries
) -> None:
    """One delivery for each hook that hears of it, with all there is to tell."""
    happen(writer, VERIFIED, COMPLETED, rotation=ROTATION)
    found = claims(outbox)
    notice = found[0].notification

    assert [(each.hook, each.notification.event.value) for each in found] == [
        ("one", "pushed"),
        ("two", "pushed"),
        ("one", "completed"),
    ]
    assert (notice.account, notice.at, notice.rotation_id) == ("a", NOW, "r")
    assert (notice.secret_id, notice.old_secret_id, notice.vault_version) == ("new", "old", 3)
    assert found[0].notification.id == found[1].notification.id != found[2].notification.id
    assert len({each.id for each in found}) == 3


def test_what_waits_for_a_hook_is_counted(writer: LedgerWriter, outbox: Deliveries) -> None:
    """With the time of the oldest; a hook for which nothing waits, or that is not asked, is not."""
    happen(writer, VERIFIED, COMPLETED, rotation=ROTATION)
    happen(writer, VERIFIED, rotation=ROTATION, name="b", now=NOW + MINUTE)

    counted = outbox.count_undelivered(["one", "elsewhere"])
    assert counted == {"one": (3, NOW)}
    assert outbox.count_undelivered(["two"]) == {"two": (2, NOW)}


def test_a_commit_that_fails_records_neither(
    writer: LedgerWriter, outbox: Deliveries, database: Engine
) -> None:
    """There is no event without its deliveries, and no delivery without its event."""
    with (
        patch.object(writer, "_expiry", side_effect=ZeroDivisionError),
        pytest.raises(ZeroDivisionError),
    ):
        # What is committed comes after the entries, in the same transaction.
        happen(writer, VERIFIED, rotation=ROTATION)

    assert list(LedgerReader(database).entries()) == []
    assert waiting(outbox) == []


def test_who_hears_of_nothing_is_told_nothing(writer: LedgerWriter, database: Engine) -> None:
    """An event of another account, or one that no hook is for."""
    happen(writer, VERIFIED, rotation=ROTATION)

    assert Deliveries(database).undelivered(["elsewhere"]) == []


LATER = NOW + MINUTE

# -- What is news. -------------------------------------------------------------------------


def draft(event: str, state: State | None = None, **detail: str) -> NewEntry:
    """Return an entry of an account, which found it in a state."""
    trouble = None
    if state:
        code, why = detail["code"], detail.get("why", "no answer")
        trouble = Trouble(state=state, code=code, why=why, hint="mend it", since=NOW)
    return NewEntry(event=event, step=None, detail=detail, trouble=trouble)


FAILED = draft("failed", State.FAILING, code="vonage")
LOST = draft("failed", State.FAILING, code="vault")
REFUSED = draft("refused", State.REFUSED, code="no-slot", why="x")
STRANGER = draft("refused", State.DRIFTED, code="foreign-secret", why="x")
HELD = draft("refused", code="held", why="by me")
DRIFT = draft("trouble", State.DRIFTED, code="foreign-secret", why="x")
UNMANAGED = draft("trouble", State.UNMANAGED, code="foreign-secret", why="x")
DEAD = draft("trouble", State.BROKEN, code="current-refused", why="y")
STUCK = draft("refused", State.BROKEN, code="current-refused", why="y")
ALIVE = draft("trouble", State.DRIFTED, code="current-refused", why="y")
OVER = draft("trouble-over")
LATE, NO_MORE_LATE = draft("overdue", code="late", why="z"), draft("overdue-over")


@pytest.mark.parametrize(
    ("drafts", "events"),
    [
        ([VERIFIED], "pushed"),
        ([COMPLETED], "completed"),
        ([FAILED], "failed"),
        ([FAILED, FAILED], "failed"),
        ([FAILED, LOST, FAILED], "failed failed failed"),
        ([FAILED, VERIFIED, FAILED], "failed pushed recovered failed"),
        ([FAILED, COMPLETED, FAILED], "failed completed recovered failed"),
        ([FAILED, VERIFIED, COMPLETED], "failed pushed recovered completed"),
        ([REFUSED, REFUSED], "refused"),
        ([STRANGER, STRANGER], "refused drift"),
        ([STRANGER, DRIFT], "refused drift"),
        ([DRIFT, DRIFT, STRANGER], "drift refused"),
        ([DRIFT, OVER, DRIFT], "drift recovered drift"),
        ([STRANGER, OVER, STRANGER], "refused drift recovered refused drift"),
        ([OVER], ""),
        ([HELD, HELD], ""),
        ([STRANGER, FAILED, STRANGER], "refused drift failed"),
        ([DEAD, DEAD], "broken drift refused"),
        ([DEAD, STUCK], "broken drift refused"),
        ([DRIFT, DEAD], "drift broken drift refused"),
        ([DEAD, OVER, OVER], "broken drift refused recovered"),
        ([DEAD, DRIFT, DEAD], "broken drift refused drift recovered broken drift refused"),
        ([DEAD, ALIVE, DEAD], "broken drift refused recovered broken drift refused"),
        ([DEAD, HELD, DEAD], "broken drift refused"),
        ([UNMANAGED, UNMANAGED, OVER], "refused recovered"),
        ([DEAD, DRIFT, OVER], "broken drift refused drift recovered recovered"),
        ([draft("overdue", code="due")], "overdue"),
        ([LATE, NO_MORE_LATE, NO_MORE_LATE], "overdue recovered"),
        ([LATE, DRIFT, OVER, NO_MORE_LATE], "overdue drift recovered recovered"),
        ([LATE, DRIFT, NO_MORE_LATE, OVER], "overdue drift recovered recovered"),
        ([LATE, VERIFIED], "overdue pushed"),
        ([NO_MORE_LATE], ""),
        ([draft("opened"), draft("intent"), draft("delivered"), draft("undelivered")], ""),
        ([draft("closed", outcome="failed")], ""),
    ],
)
def test_trouble_is_told_once_for_each_change(drafts: list[NewEntry], events: str) -> None:
    """What stays as it is is not told again; what was overcome and comes back is."""
    state: AlertState = {}
    found: list[str] = []
    for each in drafts:
        news, state = notifications_for(each, state)
        found += [*(event.value for event in news.events), *["recovered"][: len(news.over)]]

    assert " ".join(found) == events


REVOKED = draft("trouble", State.DRIFTED, code="drift", why="w")


@pytest.mark.parametrize(
    ("on", "drafts", "events"),
    [
        ("drift refused", [DRIFT, STRANGER, DRIFT, STRANGER], "drift"),
        ("refused", [DRIFT, STRANGER, DRIFT, STRANGER], "refused"),
        ("drift refused", [STRANGER, DRIFT, STRANGER], "refused"),
        ("drift refused", [UNMANAGED, DRIFT, UNMANAGED, STRANGER], "refused drift"),
        ("drift refused", [STRANGER, REVOKED, STRANGER], "refused drift refused"),
        ("broken drift refused", [DEAD, STUCK, DEAD], "broken"),
        ("broken drift refused", [DEAD, ALIVE, STUCK], "broken broken"),
        ("drift refused", [DEAD, ALIVE, STUCK], "drift drift"),
        ("broken recovered", [DEAD, ALIVE, OVER], "broken recovered"),
        ("broken recovered", [DEAD, DRIFT, OVER], "broken recovered"),
        ("broken refused recovered", [DEAD, DRIFT, OVER], "broken recovered"),
        ("broken drift recovered", [DEAD, ALIVE, OVER], "broken recovered"),
        ("broken drift recovered", [DEAD, DRIFT, OVER], "broken drift recovered"),
        ("refused recovered", [DRIFT, OVER], ""),
        ("recovered", [FAILED, VERIFIED, LATE, NO_MORE_LATE], ""),
        ("pushed recovered failed", [FAILED, VERIFIED], "failed pushed recovered"),
    ],
)
def test_one_cause_is_one_message_to_a_hook(on: str, drafts: list[NewEntry], events: str) -> None:
    """Whatever its events are called; unless it gets worse. Its end, to those who were told."""
    subscribed_to = {Event(each) for each in on.split()}

    def subscribed(event: Event) -> tuple[str, ...]:
        return ("hook",) if event in subscribed_to else ()

    state: AlertState = {}
    found: list[str] = []
    for each in drafts:
        news, state = notifications_for(each, state)
        found += [event.value for event in news.calls(subscribed).values()]
        found += ["recovered" for _ in news.ends(subscribed)]

    assert " ".join(found) == events


def test_a_hook_gets_one_message_of_one_entry(writer: LedgerWriter, outbox: Deliveries) -> None:
    """A refusal that is drift as well is told to a hook for both as a refusal."""
    happen(writer, STRANGER)

    assert waiting(outbox) == [("two", "refused")]


def test_what_was_told_is_remembered(writer: LedgerWriter, outbox: Deliveries) -> None:
    """Over processes, as it stands in the ledger."""
    happen(writer, STRANGER)
    happen(writer, STRANGER)

    assert waiting(outbox) == [("two", "refused")]


def deliver(outbox: Deliveries) -> None:
    """Deliver all that is due."""
    for each in claims(outbox):
        outbox.settle(each, None, now=NOW)


def test_cause_and_cure_are_told(writer: LedgerWriter, outbox: Deliveries) -> None:
    """With since when, how often it was tried, and when it will be."""
    happen(writer, STRANGER)
    happen(
        writer, replace(STRANGER, detail={"code": "foreign-secret", "why": "another"}), now=LATER
    )
    [first, second] = claims(outbox, LATER)
    told = second.notification

    assert (told.event, told.code, told.reason) == (Event.REFUSED, "foreign-secret", "another")
    assert (told.state, told.hint, told.since) == ("drifted", "mend it", NOW)
    assert (first.notification.tries, told.tries) == (1, 2)
    assert told.next_try_at
    assert told.next_try_at > told.at == LATER


def test_the_end_is_told_beside_what_ends_it(writer: LedgerWriter, outbox: Deliveries) -> None:
    """To a hook that subscribes to both; it says what is over."""
    happen(writer, STRANGER)
    deliver(outbox)
    happen(writer, VERIFIED, rotation=ROTATION)
    found = [each.notification for each in claims(outbox) if each.hook == "two"]
    [end] = [each for each in found if each.event is Event.RECOVERED]

    assert {each.event for each in found} == {Event.PUSHED, Event.RECOVERED}
    assert (end.code, end.reason, end.hint) == ("foreign-secret", "no longer: x", None)
    assert end.rotation_id == "r"


def test_the_end_does_not_overtake_what_it_ends(writer: LedgerWriter, outbox: Deliveries) -> None:
    """A hook that was not reached at first would take it for wrong for good; nor is it overtaken.

    What consumers depend on waits for none of that.
    """
    happen(writer, STRANGER)
    [first] = claims(outbox)
    outbox.settle(first, "no answer", now=NOW)
    happen(writer, VERIFIED, rotation=ROTATION)
    happen(writer, STRANGER)
    at_once = claims(outbox)
    again = claims(outbox, LATER)
    for each in again:
        outbox.settle(each, None, now=LATER)
    over = claims(outbox, LATER)
    for each in over:
        outbox.settle(each, None, now=LATER)
    last = claims(outbox, LATER)

    found = [
        [each.notification.event.value for each in some if each.hook == "two"]
        for some in (at_once, again, over, last)
    ]
    assert found == [["pushed"], ["refused"], ["recovered"], ["refused"]]


@pytest.mark.parametrize(
    ("told", "over"),
    [
        ({"drift": "d: y", "broken": "b: z"}, [("d", "no longer: y")]),
        ({"refused": "r"}, [("r", "no longer: refused")]),
        ({"failed": "vonage"}, []),
        ({"trouble": "refused foreign-secret: x"}, [("foreign-secret", "no longer: x")]),
        ({"trouble": "failed vonage"}, []),
        ({"drift": "overdue: 40d old"}, []),
        ({"drift": "drift: x"}, [("drift", "no longer: x")]),
    ],
)
def test_what_is_over_is_named(
    writer: LedgerWriter,
    outbox: Deliveries,
    database: Engine,
    told: AlertState,
    over: list[tuple[str, str]],
) -> None:
    """The worst that the hook was told of, also by an older version, and nothing else."""
    happen(writer)
    with database.begin() as connection:
        connection.execute(update(tables.account).values(told=json.dumps(told)))
    happen(writer, OVER)
    ends = [each.notification for each in claims(outbox)]

    assert [(end.event, end.code, end.reason) for end in ends] == [
        (Event.RECOVERED, *each) for each in over
    ]


# -- What is raised by itself. -------------------------------------------------------------


def test_a_notice_is_recorded_and_told_once(
    writer: LedgerWriter, outbox: Deliveries, database: Engine
) -> None:
    """As long as it is the same; and so is its end, if it was told."""
    words = [
        writer.set_alert("a", Event.OVERDUE, what, why="late", now=NOW)
        for what in ("due", "due", "max-age", None, None, "due")
    ]
    events = [entry.event for entry in LedgerReader(database).entries("a")]

    assert words == [True, False, True, True, False, True]
    assert events == ["overdue", "overdue", "overdue-over", "overdue"]
    assert waiting(outbox) == [("one", "overdue")] * 3
    assert LedgerReader(database).verify("a").fault is None


def test_what_a_hook_that_is_gone_should_have_been_told_is_dropped(
    writer: LedgerWriter, outbox: Deliveries, database: Engine
) -> None:
    """After a week, as another process may still know the hook; and that is recorded."""
    happen(writer, VERIFIED, rotation=ROTATION)
    early = outbox.drop(["two"], now=NOW + WEEK - MINUTE)
    late = [outbox.drop(["two"], now=NOW + WEEK) for _ in range(2)]
    last = list(LedgerReader(database).entries("a"))[-1]

    assert (early, late) == (0, [1, 0])
    assert waiting(outbox) == [("two", "pushed")]
    assert (last.event, last.rotation_id) == ("dropped", "r")
    assert json.loads(last.detail)["hook"] == "one"
    assert LedgerReader(database).verify("a").fault is None


def test_what_another_process_still_tries_to_tell_is_not_dropped(
    writer: LedgerWriter, outbox: Deliveries
) -> None:
    """It has a hook that this one does not know, and a push is told for as long as it takes."""
    happen(writer, VERIFIED, rotation=ROTATION)
    delivery = claim(outbox, NOW + WEEK, hooks=["one"])
    assert delivery
    outbox.settle(delivery, "why", now=NOW + WEEK)
    count = outbox.drop(["two"], now=NOW + WEEK + MINUTE)

    assert count == 0
    assert ("one", "pushed") in waiting(outbox)


def test_a_try_that_was_broken_off_leaves_the_delivery_due(
    writer: LedgerWriter, outbox: Deliveries, database: Engine
) -> None:
    """To anyone, at once, and nothing is recorded of it; who has lost it gives nothing back."""
    happen(writer, COMPLETED, rotation=ROTATION)
    first = claim(outbox)
    assert first
    outbox.give_back(first)
    second = claim(Deliveries(database, owner="second"))
    outbox.give_back(first)

    assert second
    assert (second.id, second.attempts) == (first.id, 2)
    assert claim(outbox) is None
    assert [each.reason for each in outbox.undelivered(["one"])] == [None]
    assert [entry.event for entry in LedgerReader(database).entries("a")] == ["closed"]


def test_a_notice_has_what_a_shut_gate_counted(writer: LedgerWriter, outbox: Deliveries) -> None:
    """Of the rotation that is open, though the notice is of the account."""
    counted = Convergence(consumers=3, converged=1, behind=("a",))
    waiting = GateWait(gate="g", reason="why", convergence=counted)
    happen(writer, rotation=replace(ROTATION, step=Step.WAIT, waiting=waiting))
    writer.set_alert("a", Event.OVERDUE, "late", why="late", now=NOW)
    [told] = claims(outbox)
    notice = told.notification

    assert (notice.consumers, notice.converged, notice.behind) == (3, 1, ("a",))
    assert (notice.rotation_id, notice.secret_id) == (None, None)


def test_a_notice_needs_no_lease(writer: LedgerWriter, database: Engine) -> None:
    """Who works on the account goes on from the chain's new end."""
    lease = writer.claim("a", NOW)
    writer.set_alert("a", Event.OVERDUE, "due", why="late", now=NOW)
    writer.commit(lease, rotation=None, entries=[VERIFIED], snapshot=None, now=NOW)

    assert LedgerReader(database).verify("a").entries == 2
    assert LedgerReader(database).verify("a").fault is None
