"""The daemon with many accounts: at rest, polling, and with a thousand of them due at once."""

import re
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from statistics import median

from sqlalchemy import insert

from bench.figures import Figure
from bench.processes import cpu, resident, wake_ups
from bench.servers import ROTATOR, servers
from rotator.application import Application
from rotator.config import load
from rotator.ledger import schema, tables
from rotator.ledger.database import open_database, writing
from rotator.ledger.reader import LedgerReader

SECTION = "daemon"
IDLE, MANY, DUE, WORKERS = 10_000, 100_000, 1_000, 32
#: Seconds that the daemon is left alone before, and while, it is watched.
SETTLE, WATCH = 30.0, 600.0
#: Seconds per request, and how many requests a rotation without a grace waits for.
VONAGE_LATENCY, VAULT_LATENCY, VONAGE_CALLS, VAULT_CALLS = 0.100, 0.005, 4, 6
ROUNDS = 50


def idle() -> list[Figure]:
    """Let a daemon with nothing to do run for a while."""
    with _quiet(IDLE, simulated_too=True) as config:
        command = [*ROTATOR, "--config", str(config), "run"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                time.sleep(SETTLE)
                before, woken = cpu(process.pid), wake_ups(process.pid)
                time.sleep(WATCH)
                percent = (cpu(process.pid) - before) / WATCH * 100
                rate = (wake_ups(process.pid) - woken) / WATCH
                megabytes = resident(process.pid)
            finally:
                process.terminate()
    name = f"idle for {WATCH / 60:.0f} minutes, {IDLE:,} accounts"
    return [
        Figure(section=SECTION, what=f"{name}: of a core", unit="%", ours=percent, aim="<= 0.5"),
        Figure(section=SECTION, what=f"{name}: wake-ups", unit="/s", ours=rate),
        Figure(section=SECTION, what=f"{name}: memory", unit="MB", ours=megabytes, aim="<= 150"),
    ]


def poll() -> list[Figure]:
    """Look for due accounts among many, of which a few wait in their grace and none is due."""
    with _quiet(MANY) as config, Application(load(config, {}), {}) as application:
        milliseconds = [_milliseconds(application) for _ in range(ROUNDS)]
    what = f"poll, {MANY:,} accounts"
    return [
        Figure(section=SECTION, what=what, unit="ms", ours=median(milliseconds), aim="<= 20"),
    ]


def due_at_once() -> list[Figure]:
    """Let a daemon with many workers rotate many accounts, beside what the latencies allow."""
    with servers("100ms", "5ms", accounts=DUE) as simulated:
        text = simulated.config.read_text(encoding="utf-8")
        text = re.sub("max_requests_per_second = .*", "max_requests_per_second = 1000000", text)
        text = text.replace("[policy]", '[policy]\ngrace = "0s"')
        if "[policy]" not in text:
            text = text.replace("[[accounts]]", '[policy]\ngrace = "0s"\n[[accounts]]', 1)
        simulated.config.write_text(
            text.replace("[daemon]", f"[daemon]\nconcurrency = {WORKERS}"), encoding="utf-8"
        )
        settings = load(simulated.config, {})
        ledger = settings.ledger.read_url()
        _fill(ledger, [account.name for account in settings.accounts], due_in=-timedelta(days=1))
        database = open_database(ledger)
        queries = LedgerReader(database)
        command = [*ROTATOR, "--config", str(simulated.config), "run"]
        with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
            try:
                began, ended = _span(queries)
                used = cpu(process.pid)
            finally:
                process.terminate()
        database.dispose()
    floor = (VONAGE_CALLS * VONAGE_LATENCY + VAULT_CALLS * VAULT_LATENCY) * DUE / WORKERS
    name = f"{DUE:,} accounts due, {WORKERS} workers"
    return [
        Figure(
            section=SECTION, what=name, unit="s", floor=floor, ours=ended - began, aim="<= 1.25"
        ),
        Figure(section=SECTION, what=f"{name}: CPU of each", unit="ms", ours=used / DUE * 1000),
    ]


def _span(queries: LedgerReader) -> tuple[float, float]:
    """Wait for all rotations; give when the first was opened and the last was completed."""
    while len(queries.recorded_accounts()) < DUE or queries.open_accounts():
        time.sleep(0.2)
    rotations = [record.last_rotation for record in queries.accounts(queries.recorded_accounts())]
    if any(each is None or each.outcome != "completed" for each in rotations):
        time.sleep(0.5)
        return _span(queries)
    opened = min(each.opened_at.timestamp() for each in rotations if each)
    closed = max(each.closed_at.timestamp() for each in rotations if each and each.closed_at)
    return opened, closed


def _milliseconds(application: Application) -> float:
    began = time.perf_counter()
    application.ledger.writer.due(datetime.now(UTC))
    return (time.perf_counter() - began) * 1000


@contextmanager
def _quiet(count: int, *, simulated_too: bool = False) -> Iterator[Path]:
    """Yield a configuration whose ledger has so many accounts, all just seen and none of them due.

    It names all of them if they are `simulated_too`, and else only one.
    """
    with servers("0ms", "0ms", accounts=count if simulated_too else 1) as simulated:
        # A daemon serves its page, unless it is told not to.
        text = simulated.config.read_text(encoding="utf-8")
        text = text.replace('listen = ""', 'listen = "127.0.0.1:0"')
        simulated.config.write_text(text, encoding="utf-8")
        settings = load(simulated.config, {})
        configured = [account.name for account in settings.accounts]
        others = [f"other-{number}" for number in range(count - len(configured))]
        names, due_in = [*configured, *others], timedelta(days=1)
        _fill(settings.ledger.read_url(), names, due_in=due_in, waiting=others[::30])
        yield simulated.config


def _fill(
    ledger: str, names: Sequence[str], *, due_in: timedelta, waiting: Sequence[str] = ()
) -> None:
    """Record accounts as just seen, those that are `waiting` in their grace."""
    database, now = open_database(ledger), datetime.now(UTC)
    schema.upgrade(database)
    rows = [{"name": name, "seen_at": now, "next_due_at": now + due_in} for name in names]
    opened = [
        {
            "account": name,
            "id": "r",
            "reason": "due",
            "step": "wait",
            "grace_seconds": 86400.0,
            "draws": 1,
            "rejected": 0,
            "opened_at": now,
            "verified_at": now,
            "delete_due_at": now + timedelta(days=1),
        }
        for name in waiting
    ]
    with writing(database) as connection:
        connection.execute(insert(tables.account), rows)
        if opened:
            connection.execute(insert(tables.rotation), opened)
    database.dispose()
