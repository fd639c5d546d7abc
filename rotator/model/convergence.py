"""Convergence: how many of an account's consumers use its new secret."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import islice
from typing import Any

from rotator.model.redaction import printable

#: Most consumers that are named, and the most characters of a name.
MOST_NAMES = 20
LONGEST_NAME = 100
#: Most consumers that are counted.
_MOST_CONSUMERS = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Convergence:
    """How many consumers use the new secret, as a gate found. For people: it decides nothing."""

    consumers: int
    converged: int
    #: Names of those that do not use it, `MOST_NAMES` of them at most.
    behind: tuple[str, ...] = ()

    @classmethod
    def of(cls, found: object, masked: Callable[[str], str] = str) -> "Convergence | None":
        """Return what a JSON document says, with its names `masked`; None if it says nothing.

        Whoever wrote the document is not trusted.
        """
        document = found if isinstance(found, dict) else {}
        consumers, converged = document.get("consumers"), document.get("converged")
        if type(consumers) is not int or type(converged) is not int:
            return None
        if not 0 <= converged <= consumers <= _MOST_CONSUMERS:
            return None
        listed = document.get("behind")
        names = listed[: min(MOST_NAMES, consumers - converged)] if isinstance(listed, list) else []
        # Masked before they are cut: half a value could not be recognised.
        behind = (bounded(masked(name)) for name in names if isinstance(name, str))
        return cls(consumers=consumers, converged=converged, behind=tuple(filter(None, behind)))

    def document(self) -> dict[str, Any]:
        """Return it for programs."""
        return {
            "consumers": self.consumers,
            "converged": self.converged,
            "behind": list(self.behind),
        }

    def __str__(self) -> str:
        """Return it as people read it: `2 of 3 consumers use the new secret; not yet: a`."""
        behind = named(self.behind, self.consumers - self.converged)
        return f"{self.counted}; not yet: {behind}" if behind else self.counted

    @property
    def counted(self) -> str:
        """The numbers alone, in words."""
        return f"{self.converged} of {self.consumers} consumers use the new secret"


def bounded(name: str) -> str:
    """Return a consumer's name, which comes from elsewhere, on one line and not too long."""
    return printable(name).strip()[:LONGEST_NAME]


def named(behind: Iterable[str], total: int) -> str:
    """Return names in words, of `total` in all: `a, b and 3 more`; "" without a name."""
    names = list(islice(behind, MOST_NAMES))
    more = f" and {total - len(names)} more" if names and total > len(names) else ""
    return f"{', '.join(names)}{more}"
