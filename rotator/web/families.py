"""Metrics of which each account has its own, in Prometheus' text format.

prometheus_client makes an object of each sample and looks anew at each label's name: of ten
thousand accounts, half a second for each scrape, in which no other thread runs.
"""

from collections.abc import Iterable, Iterator


def labels(**values: str) -> str:
    """Give labels as they stand behind a metric's name."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())


def family(
    name: str, kind: str, meaning: str, samples: Iterable[tuple[str, float]]
) -> Iterator[str]:
    """Give the lines of a metric of this kind (`counter`, `gauge`): labels and value of each."""
    yield f"# HELP {name} {meaning}\n"
    yield f"# TYPE {name} {kind}\n"
    for of, value in samples:
        yield f"{name}{{{of}}} {float(value)!r}\n"


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")
