"""The share of the slow cases that is run where there is no time for all of them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.share import MATRIX, left_out

ROOT = Path(__file__).parents[2]
LARGE = [(Path("tests/test_large.py"), f"large[{number}]") for number in range(2 * MATRIX)]
OTHER = [(Path("tests/test_other.py"), f"other[{number}]") for number in range(MATRIX)]
SMALL = [(Path("tests/test_small.py"), f"small[{number}]") for number in range(MATRIX - 1)]
CASES = [*LARGE, *SMALL, *OTHER]
#: A project with a matrix, a few slow cases and many fast ones.
FILES = {
    "conftest.py": "from tests.conftest import (pytest_addoption, pytest_collection_modifyitems, "
    "pytest_terminal_summary)",
    "pytest.ini": "[pytest]\nmarkers = slow: as here",
    "test_large.py": "import pytest\n@pytest.mark.slow\n"
    "@pytest.mark.parametrize('n', range(60))\ndef test_large(n): pass",
    "test_small.py": "import pytest\n@pytest.mark.slow\n"
    "@pytest.mark.parametrize('n', range(3))\ndef test_small(n): pass",
    "test_fast.py": "import pytest\n"
    "@pytest.mark.parametrize('n', range(50))\ndef test_fast(n): pass",
}


def drawn(seed: int, *, share: float = 0.4) -> set[str]:
    """Return the cases that are run."""
    return {name for _, name in CASES} - left_out(CASES, share=share, seed=seed)


def test_a_seed_draws_the_same_cases_in_whichever_order_they_are_found() -> None:
    """What failed is found again; another seed draws others."""
    backwards = left_out(reversed(CASES), share=0.4, seed=7)

    assert backwards == left_out(CASES, share=0.4, seed=7)
    assert len({frozenset(drawn(seed)) for seed in range(20)}) == 20


def test_the_share_of_each_matrix_is_drawn() -> None:
    """Not of all of them together: none is left out as a whole."""
    names = drawn(7)

    assert sum(name.startswith("large") for name in names) == len(LARGE) * 0.4
    assert sum(name.startswith("other") for name in names) == len(OTHER) * 0.4


def test_a_file_with_few_slow_cases_is_whole() -> None:
    """Whatever the seed."""
    small = {name for _, name in SMALL}

    assert all(small <= drawn(seed, share=0.01) for seed in range(20))


def test_every_case_is_drawn_by_some_seed() -> None:
    """In a few runs: none is left out for ever."""
    assert set().union(*(drawn(seed) for seed in range(40))) == {name for _, name in CASES}


@pytest.mark.parametrize(("share", "count"), [(1.0, len(CASES)), (0.0, len(SMALL))])
def test_all_or_nothing_of_a_matrix(share: float, count: int) -> None:
    """A share of 1 is everything."""
    assert len(drawn(7, share=share)) == count


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """Tests of which some are slow, with this project's options."""
    for name, text in FILES.items():
        (tmp_path / name).write_text(f"{text}\n")
    return tmp_path


def run(project: Path, *arguments: str, hash_seed: str = "0") -> tuple[set[str], list[str]]:
    """Run the tests of a project; return those that passed, and the last lines."""
    command = [sys.executable, "-m", "pytest", "-q", "-rA", "-p", "no:cacheprovider", *arguments]
    environ = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": hash_seed}
    environ = {key: value for key, value in environ.items() if not key.startswith("PYTEST_")}
    done = subprocess.run(
        command, cwd=project, env=environ, capture_output=True, text=True, check=False
    )
    lines = done.stdout.splitlines()
    assert done.returncode == 0, done.stdout + done.stderr
    return {line.split()[1] for line in lines if line.startswith("PASSED")}, lines


def test_every_process_draws_what_is_printed(project: Path) -> None:
    """Two workers, which would refuse to run different tests, and one whose hashes differ."""
    options = ("--share", "0.4", "--seed", "31")
    by_workers, lines = run(project, "-n", "2", *options)
    alone, _ = run(project, *options, hash_seed="1")
    [told] = [line for line in lines if "--seed" in line]
    again, _ = run(project, *told.partition(": ")[2].split())

    assert by_workers == alone == again
    assert sum("test_large" in name for name in alone) == 24
    assert len(alone) == 24 + 3 + 50


def test_without_a_share_everything_runs_and_nothing_is_printed(project: Path) -> None:
    """As before each merge."""
    names, lines = run(project)

    assert len(names) == 60 + 3 + 50
    assert [line for line in lines if "--seed" in line] == []
