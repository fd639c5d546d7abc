"""Notifications for hooks: recorded in the same transaction as the entry that they are about.

An entry of a rotation or a pass is an event for hooks if it is news: a failure, a refusal or drift
is notified once, and again only after it was overcome or has changed. What was notified last is in
the account's row.

Ledger events about deliveries: `delivered`, `undelivered` (the first try failed; it is retried),
`given-up` (it was retried for a week) and `dropped` (its hook has not been configured for a week).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from rotator.ledger import chain, tables
from rotator.model import Rotation, Step
from rotator.model.notification import Event, Notification
from rotator.rotation.ports import NewEntry

#: Returns the names of the hooks that are called for an event of an account.
Hearing = Callable[[Event, str], Sequence[str]]
#: What was notified last, by the kind of trouble.
Told = Mapping[str, str]

#: Kinds of trouble that are over once a rotation has come this far.
_OVERCOME = ("trouble", "drift")


@dataclass(frozen=True, kw_only=True)
class News:
    """The events that follow from one entry."""

    #: A hook is called for the first of these that it is configured for.
    events: tuple[Event, ...] = ()
    #: The new state of what was notified.
    told: Told = field(default_factory=dict)


def told_in(row: Mapping[str, Any]) -> Told:
    """Return what hooks were last alerted of, from an account's row."""
    told: Told = json.loads(row["told"])
    return told


def news(draft: NewEntry, told: Told) -> News:
    """Return the notifications due for an entry, given the alert state before it."""
    code, why = draft.detail.get("code"), draft.detail.get("why")
    found = f"{code}: {why}"
    match draft.event, draft.step:
        case "done", Step.VERIFY:
            return News(events=(Event.PUSHED,), told=_without(told, *_OVERCOME))
        case "closed", Step.COMPLETE:
            return News(events=(Event.COMPLETED,), told=_without(told, *_OVERCOME))
        case "failed", _:
            return _once(told, {"trouble": f"failed {code}"}, Event.FAILED)
        case "refused", _:
            # A hold also prevents rotations, but is no change by another party.
            drift = {} if code == "held" else {"drift": found}
            return _once(told, {"trouble": f"refused {found}"} | drift, Event.REFUSED, Event.DRIFT)
        case "drift", _ if code == Event.OVERDUE:
            # Overdue has an event of its own, whatever the cause: see `LedgerWriter.notice`.
            return News(told={**told, "drift": found})
        case "drift", _:
            return _once(told, {"drift": found}, Event.DRIFT)
        case "drift-over", _:
            return News(told=_without(told, *_OVERCOME))
        case event, _ if event in _BY_CALL:
            return News(events=(Event(event),), told=told)
        case _:
            return News(told=told)


#: Events with entries of their own, written once per change: see `LedgerWriter.notice`.
_BY_CALL = frozenset({Event.OVERDUE, Event.BALANCE})


def _once(told: Told, found: Told, *events: Event) -> News:
    """Return the events of those troubles in `found` that hooks have not been told of yet."""
    fresh = [
        event
        for event, (kind, text) in zip(events, found.items(), strict=False)
        if told.get(kind) != text
    ]
    return News(events=tuple(fresh), told={**told, **found})


def _without(told: Told, *kinds: str) -> Told:
    return {kind: text for kind, text in told.items() if kind not in kinds}


def put(  # noqa: PLR0913  # all but two by name
    connection: Connection,
    entries: Iterable[tuple[NewEntry, chain.Entry]],
    *,
    told: Told,
    rotation: Rotation | None,
    hearing: Hearing,
    now: datetime,
) -> Told:
    """Record deliveries for `entries`, the newest of one account, in this order.

    `told` is what was notified before; returns what has been notified now.
    """
    for draft, entry in entries:
        found = news(draft, told)
        told, rows, having = found.told, list[tables.Row](), set[str]()
        for event in found.events:
            notice = _notice(event, draft, entry, rotation, now)
            for hook in hearing(event, entry.account):
                if hook not in having:
                    rows.append(_row(notice, hook, entry))
                    having.add(hook)
        if rows:
            connection.execute(_NEW_DELIVERY, rows)
    return told


def _notice(
    event: Event, draft: NewEntry, entry: chain.Entry, rotation: Rotation | None, now: datetime
) -> Notification:
    is_about = rotation is not None and draft.rotation_id == rotation.id
    found = rotation if is_about else None
    code, reason = draft.detail.get("code"), draft.detail.get("why")
    return Notification(
        # The same for a receiver at each delivery, and different from any other ledger's.
        id=hashlib.sha256(f"{entry.hash} {event}".encode()).hexdigest()[:32],
        event=event,
        account=entry.account,
        at=now,
        rotation_id=draft.rotation_id,
        secret_id=found.new_id if found else None,
        old_secret_id=found.predecessor_id if found else None,
        vault_version=found.vault_version if found else None,
        code=str(code) if code else None,
        reason=str(reason) if reason else None,
    )


def _row(notice: Notification, hook: str, entry: chain.Entry) -> tables.Row:
    known = {key: value for key, value in vars(notice).items() if value is not None}
    return {
        "id": hashlib.sha256(f"{notice.id} {hook}".encode()).hexdigest(),
        "account": entry.account,
        "seq": entry.seq,
        "hook": hook,
        "event": notice.event.value,
        "at": notice.at,
        "notice": chain.canonical_json(known | {"at": notice.at.isoformat()}),
        "retry_at": notice.at,
    }


def notice_in(text: str) -> Notification:
    """Read a notification from a row's JSON."""
    known = json.loads(text)
    return Notification(
        **{
            **known,
            "event": Event(known["event"]),
            "at": datetime.fromisoformat(known["at"]),
        }
    )


_NEW_DELIVERY = insert(tables.delivery)
