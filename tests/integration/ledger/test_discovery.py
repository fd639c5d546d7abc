from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from threading import Barrier, BrokenBarrierError
from unittest.mock import patch

import pytest
from sqlalchemy import Connection, Engine

from rotator.ledger import discovery
from rotator.ledger.discovery import DiscoveredSubaccounts
from rotator.ledger.holds import Holds
from rotator.ledger.leases import locked
from rotator.ledger.reader import LedgerReader
from rotator.model import DiscoveredSubaccount, Hold, SubaccountState

NOW = datetime(2026, 11, 23, 7, 28, tzinfo=UTC)
ACTIVE, SUSPENDED = SubaccountState.ACTIVE, SubaccountState.SUSPENDED


def found(
    api_key: str, state: SubaccountState = ACTIVE, title: str = "shop"
) -> DiscoveredSubaccount:
    """Find a subaccount."""
    return DiscoveredSubaccount(parent="primary", api_key=api_key, title=title, state=state)


def names(several: Iterable[DiscoveredSubaccount]) -> dict[str, str]:
    """Manage all but those called `test`."""
    return {each.api_key: f"sub-{each.api_key}" for each in several if each.title != "test"}


def record(
    ledger: DiscoveredSubaccounts, *listed: DiscoveredSubaccount, hours: int = 0
) -> list[tuple[str, str]]:
    """Take note of what is listed; name what was told."""
    told = ledger.record("primary", listed, names=names, now=NOW + timedelta(hours=hours))
    return [(name, entry.event) for name, entry in told]


def test_what_was_found_is_known_to_others(database: Engine) -> None:
    """The set, its version and when was looked; a change of nothing is none."""
    ledger, other = DiscoveredSubaccounts(database), DiscoveredSubaccounts(database)
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
    ledger, queries = DiscoveredSubaccounts(database), LedgerReader(database)
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
    ledger, queries = DiscoveredSubaccounts(database), LedgerReader(database)
    record(ledger, found("a"))
    Holds(database).put("sub-a", Hold(reason="moving", by="ann", at=NOW))
    told = [record(ledger, found("a", SUSPENDED)), record(ledger, found("a"))]

    assert told == [[], []]
    assert "moving" in str(queries.accounts(["sub-a"])[0].hold)


def test_a_hold_that_comes_in_between_goes_before(database: Engine) -> None:
    """An operator who holds an account while discovery is about to is not overwritten."""
    if database.dialect.name == "sqlite":
        pytest.skip("a transaction of SQLite keeps all others out from its beginning")
    ledger, operator = DiscoveredSubaccounts(database), Holds(database)
    record(ledger, found("a"))
    hold = Hold(reason="incident", by="ann", at=NOW, freeze=True)

    def put_first(connection: Connection, name: str) -> object:
        operator.put("sub-a", hold)
        return locked(connection, name)

    with patch("rotator.ledger.discovery.locked", put_first):
        told = record(ledger, found("a", SUSPENDED))
    back = record(ledger, found("a"))

    assert (told, back) == ([], [])
    assert LedgerReader(database).accounts(["sub-a"])[0].hold == hold


def test_two_daemons_may_list_a_parent_for_the_first_time_at_once(database: Engine) -> None:
    """None of them fails, and what they found is recorded once."""
    here, plain = Barrier(2), discovery._found

    def found_together(
        connection: Connection, parent: str | None
    ) -> dict[str, DiscoveredSubaccount]:
        known = plain(connection, parent)
        # Unless one of them has to wait for the other, both have seen nothing by now.
        with suppress(BrokenBarrierError):
            here.wait(0.3)
        return known

    with patch.object(discovery, "_found", found_together), ThreadPoolExecutor(2) as pool:
        runs = [pool.submit(record, DiscoveredSubaccounts(database), found("a")) for _ in range(2)]
        told = sorted(run.result() for run in runs)

    assert told == [[], [("sub-a", "discovered")]]
    assert [entry.event for entry in LedgerReader(database).entries("sub-a")] == ["discovered"]
