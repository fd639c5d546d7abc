"""One rotation beside the latency it cannot avoid, and beside the plain script."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from statistics import median

from bench.figures import Figure
from bench.script import Script
from bench.servers import Servers, servers
from rotator.application import Application
from rotator.config import load
from rotator.model import Outcome, Request
from rotator.telemetry import logging

#: Seconds per request.
VONAGE_LATENCY, VAULT_LATENCY = 0.050, 0.005
#: What any safe rotation without a grace asks: list, create, authenticate, delete of Vonage;
#: of Vault read the entry, look for a pending one, stage, push, read back, clear.
VONAGE_CALLS, VAULT_CALLS = 4, 6
#: Runs are noisy one by one; medians of these are not.
RUNS, ROUNDS = 9, 40

#: Without a grace, as then all of a rotation is one pass.
REQUEST = Request(reason="asked", grace=timedelta())


@contextmanager
def rotation(simulated: Servers) -> Iterator[Callable[[], None]]:
    """Yield a function that rotates the first account once, in this process, everything loaded."""
    logging.configure("warning")
    settings = load(simulated.config, {})
    with Application(settings, {}) as application:
        reconciler, account = application.reconciler(), settings.accounts[0]

        def rotate() -> None:
            report = reconciler.attempt(account, REQUEST)
            if report.outcome is not Outcome.COMPLETED:
                raise RuntimeError(report)

        rotate()
        yield rotate


def over_latency() -> list[Figure]:
    """Time a rotation at real latencies, and count its calls."""
    with servers("50ms", "5ms") as simulated, rotation(simulated) as rotate:
        before = simulated.requests()
        seconds = median(_timed(rotate)[0] for _ in range(RUNS))
        after = simulated.requests()
    vonage, vault = ((b - a) / RUNS for a, b in zip(before, after, strict=True))
    floor = VONAGE_CALLS * VONAGE_LATENCY + VAULT_CALLS * VAULT_LATENCY
    asked = vonage * VONAGE_LATENCY + vault * VAULT_LATENCY
    name = "rotation"
    return [
        Figure(section=name, what="calls of Vonage", unit="", ours=vonage, floor=VONAGE_CALLS),
        Figure(section=name, what="calls of Vault", unit="", ours=vault, floor=VAULT_CALLS),
        Figure(
            section=name,
            what="one rotation / the latencies of its own calls, 50 and 5 ms",
            unit="ms",
            ours=seconds * 1000,
            floor=asked * 1000,
            aim="at most 1.10",
        ),
        Figure(
            section=name,
            what="one rotation / the latencies no safe one can avoid",
            unit="ms",
            ours=seconds * 1000,
            floor=floor * 1000,
            aim="at most 1.05",
        ),
    ]


def beside_script() -> list[Figure]:
    """Time a rotation and the plain script in turn, without latency."""
    with servers("0ms", "0ms") as one, servers("0ms", "0ms") as other, rotation(one) as rotate:
        script = Script(other.ready)
        script.rotate()
        ours, theirs = [], []
        for _ in range(ROUNDS):
            ours.append(_timed(rotate))
            theirs.append(_timed(script.rotate))
        script.close()
    name = "plain script"
    return [
        Figure(
            section=name,
            what=f"one rotation / the script's, no latency: {kind}",
            unit="ms",
            ours=median(each[index] for each in ours) * 1000,
            floor=median(each[index] for each in theirs) * 1000,
            aim=f"at most {aim}",
        )
        for index, kind, aim in ((1, "CPU", "2.0"), (0, "wall, commits durable", "2.5"))
    ]


def _timed(work: Callable[[], None]) -> tuple[float, float]:
    """Return the seconds of the clock and of this process's CPU that `work` takes."""
    wall, cpu = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - wall, time.process_time() - cpu
