"""A simulated month of a daemon's work: what it holds must not grow."""

import gc
import os
import threading
import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest

from rotator.model import Outcome, Request
from tests.harness.scene import NAME, Scene

#: Every so many hours one account is rotated, and it is looked at four times in between.
HOURS, ROTATIONS, WARM_UP = 24, 30, 3
#: Bytes that may be added by all those rotations together. The simulators and this scene keep
#: every secret, version and log line; a client or connection kept for each call is far more.
GROWTH = 30 * 20_000


@pytest.mark.slow
def test_descriptors_threads_and_memory_stay_flat_over_a_month(tmp_path: Path) -> None:
    """Thirty days of drift checks, polls and rotations leave nothing behind in the process."""

    def a_day(scene: Scene) -> None:
        for _ in range(4):
            scene.clock.advance(hours=HOURS / 4)
            scene.engine.refresh(scene.accounts[NAME])
            scene.book.due(scene.clock.now())
        request = Request(reason="due", grace=timedelta())
        report = scene.engine.attempt(scene.accounts[NAME], request)
        assert report.outcome is Outcome.COMPLETED
        # What the scene itself remembers, for its own checks.
        for kept in (scene.told, scene.calls.names, scene.clock.sleeps, scene.witness.requests):
            kept.clear()
        scene.witness._numbers.clear()
        scene.world.vonage.exchanges.clear()
        scene.world.vault.exchanges.clear()

    with Scene(tmp_path) as scene:
        for _ in range(WARM_UP):
            a_day(scene)
        gc.collect()
        descriptors, threads = _descriptors(), threading.active_count()
        tracemalloc.start()
        try:
            a_day(scene)
            before = tracemalloc.get_traced_memory()[0]
            for _ in range(ROTATIONS):
                a_day(scene)
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()

        assert _descriptors() <= descriptors
        assert threading.active_count() <= threads
        assert grown < GROWTH


def _held() -> int:
    gc.collect()
    return tracemalloc.get_traced_memory()[0]


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # the count is all
