"""Notifications for hooks: recorded in the same transaction as the entry that they are about.

An entry of a rotation or a pass is an event for hooks if it changes an account's alert state: a
failure, a refusal or drift is notified once, and again only after it was overcome or has changed.
The alert state is what hooks were last notified of; it is in the account's row.

Ledger events about deliveries: `delivered`, `undelivered` (the first try failed; it is retried),
`given-up` (it was retried for a week) and `dropped` (its hook has not been configured for a week).
"""

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

from sqlalchemy import Connection, insert

from rotator.ledger import chain, tables
from rotator.model import Rotation, State, Step
from rotator.model.notification import Event, Notification
from rotator.rotation.ports import NewEntry

#: Returns the names of the hooks that are called for an event of an account.
Subscribers = Callable[[Event, str], Sequence[str]]
#: What hooks were last notified of, by event.
AlertState = Mapping[str, str]

#: Events whose causes are over once a rotation has come this far; an older version of rotator has
#: used `trouble` for two of them.
_OVERCOME = (Event.BROKEN, Event.DRIFT, Event.REFUSED, Event.FAILED, "trouble")
#: Events with entries of their own, written once per change: see `LedgerWriter.set_alert`.
_BY_CALL = frozenset({Event.OVERDUE, Event.BALANCE})


def alert_state(row: tables.AnyRow) -> AlertState:
    """Return the alert state in an account's row."""
    state: AlertState = json.loads(row["told"])
    return state


def notifications_for(entry: NewEntry, state: AlertState) -> tuple[tuple[Event, ...], AlertState]:
    """Return the events to notify of for `entry`, and the alert state after it; `state` is before.

    A hook is called for the first of these events that it is configured for.
    """
    match entry.event, entry.step:
        case "done", Step.VERIFY:
            return (Event.PUSHED,), _overcome(state)
        case "closed", Step.COMPLETE:
            return (Event.COMPLETED,), _overcome(state)
        case "failed", _:
            return _once(state, entry.detail.get("code"), Event.FAILED)
        case (("refused" | "trouble"), _):
            return _once(state, _found(entry), *_events_of(entry))
        case "trouble-over", _:
            return (), _overcome(state)
        case event, _ if event in _BY_CALL:
            return (Event(event),), state
        case _:
            return (), state


def _found(entry: NewEntry) -> str:
    return f"{entry.detail.get('code')}: {entry.detail.get('why')}"


def _events_of(entry: NewEntry) -> tuple[Event, ...]:
    """Return the events for what an entry says is wrong."""
    found = entry.trouble.state if entry.trouble else State.REFUSED
    if found is State.BROKEN:
        return Event.BROKEN, Event.DRIFT, Event.REFUSED
    if found is not State.DRIFTED:
        return (Event.REFUSED,)
    return (Event.REFUSED, Event.DRIFT) if entry.event == "refused" else (Event.DRIFT,)


def _once(state: AlertState, found: object, *events: Event) -> tuple[tuple[Event, ...], AlertState]:
    """Return those of `events` for which hooks were not notified of what was found."""
    text = str(found)
    fresh = tuple(event for event in events if state.get(event) != text)
    return fresh, {**state, **{event.value: text for event in events}}


def _overcome(state: AlertState) -> AlertState:
    return {event: text for event, text in state.items() if event not in _OVERCOME}


def put(  # noqa: PLR0913  # all but two by name
    connection: Connection,
    entries: Iterable[tuple[NewEntry, chain.Entry]],
    *,
    state: AlertState,
    rotation: Rotation | None,
    subscribers: Subscribers,
    now: datetime,
) -> AlertState:
    """Record deliveries for `entries`, the newest of one account, in this order.

    `state` is the alert state before them; returns the one after.
    """
    for new, entry in entries:
        events, state = notifications_for(new, state)
        rows: dict[str, tables.Row] = {}
        for event in events:
            notification = _notification(event, new, entry, rotation, now)
            for hook in subscribers(event, entry.account):
                rows.setdefault(hook, _row(notification, hook, entry))
        if rows:
            connection.execute(insert(tables.delivery), list(rows.values()))
    return state


def _notification(
    event: Event, new: NewEntry, entry: chain.Entry, rotation: Rotation | None, now: datetime
) -> Notification:
    is_about = rotation is not None and new.rotation_id == rotation.id
    found = rotation if is_about else None
    code, reason = new.detail.get("code"), new.detail.get("why")
    return Notification(
        # The same for a receiver at each delivery, and different from any other ledger's.
        id=hashlib.sha256(f"{entry.hash} {event}".encode()).hexdigest()[:32],
        event=event,
        account=entry.account,
        at=now,
        rotation_id=new.rotation_id,
        secret_id=found.new_id if found else None,
        old_secret_id=found.predecessor_id if found else None,
        vault_version=found.vault_version if found else None,
        code=str(code) if code else None,
        reason=str(reason) if reason else None,
        state=new.trouble.state.value if new.trouble else None,
        hint=new.trouble.hint if new.trouble else None,
    )


def _row(notification: Notification, hook: str, entry: chain.Entry) -> tables.Row:
    known = {key: value for key, value in vars(notification).items() if value is not None}
    return {
        "id": hashlib.sha256(f"{notification.id} {hook}".encode()).hexdigest(),
        "account": entry.account,
        "seq": entry.seq,
        "hook": hook,
        "event": notification.event.value,
        "at": notification.at,
        "notice": chain.canonical_json(known | {"at": notification.at.isoformat()}),
        "retry_at": notification.at,
    }


def notification_in(row: tables.AnyRow) -> Notification:
    """Return the notification in a row of a delivery."""
    known = json.loads(row["notice"])
    event, at = Event(known["event"]), datetime.fromisoformat(known["at"])
    return Notification(**known | {"event": event, "at": at})
