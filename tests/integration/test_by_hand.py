"""What an operator does by hand, under the same lease as a rotation."""

import time
from pathlib import Path
from typing import TYPE_CHECKING, cast

import pytest

from rotator.cli.by_hand import Hand
from rotator.errors import LeaseLost
from rotator.means import steady
from rotator.ports import BeforeSend
from tests.harness.scene import LEASE, NAME, Scene

if TYPE_CHECKING:
    from rotator.wiring import Wiring


@pytest.mark.parametrize("stands_still", [True, False])
def test_who_stood_still_for_too_long_does_nothing(tmp_path: Path, *, stands_still: bool) -> None:
    """Between the intent and the effect, another process may have taken the account over."""
    done: list[str] = []
    with Scene(tmp_path) as scene:
        lease = scene.book.claim(NAME, scene.clock.now())
        hand = Hand(
            wiring=cast("Wiring", None),
            account=scene.accounts[NAME],
            journal=scene.engine.journal(lease),
            hold=None,
        )
        pause = LEASE if stands_still else LEASE / 4
        scene.calls.plan("after", "ledger.commit", 1, lambda: scene.clock.advance(seconds=pause))

        def delete(look: BeforeSend) -> None:
            look()
            done.append("deleted")

        if stands_still:
            with pytest.raises(LeaseLost):
                hand.perform("delete", delete, "x")
        else:
            hand.perform("delete", delete, "x")

        assert done == ([] if stands_still else ["deleted"])
        assert [entry.event for entry in scene.entries()] == (
            ["intent"] if stands_still else ["intent", "done"]
        )


def test_leases_are_measured_by_a_clock_that_suspension_does_not_stop(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Python's monotonic one stands still while a machine sleeps, and others go on."""
    monkeypatch.setattr(time, "clock_gettime", {time.CLOCK_BOOTTIME: 42.0}.__getitem__)

    assert steady() == 42.0
