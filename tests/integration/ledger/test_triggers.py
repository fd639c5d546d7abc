"""Requests through the trigger: accepted once, carried out once, and never forgotten."""

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from rotator.ledger.reader import LedgerReader
from rotator.ledger.triggers import IdTaken, TooMany, Triggers
from rotator.ledger.writer import LedgerWriter
from rotator.model import Actor, Step
from rotator.model.trigger import TriggerRequest
from rotator.rotation.ports import NewEntry
from tests.support.samples import NOW, rotation

MINUTE = timedelta(minutes=1)
SCANNER = Actor(by="trigger", host="192.0.2.7", because="found in a repository")
LEAK = TriggerRequest(id="msg_1", account="sms", is_compromised=True, actor=SCANNER, at=NOW, seq=0)
ASKED = replace(LEAK, id="msg_2", is_compromised=False)


@pytest.fixture
def triggers(database: Engine) -> Triggers:
    """Return the requests of a ledger."""
    return Triggers(database)


def accept(triggers: Triggers, request: TriggerRequest, at_most: int = 60) -> TriggerRequest:
    """Accept a request."""
    return triggers.accept(request, at_most=at_most)


def verify(writer: LedgerWriter, **changes: Any) -> None:  # noqa: ANN401  # of `Rotation`
    """Record that the new secret of a rotation is in Vault."""
    opened = rotation(**changes)
    verified = NewEntry(event="done", step=Step.VERIFY, detail={}, rotation_id=opened.id)
    lease = writer.claim(opened.account, NOW)
    writer.commit(lease, rotation=opened, entries=[verified], snapshot=None, now=NOW, last=True)


def settle(
    triggers: Triggers, request: TriggerRequest, refusal: str | None = None, *, failed: bool = False
) -> bool:
    """Record what became of a try."""
    return triggers.settle(request, refusal=refusal, has_failed=failed, now=NOW)


def recorded(database: Engine) -> list[tuple[str, dict[str, Any], str | None]]:
    """Return the entries of the account."""
    entries = LedgerReader(database).entries("sms")
    return [(each.event, json.loads(each.detail), each.rotation_id) for each in entries]


def test_a_request_is_recorded_with_who_asks(database: Engine, triggers: Triggers) -> None:
    """In the account's chain, before it is answered; and `status` knows that it waits."""
    accepted = accept(triggers, LEAK)
    reader = LedgerReader(database)

    assert accepted == replace(LEAK, seq=1)
    assert triggers.pending(NOW) == [accepted]
    assert recorded(database) == [
        (
            "requested",
            {
                "operation": "rotate",
                "reason": "compromised",
                "trigger": "msg_1",
                "by": "trigger",
                "from": "192.0.2.7",
                "because": "found in a repository",
            },
            None,
        )
    ]
    assert reader.accounts(["sms", "other"])[0].asked_for == accepted
    assert reader.accounts(["other"])[0].asked_for is None
    assert reader.verify("sms").faults == ()


def test_an_id_counts_once(database: Engine, triggers: Triggers) -> None:
    """However often it is sent, at whatever time, and whatever has become of it meanwhile."""
    first = accept(triggers, LEAK)
    again = accept(triggers, replace(LEAK, at=NOW + MINUTE), at_most=1)
    settle(triggers, first, "held")
    over = accept(triggers, replace(LEAK, at=NOW + 100 * MINUTE))

    assert first == again == over
    assert [event for event, *_ in recorded(database)] == ["requested", "not-begun"]
    assert triggers.pending(NOW) == []


@pytest.mark.parametrize("other", [{"account": "voice"}, {"is_compromised": False}])
def test_an_id_is_not_anothers(triggers: Triggers, other: dict[str, Any]) -> None:
    """Its sender must not believe that something else was done."""
    accept(triggers, LEAK)

    with pytest.raises(IdTaken):
        accept(triggers, replace(LEAK, **other))


def test_of_requests_with_one_id_at_once_one_counts(database: Engine, triggers: Triggers) -> None:
    """Whichever daemon each of them reaches, and whatever account it names."""

    def answer(name: str) -> str:
        try:
            return accept(triggers, replace(LEAK, account=name)).account
        except IdTaken:
            return "refused"

    names = ["sms", "voice"] * 4
    with ThreadPoolExecutor(len(names)) as threads:
        answers = list(threads.map(answer, names))
    [accepted] = triggers.pending(NOW)
    entries = list(LedgerReader(database).entries())

    assert sorted(answers) == sorted([accepted.account] * 4 + ["refused"] * 4)
    assert [entry.account for entry in entries] == [accepted.account]


def test_an_hour_has_only_so_many(triggers: Triggers) -> None:
    """Until the oldest of them is an hour old."""
    for number in range(3):
        accept(triggers, replace(LEAK, id=f"{number}", at=NOW + number * MINUTE), at_most=3)
    late = replace(LEAK, id="late", at=NOW + 50 * MINUTE)
    with pytest.raises(TooMany) as refused:
        accept(triggers, late, at_most=3)
    with pytest.raises(TooMany) as fewer:
        accept(triggers, late, at_most=1)

    assert refused.value.wait == timedelta(minutes=10)
    assert fewer.value.wait == timedelta(minutes=12)
    assert accept(triggers, replace(late, at=NOW + timedelta(hours=1)), at_most=3).seq == 4


def test_a_clock_that_was_ahead_stops_nothing(triggers: Triggers) -> None:
    """Requests from the future count for no hour, and are tried now."""
    ahead = accept(triggers, replace(LEAK, id="ahead", at=NOW + timedelta(days=9)), at_most=1)
    triggers.settle(ahead, refusal=None, has_failed=True, now=NOW + timedelta(days=9))

    assert accept(triggers, LEAK, at_most=1).id == "msg_1"
    assert {each.id for each in triggers.pending(NOW)} == {"ahead", "msg_1"}


def test_a_leak_comes_first(triggers: Triggers) -> None:
    """Then what was asked for first."""
    asked = [replace(ASKED, id=f"{age}", at=NOW - age * MINUTE) for age in (1, 2)]
    for request in (*asked, replace(LEAK, account="voice")):
        accept(triggers, request)

    assert [each.id for each in triggers.pending(NOW)] == ["msg_1", "2", "1"]


@pytest.mark.parametrize("request_", [LEAK, ASKED], ids=["compromised", "asked"])
def test_a_verified_rotation_carries_a_request_out(
    database: Engine, writer: LedgerWriter, triggers: Triggers, request_: TriggerRequest
) -> None:
    """Whoever asks for it afterwards is told that it is over, and the entry names the rotation."""
    accepted = accept(triggers, request_)
    before = settle(triggers, accepted)
    verify(writer, reason=request_.reason)

    assert not before
    assert settle(triggers, accepted, "in-grace")
    assert settle(triggers, accepted)
    assert recorded(database)[-1] == ("carried-out", {"trigger": request_.id}, "r1")
    assert triggers.pending(NOW) == []
    assert LedgerReader(database).accounts(["sms"])[0].asked_for is None
    assert LedgerReader(database).verify("sms").fault is None


@pytest.mark.parametrize(
    ("request_", "changes"),
    [
        # It leaves the leaked secret alive for its grace.
        (LEAK, {"reason": "due"}),
        (ASKED, {"outcome": "failed", "closed_at": NOW, "error_code": "overtaken"}),
        (ASKED, {"account": "voice"}),
    ],
    ids=["with a grace", "undone", "of another account"],
)
def test_another_rotation_does_not(
    writer: LedgerWriter, triggers: Triggers, request_: TriggerRequest, changes: dict[str, Any]
) -> None:
    """The request stays, to be carried out."""
    accepted = accept(triggers, request_)
    verify(writer, **changes)

    assert not settle(triggers, accepted)
    assert triggers.pending(NOW) == [accepted]


def test_nor_does_a_rotation_from_before(writer: LedgerWriter, triggers: Triggers) -> None:
    """By the order of the entries, as clocks of several hosts differ."""
    verify(writer, reason="compromised")
    accepted = accept(triggers, replace(LEAK, at=NOW - MINUTE))

    assert not settle(triggers, accepted)


def test_a_refusal_ends_a_request(database: Engine, triggers: Triggers) -> None:
    """An operator must decide; the record says why it was not begun."""
    accepted = accept(triggers, LEAK)
    is_over = settle(triggers, accepted, "held")
    [*_, (event, detail, rotation_id)] = recorded(database)

    assert is_over
    assert (event, rotation_id) == ("not-begun", None)
    assert detail == {
        "operation": "rotate",
        "outcome": "refused",
        "code": "held",
        "trigger": "msg_1",
    }


def test_what_failed_is_tried_again(triggers: Triggers) -> None:
    """Later each time, and until it is done."""
    accepted = accept(triggers, LEAK)
    is_over = settle(triggers, accepted, failed=True)
    [due] = triggers.pending(NOW + MINUTE)
    settle(triggers, accepted, failed=True)

    assert not is_over
    assert due.tries == 1
    assert triggers.pending(NOW + MINUTE / 2) == []
    assert triggers.pending(NOW + timedelta(hours=1))[0].tries == 2


@pytest.mark.parametrize(
    "change", ["id = 'made-up'", "seq = 2", "seq = 99", "account = 'voice', seq = 1"]
)
def test_a_row_that_no_entry_backs_counts_for_nothing(
    database: Engine, triggers: Triggers, change: str
) -> None:
    """Whoever writes to the tables alone has nothing rotated, and no id taken for another's."""
    accept(triggers, replace(ASKED, account="voice"))
    accepted = accept(triggers, LEAK)
    settle(triggers, accepted, "held")
    with database.begin() as connection:
        connection.execute(
            text(f"UPDATE trigger_request SET settled_at = NULL, {change} WHERE id = 'msg_1'")  # noqa: S608
        )

    assert [each.id for each in triggers.pending(NOW)] == ["msg_2"]
    assert LedgerReader(database).accounts(["sms"])[0].asked_for is None
    if not change.startswith("id"):
        with pytest.raises(IdTaken):
            accept(triggers, LEAK)
