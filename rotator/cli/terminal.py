"""Tables on a terminal: no wider than it is, no word broken, states in colour."""

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from rotator.cli import output
from rotator.reporting.text import NOTHING

Row = Sequence[str]

#: Colours of the words in the columns of states, verdicts and outcomes.
_COLOURS: Mapping[str, str] = {
    word: colour
    for colour, words in {
        "red": "broken drifted refused overdue failing failed",
        "yellow": "held unmanaged due warning busy",
        "green": "healthy ok completed",
        "bright_blue": "rotating waiting awaiting-deletion planned",
    }.items()
    for word in words.split()
}
_COLOURED = frozenset({"state", "verdict", "outcome"})
#: Characters that a column of sentences needs to be read with ease.
_READABLE = 24
#: Between two columns.
_GAP = 2
#: More columns than any table has, for measuring.
_WIDEST = 1_000


def draw(headers: Row, rows: Sequence[Row]) -> None:
    """Draw a table; where it is wider than the terminal, one block per row."""
    size = shutil.get_terminal_size()
    console = Console(
        width=size.columns,
        height=size.lines,
        color_system=None if os.environ.get("NO_COLOR") else "auto",
        markup=False,
        emoji=False,
        highlight=False,
    )
    drawn = _table(headers, [[output.joined(cell) for cell in row] for row in rows])
    unbounded = console.options.update(width=_WIDEST)
    if console.measure(drawn, options=unbounded).minimum <= console.width:
        with console.capture() as capture:
            console.print(drawn)
        console.file.write(output.parted(capture.get()))
        return
    for line in _blocks(headers, rows, console.width):
        # No line is cut: at a word that is longer than the terminal is wide, the terminal wraps.
        console.print(line, soft_wrap=True)


def _is_prose(cell: str) -> bool:
    """Return whether a cell is a sentence, which may be wrapped. Words, ids and times are not."""
    return cell.count(" ") > 2  # noqa: PLR2004  # a time has two


def _table(headers: Row, rows: Sequence[Row]) -> Table:
    drawn = Table(box=SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for header, *cells in zip(headers, *rows, strict=True):
        wraps = any(map(_is_prose, cells))
        words = [word for cell in cells for word in (cell.split(" ") if wraps else [cell])]
        narrowest = max(map(cell_len, [header, *words]))
        if wraps:
            narrowest = max(narrowest, min(_READABLE, max(map(cell_len, cells))))
        drawn.add_column(header, overflow="fold", no_wrap=not wraps, min_width=narrowest)
    for row in rows:
        drawn.add_row(
            *(Text(cell, _colour(header, cell)) for header, cell in zip(headers, row, strict=True))
        )
    return drawn


def _blocks(headers: Row, rows: Sequence[Row], width: int) -> Iterator[Text]:
    """Yield each row's first cells on one line, and its other cells below it, each labelled."""
    widths = [max(map(cell_len, column)) for column in zip(headers, *rows, strict=True)]
    count = _heading_cells(rows, widths, width)
    yield _heading([Text(header, style="bold") for header in headers[:count]], widths)
    for row in rows:
        named = [*zip(headers, row, strict=True)]
        yield _heading(
            [Text(cell, _colour(header, cell)) for header, cell in named[:count]], widths
        )
        for header, cell in named[count:]:
            if cell not in {"", NOTHING}:
                yield _labelled(header, cell, width)


def _heading_cells(rows: Sequence[Row], widths: Sequence[int], width: int) -> int:
    """Return how many of the first columns fit on one line; sentences do not belong there."""
    count, used = 1, widths[0]
    for column, needed in zip([*zip(*rows, strict=True)][1:], widths[1:], strict=True):
        used += _GAP + needed
        if used > width or any(map(_is_prose, column)):
            break
        count += 1
    return count


def _heading(cells: Sequence[Text], widths: Sequence[int]) -> Text:
    for cell, width in zip(cells[:-1], widths, strict=False):
        cell.pad_right(width - cell.cell_len + _GAP)
    return Text().join(cells)


def _labelled(header: str, cell: str, width: int) -> Text:
    """Return `header: cell`, wrapped at words, with every line but the first indented further."""
    label = f"  {header}: "
    labelled = Text(output.folded(f"{label}{cell}", width, indent=4))
    labelled.stylize("dim", 0, len(label))
    labelled.stylize(_colour(header, cell), len(label))
    return labelled


def _colour(header: str, cell: str) -> str:
    """Return the style of a cell: a colour where its column has states, verdicts or outcomes."""
    word = cell.partition(" ")[0].rstrip(":;,")
    return _COLOURS.get(word, "") if header in _COLOURED else ""
