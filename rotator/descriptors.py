"""Descriptor limits: how many this process may open, and whether they ran out."""

import errno
import os
import resource
from contextlib import suppress

_LACK = (errno.EMFILE, errno.ENFILE)
#: What a library opens at once: SQLite a database, its log, its index, and their folder.
_AT_A_TIME = 5
#: Enough for the largest `concurrency` and every reader of the page.
_ENOUGH = 16_384
#: Descriptors of the process apart from its passes, and of one pass: connections to Vonage, to
#: Vault and to the ledger, whose files are two.
_OWN, _OF_A_PASS = 16, 5


def lacking(error: BaseException | None) -> bool:
    """Return whether an error, or one of its causes, is a lack of descriptors."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _LACK:
            return True
        error = error.__cause__ or error.__context__
    return False


def are_spent() -> bool:
    """Return whether descriptors are nearly spent, for a library's error without its cause.

    By then the library has closed what it had opened before it failed.
    """
    opened: list[int] = []
    try:
        while len(opened) < _AT_A_TIME:
            opened.append(os.open(os.devnull, os.O_RDONLY))
    except OSError as error:
        return lacking(error)
    finally:
        for each in opened:
            os.close(each)
    return False


def raise_limit() -> None:
    """Raise the limit on open files to this process's maximum: the usual 1,024 are too few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(_ENOUGH, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(OSError, ValueError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def passes_at_once(wanted: int) -> int:
    """Return how many of the `wanted` passes have enough descriptors; at least one."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return wanted
    return max(1, min(wanted, (soft - _OWN) // _OF_A_PASS))
