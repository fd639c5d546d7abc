"""The soak, short: stories that once went wrong, and one that is told each time."""

from pathlib import Path

import pytest

from bench import soak

pytestmark = pytest.mark.crash

#: Seeds of `bench/soak.py`. One that finds something is added here.
SEEDS = [35]
ROTATIONS = 24


@pytest.mark.parametrize("kind", ["sqlite"])
@pytest.mark.parametrize("seed", SEEDS)
def test_a_fleet_goes_through_faults_and_kills(ledger_url: str, tmp_path: Path, seed: int) -> None:
    """However the command is killed and whatever goes wrong, in the end all is as it should be."""
    found, told = soak.story(seed, ROTATIONS, ledger_url, tmp_path)

    assert found == []
    assert told["rotations"] >= ROTATIONS
    assert told["kills"] > 0
