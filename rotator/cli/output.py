"""Standard output for results, standard error for everything else."""

import json
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rotator.errors import RotatorError
from rotator.model.redaction import escaped, printable, printable_lines
from rotator.reporting.text import NOTHING, short

Row = Sequence[str]


def prepare() -> None:
    """Make both streams fit to be written to, whatever they were started with."""
    # Where a standard descriptor is closed, the next file opened would take its place.
    while (descriptor := os.open(os.devnull, os.O_RDWR)) <= 2:  # noqa: PLR2004  # standard error
        pass
    os.close(descriptor)
    # None where they are closed, whatever their type says.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: PTH123, SIM115
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: PTH123, SIM115
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]  # a TextIOWrapper


def write(text: str) -> None:
    """Write lines to standard output, without what a terminal obeys.

    Raises:
        RotatorError: it does not take them.
        BrokenPipeError: nobody reads them any more.
    """
    with translated():
        sys.stdout.write(f"{printable_lines(text)}\n")


def write_json(document: object) -> None:
    """Write one JSON document to standard output; raises as `write`."""
    write(json.dumps(document, indent=2))


def write_json_line(document: object) -> None:
    """Write one JSON document as one line to standard output; raises as `write`."""
    write(escaped(json.dumps(document, separators=(",", ":"), ensure_ascii=False)))


def table(headers: Row, rows: Sequence[Row]) -> None:
    """Write a table: drawn on a terminal, in plain columns elsewhere; raises as `write`."""
    cells = [[printable(cell) for cell in row] for row in rows]
    if sys.stdout.isatty():
        with translated():
            _draw(headers, cells)
    else:
        write("\n".join(_columns([headers, *cells])))


def brief(identifier: str | None) -> str:
    """Give an id as a table has it: whole in plain columns, which a program may read."""
    return short(identifier) if sys.stdout.isatty() else identifier or NOTHING


def flush() -> None:
    """See that everything written has been taken; raises as `write`."""
    with translated():
        sys.stdout.flush()


def say(text: str, *, level: str = "info") -> None:
    """Write a message that is no result to standard error; `level` is for the journal."""
    sys.stderr.write(f"{_priority(level)}{printable_lines(text)}\n")
    sys.stderr.flush()


def _priority(level: str) -> str:
    """Return what a line of that level begins with: nothing, unless the journal reads it."""
    if "JOURNAL_STREAM" not in os.environ:
        return ""
    from rotator.telemetry import logging  # noqa: PLC0415  # takes a tenth of a second

    return logging.priority_of(level) if logging.is_journal(sys.stderr, os.environ) else ""


def complain(message: str, hint: str | None, *, about: str = "") -> None:
    """Say what is wrong and what can be done about it."""
    say(f"error: {about}{': ' if about else ''}{message}", level="error")
    if hint:
        say(f"hint: {hint}", level="error")


def give_up() -> None:
    """Write nothing more to standard output, not even what is buffered: nobody reads it."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())


@contextmanager
def translated() -> Iterator[None]:
    """Say what is wrong with standard output where a library writes to it; raises as `write`."""
    try:
        yield
    except BrokenPipeError:
        raise
    except SystemExit:
        # What rich makes of it.
        raise BrokenPipeError from None
    except OSError as error:
        reason = (error.strerror or "no reason given").lower()
        # What is left in its buffer would be tried again at the end.
        give_up()
        raise RotatorError(f"standard output cannot be written: {reason}") from None


def _columns(rows: Sequence[Row]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(cells).rstrip()


def _draw(headers: Row, rows: Sequence[Row]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415  # only a terminal needs it
    from rich.console import Console  # noqa: PLC0415  # likewise
    from rich.table import Table  # noqa: PLC0415  # likewise

    drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for header, *cells in zip(headers, *rows, strict=True):
        is_prose = any(map(_is_prose, cells))
        parts = [part for cell in cells for part in (cell.split(" ") if is_prose else [cell])]
        narrowest = max(map(len, [header, *parts]))
        drawn.add_column(header, overflow="fold", no_wrap=not is_prose, min_width=narrowest)
    for row in rows:
        drawn.add_row(*row)
    console = Console(markup=False, emoji=False, highlight=False)
    if (
        console.measure(drawn, options=console.options.update(width=_WIDEST)).minimum
        > console.width
    ):
        write("\n".join(_lines([headers, *rows])))
    else:
        console.print(drawn)


#: More columns than any table has, to measure by.
_WIDEST = 1_000


def _is_prose(cell: str) -> bool:
    """Whether a cell is a sentence, which may be folded. Words, ids and times stay whole."""
    return cell.count(" ") > 2  # noqa: PLR2004  # a time has two


def _lines(rows: Sequence[Row]) -> Iterator[str]:
    """Give columns as short as they can be where nothing is cut in pieces.

    The terminal may break these lines: rather than an id in pieces, which nobody could copy.
    """
    columns = [*zip(*rows, strict=True)]
    widths = [0 if any(map(_is_prose, each)) else max(map(len, each)) for each in columns]
    for row in rows:
        told = len(row)
        while told > 1 and row[told - 1] == NOTHING:
            told -= 1
        cells = (cell.ljust(width) for cell, width in zip(row[:told], widths, strict=False))
        yield "  ".join(cells).rstrip()
