"""What `rotator doctor` finds in a ledger that only its server's settings endanger."""

from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import Engine

from rotator.doctor import ledger
from rotator.doctor.check import Verdict
from rotator.ledger import schema
from rotator.ledger.reader import LedgerReader


@pytest.mark.postgres
@pytest.mark.parametrize("kind", ["postgresql"], indirect=True)
def test_a_server_without_fsync_is_warned_of(database: Engine) -> None:
    """The warning names the setting, what may happen, and the statement that mends it."""
    reader = LedgerReader(database)
    application: Any = SimpleNamespace(
        ledger=SimpleNamespace(revision=lambda: schema.HEAD, existing_reader=reader), accounts={}
    )
    (found,) = [row for row in ledger.checks(application) if row.name == "durability"]

    assert found.verdict is Verdict.WARNING
    assert found.finding == (
        "PostgreSQL runs with fsync = off: a power cut may damage or shorten the ledger"
    )
    assert found.hint == (
        "`ALTER SYSTEM SET fsync = on; SELECT pg_reload_conf()`, as the server's administrator"
    )
