"""A share of the slow cases, drawn by a seed: what runs where there is no time for all of them."""

import random
from collections.abc import Iterable
from pathlib import Path

#: So many slow cases in one file are a matrix, of which a share may be drawn.
MATRIX = 40


def left_out(cases: Iterable[tuple[Path, str]], *, share: float, seed: int) -> set[str]:
    """Return the slow cases that are not drawn, of each with its file.

    Every process draws the same, in whichever order it has found them.
    """
    of_file: dict[Path, list[str]] = {}
    for path, name in cases:
        of_file.setdefault(path, []).append(name)
    chance, found = random.Random(seed), set[str]()
    for _, names in sorted(of_file.items()):
        if len(names) >= MATRIX:
            found |= set(chance.sample(sorted(names), round(len(names) * (1 - share))))
    return found
