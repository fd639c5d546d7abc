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
            link = f"[`{mutant.name}`](../tests/mutants/{mutant.name}.patch)"
            by_tier[mutant.tier.value].append(link)
    rows = [f"| {tier} | {', '.join(names)} |" for tier, names in sorted(by_tier.items())]
    return "\n".join(["", "| mutants found in | names |", "|---|---|", *rows, "", ""])


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
