"""A thousand accounts at once: how near to what the latencies allow, and where it bends."""

import os
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import product
from pathlib import Path

from sqlalchemy import Engine, func, insert, select

from bench.figures import Figure
from bench.processes import cpu, cpu_of_family, cpu_of_machine
from bench.rotation import REQUEST, VAULT_LATENCY
from bench.servers import ROTATOR, Servers, servers
from rotator.application import Application
from rotator.cli import parallel
from rotator.config import Settings, load
from rotator.ledger import schema, tables
from rotator.ledger.database import open_database, reading, writing
from rotator.model import Account, PassResult
from rotator.telemetry import logging
from tests.support import postgresql_server

ACCOUNTS = 1000
WORKERS = (8, 32, 128)
DAEMONS = (1, 2, 4)
#: Of each daemon: few, so that latency is what bounds several, and as many as one has by itself.
DAEMON_WORKERS = (8, 32)
#: Seconds per request.
VONAGE_LATENCY = 0.100
#: What rotator asks for one rotation.
VONAGE_CALLS, VAULT_CALLS = 4, 7
#: Requests a second, the most that a configuration is meant for, and the workers that use it up.
LIMIT, LIMITED_WORKERS = 100, 32
#: No run takes longer, in seconds.
LONGEST = 600.0
ONE = VONAGE_CALLS * VONAGE_LATENCY + VAULT_CALLS * VAULT_LATENCY


def fleet_on_sqlite(accounts: int = ACCOUNTS) -> list[Figure]:
    """Rotate a fleet in one process with ever more workers."""
    figures = []
    with servers("100ms", "5ms", accounts=accounts) as simulated:
        logging.configure("error")
        for workers in WORKERS:
            wall, cpu = rotated(unlimited(simulated), workers)
            bound = accounts * ONE / workers
            figures += [
                Figure(
                    section="fleet",
                    what=f"{accounts} accounts, {workers} workers / latency bound",
                    unit="s",
                    ours=wall,
                    floor=bound,
                    aim="at most 1.11" if workers == 32 else "",
                ),
                Figure(
                    section="fleet",
                    what=f"{accounts} accounts, {workers} workers: CPU busy",
                    unit="%",
                    ours=100 * cpu / wall,
                ),
            ]
    return figures


def fleet_within_a_limit(accounts: int = ACCOUNTS) -> list[Figure]:
    """Rotate a fleet with a rate limit at Vonage, which starts with one second's requests."""
    with servers("100ms", "5ms", accounts=accounts) as simulated:
        logging.configure("error")
        limit = {"ROTATOR_VONAGE__MAX_REQUESTS_PER_SECOND": str(LIMIT)}
        wall, cpu = rotated(load(simulated.config, limit), LIMITED_WORKERS)
    what = f"{accounts} accounts, {LIMIT} requests a second"
    return [
        Figure(
            section="limit",
            what=f"{what} / what the limit allows",
            unit="s",
            ours=wall,
            floor=(accounts * VONAGE_CALLS - LIMIT) / LIMIT,
            aim="at most 1.05",
        ),
        Figure(section="limit", what=f"{what}: CPU busy", unit="%", ours=100 * cpu / wall),
    ]


def rotated(settings: Settings, workers: int) -> tuple[float, float]:
    """Rotate every account once; give the seconds of the clock and of this process's CPU."""
    with Application(settings, {}) as application:
        reconciler = application.reconciler()
        wall, cpu = time.perf_counter(), time.process_time()

        def work(account: Account) -> PassResult:
            return reconciler.attempt(account, REQUEST)

        cancel = parallel.CancelToken()
        reports = parallel.run(settings.accounts, work, concurrency=workers, cancel=cancel)
        wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    outcomes = Counter(report.outcome.value for report in reports)
    if outcomes != {"completed": len(settings.accounts)}:
        raise RuntimeError(outcomes)
    return wall, cpu


def unlimited(simulated: Servers) -> Settings:
    """Return the settings with a rate limit that nothing here would reach."""
    return load(simulated.config, {"ROTATOR_VONAGE__MAX_REQUESTS_PER_SECOND": "100000"})


def daemons_on_postgresql(accounts: int = ACCOUNTS) -> list[Figure]:
    """Let ever more daemons share a fleet of which every account is due."""
    figures = []
    for workers, daemons in product(DAEMON_WORKERS, DAEMONS):
        with (
            servers("100ms", "5ms", accounts=accounts) as simulated,
            postgresql() as url,
        ):
            seconds, used = shared(simulated, url, daemons=daemons, workers=workers)
        name = f"{accounts} due accounts, {daemons} daemons of {workers}"
        figures.append(
            Figure(
                section="daemons",
                what=f"{name} / latency bound",
                unit="s",
                ours=seconds,
                floor=accounts * ONE / workers / daemons,
            )
        )
        figures += [
            Figure(
                section="daemons",
                what=f"{name}: CPU of the {whose}",
                unit="%",
                ours=percent,
            )
            for whose, percent in used.items()
        ]
    return figures


def shared(
    simulated: Servers, url: str, *, daemons: int, workers: int
) -> tuple[float, dict[str, float]]:
    """Run daemons until every account is rotated.

    Gives the seconds from the first rotation on, and who used how much of one core from the
    daemons' start on, in percent.

    Raises:
        RuntimeError: an account was rotated twice.
    """
    environ = os.environ | {
        "ROTATOR_CONFIG": str(simulated.config),
        "ROTATOR_LEDGER__URL": url,
        "ROTATOR_POLICY__GRACE": "0s",
        "ROTATOR_DAEMON__CONCURRENCY": str(workers),
        "ROTATOR_DAEMON__POLL": "1s",
        "ROTATOR_VONAGE__MAX_REQUESTS_PER_SECOND": "100000",
    }
    database = open_database(url)
    names = [account["name"] for account in simulated.ready["accounts"]]
    make_due(database, names)
    server = int(Path(str(database.url.query["host"]), "postmaster.pid").read_text().split()[0])
    began_at = time.monotonic()
    before = cpu(simulated.pid), cpu_of_family(server), cpu_of_machine()
    processes = [
        subprocess.Popen([*ROTATOR, "--log-level", "error", "run"], env=environ)
        for _ in range(daemons)
    ]
    try:
        began, ended = finished(database, len(names))
        used = {
            "daemons": sum(cpu(process.pid) for process in processes),
            "simulators": cpu(simulated.pid) - before[0],
            "database": cpu_of_family(server) - before[1],
            "machine": cpu_of_machine() - before[2],
        }
        watched = time.monotonic() - began_at
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait()
    with reading(database) as connection:
        opened = connection.execute(select(func.count()).select_from(tables.rotation)).scalar_one()
    database.dispose()
    if opened != len(names):
        raise RuntimeError(opened)
    percent = {whose: 100 * seconds / watched for whose, seconds in used.items()}
    return (ended - began).total_seconds(), percent


def make_due(database: Engine, names: Sequence[str]) -> None:
    """Insert a row for each account that makes it due, and seen just now."""
    schema.upgrade(database)
    now = datetime.now(UTC)
    rows = [{"name": name, "next_due_at": now, "seen_at": now} for name in names]
    with writing(database) as connection:
        connection.execute(insert(tables.account), rows)


def finished(database: Engine, accounts: int) -> tuple[datetime, datetime]:
    """Wait until all rotations are over; give when the first began and the last ended."""
    rotation = tables.rotation.c
    query = select(func.count(), func.min(rotation.opened_at), func.max(rotation.closed_at)).where(
        rotation.closed_at.is_not(None)
    )
    deadline, done = time.monotonic() + LONGEST, 0
    while time.monotonic() < deadline:
        with reading(database) as connection:
            done, began, ended = connection.execute(query).one()
        if done >= accounts:
            return began, ended
        time.sleep(0.5)
    raise TimeoutError(done)


@contextmanager
def postgresql() -> Iterator[str]:
    """Run a PostgreSQL server whose commits are durable; give an empty database's URL."""
    folder = Path(tempfile.mkdtemp(prefix="rotator-postgresql-"))
    server = postgresql_server.start(folder)
    try:
        yield postgresql_server.url(folder)
    finally:
        server.cleanup()
