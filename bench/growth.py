"""What grows with accounts and entries, and what does not: measured, and drawn as a chart."""

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Engine

from bench.chart import Line, drawn
from bench.figures import Figure
from bench.ledger import START, fill
from rotator.ledger import schema
from rotator.ledger.book import Book
from rotator.ledger.database import open_database
from rotator.ledger.queries import Queries

ACCOUNTS = (100, 1_000, 10_000, 100_000)
ENTRIES = (10_000, 100_000, 1_000_000)
#: Ten million take minutes and gigabytes: for `python -m bench growth --whole`.
MOST_ENTRIES = 10_000_000
#: Where the other count stays while one grows.
FEW_ACCOUNTS, ENTRIES_EACH = 100, 10
CHARTS = Path(__file__).parents[1] / "docs" / "images"
RUNS = 5

#: What is measured, by name; in milliseconds.
Times = dict[str, float]


def growth(*, whole: bool = False) -> list[Figure]:
    """Measure both ways to grow, and draw them."""
    counts = [*ENTRIES, MOST_ENTRIES] if whole else ENTRIES
    by_accounts = {count: measured(count, ENTRIES_EACH) for count in ACCOUNTS}
    by_entries = {count: measured(FEW_ACCOUNTS, count // FEW_ACCOUNTS) for count in counts}
    draw("growth-accounts", "accounts", by_accounts)
    draw("growth-entries", "entries of 100 accounts", by_entries)
    return [*figures("accounts", by_accounts), *figures("entries", by_entries)]


def measured(accounts: int, each: int) -> Times:
    """Fill a ledger and time what the daemon and the commands ask of it."""
    names = [f"account-{number:06}" for number in range(accounts)]
    with tempfile.TemporaryDirectory() as folder:
        database = open_database(f"sqlite:///{folder}/ledger.db")
        schema.upgrade(database)
        fill(database, names, each)
        try:
            return times(database, names, accounts * each)
        finally:
            database.dispose()


def times(database: Engine, names: Sequence[str], entries: int) -> Times:
    """Time each question; nothing is due but what the claim asks for."""
    book, queries = Book(database, lease_seconds=60), Queries(database)
    before, one = START - timedelta(days=1), names[len(names) // 2]

    def claim() -> None:
        for lease in book.claim_due(names, limit=8, now=START):
            book.release(lease)

    whole = median_ms(lambda: [queries.verify(name) for name in names], runs=1)
    return {
        "poll, nothing due": median_ms(lambda: book.due(before)),
        "claim 8 of all": median_ms(claim),
        "recall one": median_ms(lambda: book.recall(one)),
        "status of one": median_ms(lambda: queries.accounts([one])),
        "status of all": median_ms(lambda: queries.accounts(names)),
        "verify all": whole,
        "verify, entries a second": entries / whole * 1000,
    }


def median_ms(work: Callable[[], object], *, runs: int = RUNS) -> float:
    """Give the median milliseconds of `work`."""
    taken = []
    for _ in range(runs):
        began = time.perf_counter()
        work()
        taken.append(time.perf_counter() - began)
    return statistics.median(taken) * 1000


def figures(what: str, grown: dict[int, Times]) -> list[Figure]:
    """Give one figure for the largest size, beside the smallest."""
    smallest, largest = min(grown), max(grown)
    return [
        Figure(
            section="growth",
            what=f"{name}: {largest:,} / {smallest:,} {what}",
            unit="" if "a second" in name else "ms",
            ours=grown[largest][name],
            floor=grown[smallest][name],
        )
        for name in grown[smallest]
    ]


def draw(name: str, axis: str, grown: dict[int, Times]) -> None:
    """Draw a line for each question."""
    lines = [
        Line(name=what, points=[(count, times[what]) for count, times in grown.items()])
        for what in next(iter(grown.values()))
        if "a second" not in what
    ]
    CHARTS.mkdir(parents=True, exist_ok=True)
    (CHARTS / f"{name}.svg").write_text(drawn(lines, x=axis, y="milliseconds"), encoding="utf-8")
