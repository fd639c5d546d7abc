"""A command on several accounts, one of which fails."""

import io
import sys

import pytest
import typer

from rotator.cli import several
from rotator.cli.several import Result
from rotator.errors import LedgerConflict, LedgerError, Refused, RotatorError
from rotator.model import Account
from tests.support.samples import account

ACCOUNTS = [account(name) for name in ("a", "b", "c")]


@pytest.mark.parametrize(
    ("error", "tried", "codes"),
    [
        (Refused("no", code="no"), ["a", "b", "c"], [0, 3, 0]),
        (LedgerConflict(), ["a", "b", "c"], [0, 1, 0]),
        (LedgerError(), ["a", "b"], [0, 1, 1]),
    ],
)
def test_the_others_go_on(error: RotatorError, tried: list[str], codes: list[int]) -> None:
    """Only a ledger that is away is the same for all, and is not waited for again and again."""
    acted: list[str] = []

    def act(account: Account) -> Result:
        acted.append(account.name)
        if account.name == "b":
            raise error
        return Result(document={"account": account.name})

    results = several.in_turn(ACCOUNTS, act)

    assert acted == tried
    assert [each.exit_code for each in results] == codes
    assert [each.document["account"] for each in results] == ["a", "b", "c"]
    problem = results[1].problem
    assert problem is not None
    assert (problem.code, problem.message) == (error.code, error.message)


def test_a_bug_is_no_text_of_the_libraries() -> None:
    """Its class and place are named, as its text may hold a value."""
    result = Result.failed(ACCOUNTS[0], ValueError("hunter2"))

    assert result.exit_code == 1
    assert "hunter2" not in str(result.problem)


def test_long_lists_are_cut_before_the_question(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The question stays in sight on a terminal; how many there are, it says."""

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr(sys, "stdin", Terminal("n\n"))
    with pytest.raises(typer.Abort):
        several.confirm([account(f"a{n}") for n in range(1000)], "hold", yes=False)

    asked = capsys.readouterr().err
    assert "a0, a1, a2" in asked
    assert "a19 and 980 more\n" in asked
    assert "hold these 1000 accounts? [y/N]" in asked
