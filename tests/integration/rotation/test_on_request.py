"""An account that is rotated on request only."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rotator.model import Outcome
from rotator.sim import Fault
from tests.support.rotation_fixture import NAME, SUB, RotationFixture


@pytest.fixture
def fixture(tmp_path: Path) -> Iterator[RotationFixture]:
    """Yield a fixture whose account had a schedule when it was last rotated."""
    with RotationFixture(tmp_path, subaccounts=1, rotated_before=True) as built:
        for name, each in built.accounts.items():
            policy = replace(each.policy, every=None, max_age=None)
            built.accounts[name] = replace(each, policy=policy)
        yield built


def test_it_is_not_begun_however_old_its_secret_is(fixture: RotationFixture) -> None:
    """Its ledger has it due, by the schedule that it had: a daemon's pass does nothing."""
    secrets = fixture.secrets()
    report = fixture.attempt(reason="due")

    assert report.outcome is Outcome.IDLE
    assert fixture.secrets() == secrets


def test_a_look_removes_the_time_at_which_it_was_due(fixture: RotationFixture) -> None:
    """The ledger has none afterwards, so that nothing begins with it again and again."""
    fixture.reconciler.refresh(fixture.accounts[NAME])
    (record,) = fixture.queries.accounts([NAME])

    assert record.next_due_at is None
    assert NAME not in {each.name for each in fixture.writer.due(fixture.clock.now())}


def test_it_is_rotated_when_somebody_asks(fixture: RotationFixture) -> None:
    """To the end; afterwards it is not due either."""
    report = fixture.attempt(reason="asked")
    (record,) = fixture.queries.accounts([NAME])

    assert report.outcome is Outcome.COMPLETED
    assert record.next_due_at is None


def test_what_failed_is_over_once_a_look_finds_nothing_wrong(fixture: RotationFixture) -> None:
    """Nothing tries it again by itself, so that the failure would stand there for ever."""
    fixture.world.vonage.faults.add(Fault("status", status=500, times=None))
    fixture.attempt(reason="asked")
    (failed,) = fixture.queries.accounts([NAME])
    fixture.world.vonage.faults.clear()
    if fixture.rotation():
        fixture.resume()
    fixture.reconciler.refresh(fixture.accounts[NAME])
    (record,) = fixture.queries.accounts([NAME])

    assert failed.failures
    assert (record.failures, record.trouble) == (0, None)


def test_a_subaccount_without_a_secret_is_not_given_one(fixture: RotationFixture) -> None:
    """Neither a look nor a daemon's pass makes it due; a request does make its first secret."""
    fixture.accounts[SUB] = replace(fixture.accounts[SUB], discovered=True)
    fixture.drop_current(SUB)
    fixture.reconciler.refresh(fixture.accounts[SUB])
    (record,) = fixture.queries.accounts([SUB])
    idle = fixture.attempt(SUB, reason="due")
    asked = fixture.attempt(SUB, reason="asked")

    assert record.next_due_at is None
    assert idle.outcome is Outcome.IDLE
    assert (asked.outcome, asked.vault_version) == (Outcome.COMPLETED, 1)
