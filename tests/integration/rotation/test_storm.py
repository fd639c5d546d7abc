"""Many faults in one rotation: combinations that no table lists. Each seed is one story."""

import random
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.errors import LedgerError
from tests.support import faults
from tests.support.invariant_monitor import Seen
from tests.support.port_interceptor import MOMENTS
from tests.support.rotation_fixture import RotationFixture

#: What the storm is made of: all but what takes real time.
MISHAPS = sorted(faults.MISHAPS.keys() - faults.SLOW.keys() - {"huge"})
#: Mishaps in one story at most; then the weather clears.
MOST = 12
FEW, MANY = range(25), range(25, 500)


class Storm:
    """Bad luck, drawn from a seed."""

    def __init__(self, seed: int) -> None:
        """Draw what kind of account it meets."""
        self.chance = random.Random(seed)
        self.left = MOST
        self.setting = {
            "rotated_before": self.chance.random() < 0.5,
            "grace": timedelta(hours=self.chance.choice([0, 0, 1])),
            "propagation": self.chance.choice([0.0, 0.0, 0.5, 10.0]),
        }

    def strikes(self, probability: float) -> bool:
        """Whether something goes wrong now."""
        is_hit = self.left > 0 and self.chance.random() < probability
        self.left -= is_hit
        return is_hit

    def meet(self, fixture: RotationFixture, seen: Seen) -> None:
        """Let a request meet a mishap, or not."""
        if self.strikes(0.2):
            name = self.chance.choice(MISHAPS)
            if faults.applies(name, seen.system):
                faults.MISHAPS[name](fixture, seen)

    def threaten(self, fixture: RotationFixture) -> None:
        """Let the process that begins be killed, or its ledger fail, sooner or later or not."""
        for moment in MOMENTS:
            if self.strikes(0.2):
                prefix, number = self.chance.choice(["", "ledger."]), self.chance.randrange(1, 12)
                fixture.calls.plan(moment, prefix, number, fixture.calls.kill)
            if self.strikes(0.1):
                fixture.calls.plan(moment, "ledger.", self.chance.randrange(1, 12), _fail)


def _fail() -> None:
    raise LedgerError


@pytest.mark.parametrize(
    "seed", [*FEW, *(pytest.param(seed, marks=pytest.mark.slow) for seed in MANY)]
)
def test_a_storm_is_weathered(tmp_path: Path, seed: int) -> None:
    """However much goes wrong, once it stops the rotation is completed, with one creation."""
    storm = Storm(seed)
    with RotationFixture(tmp_path, **storm.setting) as fixture:
        made = len(fixture.history())
        storm.threaten(fixture)
        fixture.monitor.before.append(lambda seen: storm.meet(fixture, seen))
        for reason in ("asked", None):
            for _ in range(2 * MOST):
                if _is_over(fixture, reason):
                    break
                fixture.run_until_killed(reason=reason)
                faults.mend(fixture)
                fixture.restart()
                fixture.clock.advance(minutes=5)
                storm.threaten(fixture)
            fixture.clock.advance(hours=2)
        seen, rotation = fixture.look(), fixture.rotation()

        assert rotation is not None
        assert rotation.outcome == "completed"
        assert seen.live == {seen.value}
        assert seen.pending is None
        assert len(fixture.history()) == made + 1


def _is_over(fixture: RotationFixture, reason: str | None) -> bool:
    rotation = fixture.rotation()
    is_new = rotation is not None and rotation.opened_at >= fixture.begun_at
    is_closed = bool(rotation and rotation.outcome)
    return is_new and (
        is_closed or (reason is not None and bool(rotation and rotation.verified_at))
    )
