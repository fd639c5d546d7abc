"""The gate of files: each file that was rendered from the entry names the new secret."""

from collections.abc import Sequence

from rotator.errors import reason_of
from rotator.gates.paths import expanded, opened
from rotator.gates.verdict import Consumer, NewSecret, Verdict

#: Largest file that is read, in bytes.
_LARGEST = 1024 * 1024


def check(patterns: Sequence[str], new: NewSecret) -> Verdict:
    """Return open if every file that matches names the new secret's id, and not the old one's.

    A file that cannot be read is behind.

    Raises:
        Undecided: see `expanded`.
    """
    return Verdict.of([Consumer(name=path, lag=_lag(path, new)) for path in expanded(patterns)])


def _lag(path: str, new: NewSecret) -> str | None:
    try:
        with opened(path) as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        return reason_of(error)
    if len(content) > _LARGEST:
        return "it is larger than 1 MiB"
    return new.lag(content.decode(errors="replace"))
