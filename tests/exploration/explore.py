"""The search: every world that can come about, and every way on from it, to the end.

A process that is killed leaves nothing but the world. So the search has two levels: worlds in
which a process starts, and points that a process reaches in a world. From each world the real
engine is run again and again, each time by another script of choices, until every choice at
every point has been taken; what was reached before is not followed twice. Wherever a process
stands, it may be killed, so each world on its way is one in which a fresh process starts.
"""

from collections import Counter, deque
from dataclasses import dataclass, field, replace

from rotator.model import Account, Outcome, Report
from tests.exploration import invariants, neighbours, outsiders
from tests.exploration.fingerprint import OLD, fingerprint
from tests.exploration.process import CALM, Asked, Bounds, Ended, Process
from tests.exploration.script import Script
from tests.exploration.world import World

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


@dataclass(frozen=True, kw_only=True)
class Node:
    """A world in which a process starts, and how it came about."""

    world: World
    log: tuple[str, ...] = ()
    parent: "Node | None" = None

    def trace(self) -> list[str]:
        """Tell the whole story."""
        before = self.parent.trace() if self.parent else []
        return [*before, *self.log]


class Search:
    """One exploration."""

    def __init__(self, scenario: Scenario) -> None:
        """Explore `scenario`."""
        self.scenario = scenario
        self.tally = Tally()
        self._points: set[int] = set()
        self._worlds: set[int] = set()
        self._ending: set[int] = set()
        self._queue: deque[Node] = deque()
        self._node = Node(world=scenario.worlds[0])
        #: What this node's runs came through already.
        self._scenes: set[int] = set()
        self._state: tuple[object, ...] = ()
        self._text = ""

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
            self._scenes = set()
            for asked in self.scenario.asked:
                self._start(asked)
        return self.tally

    def arrived(self, process: Process, where: str, options: int) -> None:
        """See `Watcher`."""
        world = process.world
        state = tuple(vars(world).values())
        if state != self._state:
            self._state, self._text = state, world.text()
            scene = hash((self._text, world.now))
            if scene not in self._scenes:
                self._scenes.add(scene)
                self._offer(world, tuple(process.log))
        if options == 1 and not where.startswith("commit"):
            return
        point = fingerprint(f"{self._text}\n{where}\n{process.text()}", world.now)
        if point in self._points:
            process.is_over = True
            raise Ended
        self._points.add(point)
        self.tally.points += 1
        self.tally.transitions += options

    def _start(self, asked: Asked) -> None:
        """Run a process in every way in which it can go."""
        if asked.adopts and not self._node.world.adoptions:
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
            error.add_note("\n".join([*self._node.trace(), *process.log]))
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

    def _offer(self, world: World, log: tuple[str, ...]) -> None:
        """Take in a world that a process left behind, soon after and long after."""
        for seconds in (0.0, LATER):
            left = world.copy()
            left.forget()
            left.pass_time(seconds)
            note = (*log, f"-- killed or ended; {seconds:.0f} s later:")
            self._take_in(Node(world=left, log=note, parent=self._node))
            if left.losses:
                left = left.copy()
                left.losses -= 1
                outsiders.lose_ledger(left)
                self._take_in(Node(world=left, log=(*note, "ledger lost"), parent=self._node))
            for key, was in left.past if left.relapses else ():
                gone_back = left.copy()
                outsiders.set_back_ledger(gone_back, was)
                told = f"ledger is back at {key}"
                self._take_in(Node(world=gone_back, log=(*note, told), parent=self._node))

    def _take_in(self, node: Node) -> None:
        mark = fingerprint(node.world.text(), node.world.now)
        if mark in self._worlds:
            return
        self._worlds.add(mark)
        self.tally.worlds += 1
        if node.world.completed < self.scenario.rotations:
            self._queue.append(node)
        else:
            self._is_complete(node.world, list(node.log))

    # -- How it ends. ----------------------------------------------------------------------

    def _ends_well(self, world: World) -> None:
        """See that processes that nothing happens to any more bring it to an end."""
        world = world.copy()
        passed: list[int] = []
        log: list[str] = []
        asked = self.scenario.asked[0]
        for _ in range(PASSES):
            mark = fingerprint(world.text(), world.now)
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
                world.pass_time(LATER)
        else:
            self._fail("L1", "it never ends", log)
        if world.completed >= self.scenario.rotations:
            self._is_complete(world, log)
        self._ending.update(passed)

    def _release(self, world: World, log: list[str]) -> None:
        """Let the operator release the account, after seeing that the hold was in the way."""
        rotation, hold = world.rotation, world.hold
        if hold is None or (not hold.freeze and rotation and world.pushed == rotation.id):
            self._fail("L2", f"refused, and the hold is {hold}", log)
        world.hold = None

    def _let_finish(self, world: World, log: list[str]) -> None:
        """Let another host end its rotation, after seeing that it was in the way."""
        if not neighbours.is_theirs(world.staged):
            self._fail("L2", f"refused as another's, and pending is {world.staged}", log)
        neighbours.clear(world)

    def _taking_over(self, world: World, asked: Asked, log: list[str]) -> Asked:
        """Let an operator say that what is pending may be taken over, after seeing that it may."""
        if not world.is_strange or asked.request.takes_over:
            self._fail("L2", f"refused as unknown, and pending is {world.staged}", log)
        return replace(asked, request=replace(asked.request, takes_over=True))

    def _calm_pass(self, world: World, asked: Asked, log: list[str]) -> Report:
        process = self._process(world, Script(), CALM)
        process.log = log
        try:
            report = process.run(asked)
        except Exception as error:
            error.add_note("\n".join([*self._node.trace(), *log]))
            raise
        if report is None:
            raise AssertionError
        world.forget()
        log.append(f"-- ended: {_name(report)}")
        return report

    def _is_complete(self, world: World, log: list[str]) -> None:
        """See that a completed rotation left one secret, the one in Vault, and nothing else."""
        if self._may_refuse(world) or world.rotation:
            return
        kept = world.consumed
        ours = [secret.value for secret in world.live if secret.maker == "rotator"]
        if kept is None or ours != [kept.value]:
            self._fail("L1", f"completed, but {world.live} are left", log)
        is_ours = world.staged and not neighbours.is_theirs(world.staged)
        if is_ours and not self._was_late(world):
            self._fail("L1", "completed, but something is pending", log)

    def _may_refuse(self, world: World) -> bool:
        begun = self.scenario.worlds[0]
        is_meddled = (world.outsiders, world.losses, world.relapses, world.adoptions) != (
            begun.outsiders,
            begun.losses,
            begun.relapses,
            begun.adoptions,
        )
        return is_meddled or self.scenario.may_refuse

    def _was_late(self, world: World) -> bool:
        """A late request may put the pending entry back."""
        return world.lates < self.scenario.worlds[0].lates

    def _fail(self, invariant: str, found: str, log: list[str]) -> None:
        error = invariants.Violation(invariant, found)
        error.add_note("\n".join([*self._node.trace(), *log]))
        raise error


def _must_decide(report: Report) -> bool:
    return report.outcome is Outcome.REFUSED and _code(report) != "in-grace"


def _code(report: Report) -> str:
    return report.error.code if report.error else ""


def _name(report: Report) -> str:
    return f"{report.outcome} {_code(report)}".strip()
