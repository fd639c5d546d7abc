"""The ledger for those who only look at it."""

import pytest
from sqlalchemy import Engine, text

from rotator.errors import LedgerError
from rotator.ledger import database as database_module
from rotator.ledger.database import reading
from rotator.ledger.reader import LedgerReader

#: What takes a minute.
ENDLESS = {
    "sqlite": (
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 1000000000) "
        "SELECT count(*) FROM n"
    ),
    "postgresql": "SELECT pg_sleep(60)",
}


def test_a_look_that_takes_too_long_is_given_up(
    database: Engine, ledger_url: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It ends in an error of ours, and the next one is answered."""
    monkeypatch.setattr(database_module, "LONGEST_READ", 1.0)
    engine = database_module.open_for_readers(ledger_url)
    with pytest.raises(LedgerError), reading(engine) as connection:
        connection.execute(text(ENDLESS[kind])).all()

    assert (
        LedgerReader(engine).recorded_accounts() == LedgerReader(database).recorded_accounts() == []
    )
    engine.dispose()
