"""Several accounts, and several rotations of one, at once in one process."""

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

from rotator.model import Outcome, PassResult
from tests.support.rotation_fixture import NAME, RotationFixture

THREADS = 6


def at_once(fixture: RotationFixture, names: Iterable[str]) -> list[PassResult]:
    """Rotate all of `names`, each in a thread of its own, started together."""
    # The witness compares what was before and after one request at a time.
    fixture.world.vonage.observers.clear()
    fixture.world.vault.observers.clear()
    names = list(names)
    barrier = Barrier(len(names))

    def rotate(name: str) -> PassResult:
        barrier.wait()
        return fixture.attempt(name)

    with ThreadPoolExecutor(len(names)) as threads:
        return list(threads.map(rotate, names))


def test_accounts_are_rotated_side_by_side(tmp_path: Path) -> None:
    """One reconciler serves many threads; parent and children do not get in each other's way."""
    with RotationFixture(tmp_path, subaccounts=THREADS - 1) as fixture:
        before = {name: fixture.look(name).value for name in fixture.accounts}
        reports = at_once(fixture, fixture.accounts)

        assert {report.outcome for report in reports} == {Outcome.COMPLETED}
        assert fixture.world.violations() == []
        assert all(fixture.look(name).live == {fixture.look(name).value} for name in before)
        assert all(fixture.look(name).value != value for name, value in before.items())


def test_one_account_is_rotated_by_one_thread_at_a_time(tmp_path: Path) -> None:
    """The lease holds within a process, too: the others are told to try later."""
    with RotationFixture(tmp_path) as fixture:
        reports = at_once(fixture, [NAME] * THREADS)
        completed = [it for it in reports if it.outcome is Outcome.COMPLETED]

        assert {report.outcome for report in reports} <= {Outcome.COMPLETED, Outcome.BUSY}
        assert len(completed) >= 1
        assert len(fixture.history()) == 1 + len(completed)
        assert fixture.world.violations() == []
        assert len(fixture.secrets()) == 1
