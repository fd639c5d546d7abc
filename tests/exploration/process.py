"""One process: the real engine, run once, with every turn of events decided by a script."""

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from rotator.engine import Engine
from rotator.errors import CredentialRefused, RotatorError
from rotator.model import Account, OnForeign, Policy, Report, Request
from tests.exploration import invariants, outsiders
from tests.exploration.fingerprint import describe, stack
from tests.exploration.ports import LEASE, PATIENCE, MemoryIssuer, MemoryLedger, MemoryStore
from tests.exploration.world import (
    CreateSecret,
    DeleteSecret,
    Effect,
    InFlight,
    World,
    WriteCurrent,
    WritePending,
    apply,
    when,
)

#: Gives the ways in which a call may be answered now, the likeliest first.
Ways = Callable[[], Sequence[str]]
#: How long a pause takes, so that two outlast the patience and one the rules' freshness not.
TICK = 40.0
#: How long a process may stand still without noticing.
STALL = 61.0
#: Calls that no single pass should need.
ENDLESS = 400


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a process is started for."""

    request: Request = Request(reason="asked")
    wait: bool = False


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much may go wrong in the life of each process. Processes there may be many."""

    faults: int = 1
    #: How often another process takes the lease of one that stands still.
    takeovers: int = 0


CALM = Bounds(faults=0)


class Ended(BaseException):
    """The run is over; like a kill, it goes past every handler of the engine."""


class Script:
    """Which way things go: as given, then always the first."""

    def __init__(self, given: tuple[int, ...] = ()) -> None:
        """Follow `given`."""
        self._given = given
        self._taken: list[int] = []
        #: Scripts that differ from this one in their last choice.
        self.others: list[tuple[int, ...]] = []

    @property
    def is_fresh(self) -> bool:
        """Whether what was given is used up."""
        return len(self._taken) >= len(self._given)

    def pick(self, options: Sequence[str]) -> str:
        """Choose."""
        if self.is_fresh:
            taken = tuple(self._taken)
            self.others += [(*taken, other) for other in range(1, len(options))]
            self._taken.append(0)
        else:
            self._taken.append(self._given[len(self._taken)])
        return options[self._taken[-1]]


class Watcher(Protocol):
    """Who follows a run."""

    def arrived(self, process: "Process", text: str, options: int) -> None:
        """Hear that a process is about to choose; raise `Ended` if that is known already."""


@dataclass(kw_only=True)
class Process:
    """A process that carries one request out in a world."""

    world: World
    accounts: dict[str, Account]
    bounds: Bounds
    script: Script = field(default_factory=Script)
    watcher: Watcher | None = None
    #: The process that stands still while this one works.
    elder: "Process | None" = None
    name: str = "process"

    asked: Asked = field(default_factory=Asked)
    faults_left: int = 0
    takeovers_left: int = 0
    raced: bool = False
    is_over: bool = False
    #: The fencing token of its lease.
    token: int = 0
    calls: int = 0
    log: list[str] = field(default_factory=list)

    def run(self, asked: Asked) -> Report | None:
        """Run the engine once; None where the run was ended."""
        self.asked = asked
        self.faults_left, self.takeovers_left = self.bounds.faults, self.bounds.takeovers
        try:
            return self._engine().attempt(
                self.accounts["account"], asked.request, wait=asked.wait
            )
        except Ended:
            return None

    # -- What the ports ask. ---------------------------------------------------------------

    def at(self, call: str, ways: Ways, *faults: str, detail: str = "") -> str:
        """Be at a call that may go these `ways` or fail like this, and settle how it does."""
        while True:
            events = self._events()
            failing = [fault for fault in faults if self._may_fail(fault)]
            picked = self._pick(f"{call} {detail}", [*ways(), *failing, *events])
            if picked in events:
                events[picked]()
                invariants.always(self.world)
                continue
            self.faults_left -= picked in faults
            return picked

    def send(
        self,
        effect: Effect,
        ways: Ways,
        *,
        refused: type[RotatorError],
        lost: type[RotatorError],
    ) -> None:
        """Try an effect; it happens, or not, and the answer arrives, or not."""
        faults = ("refused", "lost", "done, unheard", "late")
        answer = self.at("send", ways, *faults, detail=describe(effect))
        invariants.before_effect(self.world, effect, self._sender())
        self.world.intent = None
        if answer == "late":
            self.world.lates -= 1
            until = self.world.now + PATIENCE
            self.world.in_flight = InFlight(effect=effect, until=until, raced=self.raced)
        if answer in ("late", "lost"):
            raise lost
        if answer == "refused":
            raise refused
        if answer == "done, unheard":
            with contextlib.suppress(RotatorError):
                self._land(effect, answer, raced=self.raced)
            raise lost
        self._land(effect, answer, raced=self.raced)

    def settled(self) -> None:
        """See that all is well after something has changed."""
        invariants.always(self.world)

    def answered(self, call: str) -> None:
        """Be right after a call: the process may stand still here and lose its lease."""
        if self.takeovers_left and self._pick(f"after {call}", ["goes on", "stands still"]) != "goes on":
            self.takeovers_left -= 1
            self._be_replaced()

    def _may_fail(self, fault: str) -> bool:
        is_possible = fault != "late" or (self.world.lates and not self.world.in_flight)
        return bool(self.faults_left and is_possible)

    # -- What happens around it. -----------------------------------------------------------

    def _events(self) -> dict[str, Callable[[], None]]:
        world, found = self.world, {}
        if self.bounds is CALM:
            return {}
        if world.in_flight:
            found["late request arrives"] = self._arrive_late
        if world.outsiders:
            found |= {
                name: self._outside(deed) for name, deed in outsiders.deeds(world).items()
            }
        if self.faults_left:
            found["stands still for a minute"] = self._stall
        return found

    def _outside(self, deed: outsiders.Deed) -> Callable[[], None]:
        def happen() -> None:
            world = self.world
            world.outsiders -= 1
            deed(world)
            self.raced = True
            if world.in_flight:
                flight = world.in_flight
                world.in_flight = InFlight(effect=flight.effect, until=flight.until, raced=True)

        return happen

    def _stall(self) -> None:
        self.faults_left -= 1
        self.world.pass_time(STALL)

    def _arrive_late(self) -> None:
        flight, self.world.in_flight = self.world.in_flight, None
        if flight:
            try:
                self._land(flight.effect, "done", raced=flight.raced)
            except RotatorError:
                return

    def _land(self, effect: Effect, answer: str, *, raced: bool) -> None:
        """Let an effect take place."""
        world = self.world
        if isinstance(effect, DeleteSecret) and raced:
            target = world.find(effect.id)
            world.harmed |= {target.value} if target else frozenset()
        if isinstance(effect, CreateSecret | DeleteSecret):
            world.heard(effect.credential, accepted=answer != "401")
        if answer == "401":
            raise CredentialRefused
        apply(world, effect)
        if isinstance(effect, WriteCurrent) and effect.kept.note:
            world.pushed = effect.kept.note.rotation_id
        if isinstance(effect, WritePending) and answer == "done, but unfit":
            world.rejections -= 1
            world.unfit |= {effect.staged.value}
        invariants.always(world)

    def _be_replaced(self) -> None:
        """Stand still until the lease has ended, while another process works for a while."""
        self.world.pass_time(LEASE + 1)
        other = Process(
            world=self.world,
            accounts=self.accounts,
            bounds=CALM,
            script=self.script,
            watcher=self.watcher,
            elder=self,
            name="successor",
            log=self.log,
        )
        other.run(Asked())

    # -- How it is driven. -----------------------------------------------------------------

    def _pick(self, where: str, options: list[str]) -> str:
        self.calls += 1
        if self.calls > ENDLESS:
            self.is_over = True
            raise invariants.Violation("L1", "a process does not come to an end")
        if self.elder:
            options = [*options, "is killed"]
        if self.watcher and self.script.is_fresh:
            self.watcher.arrived(self, where, len(options))
        picked = options[0] if len(options) == 1 else self.script.pick(options)
        self.log.append(f"{self.name}: {where}: {picked}")
        if picked == "is killed":
            self.is_over = True
            raise Ended
        return picked

    def text(self) -> str:
        """Describe what this process is about, and where in the code it stands."""
        return f"{self._brief()}\n{stack()}"

    def _brief(self) -> str:
        world = self.world
        mine = (self.name, self.faults_left, self.takeovers_left, self.raced, self.asked)
        lease = (self.token == world.token, world.intent is not None)
        return f"{mine}{lease}{self.elder._brief() if self.elder else ''}"

    def _sender(self) -> invariants.Sender:
        policy = self.accounts["account"].policy
        return invariants.Sender(
            token=self.token,
            raced=self.raced,
            may_evict_foreign=policy.on_foreign is OnForeign.EVICT_OLDEST,
            grace=self.asked.request.grace,
        )

    def _engine(self) -> Engine:
        world = self.world
        return Engine(
            issuer=MemoryIssuer(self),
            store=MemoryStore(self),
            ledger=MemoryLedger(self),
            accounts=self.accounts,
            propagation_timeout=timedelta(seconds=PATIENCE),
            draw=lambda _length: world.name("v"),
            new_id=lambda: world.name("r"),
            now=lambda: when(world.now),
            monotonic=lambda: world.now,
            sleep=lambda seconds: world.pass_time(max(seconds, TICK)),
        )
