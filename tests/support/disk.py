"""A disk that forgets: what a folder's files may hold after a power cut.

What was written since a file's last sync may be there or not: each write alone, each sector and
each page of the cache alone, in any order. Names that were made, changed or removed since the
folder's last sync may be there or not. What was synced is there. A sector, and a rename, is never
half done.
"""

import random
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import combinations, count
from pathlib import PurePath
from typing import TypeVar

#: Sizes in which disks and page caches write: what a torn write is torn into.
SECTOR, PAGE = 512, 4096
#: Up to so many unsynced changes, each subset of them is a state; beyond, some are drawn.
_FEW = 4
#: How many random states are drawn where not all can be had.
_DRAWN = 6
#: Of what can be torn in more places than this, as many are drawn: no rotation's commit is.
_MOST = 400


Item = TypeVar("Item")


@dataclass(frozen=True, kw_only=True)
class Write:
    """Bytes written to a file, past its end too."""

    offset: int
    data: bytes = field(repr=False)

    def on(self, content: bytearray) -> None:
        """Apply it."""
        end = self.offset + len(self.data)
        content.extend(bytes(max(0, end - len(content))))
        content[self.offset : end] = self.data

    def torn(self, size: int) -> Iterator["Write"]:
        """Yield what arrives where it is cut at one boundary: all before it, or all after."""
        end = self.offset + len(self.data)
        for at in range(self.offset // size * size + size, end, size):
            yield Write(offset=self.offset, data=self.data[: at - self.offset])
            yield Write(offset=at, data=self.data[at - self.offset :])

    def pieces(self, size: int) -> Iterator["Write"]:
        """Yield its parts, cut at every boundary."""
        end = self.offset + len(self.data)
        at = self.offset
        while at < end:
            after = min(at // size * size + size, end)
            yield Write(offset=at, data=self.data[at - self.offset : after - self.offset])
            at = after


@dataclass(frozen=True, kw_only=True)
class Resize:
    """A file cut off or extended with zeros."""

    size: int

    def on(self, content: bytearray) -> None:
        """Apply it."""
        content.extend(bytes(max(0, self.size - len(content))))
        del content[self.size :]

    def torn(self, _size: int) -> Iterator["Resize"]:
        """Yield nothing: it happens or not."""
        yield from ()

    def pieces(self, _size: int) -> Iterator["Resize"]:
        """Yield itself."""
        yield self


Change = Write | Resize


@dataclass(kw_only=True)
class File:
    """A file's content: what is certain, and what was done to it since."""

    certain: bytes = b""
    changes: list[Change] = field(default_factory=list)

    def kept(self, changes: list[Change] | None = None) -> bytes:
        """Return the content with `changes` made; by default, all that were not synced."""
        made = self.changes if changes is None else changes
        if not made:
            return self.certain
        content = bytearray(self.certain)
        for change in made:
            change.on(content)
        return bytes(content)

    def sync(self) -> None:
        """Make everything certain."""
        self.certain, self.changes = self.kept(), []

    def states(self, chance: random.Random) -> Iterator[bytes]:
        """Yield what the file may hold, with all changes and with none first."""
        yield self.kept()
        if not self.changes:
            return
        yield self.certain
        yield self._unfilled(chance)
        yield from map(self.kept, self._orders(chance))
        for size in (SECTOR, PAGE):
            yield from map(self.kept, _some(list(self._torn(size)), chance))
            yield from map(self.kept, self._mixtures(size, chance))

    def _torn(self, size: int) -> Iterator[list[Change]]:
        """Yield the changes up to each one, that one torn at each boundary."""
        for index, last in enumerate(self.changes):
            yield from ([*self.changes[:index], part] for part in last.torn(size))

    def _unfilled(self, chance: random.Random) -> bytes:
        """Return the file as long as it became, without what was written: with what lay there."""
        grown = len(self.kept()) - len(self.certain)
        return self.certain + chance.randbytes(max(0, grown))

    def _orders(self, chance: random.Random) -> Iterator[list[Change]]:
        """Yield the changes that arrive, whatever the order: whole ones."""
        every = self.changes
        if len(every) <= _FEW:
            for number in range(1, len(every)):
                yield from map(list, combinations(every, number))
            return
        for index in range(len(every)):
            yield every[: index + 1]
            yield every[:index] + every[index + 1 :]
            yield [every[index]]
        for _ in range(_DRAWN):
            yield [each for each in every if chance.random() < 1 / 2]

    def _mixtures(self, size: int, chance: random.Random) -> Iterator[list[Change]]:
        """Yield what arrives where each block of the cache is written back by itself."""
        pieces = [piece for change in self.changes for piece in change.pieces(size)]
        blocks = sorted({_block(piece, size) for piece in pieces})
        for block in _some(blocks, chance):
            yield [piece for piece in pieces if _block(piece, size) != block]
        for _ in range(_DRAWN):
            # A block is written back as it was at some moment, which includes all before.
            last = {block: chance.randint(0, len(pieces)) for block in blocks}
            yield [piece for index, piece in enumerate(pieces) if index < last[_block(piece, size)]]


def _some(every: list[Item], chance: random.Random) -> list[Item]:
    return every if len(every) <= _MOST else chance.sample(every, _MOST)


def _block(piece: Change, size: int) -> int:
    return piece.offset // size if isinstance(piece, Write) else -1


@dataclass(frozen=True, kw_only=True)
class Naming:
    """A name that leads to a file from now on, or to none."""

    name: str
    file: int | None


#: The names of a folder, and what is in their files.
State = Mapping[str, bytes]


class Disk:
    """The files of one folder, from the first state on, through each operation on them."""

    def __init__(self, folder: Mapping[str, bytes]) -> None:
        """Begin with these files, by name, all of them certain."""
        self._numbers = count()
        self.files = {next(self._numbers): File(certain=data) for data in folder.values()}
        #: Where each name leads to now, and where to for certain.
        self.names = dict(zip(folder, self.files, strict=True))
        self._certain = dict(self.names)
        #: Each a rename, a new name or the end of one, since the folder's last sync.
        self._renamings: list[list[Naming]] = []

    def create(self, name: str) -> int:
        """Make an empty file, unless the name has one; return the file."""
        if name not in self.names:
            number = next(self._numbers)
            self.files[number] = File()
            self._name(Naming(name=name, file=number))
        return self.names[name]

    def link(self, name: str, file: int) -> None:
        """Add a name of a file."""
        self._name(Naming(name=name, file=file))

    def unlink(self, name: str) -> None:
        """Remove a name."""
        self._name(Naming(name=name, file=None))

    def rename(self, name: str, to: str) -> None:
        """Rename a file, over another one too."""
        self._name(Naming(name=to, file=self.names[name]), Naming(name=name, file=None))

    def sync_names(self) -> None:
        """Make every name certain."""
        self._certain, self._renamings = dict(self.names), []

    def now(self) -> State:
        """Return what processes see: everything kept."""
        return {name: self.files[number].kept() for name, number in self.names.items()}

    def states(self, chance: random.Random) -> Iterator[State]:
        """Yield what may be found after a power cut at this moment; see `File.states`.

        One file's states are combined with all and nothing kept of the others, and some states of
        all of them with each other.
        """
        for names in self._namings():
            files = sorted({*names.values()} & {*self._unsynced()})
            for is_kept in (True, False):
                others = {number: self._as(number, is_kept=is_kept) for number in names.values()}
                yield _named(names, others)
                for number in files:
                    for content in self.files[number].states(chance):
                        yield _named(names, others | {number: content})
            if len(files) > 1:
                yield from self._combined(names, files, chance)

    def _combined(
        self, names: dict[str, int], files: list[int], chance: random.Random
    ) -> Iterator[State]:
        """Yield states of several files at once, drawn at random."""
        every = {number: list(self.files[number].states(chance)) for number in files}
        others = {number: self._as(number, is_kept=True) for number in names.values()}
        for _ in range(_DRAWN):
            drawn = {number: chance.choice(states) for number, states in every.items()}
            yield _named(names, others | drawn)

    def _as(self, number: int, *, is_kept: bool) -> bytes:
        file = self.files[number]
        return file.kept() if is_kept else file.certain

    def _unsynced(self) -> list[int]:
        return [number for number, file in self.files.items() if file.changes]

    def _name(self, *namings: Naming) -> None:
        self._renamings.append(list(namings))
        _apply(self.names, namings)

    def _namings(self) -> Iterator[dict[str, int]]:
        """Yield the names that may be found: all renamings, none, each prefix, all but each one."""
        every = self._renamings
        kept = [every[:length] for length in range(len(every), -1, -1)]
        kept += [every[:index] + every[index + 1 :] for index in range(len(every) - 1)]
        for renamings in kept:
            names = dict(self._certain)
            for namings in renamings:
                _apply(names, namings)
            yield names


def _apply(names: dict[str, int], namings: "list[Naming] | tuple[Naming, ...]") -> None:
    for naming in namings:
        if naming.file is None:
            names.pop(naming.name, None)
        else:
            names[naming.name] = naming.file


def _named(names: Mapping[str, int], contents: Mapping[int, bytes]) -> State:
    return {name: contents[number] for name, number in names.items()}


def name_of(path: str, folder: str) -> str | None:
    """Return a path's name in the folder; None where it leads elsewhere."""
    pure = PurePath(path)
    return pure.name if str(pure.parent) == folder else None
