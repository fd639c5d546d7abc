"""The account that already has an api key or a path in Vault."""

from sqlalchemy import Connection, and_, or_, select

from rotator.ledger import tables
from rotator.ledger.mapping import IDENTITY
from rotator.model import Identity
from rotator.rotation.ports import Claimant


def claimant(connection: Connection, name: str, identity: Identity) -> Claimant | None:
    """Return another account than `name` with this api key or one of these paths.

    With one api key under two names, each account would delete the secrets of the other.
    """
    account = tables.account.c
    paths = (identity.vault_path, identity.pending_path)
    is_same = and_(account.api_key == identity.api_key, account.issuer == identity.issuer)
    is_there = or_(account.vault_path.in_(paths), account.pending_path.in_(paths))
    query = select(account.name, *(account[column] for column in IDENTITY))
    others = query.where(account.name != name, or_(is_same, is_there)).order_by(account.name)
    row = connection.execute(others.limit(1)).mappings().first()
    if row is None:
        return None
    if (row["api_key"], row["issuer"]) == (identity.api_key, identity.issuer):
        return Claimant(name=row["name"], what="API key", which=identity.api_key)
    shared = next(path for path in paths if path in (row["vault_path"], row["pending_path"]))
    return Claimant(name=row["name"], what="Vault path", which=shared)
