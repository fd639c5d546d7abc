"""Time a ledger with a million entries: verifying it, showing it, and writing on in it.

Usage: python bench/ledger.py [--entries N] [--accounts N] [--url URL] [--folder PATH]

Makes a SQLite ledger in a temporary folder (or in `--folder`, whose disk is then measured), or
fills an empty database at `--url`.
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import Engine

from bench.past import DUE_IN, drafts, fill
from rotator.ledger import schema
from rotator.ledger.database import open_database
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import Rotation, Step
from rotator.rotation.ports import AccountSnapshot
from tests.support import figures

COMMITS = 300


def commit_times(writer: LedgerWriter, name: str) -> list[float]:
    """Time commits as the reconciler makes them: an outcome, the next intent, and a snapshot."""
    snapshot = AccountSnapshot(listed_ids=("a", "b"), current_id="a", current_since=None)
    now, times = datetime.now(UTC), []
    lease = writer.claim(name, now)
    for number in range(COMMITS):
        rotation = Rotation(
            id="bench",
            account=name,
            reason="due",
            step=Step.CREATE,
            predecessor_id="old",
            grace=timedelta(days=1),
            opened_at=now,
            values_generated=number,
        )
        began = time.perf_counter()
        writer.commit(lease, rotation=rotation, entries=list(drafts(2)), snapshot=snapshot, now=now)
        times.append(time.perf_counter() - began)
    writer.release(lease)
    return times


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that the best of three runs takes."""
    runs = []
    for _ in range(3):
        began = time.perf_counter()
        work()
        runs.append(time.perf_counter() - began)
    return min(runs)


def report(engine: Engine, entries: int, accounts: int) -> None:
    """Fill a ledger and print how long everything takes."""
    names, each = [f"account-{number:05}" for number in range(accounts)], entries // accounts
    schema.upgrade(engine)
    began = time.perf_counter()
    now = datetime.now(UTC)
    fill(engine, names, each, now)
    print(f"{each * accounts:,} entries of {accounts:,} accounts in {engine.dialect.name}")
    show("made in", time.perf_counter() - began)

    due = now + DUE_IN
    queries, writer = LedgerReader(engine), LedgerWriter(engine, lease_seconds=600)

    def verify() -> None:
        faults = [verdict.fault for verdict in map(queries.verify, names)]
        assert not any(faults)

    seconds, status = timed(verify), timed(lambda: queries.accounts(names))
    figures.keep(
        "ledger",
        f"{engine.dialect.name}, {accounts:,} accounts",
        {
            "entries": each * accounts,
            "entries verified a second": round(each * accounts / seconds),
            "status of all, ms": round(status * 1000),
        },
    )
    show("verify, all accounts", seconds, f"{each * accounts / seconds:,.0f} entries a second")
    show("status, all accounts", status)
    show("status, one account", timed(lambda: queries.accounts(names[:1])))
    show("history, newest 100 of all", timed(lambda: queries.history(None, limit=100)))
    show("history, newest 100 of one", timed(lambda: queries.history(names[0], limit=100)))
    show("load", timed(lambda: writer.load(names[0])))
    show(
        "claim what is due, 8 of all",
        timed(lambda: writer.claim_due(names, limit=8, now=due)),
    )
    times = sorted(commit_times(writer, names[-1]))
    show("commit, median", statistics.median(times))
    show("commit, 99th of 100", times[len(times) * 99 // 100])


def show(what: str, seconds: float, note: str = "") -> None:
    """Print one row."""
    print(f"  {what:<28} {seconds * 1000:>12,.2f} ms  {note}".rstrip())


def main() -> None:
    """Measure few accounts with long chains, and many with short ones."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--entries", type=int, default=1_000_000)
    parser.add_argument("--accounts", type=int, nargs="+", default=[10, 10_000])
    parser.add_argument("--folder", help="where the SQLite files are made")
    parser.add_argument("--url", help="an empty database to fill instead; with one --accounts")
    given = parser.parse_args()
    for accounts in given.accounts:
        with tempfile.TemporaryDirectory(dir=given.folder) as folder:
            engine = open_database(given.url or f"sqlite:///{folder}/ledger.db")
            report(engine, given.entries, accounts)
            engine.dispose()


if __name__ == "__main__":
    main()
