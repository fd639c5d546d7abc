"""What happens to an account, and what is to be told of it."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from rotator.ledger.deliveries import Deliveries
from rotator.ledger.writer import LedgerWriter
from rotator.model import Rotation, Step
from rotator.model.notification import Delivery, Event, Hook, subscribers
from rotator.rotation.ports import NewEntry
from tests.support.samples import rotation

NOW = datetime(2026, 11, 24, 7, 28, tzinfo=UTC)
MINUTE, WEEK = timedelta(minutes=1), timedelta(days=7)
HOOKS = (
    Hook(name="one", on=frozenset({Event.PUSHED, Event.COMPLETED, Event.OVERDUE})),
    Hook(name="two", on=frozenset({Event.PUSHED, Event.REFUSED, Event.DRIFT, Event.RECOVERED})),
    Hook(name="elsewhere", on=frozenset(Event), accounts=frozenset({"other"})),
)
ROTATION = rotation(
    id="r",
    account="a",
    step=Step.VERIFY,
    grace=timedelta(),
    opened_at=NOW,
    new_id="new",
    vault_version=3,
    verified_at=NOW,
)
VERIFIED = NewEntry(event="done", step=Step.VERIFY, detail={"vault_version": 3}, rotation_id="r")
COMPLETED = NewEntry(
    event="closed", step=Step.COMPLETE, detail={"outcome": "completed"}, rotation_id="r"
)


def names(event: Event, account: str) -> tuple[str, ...]:
    """Return the names of the hooks that subscribe to an event."""
    return subscribers(HOOKS, event, account)


def happen(
    writer: LedgerWriter,
    *drafts: NewEntry,
    name: str = "a",
    rotation: Rotation | None = None,
    now: datetime = NOW,
) -> None:
    """Record entries in one commit."""
    lease = writer.claim(name, now)
    writer.commit(lease, rotation=rotation, entries=drafts, snapshot=None, now=now, last=True)


def claim(
    outbox: Deliveries, now: datetime = NOW, hooks: Sequence[str] = ("one", "two")
) -> Delivery | None:
    """Claim what is due now."""
    return outbox.claim(hooks, accounts=None, longest=MINUTE, due=now, now=now)


def claims(outbox: Deliveries, now: datetime = NOW) -> list[Delivery]:
    """Claim all that is due now."""
    return list(iter(lambda: claim(outbox, now), None))


def waiting(outbox: Deliveries) -> list[tuple[str, str]]:
    """Return hook and event of all pending deliveries."""
    return [(each.hook, each.event.value) for each in outbox.undelivered(["one", "two"])]
