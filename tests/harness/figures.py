"""What the suites have to show, kept for the table in docs/reliability.md."""

import json
import re
from pathlib import Path

#: One file for each figure, so that suites that run side by side do not meet.
FOLDER = Path(__file__).parents[2] / "build" / "reliability"


def keep(suite: str, name: str, **figures: float | str) -> None:
    """Keep the figures of one part of a suite, over those of its last run."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r"[^a-z0-9]+", "-", f"{suite} {name}".lower()).strip("-")
    document = {"suite": suite, "name": name, **figures}
    (FOLDER / f"{slug}.json").write_text(json.dumps(document))
