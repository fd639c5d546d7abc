"""The search: every world that can come about, and every way on from it, to the end.

A process that is killed leaves nothing but the world. So the search has two levels: worlds in
which a process starts, and points that a process reaches in a world. From each world the real
reconciler is run again and again, each time by another script of choices, until every choice at
every point has been taken; what was reached before is not followed twice. Wherever a process
stands, it may be killed, so each world on its way is one in which a fresh process starts.
"""

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from operator import ge

from rotator.model import Account, Outcome, PassResult
from tests.model_checking import external_actors, invariants, neighbours
from tests.model_checking.fingerprint import OLD, Names, fingerprint
from tests.model_checking.process import CALM, Asked, Bounds, Ended, Line, Process, told
from tests.model_checking.script import Script
from tests.model_checking.world import World

#: Passes without any fault after which a rotation has to be over.
PASSES = 12
#: Longer than anything that is waited for.
LATER = 5.0 * OLD


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Where an exploration begins, and how far it goes."""

    name: str
    worlds: tuple[World, ...]
    accounts: dict[str, Account]
    bounds: Bounds = field(default_factory=Bounds)
    #: What processes may be started for; the first is what an operator tries again.
    asked: tuple[Asked, ...] = (Asked(),)
    #: How many rotations are to be completed.
    rotations: int = 1
    #: How much time may pass between two processes, but for none: longer than anything waited for,
    #: or the wait goes on for a state for each such step.
    later: float = LATER
    #: An operator may have to decide, even where nobody interfered.
    may_refuse: bool = False


@dataclass(kw_only=True)
class Tally:
    """What an exploration went through."""

    worlds: int = 0
    points: int = 0
    transitions: int = 0
    runs: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)


class Followed:
    """States from which every way on was taken, or will be.

    A state from which less may yet happen than from one that is followed and otherwise the same is
    not followed: all its ways are among those of the other one, of which no less is demanded.

    What the ledger may go back to changes nothing until it does: two states that differ in that
    alone go the same ways. So it is no part of a state. Beside each state stands what the ledger
    may go back to from there, and one that is met again is followed only for what that adds; the
    rest was followed before. Following every set of it apart would take a state for each order
    in which rotations were begun and failed, of which there is no end.
    """

    def __init__(self) -> None:
        """Begin with none."""
        #: By state: how much could yet happen, and what the ledger could go back to.
        self._found: dict[int, list[tuple[tuple[int, ...], frozenset[int]]]] = {}

    def take_in(self, mark: int, left: tuple[int, ...], world: World, names: Names) -> bool:
        """Whether a state is to be followed; leave `world` only what it has to go back to for it.

        `mark` is what equal states share, `left` is how much may yet happen, and `names` are those
        of its text.
        """
        found = self._found.setdefault(mark, [])
        richer = [past for more, past in found if all(map(ge, more, left))]
        known = frozenset().union(*richer)
        past = {hash(names.copy().told(world.text_of(was))): was for was in world.past}
        world.past = tuple(was for key, was in past.items() if key not in known)
        is_followed = not richer or bool(world.past)
        if is_followed:
            found.append((left, frozenset(past)))
        return is_followed


@dataclass(frozen=True, kw_only=True)
class Node:
    """A world in which a process starts, and how it came about."""

    world: World
    log: tuple[Line, ...] = ()
    parent: "Node | None" = None

    def trace(self, log: Sequence[Line] = ()) -> str:
        """Return the whole story, with `log` at its end."""
        lines = told((*self.log, *log))
        return "\n".join([*([self.parent.trace()] if self.parent else ()), *lines])


class Search:
    """One exploration."""

    def __init__(self, scenario: Scenario) -> None:
        """Explore `scenario`."""
        self.scenario = scenario
        self.tally = Tally()
        self._points = Followed()
        self._worlds = Followed()
        #: Worlds that a process came through.
        self._scenes = Followed()
        self._ending: set[int] = set()
        self._queue: deque[Node] = deque()
        self._node = Node(world=scenario.worlds[0])
        #: The world that a process was seen in last, and what it is called.
        self._state: tuple[object, ...] = ()
        self._mark, self._names = 0, Names(0)

    def explore(self) -> Tally:
        """Go through all of it.

        Raises:
            Violation: an invariant does not hold; its note is how that came about.
        """
        for world in self.scenario.worlds:
            self._offer(world, ())
        while self._queue:
            self._node = self._queue.popleft()
            self._ends_well(self._node.world)
            for asked in self.scenario.asked:
                self._start(asked)
        return self.tally

    def arrived(self, process: Process, where: str, options: int) -> None:
        """See `Watcher`."""
        world = process.world
        state = tuple(vars(world).values())
        if state != self._state:
            self._state, self._names = state, Names(world.now)
            self._mark = hash(self._names.told(world.text()))
            left = world.copy()
            if self._scenes.take_in(self._mark, left.left, left, self._names):
                self._offer(left, tuple(process.log))
        if options == 1 and not where.startswith("commit"):
            return
        stand = hash(self._names.copy().told(f"{where}\n{process.text()}"))
        point, budget = hash((self._mark, stand)), (*world.left, *process.left)
        if not self._points.take_in(point, budget, world, self._names):
            process.is_over = True
            raise Ended
        self.tally.points += 1
        self.tally.transitions += options

    def _start(self, asked: Asked) -> None:
        """Run a process in every way in which it can go."""
        if asked.adopts and not self._node.world.adoptions:
            return
        if asked.abandons and not self._node.world.abandons:
            return
        if asked.request.takes_over and not self._node.world.is_strange:
            return
        scripts: deque[tuple[int, ...]] = deque([()])
        while scripts:
            script = Script(scripts.popleft())
            process = self._process(self._node.world.copy(), script, self.scenario.bounds)
            self._state = ()
            self._try(process, asked)
            scripts.extend(script.others)

    def _try(self, process: Process, asked: Asked) -> None:
        self.tally.runs += 1
        try:
            report = process.run(asked)
        except Exception as error:
            error.add_note(self._node.trace(process.log))
            raise
        if report:
            self.tally.outcomes[_name(report)] += 1
            self._offer(process.world, (*process.log, f"ended: {_name(report)}"))

    def _process(self, world: World, script: Script, bounds: Bounds) -> Process:
        return Process(
            world=world,
            accounts=self.scenario.accounts,
            bounds=bounds,
            script=script,
            watcher=None if bounds is CALM else self,
        )

    def _offer(self, world: World, log: tuple[Line, ...]) -> None:
        """Take in a world that a process left behind, soon after and long after."""
        for seconds in (0.0, self.scenario.later):
            left = world.copy()
            left.forget()
            left.pass_time(seconds)
            note = (*log, f"-- killed or ended; {seconds:.0f} s later:")
            self._take_in(Node(world=left, log=note, parent=self._node))

    def _take_in(self, node: Node) -> None:
        world, names = node.world, Names(node.world.now)
        if not self._worlds.take_in(hash(names.told(world.text())), world.left, world, names):
            return
        self.tally.worlds += 1
        if world.losses:
            lost = world.copy()
            lost.losses -= 1
            external_actors.lose_ledger(lost)
            self._take_in(replace(node, world=lost, log=(*node.log, "ledger lost")))
        for was in world.past if world.relapses else ():
            gone_back = world.copy()
            external_actors.set_back_ledger(gone_back, was)
            note = f"ledger is back at {was[0]}, after {len(was[1])} rotations"
            self._take_in(replace(node, world=gone_back, log=(*node.log, note)))
        if node.world.completed < self.scenario.rotations:
            self._queue.append(node)
        else:
            self._is_complete(node.world, list(node.log))

    # -- How it ends. ----------------------------------------------------------------------

    def _ends_well(self, world: World) -> None:
        """See that processes that nothing happens to any more bring it to an end."""
        world = world.copy()
        passed: list[int] = []
        log: list[Line] = []
        asked = self.scenario.asked[0]
        for _ in range(PASSES):
            # What may yet happen tells what has, and so what is demanded.
            mark = hash((fingerprint(world.text(), world.now), world.left))
            if mark in self._ending or world.completed >= self.scenario.rotations:
                break
            passed.append(mark)
            report = self._calm_pass(world, asked, log)
            if _code(report) == "held":
                self._release(world, log)
                continue
            if _code(report) == "pending-foreign":
                self._let_finish(world, log)
                continue
            if _code(report) == "pending-unknown":
                asked = self._taking_over(world, asked, log)
                continue
            if _must_decide(report) and self._may_refuse(world):
                break
            if report.outcome is not Outcome.COMPLETED:
                world.pass_time(self.scenario.later)
        else:
            self._fail("L1", "it never ends", log)
        if world.completed >= self.scenario.rotations:
            self._is_complete(world, log)
        self._ending.update(passed)

    def _release(self, world: World, log: list[Line]) -> None:
        """Let the operator release the account, after seeing that the hold was in the way."""
        rotation, hold = world.rotation, world.hold
        if hold is None or (not hold.freeze and rotation and world.pushed == rotation.id):
            self._fail("L2", f"refused, and the hold is {hold}", log)
        world.hold = None

    def _let_finish(self, world: World, log: list[Line]) -> None:
        """Let another host end its rotation, after seeing that it was in the way."""
        if not neighbours.is_theirs(world.staged):
            self._fail("L2", f"refused as another's, and pending is {world.staged}", log)
        neighbours.clear(world)

    def _taking_over(self, world: World, asked: Asked, log: list[Line]) -> Asked:
        """Let an operator say that what is pending may be taken over, after seeing that it may."""
        if not world.is_strange or asked.request.takes_over:
            self._fail("L2", f"refused as unknown, and pending is {world.staged}", log)
        return replace(asked, request=replace(asked.request, takes_over=True))

    def _calm_pass(self, world: World, asked: Asked, log: list[Line]) -> PassResult:
        process = self._process(world, Script(), CALM)
        process.log = log
        try:
            report = process.run(asked)
        except Exception as error:
            error.add_note(self._node.trace(log))
            raise
        if report is None:
            raise AssertionError
        world.forget()
        log.append(f"-- ended: {_name(report)}")
        return report

    def _is_complete(self, world: World, log: list[Line]) -> None:
        """See that a completed rotation left one secret, the one in Vault, and nothing else."""
        if self._may_refuse(world) or world.rotation:
            return
        kept = world.consumed
        ours = [secret.value for secret in world.live if secret.maker == "rotator"]
        if kept is None or ours != [kept.value]:
            self._fail("L1", f"completed, but {world.live} are left", log)
        if kept and kept.previous is not None:
            self._fail("L1", f"completed, but {kept.previous} is still beside {kept.value}", log)
        is_ours = world.staged and not neighbours.is_theirs(world.staged)
        if is_ours and not self._was_late(world):
            self._fail("L1", "completed, but something is pending", log)

    def _may_refuse(self, world: World) -> bool:
        begun = self.scenario.worlds[0]
        spent = ("outsiders", "losses", "relapses", "adoptions", "abandons")
        is_meddled = any(getattr(world, each) != getattr(begun, each) for each in spent)
        return is_meddled or self.scenario.may_refuse

    def _was_late(self, world: World) -> bool:
        """A late request may put the pending entry back."""
        return world.lates < self.scenario.worlds[0].lates

    def _fail(self, invariant: str, found: str, log: list[Line]) -> None:
        error = invariants.Violation(invariant, found)
        error.add_note(self._node.trace(log))
        raise error


def _must_decide(report: PassResult) -> bool:
    return report.outcome is Outcome.REFUSED and _code(report) != "in-grace"


def _code(report: PassResult) -> str:
    return report.error.code if report.error else ""


def _name(report: PassResult) -> str:
    return f"{report.outcome} {_code(report)}".strip()
