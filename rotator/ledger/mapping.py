"""Maps rows of accounts and rotations to the values that the rest of rotator uses, and back."""

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import fields
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    Column,
    Connection,
    RowMapping,
    Select,
    String,
    and_,
    bindparam,
    cast,
    func,
    select,
    union,
)

from rotator.ledger import chain, tables
from rotator.ledger.chain import canonical_json
from rotator.ledger.tables import AnyRow, Row
from rotator.model import (
    Actor,
    DiscoveredSubaccount,
    GateWait,
    Hold,
    Identity,
    Rotation,
    State,
    Step,
    SubaccountState,
    Trouble,
)
from rotator.model.convergence import Convergence
from rotator.model.trigger import TriggerRequest
from rotator.rotation.ports import REQUESTED, AccountSnapshot, AccountSummary

#: Fields that a row has unchanged under the same name.
_OF_ROTATION = {field.name for field in fields(Rotation)} - {
    "grace",
    "identity",
    "rejected",
    "step",
    "values_generated",
    "waiting",
}

#: Fields of what a rotation waits for, and their columns.
_OF_WAITING = {
    "gate": "gate",
    "reason": "gate_reason",
    "shut_since": "gate_since",
    "retry_at": "gate_retry_at",
}


def to_row(rotation: Rotation) -> Row:
    """Return the row of `rotation`."""
    waiting = rotation.waiting or GateWait()
    return {name: getattr(rotation, name) for name in _OF_ROTATION} | {
        "step": rotation.step.value,
        "grace_seconds": rotation.grace.total_seconds(),
        "rejected": int(rotation.rejected),
        "draws": rotation.values_generated,
        "delete_due_at": rotation.delete_due_at,
        **columns_of(rotation.identity),
        **{column: getattr(waiting, name) for name, column in _OF_WAITING.items()},
        "gate_convergence": waiting.convergence and canonical_json(waiting.convergence.document()),
    }


def from_row(row: RowMapping) -> Rotation:
    """Return the rotation in `row`."""
    waiting = GateWait(
        convergence=_convergence_in(row["gate_convergence"]),
        **{name: row[column] for name, column in _OF_WAITING.items()},
    )
    return Rotation(
        step=Step(row["step"]),
        grace=timedelta(seconds=row["grace_seconds"]),
        rejected=bool(row["rejected"]),
        identity=identity_of(row),
        values_generated=row["draws"],
        waiting=waiting if waiting != GateWait() else None,
        **{name: row[name] for name in _OF_ROTATION},
    )


def _convergence_in(text: str | None) -> Convergence | None:
    """Return what a gate counted; None for nothing, or where somebody else wrote it."""
    with suppress(ValueError, RecursionError):
        return Convergence.of(json.loads(text or "null"))
    return None


#: Columns of an account or a rotation: the fields of its identity.
IDENTITY = ("api_key", "issuer", "vault_path", "pending_path")


def identity_of(row: AnyRow) -> Identity | None:
    """Return the identity in a row of an account or a rotation; None where there is none."""
    if row["api_key"] is None:
        return None
    return Identity(**{name: row[name] for name in IDENTITY})


def columns_of(identity: Identity | None) -> Row:
    """Return the columns of an identity; all null for None."""
    return {name: getattr(identity, name, None) for name in IDENTITY}


def hold_of(row: AnyRow | None) -> Hold | None:
    """Return the hold on the account in `row`; None where there is none."""
    if row is None or not row["hold_reason"]:
        return None
    return Hold(
        reason=row["hold_reason"],
        by=row["held_by"],
        at=row["held_at"],
        freeze=bool(row["hold_freeze"]),
    )


def snapshot_columns(snapshot: AccountSnapshot, row: AnyRow, now: datetime) -> Row:
    """Return the columns of a snapshot that was made `now`; `row` is the account's before it."""
    values: Row = {
        "listed_ids": canonical_json(sorted(snapshot.listed_ids)),
        "current_id": snapshot.current_id,
        "seen_at": now,
    }
    if snapshot.current_since or not snapshot.is_broken:
        values["current_since"] = snapshot.current_since
    due_at = snapshot.next_due_at or (None if snapshot.is_on_request else row["next_due_at"])
    if snapshot.first_due_at and not snapshot.next_due_at:
        due_at = min(due_at or snapshot.first_due_at, snapshot.first_due_at)
    # Omitted if unchanged: setting it would make SQLite rewrite its index.
    return values if due_at == row["next_due_at"] else values | {"next_due_at": due_at}


def trouble_text(trouble: Trouble) -> str:
    """Return what is wrong as a row has it."""
    return canonical_json(vars(trouble) | {"since": trouble.since.isoformat()})


def trouble_in(text: str | None) -> Trouble | None:
    """Return what is wrong, from a row; None for nothing, or where somebody else wrote it."""
    if text is None:
        return None
    # Nothing is decided by it, and the next look at the account writes it anew.
    with suppress(AttributeError, KeyError, TypeError, ValueError):
        known = json.loads(text)
        return Trouble(
            state=State(known["state"]),
            since=datetime.fromisoformat(known["since"]).astimezone(UTC),
            **{key: known[key] and str(known[key]) for key in ("code", "why", "hint")},
        )
    return None


def subaccount_of(row: RowMapping) -> DiscoveredSubaccount:
    """Return the subaccount in `row`."""
    return DiscoveredSubaccount(
        parent=row["parent"],
        api_key=row["api_key"],
        title=row["title"],
        state=SubaccountState(row["state"]),
    )


def trigger_requests(rows: Iterable[RowMapping]) -> Iterator[TriggerRequest]:
    """Yield the requests through the trigger in `rows` of `TRIGGER_REQUESTS`.

    What is asked for, and by whom, is as the chained entry has it; a row without such an entry
    counts for nothing.
    """
    for row in rows:
        asked = json.loads(row["detail"])
        if asked.get("trigger") == row["id"]:
            yield TriggerRequest(
                id=row["id"],
                account=row["account"],
                is_compromised=asked["reason"] == "compromised",
                actor=Actor(by=asked["by"], host=asked["from"], because=asked.get("because")),
                at=row["asked_at"],
                seq=row["seq"],
                tries=row["tries"],
            )


#: Columns of an account that its summary has unchanged.
_OF_ACCOUNT = (
    "current_id",
    "current_since",
    "seen_at",
    "next_due_at",
    "failures",
    "retry_at",
    "adopted_id",
)
#: The columns of an account in its summary.
SUMMARY: tuple[Column[Any], ...] = tuple(
    tables.account.c[name]
    for name in (
        *("name", "listed_ids", *_OF_ACCOUNT),
        *("trouble", "failure", "written_version"),
        *("hold_reason", "held_by", "held_at", "hold_freeze"),
        *("chain_seq", "chain_head"),
    )
)
#: Number and hash of the account's newest entry as one text, as two lookups take twice as long.
NEWEST_ENTRY = (
    select(cast(tables.entry.c.seq, String) + ":" + tables.entry.c.hash)
    .where(tables.entry.c.account == tables.account.c.name)
    .order_by(tables.entry.c.seq.desc())
    .limit(1)
    .scalar_subquery()
    .label("newest_entry")
)
#: With more names, all accounts are read instead of listing them in a statement.
MOST_NAMES = 500


def summaries(connection: Connection, names: Sequence[str]) -> dict[str, AccountSummary]:
    """Read the summary of each account in `names`, in that order."""
    accounts = connection.execute(_some(select(*SUMMARY, NEWEST_ENTRY, _LAST_SUCCESS_AT), names))
    known = {row["name"]: row for row in accounts.mappings()}
    rotations = connection.execute(_some(_LAST_ROTATIONS, names)).mappings()
    last = {row["account"]: row for row in rotations}
    # The open rotation comes last, even if a clock that was ahead dated another one later.
    opened = connection.execute(_some(_OPEN_ROTATIONS, names)).mappings()
    last |= {row["account"]: row for row in opened}
    asked = trigger_requests(connection.execute(_WAITING_REQUESTS).mappings())
    # The oldest one comes last.
    waiting = {request.account: request for request in asked}
    return {
        name: _summary(name, known.get(name), last.get(name), waiting.get(name)) for name in names
    }


def _some(query: Select[Any], names: Sequence[str]) -> Select[Any]:
    return query.where(tables.account.c.name.in_(names)) if len(names) <= MOST_NAMES else query


def _summary(
    name: str, row: RowMapping | None, last: RowMapping | None, asked_for: TriggerRequest | None
) -> AccountSummary:
    if row is None:
        return AccountSummary(name=name)
    return AccountSummary(
        name=name,
        listed_ids=tuple(json.loads(row["listed_ids"] or "[]")),
        hold=hold_of(row),
        last_rotation=from_row(last) if last else None,
        trouble=_altered_end(row) or trouble_in(row["trouble"]),
        failure=trouble_in(row["failure"]),
        is_managed=bool(row["written_version"] or row["adopted_id"] or row["last_success_at"]),
        last_success_at=row["last_success_at"],
        asked_for=asked_for,
        **{column: row[column] for column in _OF_ACCOUNT},
    )


def _altered_end(row: RowMapping) -> Trouble | None:
    """Return that the chain does not end where the account's row says; None if it does.

    No pass can record that, as nothing is appended to such a chain. It is so since the last look
    at the latest, which recorded its result.
    """
    seq, _, head = (row["newest_entry"] or f"0:{chain.GENESIS}").partition(":")
    why = chain.end_differs(row, int(seq), head)
    if why is None or row["seen_at"] is None:
        return None
    from rotator.rotation import refusals  # noqa: PLC0415  # the rules, which readers do without

    refusal = refusals.rows_altered(why)
    return Trouble(
        state=State.DRIFTED,
        code=refusal.code,
        why=refusal.why,
        hint=refusal.hint,
        since=row["seen_at"],
    )


# An account's newest rotations are read from the end of an index, one account at a time: grouping
# all rotations by account would read many years of them.
_ROTATION = tables.rotation.c
_OTHER = tables.rotation.alias("other").c
_LAST_SUCCESS_AT = (
    select(_ROTATION.closed_at)
    .where(_ROTATION.account == tables.account.c.name)
    .where(_ROTATION.outcome == "completed", _ROTATION.closed_at.is_not(None))
    .order_by(_ROTATION.closed_at.desc())
    .limit(1)
    .scalar_subquery()
    .label("last_success_at")
)
_LAST_OPENED_AT = (
    select(func.max(_OTHER.opened_at)).where(_OTHER.account == tables.account.c.name)
).scalar_subquery()
_ROTATIONS = select(tables.rotation).join(
    tables.account, _ROTATION.account == tables.account.c.name
)
_LAST_ROTATIONS = _ROTATIONS.where(_ROTATION.opened_at == _LAST_OPENED_AT)
_OPEN_ROTATIONS = _ROTATIONS.where(_ROTATION.closed_at.is_(None))
_IS_OF_ACCOUNT = _ROTATION.account == bindparam("of_name", type_=String)
#: The requests through the trigger, each with the detail of the entry that records it.
TRIGGER_REQUESTS: Select[Any] = select(tables.trigger_request, tables.entry.c.detail).join(
    tables.entry,
    and_(
        tables.entry.c.account == tables.trigger_request.c.account,
        tables.entry.c.seq == tables.trigger_request.c.seq,
        tables.entry.c.event == REQUESTED,
    ),
)
_WAITING_REQUESTS = TRIGGER_REQUESTS.where(tables.trigger_request.c.settled_at.is_(None)).order_by(
    tables.trigger_request.c.asked_at.desc()
)
#: Superseded predecessors, and orphans of rotations that were undone.
EXPENDABLE_IDS = union(
    select(_ROTATION.predecessor_id).where(
        _IS_OF_ACCOUNT,
        _ROTATION.verified_at.is_not(None),
        _ROTATION.outcome.is_distinct_from("failed"),
        _ROTATION.predecessor_id.is_not(None),
    ),
    select(_ROTATION.new_id).where(
        _IS_OF_ACCOUNT,
        _ROTATION.outcome == "failed",
        # A secret that was ever in Vault may be in use; so may one abandoned on its way there.
        _ROTATION.vault_version.is_(None),
        _ROTATION.step != Step.PUSH.value,
        _ROTATION.new_id.is_not(None),
    ),
)
