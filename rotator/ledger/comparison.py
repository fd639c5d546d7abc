"""Comparison of an account's rows with its chained entries, before anything relies on the rows.

Of an open rotation, the entries from its opening to the newest one must be whole and agree with its
row. That is checked at each load: later entries about the rotation are made from the row, and would
repeat what somebody wrote there. Some twenty entries are read.

Of a secret that is to be deleted, they must show that the rotation replaced or made it. That is
checked in the transaction that records the intent of the deletion. For an eviction, as many entries
are read as there were since the rotation that left the secret behind.

The newest entry about a hold must agree with the account's row, at each load and before each
effect. `rotator ledger verify` compares everything with all entries; the status page, with the
newest ones.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, RowMapping, String, bindparam, select

from rotator.ledger import chain, deletions, tables
from rotator.ledger.facts import different_holds, hold_in
from rotator.ledger.mapping import from_row, hold_of, identity_of
from rotator.ledger.replay import Replay
from rotator.model import Account, Identity, Rotation, Step
from rotator.rotation import refusals, schedule
from rotator.rotation.ports import AccountSummary, NewEntry


def require(
    connection: Connection, row: tables.AnyRow, new: Sequence[NewEntry], rotation: Rotation | None
) -> None:
    """Check that the rows, which the next effect relies on, agree with the chained entries.

    `row` is the account's, including the end of its chain: `new` entries are already in the
    ledger, in this transaction. `rotation` is recorded with them.

    Raises:
        Refused: the entries disagree. The transaction must not be committed.
    """
    intents = [entry for entry in new if entry.event == "intent" and entry.rotation_id]
    if intents and (why := hold_fault(connection, row)):
        raise refusals.hold_altered(row["name"], why).error()
    for intent in intents:
        is_by_policy = intent.detail.get("is_foreign", False)
        if rotation and intent.step in (Step.EVICT, Step.DELETE) and not is_by_policy:
            secret_id, is_eviction = str(intent.detail["secret_id"]), intent.step == Step.EVICT
            if why := _unbacked(connection, row, rotation, secret_id, is_eviction=is_eviction):
                raise refusals.rows_altered(why).error()


def rotation_fault(connection: Connection, row: tables.AnyRow, rotation: Rotation) -> str | None:
    """Return, in words, how an open rotation's row differs from its entries; None if it agrees."""
    return _unbacked(connection, row, rotation)


def hold_fault(connection: Connection, row: tables.AnyRow) -> str | None:
    """Return, in words, how an account's row differs from its newest entry about a hold.

    None where it agrees. That entry has to be whole.
    """
    entry = chain.newest_about_hold(connection, row["name"])
    if entry and (fault := chain.fault(entry, prev_hash=entry.prev_hash, seq=entry.seq)):
        return fault
    return different_holds(row_has=hold_of(row), entries_have=hold_in(entry) if entry else None)


def _unbacked(
    connection: Connection,
    row: tables.AnyRow,
    rotation: Rotation,
    secret_id: str | None = None,
    *,
    is_eviction: bool = False,
) -> str | None:
    """Return, in words, what the entries have against an open rotation, or against its deletion.

    `secret_id` is what it is about to delete on the word of the ledger; None for nothing.
    """
    replay = _replay_back(
        connection, row, rotation.id, evicted_id=secret_id if is_eviction else None
    )
    if isinstance(replay, str):
        why: str | None = replay
    elif secret_id:
        why = replay.against(rotation, secret_id, is_eviction=is_eviction)
    else:
        why = replay.difference(rotation)
    about = f"the deletion of secret {secret_id}" if secret_id else "the open rotation"
    return f"{about} is not backed by the ledger's entries: {why}" if why else None


def _replay_back(
    connection: Connection, row: tables.AnyRow, rotation_id: str, *, evicted_id: str | None
) -> Replay | str:
    """Replay the newest entries from the opening of a rotation; return, in words, why not.

    For a secret that is to be evicted, also from the opening of the rotation that left it behind.
    The chain is followed backwards from its end, as the account's row has it.
    """
    seq, head = row["chain_seq"], row["chain_head"]
    segment: list[chain.Entry] = []
    relevant, mention = {rotation_id}, chain.canonical_json(evicted_id)
    for entry in chain.backwards(connection, row["name"], seq):
        fault = chain.fault(entry, prev_hash=entry.prev_hash, seq=seq)
        if fault or entry.hash != head:
            return fault or f"entry {seq} is not the one that was written"
        segment.append(entry)
        seq, head = seq - 1, entry.prev_hash
        if evicted_id and entry.rotation_id and mention in entry.detail:
            relevant.add(entry.rotation_id)
        if entry.event == "opened" and entry.rotation_id in relevant:
            replay = Replay.of(reversed(segment))
            is_far_enough = evicted_id is None or replay.is_expendable(evicted_id)
            if rotation_id in replay.rotations and is_far_enough:
                return replay
    if seq:
        return f"entry {seq} is missing"
    left_behind = " and of one that left it behind" if evicted_id else ""
    return f"none of them records the opening of rotation {rotation_id}{left_behind}"


def differences(
    connection: Connection, name: str, replay: Replay, *, is_complete: bool
) -> Iterator[str]:
    """Yield each difference in words; `replay` has read all of an account's entries, or the newest.

    If it is not complete, only what these record is compared. Never compared are the latest
    snapshot and what it was compared with, as the account is observed again; and what hooks were
    notified of last and when failures are retried, as no entry records these.
    """
    of_name = {"of_name": name}
    row = connection.execute(_ACCOUNT, of_name).mappings().first()
    if row and is_complete:
        yield from _of_account(row, replay)
    elif row and (fault := hold_fault(connection, row)):
        yield fault
    unseen = dict(replay.rotations)
    for rotation in connection.execute(_ROTATIONS, of_name).mappings():
        recorded = unseen.pop(rotation["id"], None)
        if recorded:
            found = from_row(rotation)
            for difference in recorded.differences(found):
                yield f"of rotation {found.id}, {difference}"
            if rotation["delete_due_at"] != found.delete_due_at:
                yield f"of rotation {found.id}, its delete_due_at is not the end of its grace"
        elif is_complete:
            yield f"rotation {rotation['id']} has a row, and no entry opens it"
    for missing in unseen:
        yield f"there are entries of rotation {missing}, and its row is gone"


def _of_account(row: RowMapping, replay: Replay) -> Iterator[str]:
    if hold := different_holds(row_has=hold_of(row), entries_have=replay.hold):
        yield hold
    identity = identity_of(row)
    if replay.identity and identity != replay.identity:
        yield (
            f"its row says that it is {_described(identity)}, and the entries say "
            f"{_described(replay.identity)}"
        )
    found = row["adopted_id"], row["adopted_over"]
    if found != (replay.adopted_id, replay.adopted_base_version):
        adopted = replay.adopted_id or "nothing"
        yield f"its row says that {found[0] or 'nothing'} was adopted last, the entries {adopted}"
    if row["written_version"] > replay.newest_version:
        yield (
            f"its row says that version {row['written_version']} was written to Vault, and the "
            f"entries none after {replay.newest_version}"
        )
    yield from _of_deletions(row["deletions"], replay.deletions)


def _of_deletions(text: str, recorded: Mapping[str, str]) -> Iterator[str]:
    """Yield the ids that only one of both has: of the newest in entries, and all in the row.

    Older versions knew less of what became of some deletions.
    """
    try:
        found = {secret_id for secret_id, _ in deletions.read(text)}
    except (TypeError, ValueError):
        yield "its row has deletions that cannot be read"
        return
    for secret_id in sorted(found - recorded.keys()):
        yield f"its row says that secret {secret_id} was deleted, and no entry does"
    done = [secret_id for secret_id, event in recorded.items() if event == "done"]
    for secret_id in done[-deletions.MOST // 2 :]:
        if secret_id not in found:
            yield f"its row does not say that secret {secret_id} was deleted, and the entries do"


def _described(identity: Identity | None) -> str:
    if identity is None:
        return "nothing"
    return (
        f"API key {identity.api_key} of {identity.issuer}, at {identity.vault_path} and "
        f"{identity.pending_path} in Vault"
    )


def implausible_delays(
    summary: AccountSummary, account: Account | None, now: datetime
) -> Iterator[str]:
    """Yield, in words, the times until which an account is put off implausibly long.

    No entry records them. An account is due within its policy's interval, counted from its secret's
    age or its last rotation. A later due time was set by an operator, by a wrong clock, or by a
    policy that has been changed since.
    """
    if summary.retry_at and summary.retry_at > now + _LONGEST_RETRY:
        yield f"its row has it tried again at {_utc(summary.retry_at)}, after too long a wait"
    if account is None or summary.next_due_at is None:
        return
    closed_at = summary.last_rotation.closed_at if summary.last_rotation else None
    since = max((at for at in (summary.current_since, closed_at) if at and at < now), default=now)
    due_at, max_age = schedule.next_due(account, since), account.policy.max_age
    latest = max(due_at, since + max_age) if due_at and max_age else due_at
    if latest is None:
        # Rotated on request only; a daemon removes the time that an earlier policy left.
        return
    if summary.next_due_at > latest + account.policy.jitter:
        due, bound = _utc(summary.next_due_at), _utc(latest)
        yield f"its row has it due at {due}, and its policy not after {bound}"


#: Longest wait after failures, including jitter, with a margin for clock differences.
_LONGEST_RETRY = 2 * schedule.LONGEST_BACKOFF


def _utc(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S} UTC"


# Statements, built once: building takes longer than executing.
_OF_NAME = bindparam("of_name", type_=String)
_ACCOUNT = select(tables.account).where(tables.account.c.name == _OF_NAME)
_ROTATIONS = (
    select(tables.rotation)
    .where(tables.rotation.c.account == _OF_NAME)
    .order_by(tables.rotation.c.opened_at)
)
