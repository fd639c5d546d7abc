"""Convergence: how many of an account's consumers use its new secret."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from rotator.model.redaction import printable

#: Most consumers that are named, and the most characters of a name.
MOST_NAMES = 20
LONGEST_NAME = 100


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """How many consumers use the new secret, as a gate found. For people: it decides nothing."""

    consumers: int
    converged: int
    #: Names of those that do not use it, `MOST_NAMES` of them at most.
    behind: tuple[str, ...] = ()

    def __str__(self) -> str:
        """Return it as people read it: `2 of 3 consumers use the new secret; not yet: a`."""
        counted = f"{self.converged} of {self.consumers} consumers use the new secret"
        return f"{counted}; not yet: {self.named}" if self.named else counted

    @property
    def named(self) -> str:
        """The names of those that are behind, in words; "" where none is known."""
        return named(self.behind, self.consumers - self.converged)


def bounded(name: str) -> str:
    """Return a consumer's name, which comes from elsewhere, on one line and not too long."""
    return printable(name)[:LONGEST_NAME]


def named(behind: Iterable[str], total: int) -> str:
    """Return names in words, of `total` in all: `a, b and 3 more`; "" without a name."""
    names = list(islice(behind, MOST_NAMES))
    more = f" and {total - len(names)} more" if names and total > len(names) else ""
    return f"{', '.join(names)}{more}"
