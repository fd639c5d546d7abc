import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import Engine

from rotator.ledger.queries import Queries

#: Appends to accounts from several threads, each claiming one account after the other.
WORKER = """
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from rotator.errors import Busy
from rotator.ledger.book import Book
from rotator.ledger.database import open_database
from rotator.ports import Draft

url, worker, names, threads, rounds = sys.argv[1:]
names, threads, rounds = names.split(","), int(threads), int(rounds)
database = open_database(url)

def work(thread):
    book = Book(database, lease_seconds=60)
    for number in range(rounds):
        name, claimed = names[(thread + number) % len(names)], False
        while not claimed:
            try:
                lease, claimed = book.claim(name, datetime.now(UTC)), True
            except Busy:
                pass
        for part in range(2):
            detail = {"by": f"{worker}/{thread}", "number": number, "part": part}
            draft = Draft(event="done", step=None, detail=detail)
            now = datetime.now(UTC)
            book.commit(lease, rotation=None, entries=[draft], sighting=None, now=now)
        book.release(lease)

print(flush=True)
sys.stdin.read()
with ThreadPoolExecutor(threads) as pool:
    list(pool.map(work, range(threads)))
"""


def run(url: str, names: list[str], *, processes: int, threads: int, rounds: int) -> None:
    """Let processes append, all at the same time; fail if one of them did."""
    pipe, numbers = subprocess.PIPE, (str(threads), str(rounds))
    workers = [
        subprocess.Popen(
            [sys.executable, "-c", WORKER, url, str(worker), ",".join(names), *numbers],
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            text=True,
        )
        for worker in range(processes)
    ]
    for worker in workers:
        assert worker.stdout
        worker.stdout.readline()
    assert [worker.communicate() for worker in workers] == [("", "")] * processes


@pytest.mark.parametrize(
    ("processes", "threads", "names"),
    [
        (1, 8, ["a", "b", "c"]),
        (4, 1, ["a"]),
        (3, 4, ["a", "b", "c", "d", "e", "f", "g", "h"]),
    ],
)
def test_many_write_at_once(
    database: Engine, ledger_url: str, processes: int, threads: int, names: list[str]
) -> None:
    """Threads and processes meet in one ledger: nobody fails, and every entry is in its chain."""
    rounds = 6
    run(ledger_url, names, processes=processes, threads=threads, rounds=rounds)
    queries = Queries(database)
    faults = [queries.verify(name).fault for name in names]
    written = [entry.exported()["detail"] for entry in queries.entries()]

    assert faults == [None] * len(names)
    assert len(written) == processes * threads * rounds * 2
    assert len({str(detail) for detail in written}) == len(written)


def test_a_lease_keeps_others_out(database: Engine, ledger_url: str) -> None:
    """What one worker appends under its lease stands together, no other's entry in between."""
    run(ledger_url, ["a", "b"], processes=3, threads=2, rounds=6)
    details = [entry.detail.partition('"part"')[0] for entry in Queries(database).entries("a")]

    assert set(Counter(zip(details[::2], details[1::2], strict=True)).values()) == {1}
    assert details[::2] == details[1::2]


def test_threads_share_one_engine(database: Engine, ledger_url: str) -> None:
    """Readers and verifiers in the same process never see half of what is being written."""
    queries = Queries(database)

    def look(_number: int) -> list[str | None]:
        verdicts = [queries.verify(name) for name in "ab"]
        return [verdict.fault for verdict in verdicts]

    with ThreadPoolExecutor(4) as pool:
        writer = pool.submit(run, ledger_url, ["a", "b"], processes=1, threads=2, rounds=10)
        faults = list(pool.map(look, range(60)))
        writer.result()

    assert faults == [[None, None]] * 60
    assert queries.verify("a").entries + queries.verify("b").entries == 40
