"""Start-up: whole processes, beside an empty one, and what they spend their imports on."""

import json
import re
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from statistics import median

from bench.figures import Figure
from bench.servers import ROTATOR, servers

SECTION = "start-up"
RUNS = 9
#: Packages named of each command.
LARGEST = 5


def start_up() -> list[Figure]:
    """Time each command in turn with an interpreter that does nothing; name its imports."""
    with servers("0ms", "0ms") as simulated:
        config = ["--config", str(simulated.config)]
        name, ready = simulated.ready["accounts"][0]["name"], json.dumps(simulated.ready)
        commands = {
            "rotator --version": (["--version"], "ours at most 120 ms"),
            "rotator status": ([*config, "status"], "ours at most 400 ms"),
            "rotator rotate-now, no latency": (
                [*config, "rotate-now", name, "--grace", "0s"],
                "ours at most 1000 ms",
            ),
        }
        subprocess.run([*ROTATOR, *config, "db", "upgrade"], check=True, capture_output=True)
        script = _figure("the plain script, no latency", ["-m", "bench.script"], "", ready)
        timed = [
            _figure(what, ["-m", "rotator", *given], aim) for what, (given, aim) in commands.items()
        ]
        profiled = [imports(what, given) for what, (given, _) in commands.items()]
        return [*timed, script, *chain.from_iterable(profiled)]


def imports(what: str, arguments: Sequence[str]) -> list[Figure]:
    """Return the packages that a command spends most on importing, without what they import."""
    run = subprocess.run(
        [sys.executable, "-X", "importtime", *ROTATOR[1:], *arguments],
        check=True,
        capture_output=True,
        text=True,
    )
    packages: Counter[str] = Counter()
    for micros, module in re.findall(r"import time: +(\d+) \| +\d+ \| +(\S+)", run.stderr):
        packages[module.partition(".")[0]] += int(micros)
    return [
        Figure(section=SECTION, what=f"{what}: import of {package}", unit="ms", ours=micros / 1000)
        for package, micros in packages.most_common(LARGEST)
    ]


def _figure(what: str, arguments: Sequence[str], aim: str, given: str = "") -> Figure:
    ours, empty = [], []
    for _ in range(RUNS):
        ours.append(_seconds(arguments, given))
        empty.append(_seconds(["-c", "pass"]))
    return Figure(
        section=SECTION,
        what=f"{what} / python -c pass",
        unit="ms",
        ours=median(ours) * 1000,
        floor=median(empty) * 1000,
        aim=aim,
    )


def _seconds(arguments: Sequence[str], given: str = "") -> float:
    command = [sys.executable, *arguments]
    started = time.perf_counter()
    subprocess.run(command, check=True, capture_output=True, input=given, text=True)
    return time.perf_counter() - started
