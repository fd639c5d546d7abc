"""What is warned of once rotations are done."""

from types import SimpleNamespace
from typing import TYPE_CHECKING, NoReturn, cast

from rotator.cli import rotate
from rotator.errors import LedgerError
from rotator.model import Outcome, PassResult

if TYPE_CHECKING:
    from rotator.application import Application


def test_a_ledger_that_cannot_be_read_any_more_fails_no_rotation() -> None:
    """What was done is done; only the warning is left out."""
    asked: list[object] = []

    def fail(names: object) -> NoReturn:
        asked.append(names)
        raise LedgerError("the ledger cannot be read")

    reader = SimpleNamespace(accounts=fail)
    application = SimpleNamespace(ledger=SimpleNamespace(reader=reader))
    waiting = cast("PassResult", SimpleNamespace(account="a", outcome=Outcome.AWAITING_DELETION))
    rotate._warn_of_trouble(cast("Application", application), [waiting])

    assert asked == [["a"]]
