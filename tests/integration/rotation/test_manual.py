"""What an operator does by hand, under the same lease as a rotation."""

import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from rotator.errors import CheckAndSetLost, HoldChanged, LeaseLost, RotatorError
from rotator.ledger.holds import Holds
from rotator.model import Hold
from rotator.rotation.dependencies import steady
from rotator.rotation.manual import ManualOperation
from rotator.rotation.ports import BeforeSend
from tests.support.clock import START
from tests.support.rotation_fixture import LEASE, NAME, RotationFixture

if TYPE_CHECKING:
    from collections.abc import Callable

FREEZE = Hold(reason="audit", by="ann", at=START, freeze=True)


@pytest.mark.parametrize("stands_still", [True, False])
def test_who_stood_still_for_too_long_does_nothing(tmp_path: Path, *, stands_still: bool) -> None:
    """Between the intent and the effect, another process may have taken the account over."""
    done: list[str] = []
    with RotationFixture(tmp_path) as fixture:
        lease = fixture.writer.claim(NAME, fixture.clock.now())
        hand = ManualOperation(
            dependencies=fixture.reconciler,
            account=fixture.accounts[NAME],
            session=fixture.reconciler.session(lease),
            operation="delete",
            hold=None,
        )
        pause = LEASE if stands_still else LEASE / 4
        fixture.calls.plan(
            "after", "ledger.commit", 1, lambda: fixture.clock.advance(seconds=pause)
        )

        def delete(look: BeforeSend) -> None:
            look()
            done.append("deleted")

        if stands_still:
            with pytest.raises(LeaseLost):
                hand.perform(delete, "x")
        else:
            hand.perform(delete, "x")

        assert done == ([] if stands_still else ["deleted"])
        assert [entry.event for entry in fixture.entries()] == (
            ["intent"] if stands_still else ["intent", "done"]
        )


@pytest.mark.parametrize(
    ("meanwhile", "kind", "event"),
    [("freeze", HoldChanged, "withdrawn"), ("write", CheckAndSetLost, "rejected")],
)
def test_what_others_do_meanwhile_is_seen_before_it_is_sent(
    tmp_path: Path, meanwhile: str, kind: type[RotatorError], event: str
) -> None:
    """An operator's hold, or another value in Vault, keeps a deletion by hand from being sent."""
    deeds: dict[str, Callable[[RotationFixture], object]] = {
        "freeze": lambda fixture: Holds(fixture.database).put(NAME, FREEZE),
        "write": lambda fixture: fixture.patch(api_secret="ByHand1234"),
    }
    with RotationFixture(tmp_path) as fixture:
        lease = fixture.writer.claim(NAME, fixture.clock.now())
        account = fixture.accounts[NAME]
        session = fixture.reconciler.session(lease)
        hand = ManualOperation(
            dependencies=fixture.reconciler,
            account=account,
            session=session,
            operation="delete",
            hold=None,
        )
        view = hand.observe()
        fixture.calls.plan("before", "issuer.delete_secret", 1, lambda: deeds[meanwhile](fixture))
        with pytest.raises(kind):
            hand.perform(
                lambda look: fixture.reconciler.issuer.delete_secret(
                    view.credential, account.api_key, "x", before_send=look
                ),
                "x",
                seen=view,
            )

        assert [entry.event for entry in fixture.entries() if entry.event != "held"] == [
            "intent",
            event,
        ]
        assert not any(request.startswith("DELETE") for request in fixture.requests())


def test_leases_are_measured_by_a_clock_that_suspension_does_not_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python's monotonic one stands still while a machine sleeps, and others go on."""
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 42.0}.__getitem__)

    assert steady() == 42.0
