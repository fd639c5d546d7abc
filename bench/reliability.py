"""Write what the suites kept of their last run into docs/reliability.md.

    python bench/reliability.py

Each suite leaves its figures in build/reliability. Suites that were not run are left out.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.figures import FOLDER

PAGE = Path(__file__).parents[1] / "docs" / "reliability.md"
BEGIN, END = "<!-- figures: written by `make reliability` -->\n", "<!-- end of figures -->\n"
#: What is not added up over the rows of a suite.
SINGLE = frozenset({"seed", "entries verified a second", "status of all, ms"})

Rows = dict[str, dict[str, float]]


def main() -> int:
    """Write the tables; give the exit code."""
    suites = read()
    if not suites:
        print("no figures: run make test, make test-slow, make soak and make bench first")
        return 1
    before, _, rest = PAGE.read_text().partition(BEGIN)
    after = rest.partition(END)[2]
    tables = "\n".join(line for name in sorted(suites) for line in table(name, suites[name]))
    PAGE.write_text(f"{before}{BEGIN}\n{tables}\n{END}{after}")
    return 0


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
    yield f"### {suite.capitalize()}"
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


def line(name: str, figures: list[float | None]) -> str:
    """Return one row."""
    cells = ["" if figure is None else f"{figure:,}" for figure in figures]
    return f"| {name} | {' | '.join(cells)} |"


if __name__ == "__main__":
    sys.exit(main())
