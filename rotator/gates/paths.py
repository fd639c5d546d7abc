"""Paths and patterns on a command line, which no shell has expanded."""

import errno
import fnmatch
import os
import stat
from collections.abc import Iterable, Iterator
from io import BufferedReader
from pathlib import Path

from rotator.errors import reason_of
from rotator.gates.verdict import Undecided

#: Most files of one command.
_MOST = 10_000
_MAGIC = frozenset("*?[")


def expanded(patterns: Iterable[str]) -> list[str]:
    """Return the paths that match, each once; what is no pattern, as it is.

    Unlike the standard library's, it does not pass over what it may not look into: there may be
    matches.

    Raises:
        Undecided: nothing matches a pattern, a folder cannot be read, or too much matches.
    """
    found: dict[str, None] = {}
    for pattern in patterns:
        if not (paths := _matches(pattern)):
            raise Undecided(f"nothing matches {pattern}")
        found |= dict.fromkeys(paths)
    return list(found)


def opened(path: str) -> BufferedReader:
    """Open a regular file; a pipe would be waited for.

    Raises:
        OSError: it cannot be opened, or is something else.
    """
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError(errno.EINVAL, "it is not a regular file")
    return os.fdopen(descriptor, "rb")


def _matches(pattern: str) -> list[str]:
    if _MAGIC.isdisjoint(pattern) or os.path.lexists(pattern):
        return [pattern]
    absolute = os.path.abspath(pattern)  # noqa: PTH100  # pathlib would follow no pattern's parts
    paths = ["/"]
    for part in absolute.split("/")[1:]:
        step = _matching if not _MAGIC.isdisjoint(part) else _existing
        paths = [path for folder in paths for path in step(folder, part)]
        if len(paths) > _MOST:
            raise Undecided(f"more than {_MOST} files match")
    return sorted(paths)


def _matching(folder: str, part: str) -> Iterator[str]:
    try:
        names = [each.name for each in Path(folder).iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise Undecided(f"{folder} cannot be read: {reason_of(error)}") from None
    for name in fnmatch.filter(names, part):
        # As in a shell.
        if not name.startswith(".") or part.startswith("."):
            yield os.path.join(folder, name)  # noqa: PTH118  # a text, as the pattern is


def _existing(folder: str, name: str) -> Iterator[str]:
    path = os.path.join(folder, name)  # noqa: PTH118  # likewise
    try:
        os.lstat(path)
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise Undecided(f"{path} cannot be read: {reason_of(error)}") from None
    yield path
