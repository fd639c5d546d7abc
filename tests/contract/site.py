"""A reconciler between a simulated Vonage and a Vault of the contract tests."""

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast

from rotator.ledger.database import open_database
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import Account, PassResult, Request, generation
from rotator.rotation.reconciler import Reconciler
from rotator.sim import SimSecret, VonageSimulator
from rotator.vault import KvStore, TokenSource, Trust
from rotator.vonage import Secrets, VonageClient
from tests.contract.client import link
from tests.contract.server import Document, Server
from tests.support import leaks
from tests.support.clock import FakeClock
from tests.support.port_interceptor import Calls, PortInterceptor

if TYPE_CHECKING:
    from rotator.rotation.ports import Issuer, Ledger, Store

FIRST = "FirstSecret1"


class Site:
    """One account at a simulated Vonage and in a Vault, and the processes that rotate it.

    At the end it fails if a rule was broken or a value is where it must not be.
    """

    def __init__(self, server: Server, account: Account, ledger: Path) -> None:
        """Keep `account` in `server`, and its record in the file `ledger`, which has a schema."""
        self.server = server
        self.account = replace(account, policy=replace(account.policy, grace=timedelta()))
        self.vonage = VonageSimulator()
        self.vonage.add_account(account.api_key, FIRST)
        self.clock = FakeClock()
        self.ear = leaks.LogCapture()
        self.reports: list[PassResult] = []
        #: Every value that was ever drawn, and every token that was used.
        self.secret: list[str] = [FIRST]
        self.calls = Calls()
        self.ledger = ledger
        self._cleanup = ExitStack()
        fields = {"api_key": account.api_key, "api_secret": FIRST, "note": "kept"}
        server.write(account.vault_path, fields)
        self.database = open_database(f"sqlite:///{ledger}")
        self.queries = LedgerReader(self.database)

    def __enter__(self) -> Self:
        """Start what has to be started."""
        self._cleanup.callback(self.database.dispose)
        self._cleanup.enter_context(self.ear)
        self._cleanup.callback(self.vonage.close)
        self.vonage.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Check the rules, unless the test failed already, and close everything."""
        try:
            if error is None:
                self.check()
        finally:
            self._cleanup.close()

    # -- Action. ---------------------------------------------------------------------------

    def begin(self, source: TokenSource, url: str = "", trust: Trust | None = None) -> Reconciler:
        """Begin a new process, which knows what is durable; `url` is another of the server's."""
        self.calls = Calls()
        transport = VonageClient(
            api_url=self.vonage.url,
            rest_url=self.vonage.url,
            timeout=60,
            max_requests_per_second=1e9,
            clock=self.clock.monotonic,
            sleep=self.clock.sleep,
        )
        store = KvStore(link(url or self.server.url, source, trust), "secret")
        writer = LedgerWriter(self.database, lease_seconds=180)
        return Reconciler(
            issuer=cast("Issuer", PortInterceptor("issuer", Secrets(transport), self.calls)),
            store=cast("Store", PortInterceptor("store", store, self.calls)),
            ledger=cast("Ledger", PortInterceptor("ledger", writer, self.calls)),
            accounts={self.account.name: self.account},
            propagation_timeout=timedelta(minutes=2),
            generate=self._generate,
            now=self.clock.now,
            monotonic=self.clock.monotonic,
            sleep=self.clock.sleep,
        )

    def attempt(self, engine: Reconciler, reason: str | None = "asked") -> PassResult:
        """Make one pass; without a reason it only carries on what is open."""
        self.clock.advance(minutes=5)
        report = engine.attempt(self.account, Request(reason=reason))
        self.reports.append(report)
        return report

    def at(self, point: str, action: Callable[[], object]) -> None:
        """Do `action` right before the call that `point` names, `store.write_pending 1`."""
        name, _, number = point.partition(" ")
        self.calls.plan("before", name, int(number), action)

    def _generate(self, length: int) -> str:
        value = generation.generate(length)
        self.secret.append(value)
        return value

    # -- What there is to see. -------------------------------------------------------------

    def secrets(self) -> list[SimSecret]:
        """Return the live secrets, the oldest first."""
        return list(reversed(self.vonage.secrets(self.account.api_key)))

    def entry(self) -> Document:
        """Return the entry that consumers read."""
        return self.server.data(self.account.vault_path) or {}

    def kept(self) -> set[Any]:
        """Return all values that Vault has, in whatever version of either entry."""
        metadata = self.server.metadata(self.account.vault_path) or {}
        current = [
            self.server.data(self.account.vault_path, int(version))
            for version in metadata["versions"]
        ]
        entries = [each or {} for each in (*current, self.server.data(self.account.pending_path))]
        return {entry.get("api_secret") or entry.get("value") for entry in entries}

    # -- Judgement. ------------------------------------------------------------------------

    def check(self) -> None:
        """Check what holds at every moment.

        Raises:
            AssertionError: a rule was broken.
        """
        entry, secrets = self.entry(), self.secrets()
        assert self.vonage.authenticates(self.account.api_key, entry["api_secret"])
        assert entry["note"] == "kept"
        assert 1 <= len(secrets) <= 2
        assert {secret.value for secret in secrets} <= self.kept(), "a value was lost"
        assert self.queries.verify(self.account.name).fault is None
        shown = [*self.ear.lines, *map(repr, self.reports), *leaks.contents([self.ledger])]
        assert not leaks.found(self.secret, [self.account.api_key], shown)

    def check_completed(self) -> None:
        """Check that one rotation was made, and no more.

        Raises:
            AssertionError: it was not.
        """
        self.check()
        (live,) = self.secrets()
        entry, metadata = self.entry(), self.server.metadata(self.account.vault_path) or {}
        assert live.value == entry["api_secret"] != FIRST
        assert entry["rotator"]["secret_id"] == live.id
        assert len(self.vonage.history(self.account.api_key)) == 2, "one secret was made"
        assert metadata["current_version"] == 2, "one version was pushed"
        pending = self.server.metadata(self.account.pending_path) or {}
        assert all(version["destroyed"] for version in pending["versions"].values())
        last = self.queries.accounts([self.account.name])[0].last_rotation
        assert last
        assert last.outcome == "completed"
