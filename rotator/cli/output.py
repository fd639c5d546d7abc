"""Standard output for results, standard error for everything else."""

import json
import os
import re
import shutil
import sys
import textwrap
import traceback
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rotator.descriptors import lacking
from rotator.errors import RotatorError, TooManyFiles, reason_of
from rotator.model import Problem
from rotator.model.redaction import escaped, printable, printable_lines
from rotator.reporting.text import NOTHING, short

Row = Sequence[str]


def prepare() -> None:
    """Make both streams writable, whatever their state at the start."""
    # If a standard descriptor is closed, the next opened file would take its place.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004  # standard error
        pass
    os.close(descriptor)
    # None where they are closed, despite their declared type.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIOWrapper


def write(text: str) -> None:
    """Write lines to standard output, without terminal control characters.

    Raises:
        RotatorError: standard output cannot be written to.
        BrokenPipeError: its reader has closed it.
    """
    with translated():
        sys.stdout.write(f"{printable_lines(text)}\n")


def write_json(document: object) -> None:
    """Write one JSON document to standard output; raises as `write`."""
    write(json.dumps(document, indent=2))


def write_json_line(document: object) -> None:
    """Write one JSON document as one line to standard output; raises as `write`."""
    write(escaped(json.dumps(document, separators=(",", ":"), ensure_ascii=False)))


def show(document: object, text: str, *, as_json: bool) -> None:
    """Write a result: its JSON document, or its sentences; raises as `write`."""
    sentences = "\n".join(map(fitted, printable_lines(text).split("\n")))
    write(json.dumps(document, indent=2) if as_json else sentences)


def show_table(document: object, headers: Row, rows: Sequence[Row], *, as_json: bool) -> None:
    """Write a result: its JSON document, or its table; raises as `write`."""
    if as_json:
        write_json(document)
    else:
        table(headers, rows)


def table(headers: Row, rows: Sequence[Row]) -> None:
    """Write a table: drawn on a terminal, in plain columns elsewhere; raises as `write`."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        from rotator.cli import terminal  # noqa: PLC0415  # only a terminal needs rich

        with translated():
            terminal.draw(headers, cells)
    else:
        write("\n".join(_columns([headers, *cells])))


def brief(identifier: str | None) -> str:
    """Return an id for a table: short on a terminal, whole in plain columns for programs."""
    return short(identifier) if sys.stdout.isatty() else identifier or NOTHING


def brief_time(at: str) -> str:
    """Return a time for a table: to the second on a terminal, whole for programs."""
    return f"{at[:19]}Z" if sys.stdout.isatty() else at


#: A command in a sentence.
_COMMAND = re.compile("`[^`]+`")
#: Stands for a space at which no line ends: a character without a meaning (Unicode, private use).
_JOINT = "\ue000"


def joined(text: str) -> str:
    """Return a text in which each command in backticks counts as one word; see `parted`."""
    return _COMMAND.sub(lambda command: command[0].replace(" ", _JOINT), text)


def parted(text: str) -> str:
    """Return a text that was wrapped with its commands joined as it is to be shown."""
    return text.replace(_JOINT, " ")


def folded(text: str, width: int, *, indent: int = 0) -> str:
    """Return a line wrapped at words, every line of it but the first indented.

    A command in backticks is one word. A word that is too long gets a line of its own, whole: the
    terminal wraps it, so that it can still be copied.
    """
    lines = textwrap.fill(
        joined(text),
        width,
        subsequent_indent=" " * indent,
        break_long_words=False,
        break_on_hyphens=False,
    )
    return parted(lines)


def fitted(line: str, *, indent: int = 4) -> str:
    """Return a line for standard output: wrapped at words on a terminal, as it is elsewhere."""
    return folded(line, terminal_width(), indent=indent) if sys.stdout.isatty() else line


def terminal_width() -> int:
    """Return the terminal's width, or what $COLUMNS says."""
    return shutil.get_terminal_size().columns


def flush() -> None:
    """Flush everything that was written; raises as `write`."""
    with translated():
        sys.stdout.flush()


def say(text: str, *, level: str = "info") -> None:
    """Write a message that is no result to standard error; `level` is for the journal."""
    lines = printable_lines(text)
    if sys.stderr.isatty():
        width = terminal_width()
        lines = "\n".join(folded(line, width, indent=4) for line in lines.split("\n"))
    sys.stderr.write(f"{_priority(level)}{lines}\n")
    sys.stderr.flush()


def _priority(level: str) -> str:
    """Return the prefix for a line of that level: empty, unless the journal reads it."""
    if "JOURNAL_STREAM" not in os.environ:
        return ""
    from rotator.telemetry import logging  # noqa: PLC0415  # takes a tenth of a second

    return logging.priority_of(level) if logging.is_journal(sys.stderr, os.environ) else ""


def complain(message: str, hint: str | None, *, about: str = "") -> None:
    """Print an error and its hint."""
    say(f"error: {about}{': ' if about else ''}{message}", level="error")
    if hint:
        say(f"hint: {hint}", level="error")


def problem_of(error: BaseException) -> Problem:
    """Describe an error for people and programs.

    One that is not rotator's own is described by its class and the innermost function of rotator
    that it passed, never by its text, which may hold a value. A lack of descriptors can end any
    function, and is no bug.
    """
    if not isinstance(error, RotatorError) and lacking(error):
        error = TooManyFiles()
    if isinstance(error, RotatorError):
        return Problem(code=error.code, message=error.message, hint=error.hint)
    return Problem(
        code="internal",
        message=f"unexpected {type(error).__name__} in {_place(error)}",
        hint="this is a bug: please report it, with what `--log-level debug` adds",
    )


def _place(error: BaseException) -> str:
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    places = [
        (str(frame.f_globals.get("__name__", "?")), frame.f_code.co_qualname) for frame in frames
    ]
    ours = [place for place in places if place[0].split(".")[0] == "rotator"]
    return ":".join((ours or places or [("rotator", "?")])[-1])


def give_up() -> None:
    """Discard further output to standard output, buffered text included: its reader is gone."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


@contextmanager
def translated() -> Iterator[None]:
    """Translate a library's errors on standard output; raises as `write`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except SystemExit:
        # rich's replacement for the original exception.
        raise BrokenPipeError from None
    except OSError as error:
        # Buffered text would be written again at the end.
        give_up()
        raise RotatorError(f"standard output cannot be written: {reason_of(error)}") from None


def _columns(rows: Sequence[Row]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()
