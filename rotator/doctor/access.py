"""What keeps a unit's user, which owns nothing, from a file."""

import os
import stat
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

#: Folders that a unit with such a property does not see; `systemd.exec(5)`.
HIDING: Mapping[str, tuple[str, ...]] = {
    "ProtectHome": ("/home", "/root", "/run/user"),
    "PrivateTmp": ("/tmp", "/var/tmp"),  # noqa: S108  # named, not used
}
#: Maximum number of links followed; more are a loop (path_resolution(7)).
_MOST_LINKS = 40


@dataclass(frozen=True, kw_only=True)
class Obstacle:
    """The folder or file at which the way to another one ends."""

    at: Path
    #: Whether the unit does not see it, whatever its mode.
    is_hidden: bool

    def __str__(self) -> str:
        return f"{self.at} is {'hidden from' if self.is_hidden else 'closed to'} the service's user"


def obstacle(path: Path, hidden: Sequence[str] = ()) -> Obstacle | None:
    """Return what keeps a file from a user that is neither its owner nor in its group.

    `hidden` are the folders that the user's unit does not see. Each link on the way is followed.
    """
    for name in _names(path):
        if folder := next((each for each in hidden if name.is_relative_to(each)), None):
            return Obstacle(at=Path(folder), is_hidden=True)
        way = (*reversed(name.parents), name)
        if closed := next(filter(is_closed, way), None):
            return Obstacle(at=closed, is_hidden=False)
    return None


def programs(program: Path) -> Iterator[Path]:
    """Yield a command, and the interpreter of the virtual environment that it belongs to."""
    yield program
    interpreter = program.with_name("python")
    if os.path.lexists(interpreter):
        yield interpreter


def is_closed(path: Path) -> bool:
    """Return whether only its owner and group may read a file, or enter a folder."""
    try:
        mode = path.stat().st_mode
    except OSError:
        return False
    needed = stat.S_IXOTH if stat.S_ISDIR(mode) else stat.S_IROTH
    return not mode & needed


def _names(path: Path) -> Iterator[Path]:
    """Yield each name that a file has on the way from a link to it."""
    for _ in range(_MOST_LINKS):
        yield path
        if not path.is_symlink():
            break
        path = Path(os.path.normpath(path.parent / path.readlink()))
    yield Path(os.path.realpath(path))
