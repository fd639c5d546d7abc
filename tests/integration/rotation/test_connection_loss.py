"""PostgreSQL goes away at every message of a rotation, which goes on when it is back."""

import itertools
from pathlib import Path

import pytest
from sqlalchemy import update

from rotator.ledger.database import writing
from rotator.ledger.tables import account
from rotator.model import Outcome, PassResult
from tests.support import figures
from tests.support.database_proxy import DatabaseProxy
from tests.support.rotation_fixture import RotationFixture

pytestmark = [pytest.mark.postgres, pytest.mark.parametrize("kind", ["postgresql"])]
#: Messages of a rotation to its database, at the least.
FEWEST = 60
#: Passes until a rotation that lost its database once is through.
MOST = 3


def let_lease_end(fixture: RotationFixture) -> None:
    """Let the lease of a pass that could not give it up run out."""
    with writing(fixture.database) as connection:
        connection.execute(update(account).values(lease_expires_at=None, lease_owner=None))


def is_over(fixture: RotationFixture, before: str | None) -> bool:
    """Whether a rotation after `before` is completed."""
    rotation = fixture.rotation()
    return rotation is not None and rotation.id != before and rotation.outcome == "completed"


def go_on(fixture: RotationFixture, before: str | None) -> None:
    """Run the command again until the rotation after `before` is completed."""
    for _ in range(MOST):
        if is_over(fixture, before):
            return
        let_lease_end(fixture)
        fixture.clock.advance(minutes=5)
        fixture.attempt()
    assert is_over(fixture, before)


@pytest.mark.timeout(600)
@pytest.mark.parametrize("delivers_last", [False, True], ids=["lost", "delivered"])
@pytest.mark.parametrize("stride", [11, pytest.param(1, marks=pytest.mark.slow)])
def test_a_rotation_that_loses_its_database_anywhere(  # noqa: PLR0913  # fixtures
    proxy: DatabaseProxy,
    far_url: str,
    ledger_url: str,
    tmp_path: Path,
    stride: int,
    *,
    delivers_last: bool,
) -> None:
    """The step stops, nothing is sent twice, and the next pass brings the rotation to its end."""
    with RotationFixture(tmp_path, ledger_url=ledger_url, engine_ledger_url=far_url) as fixture:
        at_loss: list[int] = []
        proxy.when_hanging_up = lambda: at_loss.append(len(fixture.monitor.requests))
        failed: list[PassResult] = []
        losses = 0
        for number in itertools.count(1, stride):
            made, before = len(fixture.history()), fixture.rotation()
            proxy.hang_up_after(number, delivers_last=delivers_last)
            report = fixture.attempt()
            if not proxy.has_hung_up:
                break
            if report.outcome is not Outcome.COMPLETED:
                assert report.error is not None
                assert report.error.code == "ledger-unavailable"
                assert len(fixture.monitor.requests) == at_loss[-1]
                failed.append(report)
            losses += 1
            go_on(fixture, before.id if before else None)
            assert len(fixture.history()) == made + 1
            assert fixture.look().live == {fixture.look().value}
            fixture.clock.advance(days=1)

        if stride == 1:
            part = "delivered" if delivers_last else "lost"
            figures.keep(
                "connection loss", "PostgreSQL, each message", {"losses": losses}, part=part
            )

        assert number > FEWEST
        assert len(failed) > FEWEST / stride / 2
