"""`docs/errors.md` explains every code, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from rotator import errors
from rotator.model import ABANDONED, SUPERSEDED
from rotator.rotation.causes import Act
from rotator.rotation.steps.bookkeeping import Refuse

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "errors.md").read_text()
ROWS = re.findall(r"^\| `([a-z-]+)` \| (.*) \| (.*) \|$", PAGE, re.MULTILINE)
#: What carries a code that is written where it is made.
CARRIERS = frozenset({Refuse.__name__, Act.__name__, "Refused", "Aborted", "Abort", "Problem"})


def subclasses(kind: type[errors.RotatorError]) -> Iterator[type[errors.RotatorError]]:
    """Yield an error's class and all below it."""
    yield kind
    for each in kind.__subclasses__():
        yield from subclasses(each)


def written(tree: ast.AST) -> Iterator[str]:
    """Yield the codes in the source of a module."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        name = getattr(node.func, "id", "")
        given = [each.value for each in node.keywords if each.arg == "code" and name in CARRIERS]
        given += node.args[1:2] if name == "_give_up" else []
        for value in given:
            if isinstance(value, ast.Constant) and isinstance(value.value, str):
                yield value.value


def codes() -> set[str]:
    """Return every code in rotator."""
    found = {kind.code for kind in subclasses(errors.RotatorError)} | {ABANDONED, SUPERSEDED}
    for path in (ROOT / "rotator").rglob("*.py"):
        found |= set(written(ast.parse(path.read_text())))
    return found


def test_every_code_is_explained_once() -> None:
    """Whoever meets a code finds its cause and cure; nothing is explained that there is not."""
    explained = [code for code, _, _ in ROWS]

    assert set(explained) == codes()
    assert len(explained) == len(set(explained))


@pytest.mark.parametrize(("code", "cause", "cure"), ROWS)
def test_a_code_has_a_cause_and_a_cure(code: str, cause: str, cure: str) -> None:
    """No cell is left empty."""
    assert code
    assert len(cause) > 10
    assert len(cure) > 10
