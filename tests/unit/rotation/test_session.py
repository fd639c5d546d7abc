from collections.abc import Callable
from decimal import Decimal
from typing import Any, cast

import pytest

from rotator.errors import (
    HoldChanged,
    IssuerUnavailable,
    LeaseLost,
    LedgerError,
    LedgerUnusable,
    RotatorError,
    SlotsFull,
)
from rotator.rotation.ports import CommitResult, LastLook, Lease, NewEntry, NoObserver
from rotator.rotation.session import LedgerSession
from tests.support.samples import NOW


class _Ledger:
    """A ledger under which nothing changes."""

    def check(self, _lease: Lease) -> None:
        """Return that nobody holds the account."""


class _SlowLedger(_Ledger):
    """A ledger whose every answer takes more than half of a lease."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def commit(self, *_: object, **__: object) -> CommitResult:
        """Prolong the lease at once; answer late."""
        self.seconds += 40.0
        return CommitResult(head="", hold=None, found=())

    def renew(self, *_: object) -> None:
        """Prolong the lease at once; answer late."""
        self.seconds += 40.0


def journal(ledger: object = None, monotonic: Callable[[], float] = lambda: 0.0) -> LedgerSession:
    """Return a ledger session whose lease has just begun."""
    return LedgerSession(
        ledger=cast("Any", ledger or _Ledger()),
        lease=Lease(account="a", owner="me", token=1, seconds=60.0),
        now=lambda: NOW,
        monotonic=monotonic,
        observer=NoObserver(),
        lease_until=60.0,
    )


@pytest.mark.parametrize(
    ("error", "recorded"),
    [
        (None, ["intent", "sent", "done"]),
        (SlotsFull(), ["intent", "sent", "rejected"]),
        (IssuerUnavailable(), ["intent", "sent", "unknown"]),
        (HoldChanged(), ["intent", "sent", "withdrawn"]),
        (LeaseLost(), ["intent", "sent"]),
        (LedgerError(), ["intent", "sent"]),
        (LedgerUnusable(), ["intent", "sent"]),
    ],
    ids=lambda value: type(value).__name__,
)
def test_each_effect_is_recorded_before_and_after(
    error: RotatorError | None, recorded: list[str]
) -> None:
    """Its intent first, then what came of it; where the record is lost, the intent stands alone."""
    seen: list[str] = []

    def send(look: LastLook) -> str:
        look()
        seen.append("sent")
        if error:
            raise error
        return "done"

    def perform() -> str:
        return journal().perform(
            send,
            hold=None,
            intend=lambda: seen.append("intent"),
            done=seen.append,
            missed=lambda event, _error: seen.append(event),
        )

    if error is None:
        assert perform() == "done"
    else:
        with pytest.raises(type(error)):
            perform()
    assert seen == recorded


def test_nothing_is_sent_whose_intent_is_not_committed() -> None:
    """The ledger may be away, or speak against it."""

    def intend() -> None:
        raise LedgerError

    def fail(*_: object) -> None:
        raise AssertionError

    with pytest.raises(LedgerError):
        journal().perform(fail, hold=None, intend=intend, done=fail, missed=fail)


@pytest.mark.parametrize(
    "prolong",
    [lambda session: session.commit(None, None, last=False), LedgerSession.renew],
    ids=["commit", "renew"],
)
def test_a_lease_counts_from_before_the_ledger_was_asked(
    prolong: Callable[[LedgerSession], object],
) -> None:
    """The ledger prolongs it some time before it answers: how long, nobody can know."""
    ledger = _SlowLedger()
    session = journal(ledger, lambda: ledger.seconds)
    session.entries.append(NewEntry(event="intent", step=None, detail={}))
    prolong(session)

    with pytest.raises(LeaseLost):
        session.check_lease()


def test_an_observer_needs_no_method_of_its_own() -> None:
    """What it does not care about does nothing."""
    NoObserver().balance_read("a", Decimal("1.5"))
