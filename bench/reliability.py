"""Write what the suites kept of their last run into docs/reliability.md.

    python bench/reliability.py

Each suite leaves its figures in build/reliability, and so does each mutant. Suites and mutants that
were not run are left out.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.mutants import patches, results
from tests.support.figures import FOLDER

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: written by `make reliability` -->\n", "<!-- end of figures -->\n"
MUTANTS_BEGIN, MUTANTS_END = (
    "<!-- mutants: written by `make reliability` -->\n",
    "<!-- end of mutants -->\n",
)
#: A bar within a table's cell.
SPELT_BAR = "\\|"
#: What is not added up over the rows of a suite.
SINGLE = frozenset({"seed", "entries verified a second", "status of all, ms"})

Rows = dict[str, dict[str, float]]


def main() -> int:
    """Write the tables; give the exit code."""
    suites, mutants = read(), list(mutants_table())
    if not suites and not mutants:
        print("no figures: run make test, make test-slow, make soak and make bench first")
        return 1
    page = PAGE.read_text()
    if suites:
        lines = [line for name in sorted(suites) for line in table(name, suites[name])]
        page = between(page, BEGIN, END, lines)
    if mutants:
        page = between(page, MUTANTS_BEGIN, MUTANTS_END, mutants)
    PAGE.write_text(page)
    return 0


def between(page: str, begin: str, end: str, lines: Iterable[str]) -> str:
    """Return the page with `lines` between two of its lines."""
    before, _, rest = page.partition(begin)
    after = rest.partition(end)[2]
    text = "\n".join(lines)
    return f"{before}{begin}\n{text}\n{end}{after}"


def read() -> dict[str, Rows]:
    """Read every figure, by suite and row; the parts of a row are added up."""
    suites: dict[str, Rows] = defaultdict(dict)
    for path in sorted(FOLDER.glob("*.json")):
        document = json.loads(path.read_text())
        row = suites[document["suite"]].setdefault(document["name"], {})
        for name, figure in document["figures"].items():
            row[name] = row.get(name, 0) + figure
    return suites


def table(suite: str, rows: Rows) -> Iterator[str]:
    """Yield the lines of one suite's table."""
    columns = list(dict.fromkeys(column for row in rows.values() for column in row))
    yield f"### {suite[:1].upper()}{suite[1:]}"
    yield ""
    yield f"| | {' | '.join(columns)} |"
    yield "|---|" + "---:|" * len(columns)
    for name, row in rows.items():
        yield line(name, [row.get(column) for column in columns])
    if len(rows) > 1:
        yield line(
            "**all**",
            [
                None if column in SINGLE else sum(row.get(column, 0) for row in rows.values())
                for column in columns
            ],
        )
    yield ""


def mutants_table() -> Iterator[str]:
    """Yield the lines of the mutants' table; those that were not run are left out."""
    found = results.read()
    if not found:
        return
    yield "| mutant | what it breaks | rule | tier | killed by |"
    yield "|---|---|---|---|---|"
    for mutant in patches.read_all():
        if result := found.get(mutant.name):
            killed_by = f"`{short(result.killed_by)}`" if result.killed_by else "**nothing**"
            cells = mutant.name, mutant.breaks, mutant.rule, mutant.tier.value, killed_by
            yield f"| {' | '.join(cell.replace('|', SPELT_BAR) for cell in cells)} |"
    yield ""


def short(test: str) -> str:
    """Return a test's id without the folders."""
    path, colons, names = test.partition("::")
    return path.rpartition("/")[2] + colons + names


def line(name: str, figures: list[float | None]) -> str:
    """Return one row."""
    cells = ["" if figure is None else f"{figure:,}" for figure in figures]
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
