"""Lists each rule's mutants: `python -m docs.invariants` writes those parts of invariants.md."""

import re
from collections import defaultdict
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "invariants.md"
MUTANTS = ROOT / "tests" / "mutants"
RULES = range(1, 9)

#: One line of the head of a patch.
_FIELD = r"^(\w+): (.*)$"
_BLOCK = re.compile(r"(<!-- mutants of rule (\d).*? -->\n).*?(<!-- end of mutants -->)", re.DOTALL)


def page(text: str) -> str:
    """Return the page with the mutants of each rule as they are in `tests/mutants/` now."""
    return _BLOCK.sub(lambda found: f"{found[1]}{_listed(found[2])}{found[3]}", text)


def mutants() -> dict[str, dict[str, str]]:
    """Return the header of each patch, by the mutant's name."""
    return {
        file.stem: dict(re.findall(_FIELD, file.read_text().partition("\ndiff ")[0], re.MULTILINE))
        for file in sorted(MUTANTS.glob("*.patch"))
    }


def _listed(rule: str) -> str:
    by_tier = defaultdict[str, list[str]](list)
    for name, header in mutants().items():
        if header["Rule"] == rule:
            by_tier[header["Tier"]].append(f"[`{name}`](../tests/mutants/{name}.patch)")
    if not by_tier:
        return "\nNo mutant is written for this rule yet.\n\n"
    rows = [f"| {tier} | {', '.join(names)} |" for tier, names in sorted(by_tier.items())]
    return "\n".join(["", "| mutants found in | names |", "|---|---|", *rows, "", ""])


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text()))
