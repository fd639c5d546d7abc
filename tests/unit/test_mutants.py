"""The mutants' patches, and what is read from a run of their tests."""

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.mutants import patches, verdict
from tests.mutants.__main__ import main
from tests.mutants.patches import CHANGEABLE, RULES, Mutant, Tier

ROOT = Path(__file__).parents[2]
MUTANTS = patches.read_all()
FEWEST, MOST_LINES = 80, 10
#: Nothing that a patch of the code can break is found by these alone.
UNUSED = frozenset({Tier.SOAK})
#: How pytest reports a test of the file `b`: what is inside says how it went.
IN_B = '<testcase file="tests/b.py" classname="tests.b{}" name="test_two">{}</testcase>'
PASSED = IN_B.format("", "")
SKIPPED = IN_B.format("", '<skipped message="no browser"/>')
FAILED = IN_B.format(".TestIt", '<failure message="assert 1 == 2"/>')
NOT_SET_UP = IN_B.format("", '<error message="failed on setup"/>')
NOT_COLLECTED = '<testcase name="tests.b"><error message="collection failure"/></testcase>'


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_a_mutant_is_a_small_change_of_the_product(mutant: Mutant) -> None:
    """Each patch applies, changes few lines of what is shipped, and names tests that exist."""
    applied = subprocess.run(
        ["git", "apply", "--check", "-"],
        cwd=ROOT,
        input=mutant.diff,
        capture_output=True,
        text=True,
        check=False,
    )

    assert applied.stderr == ""
    assert all(file.startswith(CHANGEABLE) for file in mutant.files)
    assert 1 <= mutant.changed_lines <= MOST_LINES
    assert re.fullmatch("[a-z0-9]+(-[a-z0-9]+)+", mutant.name)
    assert re.fullmatch(r".*[^.]\.", mutant.breaks)
    assert are_there(mutant.tests)


def test_mutants_are_many_and_of_every_kind() -> None:
    """Each of the eight rules and each tier has mutants."""
    assert len(MUTANTS) >= FEWEST
    assert {mutant.rule for mutant in MUTANTS} == {*RULES}
    assert {mutant.tier for mutant in MUTANTS} == {*Tier} - UNUSED


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("window-over", "did you mean window-over-midnight-opens-a-day-early? "),
        ("window-over-midnigth-opens-a-day", "did you mean window-over-midnight-opens-a-day"),
        ("nosuch", "hint: `ls tests/mutants/*.patch` lists them"),
    ],
)
def test_a_mutant_that_there_is_none_of_has_a_hint(
    capsys: pytest.CaptureFixture[str], name: str, meant: str
) -> None:
    """With the names that are near, and where all of them are."""
    code = main([name])

    told = capsys.readouterr().err
    assert code == 2
    assert told.startswith(f"no such mutant: {name}\nhint: ")
    assert meant in told


def test_no_mutant_is_another_one() -> None:
    """No two patches make the same change."""
    assert len({mutant.diff for mutant in MUTANTS}) == len(MUTANTS)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("Rule: 8", "Rule: 9"),
        ("Tier: unit", "Tier: luck"),
        ("Tests: tests/a.py", ""),
        ("Breaks: It does.", "Brakes: It does."),
    ],
)
def test_a_wrong_head_is_named(tmp_path: Path, field: str, wrong: str) -> None:
    """A patch whose head is not as it should be is refused by its name."""
    head = "Breaks: It does.\nRule: 8\nTier: unit\nTests: tests/a.py\n\n"
    path = tmp_path / "it-breaks.patch"
    path.write_text(head.replace(field, wrong))

    with pytest.raises(ValueError, match=r"^it-breaks\.patch: "):
        patches.read(path)


@pytest.mark.parametrize(
    ("cases", "ran", "failed", "useless"),
    [
        (PASSED, 1, None, None),
        (PASSED + FAILED, 2, "tests/b.py::TestIt::test_two", None),
        (NOT_SET_UP, 1, "tests/b.py::test_two", None),
        (NOT_COLLECTED, 0, None, "tests.b cannot be collected"),
        (SKIPPED, 0, None, "no test ran"),
    ],
    ids=["passed", "failed", "not set up", "not collected", "skipped"],
)
def test_only_a_test_kills(cases: str, ran: int, failed: str | None, useless: str | None) -> None:
    """A test that failed kills a mutant; a file that cannot be collected does not."""
    run = verdict.read(f"<testsuites><testsuite>{cases}</testsuite></testsuites>", 1.0)

    assert (run.ran, run.failed, run.useless) == (ran, failed, useless)


def are_there(tests: tuple[str, ...]) -> bool:
    """Return whether each file and each function that a selection names exists."""
    for each in tests:
        if not each.startswith(f"tests{os.sep}"):
            continue
        file, *names = each.split("::")
        path = ROOT / file
        if not path.exists():
            return False
        text = "" if path.is_dir() else path.read_text()
        if any(f" {name.partition('[')[0]}" not in text for name in names):
            return False
    return bool(tests) and any(each.startswith(f"tests{os.sep}") for each in tests)
