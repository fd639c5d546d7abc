"""The real command in processes that are set up in an odd way."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.acceptance.desk import Desk

BARE = {"PYTHONOPTIMIZE": "2", "PYTHONDONTWRITEBYTECODE": "1"}


@pytest.fixture
def desk(tmp_path: Path, sqlite_template: Path) -> Iterator[Desk]:
    """Give a desk with two dozen accounts."""
    with Desk(tmp_path, ledger=sqlite_template, accounts=24) as desk:
        yield desk


@pytest.mark.parametrize(
    "arguments",
    [("--help",), ("rotate-now", "--help"), ("status", "nobody"), ("secrets", "list", "account-1")],
    ids=" ".join,
)
def test_python_keeps_no_docstrings(desk: Desk, arguments: tuple[str, ...]) -> None:
    """With PYTHONOPTIMIZE=2, of a container say, all is said as ever."""
    desk.world.vault.sealed = True
    usual = desk.run_anew(*arguments)
    bare = desk.run_anew(*arguments, env=desk.environment | BARE)

    assert (bare.code, bare.out, bare.err) == (usual.code, usual.out, usual.err)
    assert "this is a bug" not in bare.err


def test_a_rotation_without_docstrings(desk: Desk) -> None:
    """And all is done as ever."""
    environment = desk.environment | BARE
    rotated = desk.run_anew("rotate-now", "account-1", "--json", env=environment)
    examined = desk.run_anew("doctor", "--json", env=environment)

    assert (rotated.code, rotated.json()[0]["outcome"]) == (0, "completed")
    assert "this is a bug" not in examined.out + examined.err
