"""A simulated month of a daemon's work: what it holds must not grow."""

import gc
import json
import os
import subprocess
import sys
import threading
import tracemalloc
import urllib.parse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

import rotator
from rotator.model import Outcome, Request
from tests.support.rotation_fixture import NAME, RotationFixture

#: One account is rotated each day, and looked at four times in between.
LOOKS, WARM_UP, REST = 4, 10, 20
#: Bytes that may be added in those days after the warm-up. It is a thousand a day: what is kept of
#: each call, however small, is more. Besides, once in a while Python makes a table of finalizers
#: anew that has no more entries than before.
GROWTH = REST * 1_000 + 10_000
#: How many callers of an allocation are known: rotator is among them, whoever it asks.
FRAMES = 15
ROOT = Path(__file__).parents[3]
PACKAGE = str(Path(rotator.__file__).parent)


@pytest.mark.slow
@pytest.mark.timeout(300)
def test_descriptors_threads_and_memory_stay_flat_over_a_month(tmp_path: Path) -> None:
    """Thirty days of drift checks, polls and rotations leave nothing behind in the process.

    It is one of its own: where other tests were before, Python makes tables anew that they filled.
    """
    command = [sys.executable, "-m", __name__, str(tmp_path)]
    child = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, check=True, timeout=280)
    descriptors, threads, grown = json.loads(child.stdout)

    assert descriptors <= 0
    assert threads <= 0
    assert grown < GROWTH


def a_month(folder: Path) -> tuple[int, int, int]:
    """Return the growth in descriptors, threads and bytes from day ten to the month's end."""
    with RotationFixture(folder) as fixture, traced():
        for _ in range(WARM_UP):
            a_day(fixture)
        descriptors, threads, before = _descriptors(), threading.active_count(), held()
        for _ in range(REST):
            a_day(fixture)
        return _descriptors() - descriptors, threading.active_count() - threads, held() - before


def a_day(fixture: RotationFixture) -> None:
    """Let a day pass, and forget what the fixture remembers of it for its own checks."""
    account = fixture.accounts[NAME]
    for _ in range(LOOKS):
        fixture.clock.advance(hours=24 / LOOKS)
        fixture.reconciler.refresh(account)
        fixture.writer.due(fixture.clock.now())
    report = fixture.reconciler.attempt(account, Request(reason="asked", grace=timedelta()))
    assert report.outcome is Outcome.COMPLETED
    calls, seen = fixture.calls, fixture.monitor.requests
    for kept in (
        fixture.told,
        calls.names,
        calls.errors,
        seen,
        fixture.clock.sleeps,
        fixture.ear.lines,
    ):
        kept.clear()
    fixture.monitor._numbers.clear()
    fixture.world.vonage.exchanges.clear()
    fixture.world.vault.exchanges.clear()


@contextmanager
def traced() -> Iterator[None]:
    """Take note of what is allocated, and by whom."""
    tracemalloc.start(FRAMES)
    try:
        yield
    finally:
        tracemalloc.stop()


def held() -> int:
    """Return the bytes rotator holds since tracing began; the simulators keep every secret."""
    # The standard library keeps the last 128 addresses. Each version of an entry and each secret
    # has its own: that fills for some time, and is full then.
    urllib.parse.urlsplit.cache_clear()  # type: ignore[attr-defined]  # hidden by its overloads
    gc.collect()
    traces = tracemalloc.take_snapshot().traces
    return sum(trace.size for trace in traces if _is_ours(trace.traceback))


def _is_ours(callers: tracemalloc.Traceback) -> bool:
    files = [frame.filename for frame in callers if frame.filename.startswith(PACKAGE)]
    return bool(files) and not any(file.startswith(f"{PACKAGE}/sim/") for file in files)


def _descriptors() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208  # the count is all


if __name__ == "__main__":
    print(json.dumps(a_month(Path(sys.argv[1]))))  # noqa: T201  # for the test
