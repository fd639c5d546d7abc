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
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from sqlalchemy import Engine, insert

from rotator.ledger import chain, schema, tables
from rotator.ledger.book import Book
from rotator.ledger.database import open_database, writing
from rotator.ledger.queries import Queries
from rotator.ledger.rows import to_row
from rotator.model import Rotation, Step
from rotator.ports import Draft, Sighting
from tests.harness import figures

START = datetime(2026, 1, 1, tzinfo=UTC)
#: Entries of one rotation, as the engine writes them.
STEPS = (
    ("opened", Step.OPEN),
    ("intent", Step.STAGE),
    ("done", Step.STAGE),
    ("intent", Step.CREATE),
    ("done", Step.CREATE),
    ("done", Step.PROBE),
    ("intent", Step.PUSH),
    ("done", Step.PUSH),
    ("done", Step.VERIFY),
    ("intent", Step.CLEAR),
    ("done", Step.CLEAR),
    ("intent", Step.DELETE),
    ("done", Step.DELETE),
    ("closed", Step.COMPLETE),
)
ROWS_AT_ONCE = 20_000
COMMITS = 300


def drafts(count: int) -> Iterator[Draft]:
    """Make the entries of rotations that follow each other."""
    for number in range(count):
        event, step = STEPS[number % len(STEPS)]
        yield Draft(
            event=event,
            step=step,
            rotation_id=f"0b8e7a5c-6f0e-4d7b-9c55-{number // len(STEPS):012}",
            detail={"secret_id": f"ad6dc56f-07b5-46e1-a527-{number:012}", "vault_version": number},
        )


def rotations(account: str, entries: int) -> Iterator[Rotation]:
    """Make the rotations that so many entries belong to."""
    for number in range(entries // len(STEPS)):
        at = START + timedelta(days=number)
        yield Rotation(
            id=f"0b8e7a5c-6f0e-4d7b-9c55-{number:012}",
            account=account,
            reason="due",
            step=Step.COMPLETE,
            predecessor_id=f"old-{number}",
            new_id=f"new-{number}",
            grace=timedelta(days=1),
            opened_at=at,
            verified_at=at,
            closed_at=at,
            outcome="completed",
        )


def chained(account: str, count: int) -> Iterator[chain.Entry]:
    """Chain an account's entries, a second apart."""
    head = chain.GENESIS
    for seq, draft in enumerate(drafts(count), start=1):
        at = START + timedelta(seconds=seq)
        entry = chain.linked(draft, account=account, at=at, seq=seq, prev_hash=head)
        yield entry
        head = entry.hash


def fill(engine: Engine, names: list[str], each: int) -> None:
    """Give every account so many entries and the rotations they belong to."""
    with writing(engine) as connection:
        for name in names:
            account = {"name": name, "next_due_at": START, "listed_ids": '["new","old"]'}
            connection.execute(insert(tables.account), account)
            rows = [to_row(rotation) for rotation in rotations(name, each)]
            if rows:
                connection.execute(insert(tables.rotation), rows)
            entries, head = chained(name, each), chain.GENESIS
            while part := list(islice(entries, ROWS_AT_ONCE)):
                head = part[-1].hash
                connection.execute(insert(tables.entry), [entry._asdict() for entry in part])
            row = tables.account.update().where(tables.account.c.name == name)
            connection.execute(row.values(chain_seq=each, chain_head=head))


def commit_times(book: Book, name: str) -> list[float]:
    """Time commits as the engine makes them: an outcome, the next intent, and a sighting."""
    sighting = Sighting(listed_ids=("a", "b"), current_id="a", current_since=START, drift=None)
    now, times = datetime.now(UTC), []
    lease = book.claim(name, now)
    for number in range(COMMITS):
        rotation = Rotation(
            id="bench",
            account=name,
            reason="due",
            step=Step.CREATE,
            predecessor_id="old",
            grace=timedelta(days=1),
            opened_at=now,
            draws=number,
        )
        began = time.perf_counter()
        book.commit(lease, rotation=rotation, entries=list(drafts(2)), sighting=sighting, now=now)
        times.append(time.perf_counter() - began)
    book.release(lease)
    return times


def timed(work: Callable[[], object]) -> float:
    """Give the seconds that the best of three runs takes."""
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
    fill(engine, names, each)
    print(f"{each * accounts:,} entries of {accounts:,} accounts in {engine.dialect.name}")
    show("made in", time.perf_counter() - began)

    queries, book = Queries(engine), Book(engine, lease_seconds=600)

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
    show("recall", timed(lambda: book.recall(names[0])))
    show("claim what is due, 8 of all", timed(lambda: book.claim_due(names, limit=8, now=START)))
    times = sorted(commit_times(book, names[-1]))
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
