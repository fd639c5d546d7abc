"""One process: the real reconciler, run once, with every turn of events decided by a script.

The ports call `at` at each of their calls. There the script chooses how the call goes, or what
else happens first: time passes, a late request arrives, an outsider acts, another process takes
over. A kill needs no choice: the search takes note of the world at every call.
"""

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Protocol

from rotator.errors import CredentialRefused, RotatorError
from rotator.model import (
    Account,
    OnForeign,
    Outcome,
    PassResult,
    PendingEntry,
    Request,
    SecretValue,
)
from rotator.rotation.ports import BeforeSend, NewEntry
from rotator.rotation.reconciler import Reconciler
from rotator.rotation.result import failure, result_of
from rotator.rotation.steps import bookkeeping
from rotator.rotation.steps.prepare import requested
from rotator.rotation.window import BY_HAND
from tests.model_checking import external_actors, invariants, neighbours, operators
from tests.model_checking.fingerprint import MARK, describe, stack
from tests.model_checking.neighbours import is_theirs
from tests.model_checking.ports import (
    LEASE,
    PATIENCE,
    MemoryHooks,
    MemoryIssuer,
    MemoryLedger,
    MemoryStore,
)
from tests.model_checking.script import Script
from tests.model_checking.world import (
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

#: What a log is made of: a remark, or who was at which call, about what, and how it went.
Line = str | tuple[str, str, object, str]

#: How long a pause takes: two outlast the patience, one does not outlast the rules' freshness.
TICK = 40.0
#: How long a process may stand still without noticing; this does.
STALL = 61.0
#: More calls than a single pass should ever need.
ENDLESS = 400
#: Calls that tell of Vonage and Vault, or precede a change of them: an effect waits for its turn
#: and its connection. Whatever others do in between may as well be done right before one of these.
TELLING = frozenset({"read current", "read pending", "read version", "list", "wait"})
#: Faults that end a process, much as a kill does.
ENDS = frozenset({"fails", "recorded, unheard", "unavailable", "unanswered"})

#: Where an effect waits for its turn, and is looked at for the last time.
_PASSED_BY = ("wait", "check")


@dataclass(frozen=True, kw_only=True)
class Adopts:
    """Which of the live secrets an operator adopts, counted from the one that was there first."""

    number: int
    #: The operator says which one it is.
    names_it: bool = False
    #: What Vault has, whichever it is.
    from_vault: bool = False


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a process is started for."""

    request: Request = field(default_factory=lambda: Request(reason="asked"))
    wait: bool = False
    #: Instead of a rotation.
    adopts: Adopts | None = None
    abandons: bool = False


@dataclass(frozen=True, kw_only=True)
class Bounds:
    """How much may go wrong in the life of each process. Processes there may be many."""

    faults: int = 1
    #: Reads and the ledger may fail, too.
    ends: bool = False
    #: It may stand still for a minute, which counts as a fault.
    stalls: bool = False
    #: How often another process takes the lease of one that stands still.
    takeovers: int = 0


CALM = Bounds(faults=0)


def told(log: Sequence[Line]) -> list[str]:
    """Return a log in words."""
    return [line if isinstance(line, str) else _words(*line) for line in log]


def _words(name: str, call: str, detail: object, picked: str) -> str:
    return f"{name}: {call} {describe(detail).replace(MARK, '')}: {picked}"


class Ended(BaseException):
    """The run is over; like a kill, it goes past every handler of the reconciler."""


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
    log: list[Line] = field(default_factory=list)

    asked: Asked = field(default_factory=Asked)
    faults_left: int = 0
    takeovers_left: int = 0
    #: Where outsiders have acted since it looked there: `vonage`, `vault`.
    unseen: frozenset[str] = frozenset()
    #: What was seen pending last.
    pending: PendingEntry | None = None
    #: The fencing token of its lease.
    token: int = 0
    #: The token under which its request is recorded already.
    told_as: int = 0
    #: Gates that it found open, since it found one shut.
    opened: frozenset[str] = frozenset()
    #: The value of a revoked secret that Vonage refused last.
    refused: str | None = None
    is_over: bool = False
    calls: int = 0

    @property
    def is_new(self) -> bool:
        """Whether it is beyond what another run went through, and judged, to the same point."""
        return self.script.is_fresh

    @property
    def name(self) -> str:
        """What it is called in logs and leases."""
        return "successor" if self.elder else "process"

    def run(self, asked: Asked) -> PassResult | None:
        """Run the reconciler once; None where the run was ended."""
        self.asked = asked
        self.faults_left, self.takeovers_left = self.bounds.faults, self.bounds.takeovers
        account = self.accounts["account"]
        if asked.adopts is not None:
            return self._adopt(account, asked.adopts)
        if asked.abandons:
            return self._abandon(account)
        try:
            return self._engine().attempt(account, asked.request, wait=asked.wait)
        except Ended:
            return None

    def _adopt(self, account: Account, what: Adopts) -> PassResult | None:
        """Adopt a secret as an operator, and remember its value."""
        self.world.adoptions -= 1
        if what.number >= len(self.world.live):
            return None
        secret = self.world.live[what.number]
        self.world.kept_by_hand |= {secret.value}
        value = None if what.from_vault else SecretValue(secret.value)
        secret_id = secret.id if what.names_it else None
        try:
            self._engine().adopt(account, value, actor=operators.OPERATOR, secret_id=secret_id)
        except Ended:
            return None
        except RotatorError as error:
            return failure(account, None, error)
        return result_of(account, Outcome.IDLE, None)

    def _abandon(self, account: Account) -> PassResult | None:
        """Forget the account as an operator does, and end its rotation as it stands."""
        self.world.abandons -= 1
        ledger, now = MemoryLedger(self), when(self.world.now)
        try:
            lease = ledger.claim(account.name, now)
            rotation, entries = (
                ledger.load(account.name).rotation,
                [bookkeeping.forgotten(operators.OPERATOR)],
            )
            if rotation:
                # That this one is there is the operator's to know, should the push arrive yet.
                replaced = self.world.find(rotation.predecessor_id or "")
                self.world.kept_by_hand |= {replaced.value} if replaced else frozenset()
                rotation, entry = bookkeeping.abandoned(rotation, now)
                entries.insert(0, entry)
            ledger.commit(lease, rotation=rotation, entries=entries, snapshot=None, now=now)
            ledger.register(lease, None, now)
            ledger.release(lease)
        except Ended:
            return None
        except RotatorError as error:
            return failure(account, None, error)
        return result_of(account, Outcome.IDLE, None)

    # -- What the ports ask. ---------------------------------------------------------------

    def at(self, call: str, ways: Ways, *faults: str, detail: object = "") -> str:
        """Be at a call that may go these `ways` or fail like this, and settle how it does."""
        while True:
            events = self._events(call)
            failing = [fault for fault in faults if self._may_fail(fault)]
            options = [*ways(), *failing, *events]
            if call in _PASSED_BY and len(options) == 1 and not self.elder:
                # Nothing can happen here that could not have happened at the commit before.
                return options[0]
            picked = self._pick(call, options, detail)
            if picked not in events:
                self.faults_left -= picked in faults
                return picked
            events[picked]()
            self._is_well()

    def send(
        self,
        effect: Effect,
        ways: Ways,
        before_send: BeforeSend,
        *,
        refused: type[RotatorError],
        lost: type[RotatorError],
    ) -> None:
        """Try an effect; it happens, or not, and the answer arrives, or not.

        While it waits for its turn anything may happen, but from the last look on nothing does.
        """
        self.at("wait", lambda: ["goes on"], detail=effect)
        before_send()
        faults = ("refused", "lost", "done, unheard", "late")
        answer = self.at("send", ways, *faults, detail=effect)
        if self.is_new:
            invariants.before_effect(self.world, effect, self._sender())
        self.world.intent = None
        if answer == "refused":
            raise refused
        if isinstance(effect, DeleteSecret) and self.accounts["account"].previous_field:
            doomed = self.world.find(effect.id)
            self.world.doomed |= {doomed.value} if doomed else frozenset()
        if answer == "late":
            self.world.lates -= 1
            until = math.inf if self.world.is_patient else self.world.now + PATIENCE
            self.world.in_flight = InFlight(effect=effect, until=until, unseen=self.unseen)
        if answer in ("late", "lost"):
            raise lost
        if answer == "done, unheard":
            with contextlib.suppress(RotatorError):
                self._land(effect, answer, self.unseen)
            raise lost
        self._land(effect, answer, self.unseen)

    def tries(self, value: str) -> None:
        """See that a value that authenticates is not one that is pending for another account."""
        if any(is_theirs(each) and each and each.value == value for each in self.world.pending):
            raise invariants.Violation("I10", f"{value} of another account is sent")

    def recovers(self) -> None:
        """See that what another ledger began is recovered only where a person says so."""
        # As it was seen: a standby may show what is not there any more.
        is_lost_here = self.pending is not None and self.pending.ledger_id == self.world.ledger_id
        if not self.asked.request.takes_over and not is_lost_here:
            raise invariants.Violation("I10", "what another ledger began is taken over")

    def saw(self, where: str) -> None:
        """Record a look at Vonage or at what Vault has."""
        self.unseen -= {where}

    def asks_as(self, token: int) -> list[NewEntry]:
        """Return the entry that a person's request begins with, the first time under a token.

        An exploration leaves out that it is committed alone: nothing happens between.
        """
        request, is_told = self.asked.request, token == self.told_as
        self.told_as = token
        is_other = self.asked.adopts is not None or self.asked.abandons
        if is_told or is_other or request.actor or request.reason not in BY_HAND:
            return []
        return [requested(request, operators.OPERATOR, None)]

    def changed(self) -> None:
        """See that all is well after the ledger has changed; the lease may end right here."""
        self._is_well()
        ways = ["goes on", "stands still and is replaced"] if self.takeovers_left else ["goes on"]
        if self._pick("after commit", ways) != "goes on":
            self._be_replaced()

    # -- What happens around it. -----------------------------------------------------------

    def _may_fail(self, fault: str) -> bool:
        if fault == "late" and (not self.world.lates or self.world.in_flight):
            return False
        return self.faults_left > 0 and (self.bounds.ends or fault not in ENDS)

    def _events(self, call: str) -> dict[str, Callable[[], None]]:
        found: dict[str, Callable[[], None]] = {}
        if call in ("commit", "wait") and self.faults_left and self.bounds.stalls:
            found["stands still for a minute"] = self._stall
        if call == "wait" and self.takeovers_left:
            found["stands still and is replaced"] = self._be_replaced
        if (call == "commit" or call in TELLING) and self.world.jumps and self.bounds is not CALM:
            found["clock jumps ahead"] = lambda: self._jump(self.world.leap)
            found["clock jumps back"] = lambda: self._jump(-self.world.leap)
        # In between, an operator may as well act right before one of these.
        if call in ("commit", "load", "wait") and self.bounds is not CALM:
            found |= operators.deeds(self.world)
        if call in TELLING and self.bounds is not CALM:
            if self.world.in_flight:
                found["late request arrives"] = self._arrive_late
            if self.world.outsiders:
                found |= external_actors.deeds(self.world, self)
            found |= neighbours.deeds(self.world)
        return found

    def _jump(self, seconds: float) -> None:
        self.world.jumps -= 1
        self.world.jump(seconds)

    def _stall(self) -> None:
        self.faults_left -= 1
        self.world.pass_time(STALL)

    def _arrive_late(self) -> None:
        flight, self.world.in_flight = self.world.in_flight, None
        if flight:
            with contextlib.suppress(RotatorError):
                self._land(flight.effect, "done", flight.unseen)

    def _land(self, effect: Effect, answer: str, unseen: frozenset[str]) -> None:
        """Let an effect take place, sent by someone who had not seen all that outsiders did."""
        world = self.world
        if isinstance(effect, CreateSecret | DeleteSecret):
            world.heard(effect.credential, accepted=answer != "401")
            if answer == "401":
                raise CredentialRefused
        before = world.copy()
        apply(world, effect)
        if isinstance(effect, WriteCurrent):
            self._rest(before, effect)
        if isinstance(effect, DeleteSecret):
            invariants.after_deletion(before, world, effect.id, unseen)
        if isinstance(effect, WriteCurrent) and effect.kept.note:
            world.pushed = effect.kept.note.rotation_id
        if isinstance(effect, WritePending) and answer == "done, but unfit":
            world.rejections -= 1
            world.unfit |= {effect.staged.value}
        self._is_well()

    def _rest(self, before: World, effect: WriteCurrent) -> None:
        """Let what consumers have read be in use until the grace is over, which has yet to begin.

        What an operator puts in its place is the operator's decision; Vault keeps the version.
        """
        kept, note = before.consumed, effect.kept.note
        rested = before.issued(kept.value) if kept else None
        if effect.is_by_hand and note:
            self.world.held |= {note.secret_id}
        if kept is None or kept.value == effect.kept.value:
            return
        self.world.resting = (rested.id, math.inf) if rested else None
        if effect.is_by_hand:
            self.world.kept_by_hand |= {kept.value}

    def _be_replaced(self) -> None:
        """Stand still until the lease has ended, while another process works for a while."""
        self.takeovers_left -= 1
        self.world.pass_time(LEASE + 1)
        successor = Process(
            world=self.world,
            accounts=self.accounts,
            bounds=CALM,
            script=self.script,
            watcher=self.watcher,
            elder=self,
            log=self.log,
        )
        successor.run(Asked())

    # -- How it is driven. -----------------------------------------------------------------

    def _is_well(self) -> None:
        """See that all is well with the world, unless that was seen before."""
        if self.is_new:
            invariants.always(self.world)

    def _pick(self, call: str, options: list[str], detail: object = "") -> str:
        self.calls += 1
        if self.calls > ENDLESS:
            raise invariants.Violation("L1", "a process does not come to an end")
        if self.elder:
            options = [*options, "is killed"]
        if self.watcher and self.is_new:
            self.watcher.arrived(self, f"{call} {describe(detail)}", len(options))
        picked = self.script.pick(options)
        self.log.append((self.name, call, detail, picked))
        if picked == "is killed":
            self.is_over = True
            raise Ended
        return picked

    def text(self) -> str:
        """Describe what this process is about, and where in the code it stands."""
        return f"{self._brief()}\n{stack()}"

    def _brief(self) -> str:
        world = self.world
        seen = (sorted(self.unseen), sorted(self.opened), self.refused)
        lease = (self.token == world.token, world.intent is not None)
        elder = f"{self.elder._brief()}{self.elder.left}" if self.elder else ""
        return f"{self.asked}{seen}{lease}{elder}"

    @property
    def left(self) -> tuple[int, ...]:
        """Count what may yet happen in its life, as `World.left` does for all of them."""
        return (self.faults_left, self.takeovers_left)

    def _sender(self) -> invariants.Sender:
        policy = self.accounts["account"].policy
        return invariants.Sender(
            token=self.token,
            may_evict_foreign=policy.on_foreign is OnForeign.EVICT_OLDEST,
            grace=self.asked.request.grace,
            opened=self.opened,
            is_in_a_hurry=self.asked.request.reason == "compromised",
            unseen=self.unseen,
        )

    def _engine(self) -> Reconciler:
        world = self.world
        return Reconciler(
            issuer=MemoryIssuer(self),
            store=MemoryStore(self),
            ledger=MemoryLedger(self),
            hooks=MemoryHooks(self),
            accounts=self.accounts,
            propagation_timeout=timedelta(seconds=PATIENCE),
            generate=lambda _length: world.name("v"),
            new_id=lambda: world.name("r"),
            now=lambda: when(world.now),
            monotonic=lambda: world.true,
            sleep=lambda seconds: world.pass_time(max(seconds, TICK)),
        )
