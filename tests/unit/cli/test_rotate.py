from dataclasses import replace

import pytest

from rotator.cli import rotate
from rotator.errors import (
    LedgerFull,
    LedgerUnusable,
    RotatorError,
    StoreForbidden,
    StoreNotReady,
    StoreSealed,
    StoreUnavailable,
)
from rotator.model import Outcome, PassResult
from rotator.rotation.result import failure, result_of
from tests.support.samples import account


def report(code: int, outcome: Outcome = Outcome.FAILED) -> PassResult:
    """Make a report that asks for an exit code."""
    return replace(result_of(account("a"), outcome, None), exit_code=code)


@pytest.mark.parametrize(
    ("codes", "code"),
    [
        ([], 0),
        ([0, 0], 0),
        ([0, 75], 75),
        ([75, 3], 3),
        ([3, 1, 75], 1),
        ([2, 0], 2),
        ([2, 2], 2),
        ([2, 3], 1),
        ([2, 75], 1),
        ([2, 1], 1),
    ],
)
def test_the_worst_account_decides(codes: list[int], code: int) -> None:
    """Failed before refused before busy; bad input only where it is all there is."""
    assert rotate.exit_code([report(each) for each in codes]) == code


@pytest.mark.parametrize(
    ("error", "code", "outcome"),
    [
        (StoreUnavailable(), 1, Outcome.FAILED),
        (StoreNotReady(), 1, Outcome.FAILED),
        (StoreSealed(), 1, Outcome.FAILED),
        (StoreForbidden(), 1, Outcome.FAILED),
        (LedgerUnusable(), 2, Outcome.FAILED),
        (LedgerFull(), 3, Outcome.REFUSED),
    ],
)
def test_what_keeps_all_from_beginning(error: RotatorError, code: int, outcome: Outcome) -> None:
    """A Vault that is away is no bad input, and nothing for an operator to decide."""
    found = failure(account("a"), None, error)

    assert (found.exit_code, found.outcome) == (code, outcome)
    assert rotate.exit_code([found]) == code
    assert found.error
    assert found.error.code == error.code


def test_an_unforeseen_error_is_named_but_not_quoted() -> None:
    """Its text may be a value."""
    with pytest.raises(ZeroDivisionError) as caught:
        raise ZeroDivisionError("hunter2")
    found = rotate.internal(account("a"), caught.value)

    (document,) = rotate.results_document([found])
    assert document["outcome"] == "failed"
    assert document["error"]["code"] == "internal"
    assert "unexpected ZeroDivisionError in " in document["error"]["message"]
    assert "hunter2" not in str(document)
