"""What became of each mutant, kept for the table in docs/reliability.md."""

import json
from dataclasses import dataclass

from tests.mutants.verdict import Verdict
from tests.support import figures

FOLDER = figures.FOLDER / "mutants"


@dataclass(frozen=True, kw_only=True)
class Result:
    """What became of one mutant in its last run."""

    #: The test that killed it; None where none did.
    killed_by: str | None
    seconds: float


def keep(verdict: Verdict) -> None:
    """Keep a verdict, over that of the mutant's last run."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    document = {"killed_by": verdict.run.failed, "seconds": round(verdict.run.seconds, 1)}
    (FOLDER / f"{verdict.mutant.name}.json").write_text(json.dumps(document))


def read() -> dict[str, Result]:
    """Read what is kept, by the mutants' names."""
    return {
        path.stem: Result(**json.loads(path.read_text())) for path in sorted(FOLDER.glob("*.json"))
    }
