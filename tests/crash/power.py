"""Power cuts at every instant of a command: what the disk may hold then, and what is missing."""

import hashlib
import json
import random
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy.engine.default import DefaultDialect

from rotator.sim import Environment, Exchange, Phase
from tests.acceptance.service import PATIENCE
from tests.crash.killing import effect_of
from tests.support.commands import Command, CommandSpec
from tests.support.disk import Disk, State
from tests.support.tracing import Call, Playback, calls, mark, trace, wait_until_traced

#: Marks in the trace: around the driver's own commit.
_BEGINS, _COMMITTED = "begins to commit", "committed"
#: What SQLite's shared memory may be after a power cut: gone, zeros, or anything.
_MEMORIES = (None, bytes(32768), random.Random(1).randbytes(32768))
#: What is asked of a disk's states is the same in each run.
_SEED = 20_261_130

#: The account that a request changes, and the steps that may intend that.
Sent = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, kw_only=True)
class World:
    """What Vonage and Vault have at one moment."""

    vonage: Any = field(repr=False)
    vault: Any = field(repr=False)
    #: Values of the secrets whose deletion was sent.
    doomed: frozenset[str] = field(repr=False)
    #: The same for the same content.
    key: str

    @classmethod
    def of(cls, world: Environment, doomed: frozenset[str]) -> "World":
        """Save the world as it is."""
        mounts = world.vault.state()["mounts"]
        content = json.dumps([world.vonage.state(), mounts, sorted(doomed)], sort_keys=True)
        return cls(
            vonage=world.vonage.save(),
            vault=world.vault.save(),
            doomed=doomed,
            key=_hash(content.encode()),
        )

    def restore(self, world: Environment) -> None:
        """Make the world this one."""
        world.vonage.load(self.vonage)
        world.vault.load(self.vault)


@dataclass(frozen=True, kw_only=True)
class Effect:
    """A request that changes something: the world before it, and with it."""

    #: None where no step of an account has this effect.
    sent: Sent | None
    before: World
    after: World


@dataclass(frozen=True, kw_only=True)
class Recording:
    """A command that ran to its end: what it did to the ledger's folder, and to the world."""

    code: int
    #: The folder's files when it began.
    folder: State
    calls: list[Call] = field(repr=False)
    start: World
    effects: list[Effect] = field(repr=False)


class _Watch:
    """Keeps the world around each request that changes something."""

    def __init__(self, world: Environment) -> None:
        self.world, self.doomed = world, frozenset[str]()
        self.effects: list[Effect] = []
        self._before: dict[int, World] = {}

    def __call__(self, phase: Phase, exchange: Exchange) -> None:
        if exchange.method == "GET":
            return
        if phase == "before":
            self._doom(exchange)
            self._before[id(exchange)] = World.of(self.world, self.doomed)
            return
        effect = Effect(
            sent=effect_of(exchange, self.world.accounts),
            before=self._before.pop(id(exchange)),
            after=World.of(self.world, self.doomed),
        )
        self.effects.append(effect)

    def _doom(self, exchange: Exchange) -> None:
        secret_id = exchange.path.rpartition("/")[2]
        self.doomed |= {
            secret.value
            for account in self.world.accounts
            for secret in self.world.vonage.history(account.api_key)
            if exchange.method == "DELETE" and secret.id == secret_id
        }


def record(
    world: Environment,
    disk: Path,
    arguments: Sequence[str],
    *,
    scratch: Path,
    first: Callable[[], None] | None = None,
) -> Recording:
    """Run a command whose ledger is in the folder `disk`, and record what it does.

    No other process has the ledger open meanwhile. `first` is called in the command's process.
    """
    start, watch, folder = World.of(world, frozenset()), _Watch(world), read_folder(disk)
    observers = world.vonage.observers, world.vault.observers
    kept = [list(each) for each in observers]
    for each in observers:
        each[:] = [watch]
    output = scratch / "traced"
    spec = CommandSpec(
        arguments=tuple(arguments),
        stdout=scratch / "output",
        stderr=scratch / "output",
        first=partial(_prepare, first),
    )
    command = Command(spec)
    with trace(command.pid, output) as tracer:
        try:
            code = command.wait(PATIENCE)
            tracer.wait(PATIENCE)
        finally:
            command.kill()
            tracer.kill()
    for each, before in zip(observers, kept, strict=True):
        each[:] = before
    return Recording(
        code=code, folder=folder, calls=list(calls(output)), start=start, effects=watch.effects
    )


def _prepare(first: Callable[[], None] | None) -> None:
    """Mark each commit of this process, and wait for who traces it."""
    commit = DefaultDialect.do_commit

    def marked(dialect: DefaultDialect, connection: Any) -> None:  # noqa: ANN401  # any driver's
        mark(_BEGINS)
        commit(dialect, connection)  # type: ignore[no-untyped-call]
        mark(_COMMITTED)

    DefaultDialect.do_commit = marked  # type: ignore[method-assign]
    if first:
        first()
    wait_until_traced()


@dataclass(frozen=True, kw_only=True)
class Ledger:
    """What a ledger's file holds, after SQLite's recovery."""

    #: Hash of the schema and every row; of a ledger that is not there, that of an empty one.
    content: str
    #: In the order of the entries, the account and step of each intent.
    intents: tuple[tuple[str, str], ...] = field(repr=False)


class Damaged(Exception):
    """SQLite cannot read it, or finds it damaged."""


def _read(database: sqlite3.Connection) -> Ledger:
    """Check a ledger, and read all of it."""
    found = database.execute("PRAGMA integrity_check").fetchall()
    if found != [("ok",)]:
        raise Damaged(str(found[:1]))
    tables = database.execute(_TABLES).fetchall()
    rows = [
        (schema, sorted(map(repr, database.execute(f'SELECT * FROM "{name}"'))))  # noqa: S608  # its own
        for name, schema in tables
    ]
    others = database.execute(_OTHERS).fetchall()
    has_entries = any(name == "entry" for name, _ in tables)
    intents = database.execute(_INTENTS).fetchall() if has_entries else []
    return Ledger(content=_hash(repr((rows, others)).encode()), intents=tuple(intents))


_TABLES = "SELECT name, sql FROM sqlite_master WHERE type = 'table' ORDER BY name"
_OTHERS = "SELECT type, name, sql FROM sqlite_master WHERE type <> 'table' ORDER BY type, name"
_INTENTS = "SELECT account, step FROM entry WHERE event = 'intent' ORDER BY account, seq"


class Shelf:
    """A place where states of a disk become files, and are read; each content once."""

    def __init__(self, folder: Path, name: str = "ledger.db") -> None:
        """Make files in `folder`, which holds nothing else; `name` is the ledger's."""
        self.folder, self.name = folder, name
        #: What was read, or what is damaged: by names, sizes and hashes; by the hash of all pages.
        self._states: dict[tuple[tuple[str, int, int], ...], Ledger | str] = {}
        self._images: dict[str, Ledger] = {}

    @property
    def count(self) -> int:
        """How many different states were read."""
        return len(self._states)

    def place(self, state: State) -> None:
        """Make the folder hold these files alone."""
        self.folder.mkdir(exist_ok=True)
        for path in self.folder.iterdir():
            path.unlink()
        for name, content in state.items():
            (self.folder / name).write_bytes(content)
        memory = _MEMORIES[self.count % len(_MEMORIES)]
        if memory is not None and f"{self.name}-wal" in state:
            (self.folder / f"{self.name}-shm").write_bytes(memory)

    def read(self, state: State) -> Ledger:
        """Return what the ledger of a state is, opened as SQLite does after a power cut.

        Raises:
            Damaged: SQLite cannot read it.
        """
        # Of bytes, Python computes the hash once: most files are as they were.
        key = tuple((name, len(state[name]), hash(state[name])) for name in sorted(state))
        if key not in self._states:
            self.place(state)
            try:
                self._states[key] = self._recovered()
            except (Damaged, sqlite3.DatabaseError) as error:
                self._states[key] = str(error)
        found = self._states[key]
        if isinstance(found, str):
            raise Damaged(found)
        return found

    def _recovered(self) -> Ledger:
        file = self.folder / self.name
        with closing(sqlite3.connect(file, isolation_level=None)) as database:
            (pages,) = database.execute("PRAGMA page_count").fetchone()
            image = _hash(database.serialize() if pages else b"")
            if image not in self._images:
                self._images[image] = _read(database)
        return self._images[image]


@dataclass(kw_only=True)
class Case:
    """One ledger in one world that a power cut may leave behind."""

    state: State = field(repr=False)
    world: World


@dataclass(kw_only=True)
class Examined:
    """What every power cut during a recorded command comes to."""

    #: Moments at which the power was cut, states of the disk, and those whose bytes differ.
    cuts: int = 0
    states: int = 0
    #: Each ledger in each world, by both.
    cases: dict[tuple[str, str], Case] = field(default_factory=dict)
    faults: set[str] = field(default_factory=set)


@dataclass(kw_only=True)
class _Progress:
    """How far a recorded command has come at a cut."""

    playback: Playback
    begun: int = 0
    committed: int = 0
    #: How many requests that change something were sent.
    sent: int = 0
    #: The call before the cut was one of them: it may not have arrived.
    is_sending: bool = False


def examine(recording: Recording, disk: Path, shelf: Shelf, *, until: str = "") -> Examined:
    """Cut the power at each instant of a recorded command, and look at each state of the disk.

    A state's ledger is the one after some commit, whole; none is older than what had been
    committed, and the intent of each request that had been sent is in it. Where a fault begins
    with `until`, that is enough.
    """
    ledgers, chance, found = _committed(recording, disk, shelf), random.Random(_SEED), Examined()
    for progress in _cuts(recording, disk):
        found.cuts += 1
        allowed = {ledger.content for ledger in ledgers[progress.committed : progress.begun + 1]}
        older = {ledger.content for ledger in ledgers[: progress.committed]} - allowed
        sent = [each.sent for each in recording.effects[: progress.sent] if each.sent]
        for state in progress.playback.disk.states(chance):
            found.states += 1
            try:
                ledger = shelf.read(state)
            except Damaged as error:
                found.faults.add(f"damaged: {error}")
                continue
            if ledger.content in older:
                found.faults.add("an acknowledged commit is gone")
            elif ledger.content not in allowed:
                found.faults.add("half a commit is there")
            found.faults |= {f"sent without an intent: {each}" for each in _unmeant(sent, ledger)}
            for world in _worlds(recording, progress):
                key = ledger.content, world.key
                # Of the states that come to the same, any one is carried on from.
                if key not in found.cases or chance.random() < _TAKEN:
                    found.cases[key] = Case(state=state, world=world)
            if until and any(fault.startswith(until) for fault in found.faults):
                return found
    return found


_TAKEN = 0.1


def examine_new_file(recording: Recording, disk: Path, shelf: Shelf, whole: Ledger) -> Examined:
    """Cut the power at each instant of a command that makes a file, and look whether it is whole.

    The shelf's file is not there, or has everything; once the command is done, it is there.
    """
    chance, found, names = random.Random(_SEED), Examined(), [True]
    for progress in _cuts(recording, disk):
        found.cuts += 1
        names = []
        for state in progress.playback.disk.states(chance):
            found.states += 1
            names.append(shelf.name in state)
            try:
                if names[-1] and shelf.read(state) != whole:
                    found.faults.add("half of it is there")
            except Damaged as error:
                found.faults.add(f"damaged: {error}")
    if not all(names):
        found.faults.add("it is not there, though that was reported")
    return found


def _committed(recording: Recording, disk: Path, shelf: Shelf) -> list[Ledger]:
    """Return the ledger at the start and after each commit, as processes see it."""
    playback = Playback(disk, Disk(recording.folder))
    ledgers = [shelf.read(playback.disk.now())]
    for call in recording.calls:
        if call.name == "mark" and _mark(call) == _COMMITTED:
            ledgers.append(shelf.read(playback.disk.now()))
        else:
            playback.play(call)
    return ledgers


def _cuts(recording: Recording, disk: Path) -> Iterator[_Progress]:
    """Yield each instant at which the power may be cut.

    Between writes that nothing separates, no instant needs a look of its own: what a disk may
    hold before the last of them, it may hold after that.
    """
    progress = _Progress(playback=Playback(disk, Disk(recording.folder)))
    for call in recording.calls:
        if call.name not in _WRITES and (call.name in _MOMENTS or _is_effect(call)):
            yield progress
        progress.is_sending = False
        if call.name == "mark":
            progress.begun += _mark(call) == _BEGINS
            progress.committed += _mark(call) == _COMMITTED
        elif _is_effect(call):
            progress.sent += 1
            progress.is_sending = True
        elif not progress.playback.play(call):
            continue
        if call.name not in _WRITES:
            yield progress
    yield progress
    assert progress.sent == len(recording.effects)


_WRITES = frozenset({"pwrite64", "ftruncate"})
_MOMENTS = frozenset({"mark", "fsync", "fdatasync", "unlink", "rename", "link"})


def _mark(call: Call) -> str:
    return call.texts[0].decode()


def _is_effect(call: Call) -> bool:
    return call.name in {"sendto", "sendmsg"} and call.texts[0].startswith(
        (b"POST ", b"PUT ", b"PATCH ", b"DELETE ")
    )


def _worlds(recording: Recording, progress: _Progress) -> list[World]:
    """Return what the world may be: a request that was just sent may have arrived or not."""
    if not progress.sent:
        return [recording.start]
    last = recording.effects[progress.sent - 1]
    return [last.before, last.after] if progress.is_sending else [last.after]


def _unmeant(sent: list[Sent], ledger: Ledger) -> Iterator[Sent]:
    """Yield the requests for which a ledger has no intent: each has one of its own, in order."""
    intents: dict[str, list[str]] = {}
    for account, step in ledger.intents:
        intents.setdefault(account, []).append(step)
    for account, steps in sent:
        left = intents.get(account, [])
        while left and left[0] not in steps:
            del left[0]
        if not left:
            yield account, steps
        del left[:1]


def read_folder(folder: Path) -> State:
    """Return the files of a folder, without SQLite's shared memory."""
    return {
        path.name: path.read_bytes()
        for path in sorted(folder.iterdir())
        if not path.name.endswith("-shm")
    }


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
