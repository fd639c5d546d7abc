"""What the libraries alone take for the calls and commits of one rotation: no less is possible."""

import sqlite3
import tempfile
import time
from base64 import b64encode
from collections.abc import Callable
from contextlib import closing
from statistics import median

import httpx
import hvac

from bench.figures import Figure
from bench.servers import Servers, servers

#: What one rotation without a grace asks of each.
VONAGE_CALLS, VAULT_CALLS, COMMITS = 4, 7, 8
ROUNDS = 60
#: About what a step writes.
TABLE = "CREATE TABLE entry (seq INTEGER PRIMARY KEY, detail TEXT)"
DETAIL = "x" * 1000


def alone() -> list[Figure]:
    """Measure the CPU that each takes, without latency."""
    with servers("0ms", "0ms") as simulated:
        takers = {
            f"{VONAGE_CALLS} calls by httpx, each on a new connection": _httpx(simulated),
            f"{VAULT_CALLS} calls by hvac as it is": _hvac(simulated),
        }
        figures = [_figure(what, work) for what, work in takers.items()]
    with (
        tempfile.TemporaryDirectory() as folder,
        closing(sqlite3.connect(f"{folder}/ledger.db", isolation_level=None)) as database,
    ):
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute(TABLE)
        what = f"{COMMITS} durable commits of one row by SQLite"
        return [*figures, _figure(what, lambda: _commit(database))]


def _figure(what: str, work: Callable[[], None]) -> Figure:
    spent = []
    for _ in range(ROUNDS):
        before = time.process_time()
        work()
        spent.append(time.process_time() - before)
    return Figure(section="libraries", what=f"{what}: CPU", unit="ms", ours=median(spent) * 1000)


def _httpx(simulated: Servers) -> Callable[[], None]:
    account = simulated.ready["accounts"][0]
    url = f"{simulated.ready['vonage_url']}/accounts/{account['api_key']}/secrets"
    pair = f"{account['api_key']}:{account['api_secret']}".encode()
    headers = {"Authorization": f"Basic {b64encode(pair).decode()}", "Connection": "close"}
    transport = httpx.HTTPTransport(limits=httpx.Limits(max_keepalive_connections=0))

    def ask() -> None:
        for _ in range(VONAGE_CALLS):
            answer = transport.handle_request(httpx.Request("GET", url, headers=headers))
            answer.read()
            answer.close()

    return ask


def _hvac(simulated: Servers) -> Callable[[], None]:
    client = hvac.Client(url=simulated.ready["vault_url"], token=simulated.ready["vault_token"])
    path = simulated.ready["accounts"][0]["vault_path"]

    def ask() -> None:
        for _ in range(VAULT_CALLS):
            client.secrets.kv.v2.read_secret_version(
                path, mount_point="secret", raise_on_deleted_version=True
            )

    return ask


def _commit(database: sqlite3.Connection) -> None:
    for _ in range(COMMITS):
        database.execute("BEGIN IMMEDIATE")
        database.execute("INSERT INTO entry (detail) VALUES (?)", (DETAIL,))
        database.execute("COMMIT")
