"""Which way things go, written down so that it can be played again."""

from collections.abc import Sequence


class Script:
    """Choices as given, then always the first."""

    def __init__(self, given: tuple[int, ...] = ()) -> None:
        """Follow `given`."""
        self._given = given
        self._taken: list[int] = []
        #: Scripts that part from this one where it had a choice of its own.
        self.others: list[tuple[int, ...]] = []

    @property
    def is_fresh(self) -> bool:
        """Whether what was given is used up."""
        return len(self._taken) >= len(self._given)

    def pick(self, options: Sequence[str]) -> str:
        """Choose."""
        if len(options) == 1:
            return options[0]
        if self.is_fresh:
            taken = tuple(self._taken)
            self.others += [(*taken, other) for other in range(1, len(options))]
            self._taken.append(0)
        else:
            self._taken.append(self._given[len(self._taken)])
        return options[self._taken[-1]]
