"""Figures of the suites, kept for the table in docs/reliability.md."""

import json
import re
from collections.abc import Mapping
from pathlib import Path

#: One file for each figure, so that suites that run side by side do not meet.
FOLDER = Path(__file__).parents[2] / "build" / "reliability"


def keep(suite: str, name: str, figures: Mapping[str, float], *, part: str = "") -> None:
    """Keep the figures of one row of a suite's table, over those of its last run.

    Those of the `part`s of a row are added up.
    """
    FOLDER.mkdir(parents=True, exist_ok=True)
    slug = re.sub(r"[^a-z0-9]+", "-", f"{suite} {name} {part}".lower()).strip("-")
    document = {"suite": suite, "name": name, "figures": dict(figures)}
    (FOLDER / f"{slug}.json").write_text(json.dumps(document))
