"""The mutants: mistakes that break a promise, each a patch with the tests that have to find it."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

FOLDER = Path(__file__).parent
#: What a mutant may change.
CHANGEABLE = ("rotator/", "migrations/")


class Tier(StrEnum):
    """The kind of test that has to find a mutant."""

    UNIT = "unit"
    PROPERTY = "property"
    INTEGRATION = "integration"
    CONTRACT = "contract"
    ACCEPTANCE = "acceptance"
    EXPLORATION = "exploration"
    KILL_MATRIX = "kill matrix"
    FAULT_MATRIX = "fault matrix"
    POWER_LOSS = "power loss"
    FAILOVER = "failover"
    LEAK_TEST = "leak test"
    SOAK = "soak"
    WEB = "web"


_HEAD = ("Breaks", "Rule", "Tier", "Tests")
#: The rules of docs/concepts.md, by number; `-` where a mutant breaks another promise.
RULES = (*"12345678", "-")


@dataclass(frozen=True, kw_only=True)
class Mutant:
    """One mutant, as its patch states it."""

    name: str
    #: One sentence: what goes wrong with it.
    breaks: str
    rule: str
    tier: Tier
    #: What pytest is given to find it.
    tests: tuple[str, ...]
    diff: str

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it changes, from the checkout's root."""
        return tuple(re.findall(r"^\+\+\+ b/(\S+)$", self.diff, re.MULTILINE))

    @property
    def changed_lines(self) -> int:
        """How many lines it removes or adds, whichever are more."""
        signs = re.findall(r"^([+-])(?!\1\1 )", self.diff, re.MULTILINE)
        return max(signs.count("+"), signs.count("-"))


def read_all() -> list[Mutant]:
    """Read every mutant, by name.

    Raises:
        ValueError: a patch is not as CONTRIBUTING.md describes it.
    """
    return [read(path) for path in sorted(FOLDER.glob("*.patch"))]


def read(path: Path) -> Mutant:
    """Read one patch: its head, then a diff as git writes it."""
    head, found, diff = path.read_text().partition("diff --git ")
    try:
        fields = dict(_fields(head))
        return Mutant(
            name=path.stem,
            breaks=fields["Breaks"],
            rule=_one_of(RULES, fields["Rule"]),
            tier=Tier(fields["Tier"]),
            tests=tuple(shlex.split(fields["Tests"])),
            diff=found + diff,
        )
    except (KeyError, ValueError) as error:
        message = f"{path.name}: {error}"
        raise ValueError(message) from error


def _fields(head: str) -> Iterator[tuple[str, str]]:
    for line in head.splitlines():
        if line:
            name, _, text = line.partition(": ")
            yield _one_of(_HEAD, name), text.strip()


def _one_of(known: tuple[str, ...], text: str) -> str:
    if text not in known:
        message = f"{text!r} is none of {', '.join(known)}"
        raise ValueError(message)
    return text
