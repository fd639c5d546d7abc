from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, update

from rotator.ledger import tables
from rotator.ledger.database import writing
from rotator.ledger.queries import Queries
from rotator.ledger.subaccounts import FoundSubaccounts
from rotator.model import Found, SubaccountState

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
ACTIVE, SUSPENDED = SubaccountState.ACTIVE, SubaccountState.SUSPENDED


def found(api_key: str, state: SubaccountState = ACTIVE, title: str = "shop") -> Found:
    """Find a subaccount."""
    return Found(parent="primary", api_key=api_key, title=title, state=state)


def names(several: Iterable[Found]) -> dict[str, str]:
    """Manage all but those called `test`."""
    return {each.api_key: f"sub-{each.api_key}" for each in several if each.title != "test"}


def record(ledger: FoundSubaccounts, *listed: Found, hours: int = 0) -> list[tuple[str, str]]:
    """Take note of what is listed; name what was told."""
    told = ledger.record("primary", listed, names=names, now=NOW + timedelta(hours=hours))
    return [(name, draft.event) for name, draft in told]


def test_what_was_found_is_known_to_others(database: Engine) -> None:
    """The set, its version and when was looked; a change of nothing is none."""
    ledger, other = FoundSubaccounts(database), FoundSubaccounts(database)
    nothing = other.version()
    told = record(ledger, found("a"), found("b", title="test"))
    before = other.version()
    again = record(ledger, found("a"), found("b", title="test"), hours=1)

    assert told == [("sub-a", "discovered")]
    assert again == []
    assert other.all() == [found("a"), found("b", title="test")]
    assert nothing != before == other.version()
    assert other.listed_at("primary") == NOW + timedelta(hours=1)
    assert other.listed_at("another") is None


def test_holds_begin_and_end(database: Engine) -> None:
    """What is suspended or missing is held, told once, and released when it is back."""
    ledger, queries = FoundSubaccounts(database), Queries(database)
    record(ledger, found("a"), found("b"))
    told = [
        record(ledger, found("a", SUSPENDED)),
        record(ledger, found("a", SUSPENDED)),
    ]
    holds = [each.hold for each in queries.accounts(["sub-a", "sub-b"])]
    back = record(ledger, found("a"), found("b"))

    assert told == [[("sub-a", "held"), ("sub-b", "held")], []]
    assert ["suspended" in str(holds[0]), "does not list" in str(holds[1])] == [True, True]
    assert back == [("sub-a", "released"), ("sub-b", "released")]
    assert [each.hold for each in queries.accounts(["sub-a", "sub-b"])] == [None, None]
    assert queries.verify("sub-a").fault is None
    assert queries.verify("sub-b").entries == 3


def test_another_one_who_holds_goes_before(database: Engine) -> None:
    """An operator's hold is neither replaced nor ended."""
    ledger, queries = FoundSubaccounts(database), Queries(database)
    record(ledger, found("a"))
    with writing(database) as connection:
        held = {"hold_reason": "moving", "held_by": "ann", "held_at": NOW}
        connection.execute(update(tables.account).values(held))
    told = [record(ledger, found("a", SUSPENDED)), record(ledger, found("a"))]

    assert told == [[], []]
    assert "moving" in str(queries.accounts(["sub-a"])[0].hold)
