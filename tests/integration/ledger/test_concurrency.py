from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime
from multiprocessing.synchronize import Barrier
from typing import NamedTuple

import pytest
from sqlalchemy import Engine

from rotator.errors import Busy
from rotator.ledger.database import open_database
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.rotation.ports import Lease, NewEntry
from tests.support.commands import context, forked

#: Seconds; long enough for a loaded machine.
PATIENCE = 60


class Load(NamedTuple):
    """What each of some processes appends."""

    names: list[str]
    threads: int
    rounds: int


def append(url: str, worker: int, load: Load, start: Barrier) -> None:
    """Append to accounts from several threads, each claiming one account after the other."""
    database = open_database(url)

    def work(thread: int) -> None:
        writer = LedgerWriter(database, lease_seconds=60)
        for number in range(load.rounds):
            lease = claimed(writer, load.names[(thread + number) % len(load.names)])
            for part in range(2):
                now, by = datetime.now(UTC), f"{worker}/{thread}"
                entry = NewEntry(
                    event="done", step=None, detail={"by": by, "number": number, "part": part}
                )
                writer.commit(lease, rotation=None, entries=[entry], snapshot=None, now=now)
            writer.release(lease)

    start.wait()
    with ThreadPoolExecutor(load.threads) as pool:
        list(pool.map(work, range(load.threads)))


def claimed(writer: LedgerWriter, name: str) -> Lease:
    """Claim an account as soon as nobody else has it."""
    while True:
        with suppress(Busy):
            return writer.claim(name, datetime.now(UTC))


def run(url: str, names: list[str], *, processes: int, threads: int, rounds: int) -> None:
    """Let processes append, all at the same time; fail if one of them did."""
    load, start = Load(names, threads, rounds), context.Barrier(processes)
    workers = [forked(append, url, number, load, start) for number in range(processes)]
    for worker in workers:
        worker.join(PATIENCE)
    assert [worker.exitcode for worker in workers] == [0] * processes


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
    queries = LedgerReader(database)
    faults = [queries.verify(name).fault for name in names]
    written = [entry.exported()["detail"] for entry in queries.entries()]

    assert faults == [None] * len(names)
    assert len(written) == processes * threads * rounds * 2
    assert len({str(detail) for detail in written}) == len(written)


def test_a_lease_keeps_others_out(database: Engine, ledger_url: str) -> None:
    """What one worker appends under its lease stands together, no other's entry in between."""
    run(ledger_url, ["a", "b"], processes=3, threads=2, rounds=6)
    details = [entry.detail.partition('"part"')[0] for entry in LedgerReader(database).entries("a")]

    assert set(Counter(zip(details[::2], details[1::2], strict=True)).values()) == {1}
    assert details[::2] == details[1::2]


def test_threads_share_one_engine(database: Engine, ledger_url: str) -> None:
    """Readers and verifiers in the same process never see half of what is being written."""
    queries = LedgerReader(database)

    def look(_number: int) -> list[str | None]:
        verdicts = [queries.verify(name) for name in "ab"]
        return [verdict.fault for verdict in verdicts]

    with ThreadPoolExecutor(4) as pool:
        written = pool.submit(run, ledger_url, ["a", "b"], processes=1, threads=2, rounds=10)
        faults = list(pool.map(look, range(60)))
        written.result()

    assert faults == [[None, None]] * 60
    assert queries.verify("a").entries + queries.verify("b").entries == 40
