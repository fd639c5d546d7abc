"""Where an account's rows are not what its entries say."""

from collections.abc import Iterator

from sqlalchemy import Connection, RowMapping, String, bindparam, select

from rotator.ledger import tables
from rotator.ledger.replay import Replay, different_holds
from rotator.ledger.rows import from_row, hold_of


def differences(connection: Connection, name: str, replay: Replay) -> Iterator[str]:
    """Name each difference; `replay` has read all entries of the account.

    What Vonage and Vault are asked anew is compared with nothing: what was seen last, and what
    hooks were told last. Of times at which something is tried again no entry tells.
    """
    of_name = {"of_name": name}
    account = connection.execute(_ACCOUNT, of_name).mappings().first()
    if account is not None:
        yield from _of_account(account, replay)
    unseen = dict(replay.rotations)
    for row in connection.execute(_ROTATIONS, of_name).mappings():
        recorded = unseen.pop(row["id"], None)
        if recorded is None:
            yield f"there is a row of rotation {row['id']}, and no entry opens it"
            continue
        found = from_row(row)
        for difference in recorded.differences(found):
            yield f"of rotation {found.id}, {difference}"
        if row["delete_due_at"] != found.delete_due_at:
            yield f"of rotation {found.id}, its delete_due_at is not the end of its grace"
    for missing in unseen:
        yield f"there are entries of rotation {missing}, and its row is gone"


def _of_account(row: RowMapping, replay: Replay) -> Iterator[str]:
    hold = different_holds(row_has=hold_of(row), entries_have=replay.hold)
    if hold:
        yield hold
    found = row["adopted_id"], row["adopted_over"]
    if found != (replay.adopted_id, replay.adopted_over):
        adopted = replay.adopted_id or "nothing"
        yield f"its row says that {found[0] or 'nothing'} was adopted last, the entries {adopted}"


# -- Statements, put together once: that takes longer than to execute them. ------------------

_OF_NAME = bindparam("of_name", type_=String)
_ACCOUNT = select(tables.account).where(tables.account.c.name == _OF_NAME)
_ROTATIONS = (
    select(tables.rotation)
    .where(tables.rotation.c.account == _OF_NAME)
    .order_by(tables.rotation.c.opened_at)
)
