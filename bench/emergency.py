"""A leak of a whole fleet: the real command, beside what the rate limit at Vonage allows."""

import json
import os
import subprocess
import time
from collections import Counter

from bench.figures import Figure
from bench.processes import cpu
from bench.servers import ROTATOR, servers

ACCOUNTS = 1000
#: Requests a second, the most that a configuration is meant for, and the workers that use it up.
LIMIT, WORKERS = 100, 32
#: How long Vonage takes to accept a new secret.
PROPAGATION = ("0ms", "2s")


def emergency(accounts: int = ACCOUNTS) -> list[Figure]:
    """Rotate a fleet of which every secret leaked, from the command's start to its end."""
    return [figure for delay in PROPAGATION for figure in _rotated(accounts, delay)]


def _rotated(accounts: int, propagation: str) -> list[Figure]:
    environ = os.environ | {
        "ROTATOR_VONAGE__MAX_REQUESTS_PER_SECOND": str(LIMIT),
        "ROTATOR_DAEMON__CONCURRENCY": str(WORKERS),
    }
    with servers("100ms", "5ms", accounts=accounts, propagation=propagation) as simulated:
        command = [*ROTATOR, "--config", str(simulated.config), "rotate-now", "--all"]
        began = time.perf_counter()
        with subprocess.Popen(
            [*command, "--compromised", "--yes", "--json"], env=environ, stdout=subprocess.PIPE
        ) as process:
            answer = process.stdout.read() if process.stdout else b""
            used = cpu(process.pid)
        seconds = time.perf_counter() - began
        calls, _ = simulated.requests()
    outcomes = Counter(each["outcome"] for each in json.loads(answer))
    if outcomes != {"completed": accounts}:
        raise RuntimeError(outcomes)
    what = f"{accounts} leaked secrets, {LIMIT} requests a second"
    what += "" if propagation == "0ms" else f", accepted after {propagation}"
    return [
        Figure(
            section="emergency",
            what=f"{what} / what the limit allows",
            unit="s",
            ours=seconds,
            # It starts with one second's requests.
            floor=(calls - LIMIT) / LIMIT,
            aim="at most 1.1",
        ),
        Figure(section="emergency", what=f"{what}: calls of each", unit="", ours=calls / accounts),
        Figure(section="emergency", what=f"{what}: CPU busy", unit="%", ours=100 * used / seconds),
    ]
