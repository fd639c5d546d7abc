"""Accounts whose ledger is on two PostgreSQL servers, and what is seen of them from outside.

Everything that rotator does passes a point where the test may act: each request to Vonage and to
Vault, each commit to the ledger, before and after. There the standby is cut off from what follows,
and the primary is killed.
"""

import json
import re
import secrets
import socket
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any, Protocol

from sqlalchemy import Engine, update
from sqlalchemy.engine.default import DefaultDialect

from rotator.ledger import tables
from rotator.ledger.database import open_database, writing
from rotator.ledger.reader import LedgerReader
from rotator.reporting.rules import RuleCheck
from rotator.sim import Exchange, Phase, VonageSimulator
from tests.support.commands import ENVIRONMENT, Command, CommandSpec
from tests.support.pgbouncer import pgbouncer
from tests.support.postgresql_pair import Member, Pair
from tests.support.raft import Cluster, Node
from tests.support.restless_config import TOKEN, configuration, key_of, path_of
from tests.support.server import LoopbackServer

DATABASE = "ledger"
FIRST, STRANGERS = "FirstSecret1", "StrangersSecret1"
#: Seconds that a command may take, with the patience that it has for Vault.
PATIENCE = 110.0


# -- How rotator reaches the server that is the primary. ------------------------------------------


class Way(Protocol):
    """An address in `ledger.url` that leads to the primary, whichever server that is."""

    @property
    def url(self) -> str:
        """The ledger's URL."""

    def follow(self, primary: Member) -> None:
        """Lead to `primary` from now on."""


class Hosts:
    """Both servers in the URL: libpq looks for the one that takes writes."""

    def __init__(self, pair: Pair) -> None:
        """Write the URL of both, in an order that stays."""
        hosts = "&".join(f"host={member.folder}" for member in pair.members)
        query = f"{hosts}&target_session_attrs=read-write"
        self.url = f"postgresql+psycopg://postgres@/{DATABASE}?{query}"

    def follow(self, primary: Member) -> None:
        """Do nothing: a client finds the primary by itself."""


class Address(LoopbackServer):
    """One address that is moved to the primary, as a virtual IP or a load balancer is."""

    def __init__(self, pair: Pair) -> None:
        """Lead to the present primary."""
        self._target = pair.primary.folder
        super().__init__()

    @property
    def url(self) -> str:
        """The ledger's URL."""
        return f"postgresql+psycopg://postgres@127.0.0.1:{self.port}/{DATABASE}"

    def follow(self, primary: Member) -> None:
        """Lead new connections to `primary`; those that exist stay where they are."""
        self._target = primary.folder

    def serve(self, connection: socket.socket) -> None:
        """Relay both ways until either side has hung up."""
        with socket.socket(socket.AF_UNIX) as server:
            server.connect(str(self._target / ".s.PGSQL.5432"))
            back = threading.Thread(target=_relay, args=[server, connection])
            back.start()
            _relay(connection, server)
            back.join()


def _relay(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(65536):
            target.sendall(piece)
    for side in (source, target):
        with suppress(OSError):
            side.shutdown(socket.SHUT_RDWR)


@contextmanager
def way_to(pair: Pair, kind: str) -> Iterator[Way]:
    """Yield a way to the primary: `hosts`, `address` or `pgbouncer`."""
    if kind == "hosts":
        yield Hosts(pair)
    elif kind == "address":
        with Address(pair) as address:
            yield address
    else:
        with pgbouncer(str(pair.primary.folder), "postgres") as pooler:
            yield _Pooled(pooler)


class _Pooled:
    def __init__(self, pooler: Any) -> None:  # noqa: ANN401  # a `Pooler`
        self._pooler = pooler
        self.url = f"postgresql+psycopg://postgres@127.0.0.1:{pooler.port}/{DATABASE}"

    def follow(self, primary: Member) -> None:
        self._pooler.point_to(str(primary.folder))


# -- Points at which a test may act. ---------------------------------------------------------------


class Points(LoopbackServer):
    """Counts what rotator does, and acts at chosen numbers; processes tell it of their commits."""

    def __init__(self, folder: Path) -> None:
        """Listen for processes that commit, in `folder`."""
        self.path = folder / "commits"
        self._acts: dict[int, Callable[[], None]] = {}
        #: Number of points that were passed.
        self.count = 0
        self._lock = threading.Lock()
        #: What was raised by what was to be done.
        self.errors: list[BaseException] = []
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.path))
        listener.listen()
        super().__init__(listener=listener)

    def plan(self, *acts: tuple[int, Callable[[], None]]) -> None:
        """Do each of `acts` when so many more points have been passed."""
        with self._lock:
            self._acts = {self.count + number: act for number, act in acts}

    def passed(self) -> None:
        """Note that a process is at a point, and do what was planned for it. Others wait."""
        with self._lock:
            self.count += 1
            if act := self._acts.pop(self.count, None):
                try:
                    act()
                except BaseException as error:
                    self.errors.append(error)
                    raise

    def serve(self, connection: socket.socket) -> None:
        """Let one thread of a process go on each time that it asks."""
        while connection.recv(1):
            self.passed()
            connection.sendall(b".")


def tell_of_commits(path: Path) -> None:
    """Make this process ask at `path` before and after each commit to the ledger."""
    threads, commit = threading.local(), DefaultDialect.do_commit

    def ask() -> None:
        if not hasattr(threads, "connection"):
            threads.connection = socket.socket(socket.AF_UNIX)
            threads.connection.connect(str(path))
        threads.connection.sendall(b"?")
        threads.connection.recv(1)

    def telling(dialect: DefaultDialect, connection: Any) -> None:  # noqa: ANN401  # any driver's
        ask()
        commit(dialect, connection)  # type: ignore[no-untyped-call]
        ask()

    DefaultDialect.do_commit = telling  # type: ignore[method-assign]


# -- What is seen from outside. --------------------------------------------------------------------


@dataclass
class Witness:
    """What passed on its way to Vonage and Vault, and what must not have."""

    vonage: VonageSimulator
    #: By API key, the accounts' names.
    names: dict[str, str]
    broken: list[str] = field(default_factory=list)
    #: Whether a creation must follow a look; two processes on two ledgers do not know each other's.
    looks_count: bool = True
    #: By account and value, the rotation that staged it.
    staged: dict[tuple[str, str], str] = field(default_factory=dict)
    #: By account, how many creations and deletions were sent.
    sent: Counter[tuple[str, str]] = field(default_factory=Counter)
    #: Accounts whose secrets were listed since a creation was sent last.
    listed: defaultdict[str, bool] = field(default_factory=lambda: defaultdict(lambda: True))
    lock: threading.Lock = field(default_factory=threading.Lock)

    def saw_vault(self, phase: str, method: str, path: str, body: bytes) -> None:
        """Remember a value that is about to be staged."""
        match = re.fullmatch(r"/v1/secret/data/rotator/pending/\w+/([^/?]+)", path)
        if match and phase == "before" and method in ("POST", "PUT"):
            data = json.loads(body)["data"]
            with self.lock:
                self.staged[match[1], data["value"]] = data["rotation_id"]

    def saw_vonage(self, phase: Phase, exchange: Exchange) -> None:
        """See that what is created was staged, and is not created blindly."""
        match = re.match(r"/accounts/([^/]+)/secrets(/)?", exchange.path)
        if match is None:
            return
        name = self.names[match[1]]
        with self.lock:
            if phase == "after":
                self.listed[name] |= exchange.method == "GET"
            elif exchange.method == "POST":
                if self.looks_count and not self.listed[name]:
                    self.broken.append(f"{name}: a creation is repeated without a look")
                self.listed[name] = False
                self.sent[name, "create"] += 1
            elif exchange.method == "DELETE":
                self.sent[name, "delete"] += 1

    def check_created(self) -> None:
        """See that each secret's value was staged before, and each rotation made but one."""
        for key, name in self.names.items():
            made = [secret.value for secret in self.vonage.history(key)]
            rotations = Counter(
                self.staged.get((name, value), "none")
                for value in made
                if value not in (FIRST, STRANGERS)
            )
            if "none" in rotations:
                self.broken.append(f"{name}: a value was created that was not staged")
            self.broken += [
                f"{name}: rotation {rotation} made {number} secrets"
                for rotation, number in rotations.items()
                if number > 1
            ]


@dataclass
class Company:
    """Accounts at Vonage, their secrets in a cluster of Vault's, and their ledger on a pair."""

    pair: Pair
    way: Way
    cluster: Cluster
    folder: Path
    #: By name, how often each account is rotated by a daemon, and its grace.
    accounts: dict[str, tuple[str, str]]
    points: Points
    vonage: VonageSimulator = field(default_factory=VonageSimulator)
    commands: int = 0
    started: "list[Started]" = field(default_factory=list)
    #: By account, a secret that rotator did not make.
    foreign: dict[str, str] = field(default_factory=dict)
    #: Folder of its own in Vault, which others use as well.
    place: str = field(default_factory=lambda: secrets.token_hex(4))

    def __post_init__(self) -> None:
        """Write the configuration, and what consumers read first; watch every request."""
        self.vonage.start()
        self.config = self.folder / "config.toml"
        names = {key_of(name): name for name in self.accounts}
        self.witness = Witness(self.vonage, names)
        for name in self.accounts:
            self.vonage.add_account(key_of(name), FIRST)
            entry = {"data": {"api_key": key_of(name), "api_secret": FIRST, "note": "kept"}}
            self.cluster.call("POST", f"secret/data/{self.path(name)}", entry)
        (self.folder / "token").write_text(self.cluster.root)
        self.configure(self.config, self.way.url)
        with self.pair.primary.connected() as connection:
            connection.execute(f"CREATE DATABASE {DATABASE}".encode())
        self.vonage.observers += [self._at_vonage, self.witness.saw_vonage]
        self.cluster.balance.watch = self._at_vault

    def configure(self, path: Path, ledger_url: str) -> None:
        """Write a configuration with a ledger at `ledger_url`."""
        content = configuration(
            vonage=self.vonage.url,
            vault=self.cluster.url,
            login=TOKEN,
            ledger=ledger_url,
            accounts=[(name, *often) for name, often in self.accounts.items()],
            place=self.place,
        )
        path.write_text(content)

    def path(self, name: str) -> str:
        """Return where an account's secret is in Vault."""
        return path_of(name, self.place)

    def close(self) -> None:
        """End every command, and the simulator."""
        for started in self.started:
            started.command.kill()
            started.command.wait(PATIENCE)
        self.vonage.close()

    # -- Commands. -----------------------------------------------------------------------------

    def start(self, *arguments: str, config: Path | None = None) -> "Started":
        """Start a command that tells of its commits."""
        self.commands += 1
        out, err = (self.folder / f"{self.commands}.{end}" for end in ("out", "err"))
        order = CommandSpec(
            arguments=("--config", str(config or self.config), *arguments),
            environment=ENVIRONMENT,
            stdout=out,
            stderr=err,
            first=partial(tell_of_commits, self.points.path),
        )
        started = Started(Command(order), out, err)
        self.started.append(started)
        return started

    def run(self, *arguments: str, config: Path | None = None) -> tuple[int, Any]:
        """Run a command to its end; return its exit code, and what it reports with `--json`."""
        return self.start(*arguments, config=config).finished()

    # -- What there is to see. -----------------------------------------------------------------

    def check(self) -> None:
        """See that consumers read what works, and that nothing is lost."""
        leader = self.cluster.leader
        for name in self.accounts:
            self._check_value(name, leader)
            self._check_kept(name, leader)
            assert 1 <= len(self.vonage.secrets(key_of(name))) <= 2, name
        for name, foreign_id in self.foreign.items():
            assert foreign_id in {each.id for each in self.vonage.secrets(key_of(name))}, name
        self.witness.check_created()
        assert self.witness.broken == []
        assert self.points.errors == []

    def _check_value(self, name: str, leader: Node) -> None:
        """See that what consumers read works, also while it is being replaced.

        What did not work and is read once more did not work when it was to be read.
        """
        dead = ""
        while True:
            entry = self.cluster.data(self.path(name), node=leader) or {}
            value = entry.get("api_secret", "")
            assert entry.get("note") == "kept", name
            assert value != dead, name
            if self.vonage.authenticates(key_of(name), value):
                return
            dead = value

    def _check_kept(self, name: str, leader: Node) -> None:
        """See that each live secret that rotator made has its value in Vault.

        It moves from the pending path to the entry: that is read later.
        """
        made = {secret.value for secret in self.vonage.secrets(key_of(name))} - {STRANGERS}
        kept = {*self._values(f"rotator/pending/{self.place}/{name}", "value", leader)}
        kept |= {*self._values(self.path(name), "api_secret", leader)}
        alive = {secret.value for secret in self.vonage.secrets(key_of(name))}
        assert not (made & alive) - kept, name

    def _values(self, path: str, name: str, leader: Node) -> Iterator[str]:
        """Yield the values in the newest versions at a path."""
        newest = self.cluster.call("GET", f"secret/metadata/{path}", node=leader)
        number = newest["data"]["current_version"] if newest else 0
        for version in range(number, max(0, number - 4), -1):
            found = self.cluster.call("GET", f"secret/data/{path}?version={version}", node=leader)
            if found and found["data"]["data"]:
                yield found["data"]["data"][name]

    def completed(self) -> Counter[str]:
        """Count the rotations of each account that the primary has as completed."""
        return Counter(account for account, outcome in self._rotations() if outcome == "completed")

    def outcomes(self) -> set[str | None]:
        """Return how rotations ended; None for those that have not."""
        return {outcome for _, outcome in self._rotations()}

    def _rotations(self) -> list[Any]:
        with self.pair.primary.connected(DATABASE) as connection:
            return connection.execute("SELECT account, outcome FROM rotation").fetchall()

    def trouble(self, name: str) -> object:
        """Return what the ledger has as wrong with an account; None for nothing."""
        with self.pair.primary.connected(DATABASE) as connection:
            query = "SELECT coalesce(trouble, failure) FROM account WHERE name = %s"
            found = connection.execute(query, [name]).fetchone()
        return found[0] if found else None

    def pinned(self, member: Member) -> Path:
        """Return a configuration whose ledger is on one server alone, whatever becomes of it."""
        path = self.folder / f"{member.folder.name}.toml"
        self.configure(path, f"postgresql+psycopg://postgres@/{DATABASE}?host={member.folder}")
        return path

    def entries(self, member: Member) -> dict[str, tuple[str, str, str]]:
        """Return what a server has as entries: by hash, account, event and step."""
        with member.connected(DATABASE) as connection:
            found = connection.execute("SELECT hash, account, event, step FROM entry").fetchall()
        return {hash_: (account, event, step) for hash_, account, event, step in found}

    def faults(self) -> dict[str, tuple[str, ...]]:
        """Verify the chains and rows that the primary has; return what is wrong, by account."""
        with self._opened() as database:
            verified = {name: LedgerReader(database).verify(name) for name in self.accounts}
        return {name: found.faults for name, found in verified.items() if found.faults}

    def broken_rules(self) -> dict[str, list[str]]:
        """Read the entries that the primary has; return those that break a rule, by account.

        Commits that were lost are no broken rule: what is left of a chain is as it was once.
        """
        found: dict[str, list[str]] = {}
        with self._opened() as database:
            for name in self.accounts:
                rules = RuleCheck()
                LedgerReader(database).verify(name, watch=rules.read)
                found |= {name: [*map(str, rules.violations)]} if rules.violations else {}
        return found

    def end_leases(self) -> None:
        """Let every lease that the primary has be over, as if time had passed."""
        with self._opened() as database, writing(database) as connection:
            ended = datetime.now(UTC) - timedelta(seconds=1)
            connection.execute(update(tables.account).values(lease_expires_at=ended))

    @contextmanager
    def _opened(self) -> Iterator[Engine]:
        folder = self.pair.primary.folder
        database = open_database(f"postgresql+psycopg://postgres@/{DATABASE}?host={folder}")
        try:
            yield database
        finally:
            database.dispose()

    def is_still(self, started: "Started") -> bool:
        """Whether a command that runs does nothing for a while."""
        before = self.points.count
        time.sleep(0.3)
        return self.points.count == before and started.command.poll() is None

    def waiting_commits(self) -> int:
        """Count the commits that wait for the standby at the primary."""
        query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'"
        found = self.pair.primary.ask(query)
        assert isinstance(found, int)
        return found

    def _at_vonage(self, _phase: Phase, _exchange: Exchange) -> None:
        self.points.passed()

    def _at_vault(self, phase: str, method: str, path: str, body: bytes) -> None:
        self.witness.saw_vault(phase, method, path, body)
        self.points.passed()


@dataclass(frozen=True)
class Started:
    """A command that runs, and where its streams go."""

    command: Command
    out: Path
    err: Path

    def finished(self) -> tuple[int, Any]:
        """Wait for its end; return its exit code, and what it reports with `--json`."""
        code = self.command.wait(PATIENCE)
        content = self.out.read_text()
        assert "Traceback" not in self.err.read_text(), self.err.read_text()
        return code, json.loads(content) if content.startswith(("[", "{")) else []


@contextmanager
def company(
    pair: Pair, cluster: Cluster, folder: Path, accounts: dict[str, tuple[str, str]], way: str
) -> Iterator[Company]:
    """Yield a company for the length of a `with` block; all that it started is ended with it."""
    with ExitStack() as stack:
        found = stack.enter_context(way_to(pair, way))
        points = stack.enter_context(Points(folder))
        made = Company(pair, found, cluster, folder, accounts, points)
        stack.callback(made.close)
        yield made
