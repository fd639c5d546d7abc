"""A directory with a file for each checkpoint, for somebody else to copy away."""

import errno
import fcntl
import itertools
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rotator.errors import WitnessConflict, WitnessUnavailable, reason_of
from rotator.model.checkpoint import LONGEST, History, Note, Submission
from rotator.witness.conflicts import conflict_of

#: Number of the checkpoint, and so of the same order as time and size.
_NAME = "{number:010d}.checkpoint"
_FORM = re.compile(r"([0-9]{10})\.checkpoint")
#: How long another process may write there, and between two looks at that, in seconds.
_PATIENCE, _PAUSE = 10.0, 0.1

_HINT = (
    "create it, and let rotator's user write there (ledger.witness.directory); under systemd, its "
    "unit needs it in ReadWritePaths="
)
_HINTS = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "free some space there"),
    **dict.fromkeys((errno.EISDIR, errno.ENOTDIR), "move away what has that name"),
}


class Directory:
    """A directory of checkpoints. Files that have other names are left alone."""

    def __init__(self, path: Path) -> None:
        """Use the directory at `path`, which exists."""
        self._path = path

    @property
    def name(self) -> str:
        """See `Target.name`."""
        return f"the directory {self._path}"

    def compare(self, history: History) -> None:
        """Compare the newest file; see `Target.compare`."""
        with self._translated():
            numbers = numbers_in(self._path)
            if numbers:
                self._compare(numbers[-1], history)

    def publish(self, history: History) -> None:
        """Write the files that are not there yet; see `Target.publish`.

        Files before the oldest one have been removed on purpose.
        """
        with self._translated(), self._locked() as directory:
            present = numbers_in(self._path)
            if present:
                # Another ledger may have written since the comparison, which was without the lock.
                self._compare(present[-1], history)
            oldest = present[0] if present else 0
            for each in history.signed:
                if each.number > oldest and each.number not in present:
                    self._write(each.number, history.submission(each).text)
            os.fsync(directory)

    def notes_after(self, number: int) -> Iterator[str]:
        """Yield the notes in the files after that number, up to one that cannot be read."""
        with suppress(OSError, ValueError):
            for each in itertools.count(number + 1):
                yield Submission.parse(read_file(file_of(self._path, each))).note

    def _compare(self, number: int, history: History) -> None:
        text = read_file(file_of(self._path, number))
        try:
            note = Note.parse(Submission.parse(text).note)
        except ValueError as error:
            raise WitnessConflict(
                f"{file_of(self._path, number)} is no checkpoint: {error}",
                hint="move it away: the daemon writes it again",
            ) from None
        if not history.has(note.text, number):
            raise conflict_of(self.name, note, history)

    def _write(self, number: int, text: str) -> None:
        """Write a file that appears whole, or not at all, and replaces none."""
        path = file_of(self._path, number)
        # Of a fixed name, so that a kill leaves one at most; the lock keeps others from it.
        # Whatever has that name is not written to: it may be a link to another file.
        temporary = self._path / ".checkpoint.new"
        temporary.unlink(missing_ok=True)
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o644)
        try:
            # Others come for it, whatever this process's umask is.
            os.fchmod(descriptor, 0o644)
            with os.fdopen(descriptor, "wb", closefd=False) as file:
                file.write(text.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        temporary.rename(path)

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """Yield the directory's descriptor once no other process writes there.

        Whoever may read the directory can keep it locked, and is not waited for for ever.
        """
        descriptor = os.open(self._path, os.O_RDONLY | os.O_DIRECTORY)
        ends_at = time.monotonic() + _PATIENCE
        try:
            while not _is_locked(descriptor):
                if time.monotonic() > ends_at:
                    raise WitnessUnavailable(
                        f"another process keeps {self.name} locked",
                        hint="see which one: `lsof` or `fuser` on the directory",
                    )
                time.sleep(_PAUSE)
            yield descriptor
        finally:
            os.close(descriptor)

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            path = Path(error.filename or self._path)
            which = "" if path == self._path else f" ({path.name})"
            raise WitnessUnavailable(
                f"{self.name} cannot be used: {reason_of(error)}{which}",
                hint=_HINTS.get(error.errno or 0, _HINT),
            ) from None


def _is_locked(descriptor: int) -> bool:
    """Lock a directory unless another process has; return whether it is locked here."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def numbers_in(path: Path) -> list[int]:
    """Return the numbers of the checkpoints in a directory, in order; raises OSError."""
    found = (_FORM.fullmatch(name) for name in os.listdir(path))  # noqa: PTH208  # names alone
    return sorted(int(match[1]) for match in found if match)


def file_of(path: Path, number: int) -> Path:
    """Return the path of a checkpoint in the directory at `path`."""
    return path / _NAME.format(number=number)


def read_file(path: Path) -> str:
    """Return the text of a checkpoint's file, up to what none exceeds; raises OSError."""
    # A pipe would keep it waiting; one that nothing was written to yet has None.
    with open(path, "rb", opener=_without_waiting) as file:
        return (file.read(LONGEST + 1) or b"").decode(errors="replace")


def _without_waiting(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NONBLOCK)
