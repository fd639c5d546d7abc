"""The copy of the checkout in which a mutant meets its tests."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from tests.mutants import patches
from tests.mutants.tree import NotMutated, Tree
from tests.mutants.verdict import judge

CHAIN = "rotator/ledger/chain.py"
MUTANT = patches.read(patches.FOLDER / "hash-that-is-none-passes.patch")


@pytest.fixture(scope="module")
def tree() -> Iterator[Tree]:
    """Yield a copy."""
    with Tree() as made:
        yield made


def test_only_the_copy_is_imported(tree: Tree) -> None:
    """With no variable set, and from any folder: without the copy's rotator there is none."""
    tree.check([CHAIN])
    (tree.root / "rotator").rename(tree.root / "gone")
    try:
        with pytest.raises(NotMutated, match=r"not in the copy|No module"):
            tree.check()
    finally:
        (tree.root / "gone").rename(tree.root / "rotator")


def test_a_mutant_is_there_as_long_as_it_is_needed(tree: Tree) -> None:
    """Afterwards the copy is as it was."""
    before = (tree.root / CHAIN).read_text()
    with tree.mutated(MUTANT):
        amid = (tree.root / CHAIN).read_text()
    after = (tree.root / CHAIN).read_text()

    assert amid != before
    assert after == before


@pytest.mark.parametrize(
    ("found", "wrong", "why"),
    [
        ("+        is_whole = True", "+        is_whole =", "invalid syntax"),
        ("-        is_whole", "-        is_entire", "patch does not apply"),
    ],
)
def test_what_is_no_code_says_nothing(tree: Tree, found: str, wrong: str, why: str) -> None:
    """A patch that does not apply, or whose code cannot be imported, kills nothing."""
    verdict = judge(tree, replace(MUTANT, diff=MUTANT.diff.replace(found, wrong)))

    assert not verdict.is_killed
    assert why in str(verdict.run.useless)


def test_a_test_that_fails_kills(tree: Tree) -> None:
    """The mutant's own tests fail with it, and others pass."""
    others = (*MUTANT.tests, "-k", "an_entry_is_a_row")
    killed, survivor = judge(tree, MUTANT), judge(tree, replace(MUTANT, tests=others))

    assert killed.is_killed
    assert killed.text.startswith("tests/unit/ledger/test_chain.py::test_")
    assert survivor.text == "SURVIVED"
