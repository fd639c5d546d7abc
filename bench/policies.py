"""Configuration: reading and judging thousands of accounts, each with a policy of its own."""

import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from statistics import median

from bench.figures import Figure
from rotator.config import load
from rotator.rotation.spacing import longest

SECTION = "configuration"
ACCOUNTS, RUNS = 2000, 3
HEAD = '[vault]\naddress = "https://vault.example.com"\n[policy]\nmax_age = "900d"\ngrace = "0s"\n'
ACCOUNT = '[[accounts]]\nname = "a{0}"\napi_key = "k{0}"\nvault_path = "v/{0}"\n'
BERLIN = 'timezone = "Europe/Berlin"\n'
WEEKLY = f'{BERLIN}window = "sun 02:00-05:00"\n'
#: With the number of an account, and an hour and a minute of its own.
KINDS: Mapping[str, str] = {
    "the same policy": "",
    "windows": f'{BERLIN}jitter = "{{0}}s"\nwindow = "mon-fri {{1}}:{{2}}-24:00"\n',
    "a cron": f'{WEEKLY}jitter = "{{0}}s"\ncron = "{{2}} {{1}} * * *"\n',
    "a cron of each month": f'{WEEKLY}jitter = "{{0}}s"\ncron = "{{2}} {{1}} 1,15 * *"\n',
    "a cron of many times a day": f'{WEEKLY}jitter = "{{0}}s"\ncron = "*/5 {{1}}-23 * * *"\n',
}


def judge() -> list[Figure]:
    """Time `config check` on each kind of policies."""
    return [
        Figure(
            section=SECTION,
            what=f"{ACCOUNTS} accounts, each with {kind}"
            if own
            else f"{ACCOUNTS} accounts, {kind}",
            unit="ms",
            ours=median(_seconds(own) for _ in range(RUNS)) * 1000,
            aim="ours at most 2000 ms",
        )
        for kind, own in KINDS.items()
    ]


def _seconds(own: str) -> float:
    accounts = (
        (ACCOUNT + own).format(number, f"{number % 24:02}", f"{number % 60:02}")
        for number in range(ACCOUNTS)
    )
    longest.cache_clear()
    with tempfile.NamedTemporaryFile("w", suffix=".toml") as file:
        file.write(HEAD + "".join(accounts))
        file.flush()
        started = time.process_time()
        load(Path(file.name), {}, is_strict=True)
        return time.process_time() - started
