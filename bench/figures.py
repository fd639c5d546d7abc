"""A measured figure beside its floor, and the table and file that they end in."""

import json
import os
import platform
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

RESULTS = Path(__file__).with_name("results.json")


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One row of the table."""

    section: str
    what: str
    #: Of `floor` and `ours`: `ms`, `s`, `MB`, `%`, a count.
    unit: str
    #: What is to be compared with: the sum of latencies, the plain script, an empty process.
    floor: float | None = None
    ours: float
    #: What the ratio, or `ours` where there is no floor, is meant to be at most or at least.
    aim: str = ""

    @property
    def ratio(self) -> float | None:
        """Ours over the floor."""
        return self.ours / self.floor if self.floor else None

    def cells(self) -> tuple[str, ...]:
        """Return the figure as a row."""
        ratio = f"{self.ratio:.3f}" if self.ratio else ""
        floor = _number(self.floor) if self.floor else ""
        return (self.what, floor, _number(self.ours), self.unit, ratio, self.aim)


def machine() -> dict[str, str]:
    """Return the machine's CPU, Python, system and load."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
        if line.startswith("model name"):
            model = line.partition(":")[2].strip()
            break
    load = os.getloadavg()[0]
    return {
        "cpu": f"{os.cpu_count()} x {model}",
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()}",
        "load at the end": f"{load:.1f}",
    }


def show(figures: Iterable[Figure]) -> None:
    """Print a section's rows as soon as they are there."""
    rows = [figure.cells() for figure in figures]
    for what, floor, ours, unit, ratio, aim in rows:
        print(f"  {what:<58}{floor:>10}{ours:>10} {unit:<3}{ratio:>8}  {aim}".rstrip(), flush=True)


def save(figures: Sequence[Figure]) -> None:
    """Write `results.json`, sections that were not measured now kept as they were."""
    kept = json.loads(RESULTS.read_text(encoding="utf-8"))["figures"] if RESULTS.exists() else []
    measured = {figure.section for figure in figures}
    rows = [row for row in kept if row["section"] not in measured]
    rows += [asdict(figure) | {"ratio": figure.ratio} for figure in figures]
    document = {"machine": machine(), "figures": rows}
    RESULTS.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def _number(value: float) -> str:
    if value >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.3g}"
