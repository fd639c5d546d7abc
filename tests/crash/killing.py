"""What kills a command and starts it again, and what watches the rules meanwhile."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import partial
from http.client import HTTPConnection
from itertools import count
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy.engine.default import DefaultDialect

from rotator.ledger.chain import Entry
from rotator.ledger.database import open_database
from rotator.ledger.reader import LedgerReader
from rotator.ledger.replay import Replay
from rotator.ledger.tables import metadata
from rotator.reporting.rules import RuleCheck
from rotator.sim import (
    Environment,
    Exchange,
    Fault,
    Observer,
    Phase,
    SimAccount,
    SimVersion,
    VaultSimulator,
    VonageSimulator,
)
from tests.acceptance.service import PATIENCE, until
from tests.support import leaks
from tests.support.commands import Command, CommandSpec
from tests.support.seeded_ledger import LONG_AGO

KILLED = -signal.SIGKILL
#: In an entry by which a test ended a grace.
FORGED = LONG_AGO.isoformat(timespec="microseconds")


@dataclass(frozen=True)
class Moment:
    """When to kill: at the Nth request or the Nth commit, and on which side of it.

    `never`: the request does not reach its server. `late`: it takes effect when its sender is
    dead already. `after`: it took effect, and the sender dies without the answer. `before`
    and `after` of a commit are the sides of the ledger's own.
    """

    what: str
    side: str
    number: int


def kill_at_commit(moment: Moment) -> None:
    """Make this process kill itself around a commit to the ledger.

    That is the one place that nobody outside the process can see.
    """
    commits, commit = count(1), DefaultDialect.do_commit

    def killing(dialect: DefaultDialect, connection: Any) -> None:  # noqa: ANN401  # any driver's
        is_it = next(commits) == moment.number
        if is_it and moment.side == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        commit(dialect, connection)  # type: ignore[no-untyped-call]
        if is_it:
            os.kill(os.getpid(), signal.SIGKILL)

    DefaultDialect.do_commit = killing  # type: ignore[method-assign]


@dataclass
class Ground:
    """A world, a ledger, and one command at a time in them."""

    world: Environment
    folder: Path
    ledger_url: str
    #: The pid of the running command is known.
    started: threading.Event = field(default_factory=threading.Event)
    pid: int = 0
    #: Which request to kill at; None when none is to be.
    moment: Moment | None = None
    requests: int = 0
    #: Number of the exchange that was chosen, with its server.
    chosen: Exchange | None = None
    broken: list[str] = field(default_factory=list)
    #: Values of the secrets whose deletion was sent.
    doomed: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)
    #: By each server's URL, the numbers of the requests that it is at, once they were looked at.
    under_way: dict[str, set[int]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Write the configuration, and watch every request."""
        token_file = self.folder / "token"
        token_file.write_text(self.world.vault.token)
        self.database = open_database(self.ledger_url)
        self.queries = LedgerReader(self.database)
        self.configure()
        for server in (self.world.vonage, self.world.vault):
            server.observers.append(self._watcher(server))

    def configure(
        self,
        *,
        grace: str = "0s",
        propagation_timeout: str = "30s",
        prove_deletion: bool = False,
        previous_field: str = "",
    ) -> None:
        """Write the configuration."""
        token_file = self.folder / "token"
        text = self.world.config(
            self.ledger_url, token_file, grace=grace, prove_deletion=prove_deletion
        )
        kept = f'[[accounts]]\nprevious_field = "{previous_field}"\n'
        text = text.replace("[[accounts]]\n", kept)
        vonage = f'[vonage]\npropagation_timeout = "{propagation_timeout}"\n'
        (self.folder / "config.toml").write_text(text.replace("[vonage]\n", vonage, 1))

    def run(self, *arguments: str, moment: Moment | None = None) -> int:
        """Run a command, to be killed at `moment`; give its exit code."""
        self.moment, self.requests, self.chosen = moment, 0, None
        self.started.clear()
        output, config = self.folder / "output", str(self.folder / "config.toml")
        first = partial(kill_at_commit, moment) if moment and moment.what == "commit" else None
        asked = ("--config", config, "--log-level", "debug", *arguments)
        command = Command(CommandSpec(arguments=asked, stdout=output, stderr=output, first=first))
        self.pid = command.pid
        self.started.set()
        try:
            code = command.wait()
        finally:
            command.kill()
        for server in (self.world.vonage, self.world.vault):
            self._hear_out(server)
        return code

    def secrets_left(self) -> dict[str, int]:
        """Count each account's live secrets."""
        accounts = self.world.accounts
        return {each.name: len(self.world.vonage.secrets(each.api_key)) for each in accounts}

    def broken_rules(self) -> list[str]:
        """Return what the ledger's entries alone show of rules that were broken."""
        return broken_rules(self.queries)

    def pending(self) -> list[str]:
        """Return the accounts that have something at their pending path."""
        return [
            account.name
            for account in self.world.accounts
            if any(version.data for version in self._pending_versions(account))
        ]

    def leaks(self) -> list[str]:
        """Return the places that hold a secret value and must not."""
        texts = {"output": (self.folder / "output").read_bytes()}
        for path in self.folder.glob("ledger.db*"):
            texts[path.name] = path.read_bytes()
        with self.database.connect() as connection:
            for table in metadata.tables.values():
                texts[table.name] = repr(connection.execute(table.select()).all()).encode()
        return [
            f"{place}: {secret.id}"
            for account in self.world.accounts
            for secret in self.world.vonage.history(account.api_key)
            for place, text in texts.items()
            if any(form in text for form in forms_of(account.api_key, secret.value))
        ]

    def _hear_out(self, server: VonageSimulator | VaultSimulator) -> None:
        """Wait until all that a command sent was looked at as it arrived, and what chose its end.

        Else a request that a busy machine holds up would be judged by what the next command has
        written down since. One that a fault delays was looked at, and may well come late.
        """
        # Connections are accepted in their order, so that those of the command are by now.
        with closing(HTTPConnection(urlsplit(server.url).netloc, timeout=PATIENCE)) as visit:
            visit.request("GET", "/_sim/")
            visit.getresponse().read()
        open_now = server._listener._threads if server._listener else {}
        until(lambda: len(open_now) <= len(self.under_way[server.url]), pause=0.001)

    def _watcher(self, server: VonageSimulator | VaultSimulator) -> Observer:
        under_way = self.under_way[server.url] = set()

        def watch(phase: Phase, exchange: Exchange) -> None:
            self.started.wait()
            under_way.discard(exchange.number)
            try:
                if phase == "before":
                    self._check_intent(exchange)
                    self._doom(exchange)
                self.broken += self.world.violations()
                self.broken += self._lost_values()
                self.broken += self._left_values()
                self._kill_if_chosen(server, phase, exchange)
            finally:
                if phase == "before" and exchange is not self.chosen:
                    under_way.add(exchange.number)

        return watch

    def _kill_if_chosen(
        self, server: VonageSimulator | VaultSimulator, phase: Phase, exchange: Exchange
    ) -> None:
        if self.moment is None or self.moment.what != "request":
            return
        with self.lock:
            if phase == "before":
                self.requests += 1
                if self.requests == self.moment.number:
                    self.chosen = exchange
        side = "after" if phase == "after" else "before"
        wanted = "after" if self.moment.side == "after" else "before"
        if self.chosen is not exchange or side != wanted:
            return
        os.kill(self.pid, signal.SIGKILL)
        if self.moment.side == "never":
            server.faults.add(
                Fault("drop-before", method=exchange.method, path=re.escape(exchange.path))
            )

    def _check_intent(self, exchange: Exchange) -> None:
        """Whoever changes something has written down before that he would."""
        effect = effect_of(exchange, self.world.accounts)
        if effect is None:
            return
        name, steps = effect
        newest = self.queries.history(name, limit=1)
        if not newest or newest[0].event != "intent" or newest[0].step not in steps:
            self.broken.append(f"{exchange.method} {exchange.path} without an intent")

    def _doom(self, exchange: Exchange) -> None:
        """Remember the value of a secret whose deletion was sent."""
        if exchange.method == "DELETE":
            self.doomed |= {
                secret.value
                for account in self.world.accounts
                for secret in self.world.vonage.history(account.api_key)
                if exchange.path.endswith(f"/secrets/{secret.id}")
            }

    def _left_values(self) -> list[str]:
        """No value in an entry is that of a secret whose deletion was sent."""
        return [
            f"{account.name}: field {name} has the value of a secret that is being deleted"
            for account in self.world.accounts
            for name, value in (self.world.vault.read(account.vault_path) or {}).items()
            if isinstance(value, str) and value in self.doomed
        ]

    def _lost_values(self) -> list[str]:
        """Every secret that rotator made has its value in Vault for as long as it lives."""
        return [
            f"{account.name}: the value of {secret.id} is lost"
            for account in self.world.accounts
            for secret in self.world.vonage.secrets(account.api_key)
            if secret.value not in self._values_in_vault(account)
            and secret.id in {each.id for each in self.world.vonage.secrets(account.api_key)}
        ]

    def _values_in_vault(self, account: SimAccount) -> set[str]:
        """Return the values at both paths: the pending one first.

        Requests go on meanwhile, and a value moves from there to the current entry. Read the
        other way round, one that moves between the two reads would be seen at neither.
        """
        pending = [
            version.data["value"] for version in self._pending_versions(account) if version.data
        ]
        current = self.world.vault.versions(account.vault_path)
        return {*pending, *(version.data["api_secret"] for version in current if version.data)}

    def _pending_versions(self, account: SimAccount) -> list[SimVersion]:
        return self.world.vault.versions(f"rotator/pending/{account.name}")


def broken_rules(queries: LedgerReader) -> list[str]:
    """Return what a ledger's entries alone show of rules that were broken, but for `end_graces`."""
    found = []
    for name in queries.recorded_accounts():
        rules = RuleCheck()

        def follow(entry: Entry, replay: Replay, rules: RuleCheck = rules) -> None:
            if FORGED not in entry.detail:
                rules.read(entry, replay)

        queries.verify(name, watch=follow)
        found += [f"{name}: {each}" for each in rules.violations]
    return found


@contextmanager
def ground(
    folder: Path, ledger_url: str, *, accounts: int = 1, subaccounts: int = 0
) -> Iterator[Ground]:
    """Yield a new world with a new ledger."""
    with Environment.build(accounts=accounts, subaccounts=subaccounts) as world:
        made = Ground(world, folder, ledger_url)
        try:
            yield made
        finally:
            made.database.dispose()


def effect_of(exchange: Exchange, accounts: list[SimAccount]) -> tuple[str, tuple[str, ...]] | None:
    """Return the account that a request changes, and the steps that may make the change."""
    if exchange.method == "GET":
        return None
    for account in accounts:
        effects = {
            rf"^/accounts/{account.api_key}/secrets$": ("create",),
            rf"^/accounts/{account.api_key}/secrets/": ("delete", "evict"),
            rf"/data/{account.vault_path}$": ("push", "withdraw"),
            rf"/data/rotator/pending/{account.name}$": ("stage",),
            rf"/destroy/rotator/pending/{account.name}$": ("clear",),
        }
        for pattern, steps in effects.items():
            if re.search(pattern, exchange.path):
                return account.name, steps
    return None


def forms_of(api_key: str, value: str) -> tuple[bytes, ...]:
    """Return the forms in which a value might show itself."""
    return tuple(form.encode() for form in leaks.forms(value, [api_key]))
