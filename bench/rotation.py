"""What one rotation costs: over the network's latency, in calls, and from process start.

Prints a table; measures, and judges nothing. The simulators run in a process of their own, as
real servers would, and each figure is the median of several runs in this one.
"""

import json
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

RUNS = 7
#: Seconds per request.
VONAGE_LATENCY, VAULT_LATENCY = 0.050, 0.005
ROTATOR = [sys.executable, "-m", "rotator"]


@dataclass(frozen=True)
class Simulators:
    """The two simulators, running."""

    vonage_url: str
    vault_url: str
    config: Path

    def requests(self) -> tuple[int, int]:
        """Count the requests that Vonage and Vault have received."""
        return _count(self.vonage_url), _count(self.vault_url)


@contextmanager
def simulators(vonage: str, vault: str) -> Iterator[Simulators]:
    """Run `rotator sim` with these latencies and one account."""
    with tempfile.TemporaryDirectory() as folder:
        config = Path(folder) / "config.toml"
        command = [*ROTATOR, "sim", "--accounts", "1", "--subaccounts", "0"]
        command += ["--latency", vonage, "--vault-latency", vault, "--write-config", str(config)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            if process.stdout is None:
                raise RuntimeError
            try:
                ready = json.loads(process.stdout.readline())
                yield Simulators(ready["vonage_url"], ready["vault_url"], config)
            finally:
                process.terminate()


def in_process(simulated: Simulators) -> tuple[float, int, int]:
    """Rotate once in a warm process: seconds, requests to Vonage, requests to Vault."""
    from datetime import timedelta  # noqa: PLC0415  # not part of what is timed

    from rotator import logs  # noqa: PLC0415
    from rotator.config import load  # noqa: PLC0415
    from rotator.model import Request  # noqa: PLC0415
    from rotator.wiring import Wiring  # noqa: PLC0415

    logs.configure("warning")
    settings = load(simulated.config, {})
    with Wiring(settings, {}) as wiring:
        engine, account = wiring.engine(), settings.accounts[0]
        request = Request(reason="asked", grace=timedelta())
        engine.attempt(account, request)
        seconds = []
        before = simulated.requests()
        for _ in range(RUNS):
            started = time.perf_counter()
            report = engine.attempt(account, request)
            seconds.append(time.perf_counter() - started)
            if report.outcome != "completed":
                raise RuntimeError(report)
        after = simulated.requests()
    vonage, vault = ((b - a) // RUNS for a, b in zip(before, after, strict=True))
    return median(seconds), vonage, vault


def whole(*arguments: str) -> float:
    """Run a command from process start to end; give the median of its seconds."""
    seconds = []
    for _ in range(RUNS):
        started = time.perf_counter()
        subprocess.run([*ROTATOR, *arguments], check=True, capture_output=True)
        seconds.append(time.perf_counter() - started)
    return median(seconds)


def main() -> None:
    """Measure and print."""
    rows: list[tuple[str, str, str]] = []
    with simulators("50ms", "5ms") as simulated:
        seconds, vonage, vault = in_process(simulated)
        floor = vonage * VONAGE_LATENCY + vault * VAULT_LATENCY
        rows += [
            ("Vonage calls per rotation without grace", str(vonage), "4"),
            ("Vault calls per rotation without grace", str(vault), ""),
            ("sum of the latencies it waits for", f"{floor * 1000:.0f} ms", ""),
            ("one rotation", f"{seconds * 1000:.0f} ms", ""),
            ("one rotation / sum of the latencies", f"{seconds / floor:.3f}", "at most 1.10"),
        ]
    with simulators("0ms", "0ms") as simulated:
        config = ("--config", str(simulated.config))
        name = json.loads(
            subprocess.run(
                [*ROTATOR, *config, "status", "--json"], check=True, capture_output=True
            ).stdout
        )["accounts"][0]["name"]
        rows += [
            ("one rotation, no latency", f"{in_process(simulated)[0] * 1000:.0f} ms", ""),
            ("rotator --version", f"{whole('--version') * 1000:.0f} ms", "at most 200 ms"),
            ("rotator status", f"{whole(*config, 'status') * 1000:.0f} ms", ""),
            (
                "rotator rotate-now, no latency",
                f"{whole(*config, 'rotate-now', name, '--grace', '0s') * 1000:.0f} ms",
                "at most 1000 ms",
            ),
        ]
    for row in rows:
        print("{:45}{:>10}   {}".format(*row))


def _count(url: str) -> int:
    with urllib.request.urlopen(f"{url}/_sim/exchanges") as answer:  # noqa: S310  # loopback
        return len(json.load(answer))


if __name__ == "__main__":
    main()
