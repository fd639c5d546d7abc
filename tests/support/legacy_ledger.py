"""A SQLite ledger as older versions of rotator wrote it: with fewer facts in its entries."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Engine, delete, insert, text, update

from rotator.ledger import chain, tables
from rotator.ledger.reader import LedgerReader

TRIGGERS = ("entry_no_update", "entry_no_delete", "entry_no_replace")
_TRIGGERS_SQL = "SELECT sql FROM sqlite_master WHERE type = 'trigger' AND tbl_name = 'entry'"
#: Maps an entry's event, step and facts to the facts that older versions wrote.
Change = Callable[[str, str | None, dict[str, Any]], dict[str, Any]]


def drop_triggers(database: Engine) -> None:
    """Allow entries to be changed."""
    with database.begin() as connection:
        for trigger in TRIGGERS:
            connection.execute(text(f"DROP TRIGGER IF EXISTS {trigger}"))


@contextmanager
def rewritable(database: Engine) -> Iterator[None]:
    """Allow entries to be changed within a `with` block."""
    with database.begin() as connection:
        kept = connection.execute(text(_TRIGGERS_SQL)).scalars().all()
    drop_triggers(database)
    yield
    with database.begin() as connection:
        for statement in kept:
            connection.exec_driver_sql(statement)


def rewrite(database: Engine, name: str, change: Change) -> None:
    """Rewrite an account's entries with the facts that `change` returns, as one valid chain."""
    drop_triggers(database)
    head, entries = chain.GENESIS, list(LedgerReader(database).entries(name))
    with database.begin() as connection:
        connection.execute(delete(tables.entry).where(tables.entry.c.account == name))
        for entry in entries:
            detail = change(entry.event, entry.step, json.loads(entry.detail))
            kept = entry._replace(detail=chain.canonical_json(detail), prev_hash=head)
            head = chain.hash_of(kept)
            connection.execute(insert(tables.entry).values(kept._replace(hash=head)._asdict()))
        of_name = update(tables.account).where(tables.account.c.name == name)
        connection.execute(of_name.values(chain_head=head))


def without_tokens(_event: str, _step: str | None, detail: dict[str, Any]) -> dict[str, Any]:
    """Return an entry's facts without the fencing token of its process."""
    return {key: value for key, value in detail.items() if key != "fencing_token"}


def without_identity(_event: str, _step: str | None, detail: dict[str, Any]) -> dict[str, Any]:
    """Return an entry's facts without the account's identity, nor what was recorded later still."""
    later = ("api_key", "issuer", "vault_path", "pending_path", "fencing_token")
    return {key: value for key, value in detail.items() if key not in later}


def without_verification(event: str, step: str | None, detail: dict[str, Any]) -> dict[str, Any]:
    """Return an entry's facts without a verification's time and grace."""
    if (event, step) == ("done", "verify"):
        return {"vault_version": detail["vault_version"]}
    return detail
