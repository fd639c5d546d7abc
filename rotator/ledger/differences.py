"""Differences between an account's rows and its chained entries, or the possible values."""

from collections.abc import Iterator, Mapping
from datetime import datetime

from sqlalchemy import Connection, RowMapping, String, bindparam, select

from rotator.ledger import deletions, tables
from rotator.ledger.identities import identity_of
from rotator.ledger.mapping import from_row, hold_of
from rotator.ledger.replay import Replay, different_holds
from rotator.ledger.warrant import hold_fault
from rotator.model import Account, Identity
from rotator.rotation import schedule
from rotator.rotation.ports import AccountSummary


def differences(connection: Connection, name: str, replay: Replay) -> Iterator[str]:
    """Yield each difference in words; `replay` has read all entries of the account.

    Not compared are the latest snapshot, as the account is observed again; and what hooks were told
    last and when failures are retried, as no entry records these.
    """
    of_name = {"of_name": name}
    account = connection.execute(_ACCOUNT, of_name).mappings().first()
    if account is not None:
        yield from _of_account(account, replay)
    yield from _of_rotations(connection, name, replay, is_all=True)


def differences_told(connection: Connection, name: str, replay: Replay) -> Iterator[str]:
    """Yield the differences of which the newest entries tell; `replay` has read those alone."""
    account = connection.execute(_ACCOUNT, {"of_name": name}).mappings().one()
    if fault := hold_fault(connection, account):
        yield fault
    yield from _of_rotations(connection, name, replay, is_all=False)


def _of_rotations(
    connection: Connection, name: str, replay: Replay, *, is_all: bool
) -> Iterator[str]:
    """Yield the differences in rotations; `is_all` where every opening was read."""
    unseen = dict(replay.rotations)
    for row in connection.execute(_ROTATIONS, {"of_name": name}).mappings():
        recorded = unseen.pop(row["id"], None)
        if recorded is None:
            if is_all:
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
    if replay.identity and identity_of(row) != replay.identity:
        is_now, recorded = _named(identity_of(row)), _named(replay.identity)
        yield f"its row says that it is {is_now}, and the entries say {recorded}"
    found = row["adopted_id"], row["adopted_over"]
    if found != (replay.adopted_id, replay.adopted_over):
        adopted = replay.adopted_id or "nothing"
        yield f"its row says that {found[0] or 'nothing'} was adopted last, the entries {adopted}"
    if row["written_version"] > replay.newest_version:
        yield (
            f"its row says that version {row['written_version']} was written to Vault, and the "
            f"entries none after {replay.newest_version}"
        )
    yield from _of_deletions(row["deletions"], replay.deletions)


def _of_deletions(text: str, told: Mapping[str, str]) -> Iterator[str]:
    """Yield the ids that only one of both has: of the newest in entries, and all in the row.

    Older versions knew less of what became of some deletions.
    """
    try:
        found = {secret_id for secret_id, _ in deletions.read(text)}
    except (TypeError, ValueError):
        yield "its row has deletions that cannot be read"
        return
    for secret_id in sorted(found - told.keys()):
        yield f"its row says that secret {secret_id} was deleted, and no entry does"
    done = [secret_id for secret_id, event in told.items() if event == "done"]
    for secret_id in done[-deletions.MOST // 2 :]:
        if secret_id not in found:
            yield f"its row does not say that secret {secret_id} was deleted, and the entries do"


def _named(identity: Identity | None) -> str:
    if identity is None:
        return "nothing"
    return (
        f"API key {identity.api_key} of {identity.issuer}, at {identity.vault_path} and "
        f"{identity.pending_path} in Vault"
    )


def put_off(record: AccountSummary, account: Account | None, now: datetime) -> Iterator[str]:
    """Yield, in words, the times until which an account is put off implausibly long.

    No entry records them. An account is due within its policy's interval, counted from its secret's
    age or its last rotation. A later due time was set by an operator, by a wrong clock, or by a
    policy that has been changed since.
    """
    if record.retry_at and record.retry_at > now + _LONGEST_RETRY:
        yield f"its row has it tried again at {_told(record.retry_at)}, after too long a wait"
    if account is None or record.next_due_at is None:
        return
    closed_at = record.last_rotation.closed_at if record.last_rotation else None
    since = max((at for at in (record.current_since, closed_at) if at and at < now), default=now)
    latest = max(schedule.next_due(account, since), since + account.policy.max_age)
    if record.next_due_at > latest + account.policy.jitter:
        due, latest_text = _told(record.next_due_at), _told(latest)
        yield f"its row has it due at {due}, and its policy not after {latest_text}"


#: Longest wait after failures, including jitter, with a margin for clock differences.
_LONGEST_RETRY = 2 * schedule.LONGEST_BACKOFF


def _told(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


# -- Statements, built once: building takes longer than executing. ---------------------------

_OF_NAME = bindparam("of_name", type_=String)
_ACCOUNT = select(tables.account).where(tables.account.c.name == _OF_NAME)
_ROTATIONS = (
    select(tables.rotation)
    .where(tables.rotation.c.account == _OF_NAME)
    .order_by(tables.rotation.c.opened_at)
)
