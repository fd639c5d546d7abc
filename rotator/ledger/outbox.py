"""Notifications for hooks: recorded in the same transaction as the entry that they are about.

An entry of a rotation or a pass is an event for hooks if it changes an account's alert state: a
failure, a refusal or drift is notified once, and again only after it was overcome or has changed;
and so is its end. The alert state is what hooks were last notified of; it is in the account's row.

Ledger events about deliveries: `delivered`, `undelivered` (the first try failed; it is retried),
`given-up` (it was retried for a week) and `dropped` (its hook has not been configured for a week).
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert

from rotator.ledger import chain, tables
from rotator.ledger.mapping import trouble_in
from rotator.model import Rotation, State, Step, Trouble
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
_OVER = "-over"
_ENDED_BY_CALL = frozenset(f"{event}{_OVER}" for event in _BY_CALL)


def alert_state(row: tables.AnyRow) -> AlertState:
    """Return the alert state in an account's row."""
    state: AlertState = json.loads(row["told"])
    return state


def notifications_for(entry: NewEntry, state: AlertState) -> tuple[tuple[Event, ...], AlertState]:
    """Return the events to notify of for `entry`, and the alert state after it; `state` is before.

    A hook is called for the first of these events that it is configured for, and for `recovered`
    besides.
    """
    match entry.event, entry.step:
        case "done", Step.VERIFY:
            over, state = _without(_OVERCOME, state)
            return (Event.PUSHED, *over), state
        case "closed", Step.COMPLETE:
            over, state = _without(_OVERCOME, state)
            return (Event.COMPLETED, *over), state
        case "failed", _:
            return _once(state, entry.detail.get("code"), Event.FAILED)
        case (("refused" | "trouble"), _):
            events = _events_of(entry)
            if entry.trouble and Event.BROKEN not in events:
                # Something is still wrong, but if consumers are cut off again, that is news. A hold
                # says nothing about them.
                _, state = _without((Event.BROKEN,), state)
            return _once(state, _found(entry), *events)
        case "trouble-over", _:
            return _without(_OVERCOME, state)
        case event, _ if event in _BY_CALL:
            return (Event(event),), {**state, event: str(entry.detail["code"])}
        case event, _ if event in _ENDED_BY_CALL:
            return _without((event.removesuffix(_OVER),), state)
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


def _without(ended: Collection[str], state: AlertState) -> tuple[tuple[Event, ...], AlertState]:
    """Return the event for what is over, if hooks were notified of any of it, and what is left."""
    left = {event: text for event, text in state.items() if event not in ended}
    return ((Event.RECOVERED,) if len(left) < len(state) else ()), left


def _over(entry: NewEntry, before: AlertState) -> tuple[str, str]:
    """Return the code of what is over, and a text; `before` is what hooks were notified of."""
    kinds = entry.event.removesuffix(_OVER), *_OVERCOME
    kind = next(kind for kind in kinds if kind in before)
    code, _, why = before[kind].partition(": ")
    # An older version has put the event before the code.
    return code.rpartition(" ")[2], f"no longer: {why or kind}"


def put(  # noqa: PLR0913  # all but two by name
    connection: Connection,
    entries: Iterable[tuple[NewEntry, chain.Entry]],
    *,
    account: tables.AnyRow,
    rotation: Rotation | None,
    subscribers: Subscribers,
    now: datetime,
) -> AlertState:
    """Record deliveries for `entries`, the newest of one account, in this order.

    `account` is its row as these entries leave it, but with the alert state before them; returns
    the one after.
    """
    state = alert_state(account)
    for new, entry in entries:
        before = state
        events, state = notifications_for(new, before)
        facts = _facts(new, rotation, account)
        rows: dict[tuple[str, bool], tables.Row] = {}
        for event in events:
            is_end = event is Event.RECOVERED
            of_event = _end(new, before) if is_end else facts
            notification = _notification(event, new, entry, now, of_event)
            for hook in subscribers(event, entry.account):
                rows.setdefault((hook, is_end), _row(notification, hook, entry))
        if rows:
            connection.execute(insert(tables.delivery), list(rows.values()))
    return state


def _notification(
    event: Event, new: NewEntry, entry: chain.Entry, now: datetime, facts: Mapping[str, Any]
) -> Notification:
    return Notification(
        # The same for a receiver at each delivery, and different from any other ledger's.
        id=hashlib.sha256(f"{entry.hash} {event}".encode()).hexdigest()[:32],
        event=event,
        account=entry.account,
        at=now,
        rotation_id=new.rotation_id,
        **facts,
    )


def _facts(new: NewEntry, rotation: Rotation | None, account: tables.AnyRow) -> dict[str, Any]:
    """Return what a notification says of the entry: its rotation, its cause and its cure."""
    code, reason = new.detail.get("code"), new.detail.get("why")
    facts: dict[str, Any] = {
        "code": str(code) if code else None,
        "reason": str(reason) if reason else None,
    }
    if rotation is not None and new.rotation_id == rotation.id:
        facts |= {
            "secret_id": rotation.new_id,
            "old_secret_id": rotation.predecessor_id,
            "vault_version": rotation.vault_version,
        }
    return facts | (_trouble_facts(new, new.trouble, account) if new.trouble else {})


def _trouble_facts(new: NewEntry, trouble: Trouble, account: tables.AnyRow) -> dict[str, Any]:
    known = account["failure" if trouble.state is State.FAILING else "trouble"]
    facts = {
        "state": trouble.state.value,
        "hint": trouble.hint,
        "since": trouble.after(trouble_in(known)).since,
    }
    if new.event not in ("failed", "refused"):
        return facts
    return facts | {"tries": account["failures"], "next_try_at": account["retry_at"]}


def _end(new: NewEntry, before: AlertState) -> dict[str, Any]:
    code, reason = _over(new, before)
    return {"code": code, "reason": reason}


def _row(notification: Notification, hook: str, entry: chain.Entry) -> tables.Row:
    known = {
        key: value.isoformat() if isinstance(value, datetime) else value
        for key, value in vars(notification).items()
        if value is not None
    }
    return {
        "id": hashlib.sha256(f"{notification.id} {hook}".encode()).hexdigest(),
        "account": entry.account,
        "seq": entry.seq,
        "hook": hook,
        "event": notification.event.value,
        "at": notification.at,
        "notice": chain.canonical_json(known),
        "retry_at": notification.at,
    }


def notification_in(row: tables.AnyRow) -> Notification:
    """Return the notification in a row of a delivery."""
    known = json.loads(row["notice"])
    times = {key: datetime.fromisoformat(known[key]) for key in _TIMES if key in known}
    return Notification(**known | times | {"event": Event(known["event"])})


_TIMES = ("at", "since", "next_try_at")
