"""A reconciler at work between two simulators, watched from outside."""

import dataclasses
from collections.abc import Callable
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import mkdtemp
from types import TracebackType
from typing import Any, Self, cast

from sqlalchemy import Engine as DatabaseEngine

from rotator.hooks.dispatcher import HookDispatcher
from rotator.hooks.runner import HookRunner
from rotator.ledger.chain import Entry
from rotator.ledger.deliveries import Deliveries
from rotator.ledger.facts import Detail
from rotator.ledger.reader import LedgerReader
from rotator.ledger.writer import LedgerWriter
from rotator.model import Actor, Outcome, PassResult, Request, Rotation, SecretValue, generation
from rotator.model.notification import Event, Hook, subscribers
from rotator.reporting.rules import RuleCheck
from rotator.reporting.rules.past import Past
from rotator.rotation.adoption import Adopted
from rotator.rotation.origins import Origins
from rotator.rotation.ports import Hooks, Issuer, Lease, Ledger, NewEntry, Observer, Store
from rotator.rotation.reconciler import Reconciler
from rotator.vault import FileToken, KvStore, VaultSession
from rotator.vonage import Audit, Secrets, VonageClient
from tests.support import leaks
from tests.support.clock import FakeClock
from tests.support.external_actors import ExternalActors
from tests.support.fixture_options import AGE, NAME, SUB, FixtureOptions
from tests.support.invariant_monitor import InvariantMonitor, Seen
from tests.support.ledgers import another_ledger, backup, new_ledger, open_ledger
from tests.support.port_interceptor import Calls, Killed, PortInterceptor
from tests.support.samples import ANN

__all__ = ["AGE", "IMPATIENT", "LEASE", "NAME", "PATIENT", "SUB", "RotationFixture", "code"]

#: Seconds that a lease lasts.
LEASE = 180.0
#: Characters; anything shorter is no secret and found everywhere.
SHORTEST = 8
#: Seconds, of the real clock, that clients wait for an answer: enough for a busy machine.
PATIENT = 15.0
#: The same where a request is to be given up.
IMPATIENT = 1.0


class RotationFixture(ExternalActors):
    """Both simulators, both clients, a ledger in a file and a reconciler, all on one fake clock.

    At the end it fails if a rule was broken anywhere, or a value is where it must not be.
    """

    def __init__(self, folder: Path, **setting: Any) -> None:  # noqa: ANN401  # of `FixtureOptions`
        """Build everything in `folder`."""
        self.setting = FixtureOptions(**setting)
        self.clock = FakeClock()
        #: How far rotator's machine is ahead of the simulators' clock.
        self.clock_offset = timedelta()
        self._patience = PATIENT
        self.folder = Path(mkdtemp(dir=folder))
        self.ear = leaks.LogCapture()
        self.reports: list[PassResult] = []
        #: What the reconciler's observer was told.
        self.told: list[tuple[str, NewEntry]] = []
        #: What to do, once, when an entry with such an event was committed.
        self.on_event: dict[str, Callable[[], object]] = {}
        #: What the ports of any process raised.
        self.errors: list[BaseException] = []
        #: A test wrote into the ledger's tables: `rotator ledger verify` is to find it.
        self.is_tampered_with = False
        #: A test recorded something itself, which is less than what rotator records.
        self.has_made_up_entries = False
        #: Every value that was ever drawn.
        self.generated: list[str] = []
        self._cleanup = ExitStack()
        self._process = ExitStack()
        self.world = self.setting.world(self.clock)
        self.accounts = self.setting.managed(self.world)
        self.ledger_file = new_ledger(self.folder)
        self.token_file = self.folder / "token"
        self.tokens: list[str] = []
        self.token_works = False
        self.new_token()
        self.monitor = InvariantMonitor(
            world=self.world, accounts=self.accounts, entries=self.entries
        )

    def __enter__(self) -> Self:
        """Start the simulators and a first process."""
        self._cleanup.enter_context(self.ear)
        self._cleanup.callback(self.world.close)
        self.world.vonage.start()
        self.world.vault.start()
        self.restart()
        if self.setting.rotated_before:
            assert self.attempt(grace=timedelta()).outcome is Outcome.COMPLETED
            self.clock.advance(days=31)
            self.restart()
        self.begun_at = self.clock.now()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close everything and, unless the test failed already, check the rules."""
        self._process.close()
        self._cleanup.close()
        if error is None:
            self.check()

    # -- Set-up. ---------------------------------------------------------------------------

    def restart(self) -> None:
        """Begin a new process: nothing is left of the one before but what is durable."""
        self._process.close()
        self.calls = Calls(errors=self.errors)
        self.database = self._open(self.setting.ledger_url or f"sqlite:///{self.ledger_file}")
        self.queries = LedgerReader(self.database)
        far = self.setting.engine_ledger_url
        reached = self._open(far) if far else self.database
        self.writer = LedgerWriter(reached, lease_seconds=LEASE, subscribers=self._hearing)
        self.deliveries = Deliveries(self.database)
        self.dispatcher = HookDispatcher(
            hooks=self.hooks,
            accounts=self.accounts,
            mount="secret",
            outbox=lambda: self.deliveries,
            runner=HookRunner(environ={}),
            now=self.clock.now,
        )
        self.transport = VonageClient(
            api_url=self.world.vonage.url,
            rest_url=self.world.vonage.url,
            timeout=self._patience,
            max_requests_per_second=1e9,
            clock=self.clock.monotonic,
            sleep=self.clock.sleep,
            random=lambda: 0.5,
            wall_clock=lambda: self._told_time().timestamp(),
        )
        self.connection = VaultSession(
            self.world.vault.url,
            token_source=FileToken(str(self.token_file)),
            timeout=self._patience,
            sleep=self.clock.sleep,
            clock=self.clock.monotonic,
        )
        self.reconciler = Reconciler(
            issuer=cast("Issuer", PortInterceptor("issuer", Secrets(self.transport), self.calls)),
            store=cast(
                "Store", PortInterceptor("store", KvStore(self.connection, "secret"), self.calls)
            ),
            ledger=cast("Ledger", PortInterceptor("ledger", self.writer, self.calls)),
            accounts=self.accounts,
            propagation_timeout=self.setting.propagation_timeout,
            hooks=cast("Hooks", PortInterceptor("hooks", self.dispatcher, self.calls)),
            observer=_Listener(self),
            generate=self._generate,
            now=self._told_time,
            monotonic=self.clock.monotonic,
            sleep=self.clock.sleep,
            origins=Origins(trail=Audit(self.transport)) if self.setting.audit else None,
        )

    def _told_time(self) -> datetime:
        """Return the time by this machine's clock."""
        return self.clock.now() + self.clock_offset

    def wait_for_answers(self, seconds: float) -> None:
        """From the next request on, let the clients wait so long, of the real clock."""
        self._patience = seconds
        self.transport._timeout = seconds
        self.connection._timeout = seconds

    def _open(self, url: str) -> DatabaseEngine:
        database = open_ledger(url)
        self._process.callback(database.dispose)
        return database

    def lose_ledger(self) -> None:
        """Begin a new process with an empty ledger."""
        self.restore_ledger(another_ledger(self.folder))

    def keep_ledger(self) -> Path:
        """Make a backup of the ledger, a SQLite file."""
        return backup(self.ledger_file)

    def restore_ledger(self, kept: Path) -> None:
        """Begin a new process with the ledger as a file, such as a backup, has it."""
        self.database.dispose()
        self.ledger_file = kept
        self.restart()

    @property
    def hooks(self) -> tuple[Hook, ...]:
        """The configured hooks."""
        return self.setting.hooks

    def _hearing(self, event: Event, name: str) -> tuple[str, ...]:
        return subscribers(self.hooks, event, name)

    def _generate(self, length: int) -> str:
        value = generation.generate(length)
        self.generated.append(value)
        return value

    # -- Action. ---------------------------------------------------------------------------

    def attempt(  # noqa: PLR0913  # all but one by name
        self,
        name: str = NAME,
        *,
        reason: str | None = "asked",
        grace: timedelta | None = None,
        wait: bool = False,
        takes_over: bool = False,
        actor: Actor | None = None,
    ) -> PassResult:
        """Make one pass."""
        request = Request(reason=reason, grace=grace, takes_over=takes_over, actor=actor)
        report = self.reconciler.attempt(self.accounts[name], request, wait=wait)
        self.reports.append(report)
        return report

    def resume(self, name: str = NAME) -> PassResult:
        """Continue an open rotation, in one pass."""
        return self.attempt(name, reason=None)

    def adopt(
        self, value: str | None, name: str = NAME, *, secret_id: str | None = None
    ) -> Adopted:
        """Adopt a value, or what Vault has, as an operator does: no pending one then."""
        given = None if value is None else SecretValue(value)
        before = self.monitor.excused
        self.monitor.excused = before | {"a value was pushed that is not the pending one"}
        try:
            return self.reconciler.adopt(self.accounts[name], given, actor=ANN, secret_id=secret_id)
        finally:
            self.monitor.excused = before

    def run_until_killed(self, name: str = NAME, **request: Any) -> PassResult | None:  # noqa: ANN401  # of `attempt`
        """Make one pass; None if it was killed. Its lease is over by the time this returns."""
        try:
            return self.attempt(name, **request)
        except Killed:
            self.clock.advance(seconds=2 * LEASE)
            self.restart()
            return None

    def carry_on(
        self,
        passes: int = 4,
        between: Callable[[Self], object] = lambda _scene: None,
        **request: Any,  # noqa: ANN401  # of `attempt`
    ) -> list[PassResult | None]:
        """Make passes, each a process of its own, until the rotation is over or waits.

        Before each but the first, five minutes go by, in which `between` happens.
        """
        reports: list[PassResult | None] = []
        while len(reports) < passes and not self.is_through():
            if reports:
                between(self)
                self.restart()
                self.clock.advance(minutes=5)
            reports.append(self.run_until_killed(**request))
        between(self)
        return reports

    def is_through(self) -> bool:
        """Whether the rotation of this scene is over, or waits in its grace."""
        rotation = self.rotation()
        if rotation is None or rotation.opened_at < self.begun_at:
            return False
        due = rotation.delete_due_at
        return rotation.outcome == "completed" or (due is not None and due > self.clock.now())

    def before_request(self, number: int, action: Callable[[Seen], object]) -> None:
        """Do `action` when the `number`th request from now, to either system, has arrived."""
        self.monitor.before.append(self._at(number, action))

    def after_request(self, number: int, action: Callable[[Seen], object]) -> None:
        """Do `action` when the `number`th request from now has taken effect, unanswered yet."""
        self.monitor.after.append(self._at(number, action))

    def _at(self, number: int, action: Callable[[Seen], object]) -> Callable[[Seen], None]:
        due = len(self.monitor.requests) + number

        def step_in(seen: Seen) -> None:
            if seen.number == due:
                action(seen)

        return step_in

    def new_token(self) -> None:
        """Put another Vault token into the token file; the one before is revoked."""
        self.expire_token()
        self.tokens.append(self.world.vault.issue_token())
        self.token_works = True
        self.token_file.write_text(self.tokens[-1])

    def expire_token(self) -> None:
        """Revoke the Vault token, unless that has happened already."""
        if self.token_works:
            self.world.vault.revoke_token(self.tokens[-1])
        self.token_works = False

    def propagate_in(self, seconds: float) -> None:
        """Set the seconds until all of Vonage knows of a change."""
        self.world.vonage.propagation = seconds

    def rival(self, name: str = NAME) -> Lease:
        """Take the lease away, as another machine does once it has run out."""
        late = self.clock.now() + timedelta(seconds=2 * LEASE)
        return LedgerWriter(self.database, lease_seconds=LEASE, owner="elsewhere/x/y/1/2").claim(
            name, late
        )

    # -- Observing. -----------------------------------------------------------------------

    def entries(self, name: str = NAME) -> list[Entry]:
        """Return the account's ledger entries."""
        return list(self.queries.entries(name))

    def events(self, name: str = NAME) -> list[str]:
        """Return the account's ledger entries in short: `intent create`."""
        return [f"{entry.event} {entry.step or ''}".strip() for entry in self.entries(name)]

    def rotation(self, name: str = NAME) -> Rotation | None:
        """Return the account's newest rotation."""
        return self.queries.accounts([name])[0].last_rotation

    def requests(self, system: str = "") -> list[str]:
        """Return the requests to one system or both, as `METHOD path`."""
        return [
            f"{seen.exchange.method} {seen.exchange.path}"
            for seen in self.monitor.requests
            if system in ("", seen.system)
        ]

    # -- Checks. ---------------------------------------------------------------------------

    def check(self) -> None:
        """Check that no rule was broken and nothing leaked.

        Raises:
            AssertionError: one was, or something did.
        """
        errors = [*self.world.vonage.observer_errors, *self.world.vault.observer_errors]
        assert not errors, leaks.text_of(errors[0])
        assert not self.monitor.violations, "\n".join(self.monitor.violations)
        for name in self.accounts:
            rules = RuleCheck(past=_AskedByTests())
            faults = self.queries.verify(name, watch=rules.read).faults
            broken = () if self.has_made_up_entries else rules.violations
            found = [*faults, *broken]
            assert not found or self.is_tampered_with, f"{name}: {', '.join(map(str, found))}"
        self.database.dispose()
        leaks_found = self.leaks()
        assert not leaks_found, "a value is found in:\n" + "\n".join(leaks_found)

    def leaks(self) -> list[str]:
        """Return the texts in which a value or a token is found."""
        texts = [
            *self.ear.lines,
            *map(leaks.text_of, self.errors),
            *map(repr, [*self.reports, *self.told]),
            *(str(dataclasses.asdict(report)) for report in self.reports),
            *leaks.contents(self.folder.glob("ledger-*")),
        ]
        api_keys = [account.api_key for account in self.accounts.values()]
        return leaks.found(self._values(), api_keys, texts)

    def _values(self) -> set[str]:
        """Return every secret: generated, issued or stored."""
        values = {*self.generated, *self.tokens}
        for name, account in self.accounts.items():
            values |= {secret.value for secret in self.history(name)}
            values |= {
                str(version.data.get("api_secret"))
                for version in self.world.vault.versions(account.vault_path)
                if version.data
            }
        return {value for value in values if len(value) >= SHORTEST}


class _AskedByTests(Past):
    """What is asked for here, a test asks for: most requests name nobody, and have no entry."""

    def requested(self, token: int | None) -> tuple[Detail, ...]:
        """Take it that somebody asked for whatever is done."""
        del token
        return (_Anything(),)


class _Anything(dict[str, Any]):
    """A request for whatever it is compared with."""

    def get(self, key: str, default: object = None) -> Any:  # noqa: ANN401  # as a dictionary
        """Return what equals everything."""
        del key, default
        return _EQUAL


class _Equal:
    """Equals everything."""

    def __hash__(self) -> int:
        """Return the same for all, as all are equal to it."""
        return 0

    def __eq__(self, other: object) -> bool:
        """Return that it does."""
        return True


_EQUAL = _Equal()


class _Listener(Observer):
    """Keeps each entry, and does what is to be done at it."""

    def __init__(self, fixture: RotationFixture) -> None:
        self._scene = fixture

    def entry_recorded(self, account: str, entry: NewEntry) -> None:
        self._scene.told.append((account, entry))
        self._scene.on_event.pop(entry.event, lambda: None)()


def code(report: PassResult) -> str | None:
    """Return a pass result's error code."""
    return report.error.code if report.error else None
