"""What grows with accounts and entries, and what does not: measured, and drawn as charts."""

import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import Engine

from bench.chart import Line, drawn
from bench.figures import Figure
from bench.page import config
from bench.past import DUE_IN, fill
from bench.processes import resident
from bench.servers import ROTATOR
from rotator.daemon.scheduler import OFFERED
from rotator.ledger import schema
from rotator.ledger.database import open_database
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter

ACCOUNTS = (100, 1_000, 10_000, 100_000)
ENTRIES = (10_000, 100_000, 1_000_000)
#: Ten million take gigabytes and a quarter of an hour: for `python -m bench growth --whole`.
MOST_ENTRIES = 10_000_000
#: Where the other count stays while one grows: two rotations of each account.
FEW_ACCOUNTS, ENTRIES_EACH = 100, 28
CHARTS = Path(__file__).parents[1] / "docs" / "images"
RUNS = 5
#: Leases that a poll takes at once: as many as there are workers.
WORKERS = 8
#: Runs `rotator` and tells at its end how much memory it had at most, in kB. What the kernel
#: tells a parent includes what the parent itself had.
WATCHED = """
import atexit, runpy, sys
def tell():
    text = open("/proc/self/status").read()
    sys.stderr.write("\\n" + text.partition("VmHWM:")[2].split()[0])
atexit.register(tell)
runpy.run_module("rotator", run_name="__main__", alter_sys=True)
"""

#: What is measured, by name and unit (`ms`, `MB`).
Measured = dict[tuple[str, str], float]


def growth(*, whole: bool = False) -> list[Figure]:
    """Measure both ways to grow, and draw them."""
    counts = [*ENTRIES, MOST_ENTRIES] if whole else ENTRIES
    by_accounts = {count: measured(count, ENTRIES_EACH) for count in ACCOUNTS}
    by_entries = {count: measured(FEW_ACCOUNTS, count // FEW_ACCOUNTS) for count in counts}
    draw("growth-accounts", "accounts", by_accounts)
    draw("growth-entries", f"entries of {FEW_ACCOUNTS} accounts", by_entries)
    return [*figures("accounts", by_accounts), *figures("entries", by_entries)]


def measured(accounts: int, each: int) -> Measured:
    """Fill a ledger, and measure what the daemon and the commands ask of it."""
    names = [f"account-{number:06}" for number in range(accounts)]
    with tempfile.TemporaryDirectory() as folder:
        url, now = f"sqlite:///{folder}/ledger.db", datetime.now(UTC)
        database = open_database(url)
        schema.upgrade(database)
        fill(database, names, each, now)
        # Once closed, SQLite's log of all that was written is gone, and then it is on the disk.
        database.dispose()
        os.sync()
        queried = of_queries(database, names, now)
        database.dispose()
        listen, path = free_address(), Path(folder) / "config.toml"
        path.write_text(config(url, names, listen=listen), encoding="utf-8")
        found = queried | of_commands(path, names) | of_daemon(path, listen, names)
    print(f"  {accounts:,} accounts, {accounts * each:,} entries: measured", flush=True)
    return found


def of_queries(database: Engine, names: Sequence[str], now: datetime) -> Measured:
    """Time what a daemon asks again and again; at the claim every account is due."""
    writer, queries = LedgerWriter(database, lease_seconds=60), LedgerReader(database)
    one, offered = names[len(names) // 2], names[:OFFERED]

    def claim() -> None:
        for lease in writer.claim_due(offered, limit=WORKERS, now=now + DUE_IN):
            writer.release(lease)

    return {
        ("poll, nothing due", "ms"): median_ms(lambda: writer.due(now)),
        (f"claim and release {WORKERS}", "ms"): median_ms(claim),
        ("load one", "ms"): median_ms(lambda: writer.load(one)),
        ("status of one, query", "ms"): median_ms(lambda: queries.accounts([one])),
    }


def of_commands(path: Path, names: Sequence[str]) -> Measured:
    """Run whole commands, and give how long they take and how much memory they have at most."""
    found: Measured = {}
    for what, arguments, runs in (
        ("status of one", ["status", names[len(names) // 2]], RUNS),
        ("status", ["status"], RUNS),
        ("ledger verify", ["ledger", "verify", "--offline"], 1),
    ):
        runs_of_it = [_run([*arguments], path) for _ in range(runs)]
        found[what, "ms"] = statistics.median(seconds for seconds, _ in runs_of_it) * 1000
        found[what, "MB"] = max(megabytes for _, megabytes in runs_of_it)
    return found


def of_daemon(path: Path, listen: str, names: Sequence[str]) -> Measured:
    """Time the pages of a daemon with nothing due, and give its memory after them."""
    with running(path) as process:
        pages = {"page": "/", "page of one": f"/accounts/{names[0]}", "metrics": "/metrics"}
        found: Measured = {}
        for what, where in pages.items():
            fetch(f"http://{listen}{where}", process)
            times = [fetch(f"http://{listen}{where}", process) for _ in range(RUNS)]
            found[what, "ms"] = statistics.median(times) * 1000
        found["daemon", "MB"] = resident(process.pid, most=True)
    return found


@contextmanager
def running(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a daemon that finds no Vault, and so does nothing."""
    command = [*ROTATOR, "--log-level", "error", "--config", str(path), "run"]
    environ = os.environ | {"VAULT_TOKEN": "none"}
    with subprocess.Popen(command, stderr=subprocess.DEVNULL, env=environ) as process:
        try:
            yield process
        finally:
            process.terminate()


def fetch(url: str, process: subprocess.Popen[bytes]) -> float:
    """Return the seconds that a page takes, once the process serves it."""
    while process.poll() is None:
        began = time.perf_counter()
        try:
            with urllib.request.urlopen(url) as answer:  # noqa: S310  # loopback
                answer.read()
        except OSError:
            time.sleep(0.05)
        else:
            return time.perf_counter() - began
    raise RuntimeError(process.returncode)


def free_address() -> str:
    """Return an address of this machine that nothing listens at."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


def median_ms(work: Callable[[], object], *, runs: int = RUNS) -> float:
    """Return the median milliseconds of `work`."""
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def figures(what: str, grown: Mapping[int, Measured]) -> list[Figure]:
    """Return one figure for each size, beside the smallest."""
    smallest = min(grown)
    return [
        Figure(
            section="growth",
            what=f"{name}{', memory' if unit == 'MB' else ''}: {count:,} {what}",
            unit=unit,
            ours=grown[count][name, unit],
            floor=grown[smallest][name, unit],
        )
        for name, unit in grown[smallest]
        for count in grown
    ]


def draw(name: str, axis: str, grown: Mapping[int, Measured]) -> None:
    """Draw a line for each question, and in a chart of its own for each memory."""
    CHARTS.mkdir(parents=True, exist_ok=True)
    for unit, label, suffix in (("ms", "milliseconds", ""), ("MB", "megabytes", "-memory")):
        lines = [
            Line(name=what, points=[(count, found[what, unit]) for count, found in grown.items()])
            for what, its_unit in next(iter(grown.values()))
            if its_unit == unit
        ]
        (CHARTS / f"{name}{suffix}.svg").write_text(drawn(lines, x=axis, y=label), encoding="utf-8")


def _run(arguments: Sequence[str], path: Path) -> tuple[float, float]:
    """Run a command; give its seconds and the most megabytes it had."""
    command = [sys.executable, "-c", WATCHED, "--config", str(path), *arguments]
    began = time.perf_counter()
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return time.perf_counter() - began, int(done.stderr.split()[-1]) / 1000
