"""An unexpected exception in words: its place, never its text, which may hold a value."""

import traceback

from rotator.descriptors import lacking
from rotator.errors import TooManyFiles
from rotator.model import Problem

HINT = "this is a bug: please report it, with what `--log-level debug` adds"


def described(error: BaseException) -> Problem:
    """Describe an exception by its class and the innermost function of rotator that it passed.

    A lack of descriptors can end any function, and is no bug.
    """
    if lacking(error):
        known = TooManyFiles()
        return Problem(code=known.code, message=known.message, hint=known.hint)
    return Problem(
        code="internal",
        message=f"unexpected {type(error).__name__} in {_place(error)}",
        hint=HINT,
    )


def _place(error: BaseException) -> str:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    places = [
        (str(frame.f_globals.get("__name__", "?")), frame.f_code.co_qualname) for frame in frames
    ]
    ours = [place for place in places if place[0].split(".")[0] == "rotator"]
    return ":".join((ours or places or [("rotator", "?")])[-1])
