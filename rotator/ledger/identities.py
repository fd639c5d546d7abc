"""Identities of accounts, independent of their names: no two share an api key or a Vault path.

With one api key under two names, each account would delete the secrets of the other.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, RowMapping, and_, func, or_, select

from rotator.ledger import tables
from rotator.model import Identity
from rotator.rotation.ports import Claimant

#: An arbitrary number that is no other advisory lock of the database.
_LOCK = 7_284_310_560
#: Columns of an account or a rotation: the fields of its identity.
COLUMNS = ("api_key", "issuer", "vault_path", "pending_path")


def identity_of(row: RowMapping | Mapping[str, Any]) -> Identity | None:
    """Return the identity in a row of an account or a rotation; None where there is none."""
    if row["api_key"] is None:
        return None
    return Identity(**{name: row[name] for name in COLUMNS})


def columns_of(identity: Identity | None) -> tables.Row:
    """Return the columns of an identity; all null for None."""
    return {name: getattr(identity, name, None) for name in COLUMNS}


def begin(connection: Connection) -> None:
    """Exclude other registrations until this transaction ends.

    Two at once would not see each other's accounts. SQLite has one writer anyway.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))


def claimant(connection: Connection, name: str, identity: Identity) -> Claimant | None:
    """Return another account than `name` with this api key or one of these paths."""
    account = tables.account.c
    paths = (identity.vault_path, identity.pending_path)
    is_same = and_(account.api_key == identity.api_key, account.issuer == identity.issuer)
    is_there = or_(account.vault_path.in_(paths), account.pending_path.in_(paths))
    query = select(account.name, *(account[column] for column in COLUMNS))
    others = query.where(account.name != name, or_(is_same, is_there)).order_by(account.name)
    row = connection.execute(others.limit(1)).mappings().first()
    if row is None:
        return None
    if (row["api_key"], row["issuer"]) == (identity.api_key, identity.issuer):
        return Claimant(name=row["name"], what="API key", which=identity.api_key)
    shared = next(path for path in paths if path in (row["vault_path"], row["pending_path"]))
    return Claimant(name=row["name"], what="Vault path", which=shared)
