"""Published checkpoints, as somebody has copied them: files, each with one."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from rotator.errors import ConfigError, reason_of
from rotator.model.checkpoint import LONGEST, Checkpoint, Note, Submission, VerifierKey
from rotator.witness.directory import file_of, numbers_in, read_file
from rotator.witness.keys import is_signed


@dataclass(frozen=True, kw_only=True)
class Published:
    """A checkpoint in a file, signed by one of the keys that were given."""

    #: The file's name.
    name: str
    checkpoint: Checkpoint
    #: The proof that it extends the one before; None where the file has the checkpoint alone.
    submission: Submission | None


@dataclass(frozen=True, kw_only=True)
class Unusable:
    """A file that cannot be relied on, and why."""

    name: str
    why: str
    #: Whether it is whole, and signed with another key than those that were given.
    is_of_another_key: bool = False


def read_published(
    path: Path, keys: Collection[VerifierKey], *, by_any_name: bool = False
) -> Iterator[Published | Unusable]:
    """Read the checkpoints in a directory, oldest first, or the one in a file.

    With `by_any_name`, `keys` are the ledger's own and count under whatever name a log has: a
    ledger that was lost and begun anew has another name, and the same key.

    Raises:
        ConfigError: there is nothing at `path`, or it cannot be read.
    """
    try:
        if not path.is_dir():
            yield _read(path.name, _read_given(path), keys, by_any_name=by_any_name)
            return
        for number in numbers_in(path):
            file = file_of(path, number)
            yield _read(file.name, read_file(file), keys, by_any_name=by_any_name)
    except OSError as error:
        raise ConfigError(
            f"{path} cannot be read: {reason_of(error)}",
            hint="name the directory, or one of the files, that the checkpoints were published to",
        ) from None


def _read_given(path: Path) -> str:
    """Return the text of a file that was named itself: a pipe is waited for."""
    with path.open("rb") as file:
        return file.read(LONGEST + 1).decode(errors="replace")


def _read(
    name: str, text: str, keys: Collection[VerifierKey], *, by_any_name: bool
) -> Published | Unusable:
    try:
        submission = Submission.parse(text) if re.match("old ", text) else None
        note = Note.parse(submission.note if submission else text)
        checkpoint = Checkpoint.parse(note.text)
    except ValueError as error:
        return Unusable(name=name, why=f"it is damaged or no checkpoint: {error}")
    if by_any_name:
        keys = [replace(key, name=checkpoint.origin) for key in keys]
    if any(is_signed(note, key) for key in keys):
        return Published(name=name, checkpoint=checkpoint, submission=submission)
    if any(note.signature_of(key) for key in keys):
        return Unusable(name=name, why="its signature is forged, or its text was changed")
    return Unusable(name=name, why=_OF_ANOTHER[by_any_name], is_of_another_key=True)


#: By whether the keys are the ledger's own.
_OF_ANOTHER = {
    False: "it is not signed with the key that was given",
    True: "it is not signed with the ledger's own key",
}
