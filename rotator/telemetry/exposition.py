"""Prometheus' text format.

prometheus_client would take long to render the many samples of accounts: it creates an object for
each.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum


class Scope(StrEnum):
    """What a metric is about; part of its description, as it decides how to aggregate it."""

    #: What this daemon did or is: the sum, or each instance, is what counts.
    DAEMON = "per daemon"
    #: What the ledger and the configuration say: every daemon exports the same.
    LEDGER = "per ledger"


def labels(**values: str) -> str:
    """Return labels, without the braces."""
    return ",".join(f'{name}="{_escaped(value)}"' for name, value in values.items())


def _escaped(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


@dataclass(frozen=True, kw_only=True)
class Family:
    """A metric with all its label sets."""

    name: str
    #: `counter` or `gauge`.
    kind: str = "gauge"
    meaning: str
    scope: Scope

    def lines(self, samples: Iterable[str]) -> Iterator[str]:
        """Yield the description, then `samples`, each as `sample` returns it."""
        yield f"# HELP {self.name} {self.meaning} ({self.scope})\n"
        yield f"# TYPE {self.name} {self.kind}\n"
        yield from samples

    def sample(self, of: str, value: float) -> str:
        """Return one sample; `of` is its labels, "" for none."""
        return (
            f"{self.name}{{{of}}} {float(value)!r}\n" if of else f"{self.name} {float(value)!r}\n"
        )
