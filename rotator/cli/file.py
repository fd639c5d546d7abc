"""Files written by commands: completely or not at all, where that is possible."""

import os
import re
import stat
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

#: Path that is another name of an open descriptor of this process.
_DESCRIPTOR = r"/(?:dev|proc/(?:self|thread-self|{pid}))/fd/(\d+)"
#: Maximum number of links followed; more are a loop (path_resolution(7)).
_MOST_LINKS = 40


def write_whole(path: Path, text: str) -> None:
    """Write `text` to a file so that no reader ever sees it incomplete.

    A link stays, and its target is replaced. Other than a regular file, such as a device or a pipe,
    is written to directly.

    Raises:
        OSError: it cannot be written.
    """
    descriptor = _open_descriptor(path)
    if descriptor is None:
        target = Path(os.path.realpath(path))
        if not target.exists() or target.is_file():
            _replace(target, text)
            return
        # Neither truncated nor created: it exists, whatever its type.
        descriptor = os.open(target, os.O_WRONLY | os.O_APPEND | os.O_NOCTTY)
    with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123  # of a descriptor
        file.write(text)


def _open_descriptor(path: Path) -> int | None:
    """Return a copy of the descriptor that `path` is another name of; None for other paths.

    It is not opened by that name: a socket cannot be, and a file would be written from its start.
    """
    name = os.path.abspath(path)  # noqa: PTH100  # links are followed one at a time
    for _ in range(_MOST_LINKS):
        if match := re.fullmatch(_DESCRIPTOR.format(pid=os.getpid()), name):
            # Earlier output to standard output comes first.
            sys.stdout.flush()
            return os.dup(int(match[1]))
        try:
            name = os.path.normpath(Path(name).parent / Path(name).readlink())
        except OSError:
            return None
    return None


def _replace(target: Path, text: str) -> None:
    file = tempfile.NamedTemporaryFile(  # noqa: SIM115  # kept where all goes well
        "w", encoding="utf-8", dir=target.parent, prefix=f".{target.name}.", delete=False
    )
    temporary = Path(file.name)
    try:
        with file:
            file.write(text)
        temporary.chmod(_mode(target))
        temporary.replace(target)
    except BaseException:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise


def _mode(target: Path) -> int:
    """Return the file's mode: that of the file it replaces, or what the umask leaves."""
    with suppress(FileNotFoundError):
        return stat.S_IMODE(target.stat().st_mode)
    return 0o666 & ~_umask()


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
