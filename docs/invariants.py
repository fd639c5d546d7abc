"""Lists each rule's mutants: `python -m docs.invariants` writes those parts of invariants.md."""

import re
from collections import defaultdict
from pathlib import Path

from tests.mutants.patches import read_all

PAGE = Path(__file__).parent / "invariants.md"
RULES = range(1, 9)

_BLOCK = re.compile(r"(<!-- mutants of rule (\d).*? -->\n).*?(<!-- end of mutants -->)", re.DOTALL)


def page(text: str) -> str:
    """Return the page with the mutants of each rule as they are in `tests/mutants/` now."""
    return _BLOCK.sub(lambda found: f"{found[1]}{_listed(found[2])}{found[3]}", text)


def _listed(rule: str) -> str:
    by_tier = defaultdict[str, list[str]](list)
    for mutant in read_all():
        if mutant.rule == rule:
            by_tier[mutant.tier.value].append(mutant.name)
    return "\n".join(["", *(_folded(tier, names) for tier, names in sorted(by_tier.items())), ""])


def _folded(tier: str, names: list[str]) -> str:
    """Return a list that opens by a click: the large ones have dozens of names."""
    count = "1 mutant" if len(names) == 1 else f"{len(names)} mutants"
    links = (f"- [`{name}`](../tests/mutants/{name}.patch)\n" for name in sorted(names))
    summary = f"<summary>{tier}: {count}</summary>"
    return f"<details>\n{summary}\n\n{''.join(links)}\n</details>\n"


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
