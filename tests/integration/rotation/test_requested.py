"""What a person asks for is recorded first, with who it is, whatever becomes of it."""

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from rotator.errors import Forbidden, LeaseLost, Refused
from rotator.ledger.holds import Holds
from rotator.model import Hold, Request
from rotator.rotation.manual import manual_operation
from rotator.rotation.ports import BeforeSend, NewEntry
from rotator.sim import Fault
from tests.support.clock import START
from tests.support.rotation_fixture import NAME, RotationFixture
from tests.support.samples import ANN

EVE = replace(ANN, by="eve", because="incident 42")
DAY = timedelta(days=1)
BY_EVE = {"by": "eve", "from": "there", "because": "incident 42"}


def requests(fixture: RotationFixture) -> list[dict[str, Any]]:
    """Return the facts of each request in the record, but for the token of its process."""
    return [facts_of(each.detail) for each in fixture.entries() if each.event == "requested"]


def facts_of(detail: str) -> dict[str, Any]:
    """Return the facts that a person gave."""
    return {name: fact for name, fact in json.loads(detail).items() if name != "fencing_token"}


def hold(fixture: RotationFixture) -> None:
    """Hold the account."""
    Holds(fixture.database).put(NAME, Hold(reason="audit", by="ann", at=START))


def break_vonage(fixture: RotationFixture) -> None:
    """Make Vonage forbid everything."""
    fixture.world.vonage.faults.add(Fault("status", status=403, times=None))


@pytest.mark.parametrize(
    ("meanwhile", "ends_as"),
    [
        (lambda _: None, "closed complete"),
        (hold, "refused"),
        (break_vonage, "failed"),
        # That it is in its grace already, the entries before say.
        (lambda fixture: fixture.attempt(grace=DAY), "requested"),
    ],
)
def test_a_rotation_that_is_asked_for_begins_with_who_asks(
    tmp_path: Path, meanwhile: Callable[[RotationFixture], object], ends_as: str
) -> None:
    """It is recorded where the rotation is completed, refused, failed or refused in its grace."""
    with RotationFixture(tmp_path) as fixture:
        meanwhile(fixture)
        before = len(fixture.events())
        fixture.attempt(actor=EVE)
        events = [event for event in fixture.events()[before:] if "wait" not in event]

        assert (events[0], ends_as in events) == ("requested", True)
        assert requests(fixture) == [{"operation": "rotate", "reason": "asked", **BY_EVE}]


def test_it_is_in_the_record_before_anything_is_sent(tmp_path: Path) -> None:
    """A process that is killed at its first request has left who ran it."""
    with RotationFixture(tmp_path) as fixture:
        seen: list[list[str]] = []
        fixture.before_request(1, lambda _: seen.append(fixture.events()))
        fixture.attempt(actor=EVE)

        assert seen == [["requested", "registered"]]


def test_the_end_of_a_grace_names_who_ended_it(tmp_path: Path) -> None:
    """A wait that `--grace 0s` ends leaves an entry of its rotation."""
    with RotationFixture(tmp_path) as fixture:
        opened = fixture.attempt(grace=DAY).rotation_id
        fixture.attempt(grace=timedelta(), takes_over=True, actor=EVE)
        [entry] = [each for each in fixture.entries() if each.event == "requested"]

        assert (entry.rotation_id, facts_of(entry.detail)) == (
            opened,
            {
                "operation": "rotate",
                "reason": "asked",
                "grace_seconds": 0,
                "takes_over": True,
                **BY_EVE,
            },
        )


def test_what_nobody_asks_for_is_no_request(tmp_path: Path) -> None:
    """The daemon's own rotations and a look at what would be done record none."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt(reason="due")
        fixture.resume()
        before = fixture.events()
        fixture.reconciler.dry_run(fixture.accounts[NAME], Request(reason="asked", actor=EVE))

        assert requests(fixture) == []
        assert fixture.events() == before


@pytest.mark.parametrize("is_refused", [False, True])
def test_an_adoption_begins_with_who_adopts(tmp_path: Path, *, is_refused: bool) -> None:
    """It is recorded where it is refused, too; what was named is not, as it may be a value."""
    with RotationFixture(tmp_path) as fixture:
        (only,) = fixture.secrets()
        if is_refused:
            with pytest.raises(Refused):
                fixture.adopt(only.value, secret_id="MistakenlyAValue1")
        else:
            fixture.adopt(only.value, secret_id=only.id)

        assert fixture.events()[0] == "requested"
        assert requests(fixture) == [{"operation": "adopt", "by": "ann", "from": "there"}]


def test_what_is_done_by_hand_begins_with_who_does_it(tmp_path: Path) -> None:
    """The id that Vonage lists is recorded with it, whole; what is none may be a value."""
    with RotationFixture(tmp_path) as fixture:
        foreign = fixture.make_foreign()
        account = fixture.accounts[NAME]
        unlisted = "5d2cb4a6-0d2a-4a39-9a37-8a8dbd6d3a31"
        no_ids = ("MistakenlyAValue1", foreign.replace("-", ""), foreign[:3], unlisted)
        for named in (foreign, foreign[:8], *no_ids):
            with manual_operation(fixture.reconciler, account, "delete", actor=EVE, named=named):
                pass

        about = {"operation": "delete", **BY_EVE}
        whole = about | {"secret_id": foreign}
        assert requests(fixture) == [whole, whole, about, about, about, about]
        assert fixture.writer.load(NAME).perhaps_deleted_ids == frozenset()


def not_begun(fixture: RotationFixture) -> list[dict[str, Any]]:
    """Return the facts of each request that came to nothing."""
    return [json.loads(each.detail) for each in fixture.entries() if each.event == "not-begun"]


def test_a_request_that_is_refused_in_a_grace_says_so(tmp_path: Path) -> None:
    """Nothing has failed: no retry is counted."""
    with RotationFixture(tmp_path) as fixture:
        fixture.attempt(grace=DAY)
        fixture.attempt(actor=EVE)
        fixture.attempt()

        assert not_begun(fixture) == [
            {"operation": "rotate", "outcome": "refused", "code": "in-grace"}
        ]
        assert fixture.writer.load(NAME).failures == 0


def test_what_is_refused_by_hand_says_so(tmp_path: Path) -> None:
    """With its code, and not what was typed; what was tried has entries of its own."""
    with RotationFixture(tmp_path) as fixture:
        (only,) = fixture.secrets()
        account = fixture.accounts[NAME]
        with (
            pytest.raises(Refused),
            manual_operation(fixture.reconciler, account, "delete", actor=EVE) as operation,
        ):
            operation.observe().require_deletable(only.id, force=False)
        with (
            pytest.raises(Refused),
            manual_operation(fixture.reconciler, account, "top-up", actor=EVE) as operation,
        ):
            operation.perform(_refuse)
        break_vonage(fixture)
        with (
            pytest.raises(Forbidden),
            manual_operation(fixture.reconciler, account, "create", actor=EVE) as operation,
        ):
            operation.observe()

        assert not_begun(fixture) == [
            {"operation": "delete", "outcome": "refused", "code": "unsafe-delete"},
            {"operation": "create", "outcome": "failed", "code": Forbidden.code},
        ]


def test_an_outage_is_waited_for_once(tmp_path: Path) -> None:
    """The secret that a person named is looked for first, and nothing after that fails."""
    with RotationFixture(tmp_path) as fixture:
        account, (only,) = fixture.accounts[NAME], fixture.secrets()
        break_vonage(fixture)
        with (
            pytest.raises(Forbidden),
            manual_operation(fixture.reconciler, account, "delete", actor=EVE, named=only.id),
        ):
            pytest.fail("it began")

        assert requests(fixture) == [{"operation": "delete", **BY_EVE}]
        assert not_begun(fixture) == [
            {"operation": "delete", "outcome": "failed", "code": Forbidden.code}
        ]
        assert len(fixture.requests("vonage")) == 1


def _refuse(look: BeforeSend) -> None:
    look()
    raise Refused("no", code="no", hint="")


def test_an_adoption_that_is_refused_says_so(tmp_path: Path) -> None:
    """What was typed in the place of an id is not in it."""
    with RotationFixture(tmp_path) as fixture:
        (only,) = fixture.secrets()
        with pytest.raises(Refused) as refused:
            fixture.adopt(only.value, secret_id="MistakenlyAValue1")

        assert not_begun(fixture) == [
            {"operation": "adopt", "outcome": "refused", "code": refused.value.code}
        ]


def test_without_a_ledger_no_outcome_is_recorded(tmp_path: Path) -> None:
    """Who has lost the lease leaves the record to its owner."""
    with RotationFixture(tmp_path) as fixture:
        account = fixture.accounts[NAME]
        with (
            pytest.raises(LeaseLost),
            manual_operation(fixture.reconciler, account, "create", actor=EVE),
        ):
            raise LeaseLost

        assert not_begun(fixture) == []


def test_a_request_changes_nothing_that_is_known_of_a_deletion(tmp_path: Path) -> None:
    """A deletion that may be on its way stays so while somebody asks for it once more."""
    with RotationFixture(tmp_path) as fixture:
        foreign = fixture.make_foreign()
        detail = {"by": "operator", "operation": "delete", "secret_id": foreign}
        now = fixture.clock.now()
        for entry in (
            NewEntry(event="intent", step=None, detail=detail),
            NewEntry.requested(EVE, "delete", secret_id=foreign),
        ):
            lease = fixture.writer.claim(NAME, now)
            fixture.writer.commit(
                lease, rotation=None, entries=[entry], snapshot=None, now=now, last=True
            )

        assert fixture.writer.load(NAME).perhaps_deleted_ids == {foreign}
        # Its rows agree with its entries.
        assert fixture.queries.verify(NAME).faults == ()
