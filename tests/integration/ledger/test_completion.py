"""The quick look into a ledger's file that the shell's completion takes."""

from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import Engine, make_url

from rotator.ledger.discovery import DiscoveredSubaccounts
from rotator.ledger.file import subaccounts
from rotator.model import DiscoveredSubaccount, SubaccountState

NOW = datetime(2026, 1, 1, tzinfo=UTC)
ACTIVE = DiscoveredSubaccount(
    parent="primary", api_key="abcd1234", title="Shop, 50% off", state=SubaccountState.ACTIVE
)


@pytest.fixture(params=["sqlite"])
def kind(request: pytest.FixtureRequest) -> str:
    """Only SQLite's ledgers are files."""
    return str(request.param)


@pytest.fixture
def file(ledger_url: str) -> Path:
    """Where the ledger is."""
    return Path(make_url(ledger_url).database or "")


def test_what_was_found_is_seen(database: Engine, file: Path) -> None:
    """While somebody has the ledger open, and after he has gone, without a trace of the look."""
    DiscoveredSubaccounts(database).record("primary", [ACTIVE], names=lambda _: {}, now=NOW)
    beside = subaccounts(file)
    database.dispose()
    alone = subaccounts(file)

    assert beside == alone == [ACTIVE]
    assert [each.name for each in file.parent.iterdir()] == [file.name]


def test_what_cannot_be_read_has_nothing(tmp_path: Path) -> None:
    """Neither a file that is not there, which is not made, nor one that is no ledger."""
    other = tmp_path / "other"
    other.write_text("not a database")
    missing = tmp_path / "missing"

    assert subaccounts(other) == subaccounts(missing) == []
    assert not missing.exists()
