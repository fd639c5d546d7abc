from decimal import Decimal

from rotator.application import Observers
from rotator.model import Outcome, PassResult
from rotator.rotation.ports import NewEntry, Observer
from rotator.rotation.result import result_of
from tests.support.samples import account

ENTRY = NewEntry(event="opened", step=None, detail={}, rotation_id="r")
RESULT = result_of(account("a"), Outcome.COMPLETED, None)


class Kept(Observer):
    """Keeps all that it hears."""

    def __init__(self) -> None:
        self.heard: list[tuple[object, ...]] = []

    def call_finished(self, api: str, operation: str, code: str, seconds: float) -> None:
        """Keep it."""
        self.heard.append((api, operation, code, seconds))

    def entry_recorded(self, account: str, entry: NewEntry) -> None:
        """Keep it."""
        self.heard.append((account, entry))

    def pass_started(self, account: str) -> None:
        """Keep it."""
        self.heard.append((account,))

    def pass_finished(self, account: str, result: PassResult | None) -> None:
        """Keep it."""
        self.heard.append((account, result))

    def balance_read(self, account: str, euros: Decimal) -> None:
        """Keep it."""
        self.heard.append((account, euros))


def test_each_of_several_observers_hears_everything() -> None:
    """Also one within others; one that is added later hears what comes then."""
    first, second, late = Kept(), Kept(), Kept()
    inner = Observers(second)
    observers = Observers(first, inner)
    observers.pass_started("a")
    observers.call_finished("vault", "read-current", "200", 0.1)
    inner.add(late)
    observers.entry_recorded("a", ENTRY)
    observers.pass_finished("a", RESULT)
    observers.balance_read("a", Decimal(7))

    assert first.heard == [
        ("a",),
        ("vault", "read-current", "200", 0.1),
        ("a", ENTRY),
        ("a", RESULT),
        ("a", Decimal(7)),
    ]
    assert second.heard == first.heard
    assert late.heard == first.heard[2:]
