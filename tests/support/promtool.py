"""Series for `promtool test rules`, made of what `/metrics` serves."""

import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

import yaml

OPS = Path(__file__).parents[2] / "ops"

#: One sample as served: name, labels, value.
_SAMPLE = re.compile(r"(?P<name>[a-z_]+)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")


class Sample(NamedTuple):
    """One sample as `/metrics` serves it."""

    name: str
    labels: str
    value: float


def samples_in(text: str) -> Iterator[Sample]:
    """Yield the samples of what `/metrics` serves."""
    for line in text.splitlines():
        if not line.startswith("#"):
            found = _SAMPLE.fullmatch(line)
            assert found, line
            yield Sample(found["name"], found["labels"] or "", float(found["value"]))


def scraped(texts: Iterable[str], *, start: datetime, instances: str) -> list[dict[str, str]]:
    """Return the series that Prometheus has of these scrapes, one after the other.

    Each daemon in `instances`, a letter for each, serves the same. The time `start` is 0.
    """
    found: dict[tuple[str, str], dict[int, float]] = {}
    count = 0
    for number, text in enumerate(texts):
        for name, labels, value in samples_in(text):
            shift = start.timestamp() if name.endswith("_timestamp_seconds") else 0
            found.setdefault((name, labels), {})[number] = value - shift
        count = number + 1
    return [
        {
            "series": f"{name}{{{','.join(filter(None, (_SCRAPED % instance, labels)))}}}",
            "values": _notation(values, count),
        }
        for instance in instances
        for (name, labels), values in found.items()
    ]


_SCRAPED = 'job="rotator",instance="%s"'


def _notation(values: Mapping[int, float], count: int) -> str:
    """Return values in promtool's notation; one that is not there any more is stale at once."""
    shown = (
        repr(values[each]) if each in values else "stale" if each - 1 in values else "_"
        for each in range(count)
    )
    return " ".join(_repeated(value, len([*same])) for value, same in groupby(shown))


def _repeated(value: str, count: int) -> str:
    if value == "_":
        return f"_x{count}"
    return value if count == 1 else f"{value}x{count - 1}"


def failures(folder: Path, *tests: Mapping[str, Any], interval: str = "5m") -> str:
    """Return what fails of these tests on the alert rules; "" for nothing."""
    path = folder / "cases.yml"
    document = {
        "rule_files": [str(OPS / "alerts.yml")],
        "evaluation_interval": interval,
        "tests": list(tests),
    }
    path.write_text(yaml.safe_dump(document, width=10**9))
    return run("test", "rules", str(path))


def run(*arguments: str, text: str | None = None, folder: Path = OPS) -> str:
    """Run promtool; return its output if it fails, else nothing."""
    done = subprocess.run(
        ["promtool", *arguments],
        cwd=folder,
        input=text,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr if done.returncode else ""
