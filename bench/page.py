"""Times the status page with ten thousand accounts and four rotations of each.

python bench/page.py [--accounts N] [--ledger-url URL]: an empty database; a new SQLite file
without it.
"""

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
from sqlalchemy import Engine, insert

from rotator.application import Application
from rotator.config import load
from rotator.ledger import schema, tables
from rotator.ledger.database import open_database, writing
from rotator.ledger.mapping import trouble_text
from rotator.model import State, Trouble
from rotator.telemetry.metrics import Metrics
from rotator.web.app import Pulse, WebApp
from rotator.web.listener import ListenAddress, url_of
from rotator.web.server import Server

PATHS = ("/", "/?state=healthy&page=100", "/?q=0042", "/accounts/account-00007", "/metrics")
TIMES = 15


def main() -> None:
    """Fill a ledger, serve it, and print how long each page takes."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--accounts", type=int, default=10_000)
    parser.add_argument("--ledger-url", default="")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        url = given.ledger_url or f"sqlite:///{folder}/ledger.db"
        database = open_database(url)
        schema.upgrade(database)
        _fill(database, given.accounts)
        path = Path(folder) / "config.toml"
        path.write_text(config(url, (f"account-{number:05}" for number in range(given.accounts))))
        with Application(load(path, {}), {}) as application:
            _time(application)
        database.dispose()


def _time(application: Application) -> None:
    site = WebApp(
        metrics=Metrics("x"), pulse=Pulse(is_live=lambda: True, outages=dict), version="x"
    )
    site.show(application)
    listening = ListenAddress(text="127.0.0.1:0").listen()
    url = url_of(listening)
    server = Server(site.app, listening)
    server.start()
    with httpx.Client(base_url=url, timeout=60) as client:
        for path in PATHS:
            kilobytes = len(client.get(path).content) / 1000
            taken = [_seconds(client, path) * 1000 for _ in range(TIMES)]
            median, worst = statistics.median(taken), max(taken)
            print(
                f"{path:28} median {median:6.1f} ms, longest {worst:6.1f} ms, {kilobytes:8.1f} kB"
            )
    server.stop()
    server.join(time.monotonic() + 10)


def _seconds(client: httpx.Client, path: str) -> float:
    began = time.perf_counter()
    client.get(path).raise_for_status()
    return time.perf_counter() - began


def _fill(database: Engine, count: int) -> None:
    now = datetime.now(UTC)
    drifted = Trouble(
        state=State.DRIFTED, code="foreign-secret", why="x was here", hint=None, since=now
    )
    trouble = trouble_text(drifted)
    ages = [timedelta(hours=number * 720 / count) for number in range(count)]
    accounts = [
        {
            "name": f"account-{number:05}",
            "listed_ids": json.dumps([f"id-{number}"]),
            "current_id": f"id-{number}",
            "current_since": now - age,
            "seen_at": now,
            "next_due_at": now - age + timedelta(days=30, hours=1),
            "trouble": trouble if number % 1000 == 0 else None,
        }
        for number, age in enumerate(ages)
    ]
    rotations = [
        {
            "account": f"account-{number:05}",
            "id": f"r-{number}-{back}",
            "reason": "due",
            "step": "complete",
            "grace_seconds": 0,
            "draws": 1,
            "rejected": 0,
            "opened_at": now - age - timedelta(days=30 * back),
            "closed_at": now - age - timedelta(days=30 * back),
            "outcome": "completed",
        }
        for number, age in enumerate(ages)
        for back in range(4)
    ]
    with writing(database) as connection:
        connection.execute(insert(tables.account), accounts)
        connection.execute(insert(tables.rotation), rotations)


def config(url: str, names: Iterable[str], *, listen: str = "127.0.0.1:0") -> str:
    """Return a configuration of these accounts, with the ledger at `url` and no Vault to reach."""
    accounts = (
        f'[[accounts]]\nname = "{name}"\napi_key = "{number:08}"\nvault_path = "vonage/{name}"\n'
        for number, name in enumerate(names)
    )
    head = f'[vault]\naddress = "http://127.0.0.1:1"\n[ledger]\nurl = "{url}"\n'
    return f'{head}[daemon]\nlisten = "{listen}"\n' + "".join(accounts)


if __name__ == "__main__":
    main()
