"""Start-up: whole processes, beside an empty one, and what they spend their imports on."""

import json
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from statistics import median

from bench.figures import Figure
from bench.servers import ROTATOR, servers

RUNS = 9
#: Modules named in the profile.
LARGEST = 5


def start_up() -> list[Figure]:
    """Time each command in turn with an interpreter that does nothing."""
    with servers("0ms", "0ms") as simulated:
        config = ["--config", str(simulated.config)]
        name, ready = simulated.ready["accounts"][0]["name"], json.dumps(simulated.ready)
        commands = {
            "rotator --version": ([*ROTATOR, "--version"], "ours at most 120 ms"),
            "rotator status": ([*ROTATOR, *config, "status"], "ours at most 400 ms"),
            "rotator rotate-now, no latency": (
                [*ROTATOR, *config, "rotate-now", name, "--grace", "0s"],
                "ours at most 1000 ms",
            ),
            "the plain script, no latency": (
                [sys.executable, "-m", "bench.script"],
                "",
            ),
        }
        subprocess.run([*ROTATOR, *config, "db", "upgrade"], check=True, capture_output=True)
        return [_figure(what, *command, ready) for what, command in commands.items()]


def imports(arguments: Sequence[str] = ("status", "--help")) -> list[str]:
    """Name the modules whose import takes longest, their own imports left out (ms)."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "rotator", *arguments],
        check=False,
        capture_output=True,
        text=True,
    )
    found = re.findall(r"import time: +(\d+) \| +\d+ \| +(\S+)", run.stderr)
    packages: dict[str, int] = {}
    for micros, module in found:
        package = module.partition(".")[0]
        packages[package] = packages.get(package, 0) + int(micros)
    largest = sorted(packages.items(), key=lambda item: -item[1])[:LARGEST]
    return [f"{package} {micros / 1000:.0f} ms" for package, micros in largest]


def _figure(what: str, command: Sequence[str], aim: str, given: str) -> Figure:
    ours, empty = [], []
    for _ in range(RUNS):
        ours.append(_seconds(command, given))
        empty.append(_seconds([sys.executable, "-c", "pass"], ""))
    return Figure(
        section="start-up",
        what=f"{what} / python -c pass",
        unit="ms",
        ours=median(ours) * 1000,
        floor=median(empty) * 1000,
        aim=aim,
    )


def _seconds(command: Sequence[str], given: str) -> float:
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, input=given, text=True)
    return time.perf_counter() - started
