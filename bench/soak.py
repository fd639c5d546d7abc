"""Thousands of rotations through random faults and kills, from a seed that is printed.

    python bench/soak.py --seed 7 --rotations 2000 --database sqlite

Rotates a fleet over and over with the real command, while the simulated Vonage and Vault go
wrong at random and the process is killed at random: at a request, at a commit, or whenever. The
rules are checked at every request; in the end every account must stand as if nothing had
happened. Exits 1 if one does not.

A seed draws the same faults and kills again. Which account's request they meet is up to the
command's threads; so run a seed that failed several times.
"""

import argparse
import contextlib
import os
import random
import signal
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import func, select

from rotator.ledger import schema
from rotator.ledger.database import open_database
from rotator.ledger.tables import rotation
from rotator.sim import Fault
from tests.crash.killing import KILLED, Ground, Moment, ground
from tests.support import figures, memory, postgresql_server

ACCOUNTS, SUBACCOUNTS = 8, 4
#: How often a run is killed.
KILL_RATE = 0.5
#: When at the latest: at which request, at which commit, after how many seconds.
LATEST_REQUEST, LATEST_COMMIT, LATEST_KILL = 100, 80, 0.5
MOMENTS = (
    ("request", "never"),
    ("request", "late"),
    ("request", "after"),
    ("commit", "before"),
    ("commit", "after"),
)
MOST_FAULTS = 6
KINDS = (
    "delay",
    "drop-after",
    "drop-before",
    "empty",
    "garbage",
    "status",
    "status-after",
    "truncate",
)
#: Runs without any fault that may be needed to clear up behind the last one.
LAST_RUNS = 10


def main() -> int:
    """Run until enough rotations are completed; give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--rotations", type=int, default=2000)
    parser.add_argument("--database", choices=["sqlite", "postgresql"], default="sqlite")
    options = parser.parse_args()
    memory.use()
    print(f"seed {options.seed}, {options.rotations} rotations on {options.database}", flush=True)
    with tempfile.TemporaryDirectory() as folder, ledger(options.database, folder) as url:
        found, told = story(options.seed, options.rotations, url, Path(folder))
    figures.keep("soak", options.database, told)
    print("\n".join(found) or "every rule was kept")
    return 1 if found else 0


def story(seed: int, rotations: int, url: str, folder: Path) -> tuple[list[str], dict[str, int]]:
    """Soak an empty ledger; give what is not as it should be, and what happened in numbers."""
    began = time.monotonic()
    with ground(folder, url, accounts=ACCOUNTS, subaccounts=SUBACCOUNTS) as here:
        seen = soak(here, random.Random(seed), rotations)
        found, done = faults(here), completed(here)
    print(f"{done} rotations completed, {seen[f'exit {KILLED}']} kills")
    for name, times in sorted(seen.items()):
        print(f"{name:28}{times:>8}")
    return found, {
        "seed": seed,
        "rotations": done,
        "kills": seen[f"exit {KILLED}"],
        "faults": sum(times for name, times in seen.items() if not name.startswith("exit")),
        "found": len(found),
        "seconds": round(time.monotonic() - began),
    }


@contextlib.contextmanager
def ledger(database: str, folder: str) -> Iterator[str]:
    """Yield the URL of an empty ledger."""
    if database == "sqlite":
        url = f"sqlite:///{folder}/ledger.db"
        prepare(url)
        yield url
        return
    # The server's own user has to reach it, so not below the other folder.
    data = Path(tempfile.mkdtemp(prefix="rotator-postgresql-"))
    server = postgresql_server.start(data)
    try:
        url = postgresql_server.url(data)
        prepare(url)
        yield url
    finally:
        server.cleanup()


def prepare(url: str) -> None:
    """Make the ledger's tables."""
    database = open_database(url)
    schema.upgrade(database)
    database.dispose()


def soak(here: Ground, chance: random.Random, rotations: int) -> Counter[str]:
    """Rotate through faults and kills until enough is done, then clear up without any."""
    seen: Counter[str] = Counter()
    shown, started = 0, time.monotonic()
    while (done := completed(here)) < rotations and not here.broken:
        if done - shown >= rotations / 10:
            shown = done
            print(f"{done} rotations, {time.monotonic() - started:.0f} s", flush=True)
        sprinkle(here, chance, seen)
        command = chance.choice([("rotate-now", "--all", "--grace", "0s"), ("resume",)])
        seen[f"exit {run(here, chance, command)}"] += 1
    for server in (here.world.vonage, here.world.vault):
        server.faults.clear()
    for _ in range(LAST_RUNS):
        if not here.queries.open_accounts():
            break
        here.run("resume")
    return seen


def sprinkle(here: Ground, chance: random.Random, seen: Counter[str]) -> None:
    """Make some of the coming requests go wrong."""
    for server, name in ((here.world.vonage, "Vonage"), (here.world.vault, "Vault")):
        server.faults.clear()
        for _ in range(chance.randrange(MOST_FAULTS)):
            kind = chance.choice(KINDS)
            status = chance.choice([401, 429, 500, 502, 503] if name == "Vonage" else [500, 503])
            seconds = chance.uniform(0, 0.5)
            nth = chance.randrange(1, 60)
            server.faults.add(
                Fault(kind, nth=nth, status=status if "after" not in kind else 503, seconds=seconds)
            )
            seen[f"{name} {kind}"] += 1


def run(here: Ground, chance: random.Random, command: tuple[str, ...]) -> int:
    """Run a command, perhaps to be killed somewhere; give its exit code."""
    if chance.random() > KILL_RATE:
        return here.run(*command)
    number = chance.randrange(len(MOMENTS) + 1)
    if number == len(MOMENTS):
        return run_for(here, chance.uniform(0, LATEST_KILL), command)
    what, side = MOMENTS[number]
    latest = LATEST_REQUEST if what == "request" else LATEST_COMMIT
    return here.run(*command, moment=Moment(what, side, chance.randrange(1, latest)))


def run_for(here: Ground, seconds: float, command: tuple[str, ...]) -> int:
    """Run a command for so long at most, wherever it is then; give its exit code."""
    over = threading.Event()

    def kill() -> None:
        here.started.wait()
        if not over.wait(seconds):
            # Unless it has just ended by itself.
            with contextlib.suppress(ProcessLookupError):
                os.kill(here.pid, signal.SIGKILL)

    here.started.clear()
    killer = threading.Thread(target=kill)
    killer.start()
    code = here.run(*command)
    over.set()
    killer.join()
    return code


def completed(here: Ground) -> int:
    """Count the rotations that were completed."""
    query = select(func.count()).where(rotation.c.outcome == "completed")
    with here.database.connect() as connection:
        return connection.execute(query).scalar_one()


def faults(here: Ground) -> list[str]:
    """Return what is not as it should be at the end, and what was broken on the way."""
    found = list(dict.fromkeys(here.broken)) + here.world.violations() + here.leaks()
    found += here.broken_rules()
    found += [f"{name}: {left} secrets" for name, left in here.secrets_left().items() if left != 1]
    found += [f"{name}: something is pending" for name in here.pending()]
    for account in here.world.accounts:
        note = (here.world.vault.read(account.vault_path) or {}).get("rotator", {})
        verdict = here.queries.verify(account.name, anchor=note.get("ledger_head"))
        if verdict.fault or not verdict.has_anchor:
            found.append(f"{account.name}: {verdict.fault or 'not the head that Vault has'}")
    return found


if __name__ == "__main__":
    sys.exit(main())
