"""Notifications for hooks: recorded in the same transaction as the entry that they are about.

An entry of a rotation or a pass is an event for hooks if it changes an account's alert state: a
failure, a refusal or drift is notified once, and again only after it was overcome, has another
cause, or is worse than it was; and so is its end. The alert state is what hooks were last notified
of; it is in the account's row. A hook that subscribes to several of the events that one cause can
have hears of it once. A refusal because of a hold is no event: an operator wants it so.

Ledger events about deliveries: `delivered`, `undelivered` (the first try failed; it is retried),
`given-up` (it was retried for a week) and `dropped` (its hook has not been configured for a week).
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
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

#: Events for what a look at an account can find wrong, the worst first.
_FOUND = (Event.BROKEN, Event.DRIFT, Event.REFUSED)
#: Events whose causes are over once a rotation has come this far.
_OVERCOME = (*_FOUND, Event.FAILED)
#: Events with entries of their own, written once per change: see `LedgerWriter.set_alert`.
_BY_CALL = frozenset({Event.OVERDUE, Event.BALANCE})
_OVER = "-over"
_ENDED_BY_CALL = frozenset(f"{event}{_OVER}" for event in _BY_CALL)


#: Returns the names of the hooks that subscribe to an event of one account.
Subscribed = Callable[[Event], Sequence[str]]


@dataclass(frozen=True, kw_only=True)
class News:
    """What hooks are notified of because of one entry."""

    #: A hook is called for the first of these events that it subscribes to.
    events: tuple[Event, ...] = ()
    #: Hooks that subscribe to one of these were notified of the same before, and are not called.
    known: tuple[Event, ...] = ()
    #: What is over: hooks that subscribe to one of these, and to `recovered`, are called for that.
    over: tuple[Event, ...] = ()

    def calls(self, subscribed: Subscribed) -> dict[str, Event]:
        """Return for which event each hook is called."""
        served = {hook for event in self.known for hook in subscribed(event)}
        return {
            hook: event
            for event in reversed(self.events)
            for hook in subscribed(event)
            if hook not in served
        }

    def ends(self, subscribed: Subscribed) -> dict[str, Event]:
        """Return of what each hook hears that it is over: the worst that it was notified of.

        Without hooks that hear of what is wrong instead.
        """
        wrong = [event for event in (*self.events, *self.known) if event in _FOUND]
        served = {hook for event in wrong for hook in subscribed(event)}
        return {
            hook: event
            for event in reversed(self.over)
            for hook in subscribed(event)
            if hook in subscribed(Event.RECOVERED) and hook not in served
        }


def alert_state(row: tables.AnyRow) -> AlertState:
    """Return the alert state in an account's row."""
    state: dict[str, str] = json.loads(row["told"])
    # An older version has kept two events under one name, and a secret's age as a kind of drift, of
    # which it has notified nobody.
    event, _, found = state.pop("trouble", "").partition(" ")
    if state.get(Event.DRIFT, "").startswith("overdue:"):
        del state[Event.DRIFT]
    return state | ({event: found} if found else {})


def notifications_for(entry: NewEntry, state: AlertState) -> tuple[News, AlertState]:
    """Return what to notify hooks of for `entry`, and the alert state after it.

    `state` is the one before.
    """
    match entry.event, entry.step:
        case "done", Step.VERIFY:
            return _without(_OVERCOME, state, Event.PUSHED)
        case "closed", Step.COMPLETE:
            return _without(_OVERCOME, state, Event.COMPLETED)
        case "failed", _:
            code = str(entry.detail.get("code"))
            is_known = state.get(Event.FAILED) == code
            news = News() if is_known else News(events=(Event.FAILED,))
            return news, {**state, Event.FAILED: code}
        case (("refused" | "trouble"), _) if entry.trouble:
            return _found(entry, entry.trouble.state, state)
        case "trouble-over", _:
            return _without(_OVERCOME, state)
        case event, _ if event in _BY_CALL:
            return News(events=(Event(event),)), {**state, event: str(entry.detail["code"])}
        case event, _ if event in _ENDED_BY_CALL:
            return _without((Event(event.removesuffix(_OVER)),), state)
        case _:
            return News(), state


def _found(entry: NewEntry, found: State, state: AlertState) -> tuple[News, AlertState]:
    """Return what to notify of for an entry that says what is wrong, and the alert state."""
    text = f"{entry.detail.get('code')}: {entry.detail.get('why')}"
    kind = _KINDS.get(found, Event.REFUSED)
    events, over = _events_of(entry, kind), _mended(kind, text, state)
    same = tuple(event for event in _FOUND if state.get(event) == text and event not in over)
    if same and _FOUND.index(kind) < _FOUND.index(same[0]):
        # It has become worse: consumers are cut off, say.
        same = ()
    has_replaced = any(state.get(event, text) != text for event in events)
    news = News(
        events=tuple(event for event in events if event not in same),
        known=() if has_replaced else same,
        over=tuple(event for event in over if event not in events),
    )
    left = {event: told for event, told in state.items() if event not in over}
    return news, left | dict.fromkeys(events, text)


def _mended(kind: Event, text: str, state: AlertState) -> tuple[Event, ...]:
    """Return what is over where an account was broken, and something else is wrong now.

    If consumers are cut off again, that is news.
    """
    was = state.get(Event.BROKEN)
    if kind is Event.BROKEN or was is None:
        return ()
    others = tuple(event for event in _FOUND[1:] if state.get(event) == was != text)
    return Event.BROKEN, *others


#: Events for states that are worse than refused.
_KINDS = {State.BROKEN: Event.BROKEN, State.DRIFTED: Event.DRIFT}


def _events_of(entry: NewEntry, kind: Event) -> tuple[Event, ...]:
    """Return the events for what an entry says is wrong, the first one first."""
    if kind is Event.BROKEN:
        return _FOUND
    if kind is Event.DRIFT and entry.event == "refused":
        return Event.REFUSED, Event.DRIFT
    return (kind,)


def _without(
    ended: Collection[Event], state: AlertState, *events: Event
) -> tuple[News, AlertState]:
    """Return that these are over, as far as hooks were notified of them, beside `events`."""
    over = tuple(event for event in ended if event in state)
    left = {event: told for event, told in state.items() if event not in over}
    return News(events=events, over=over), left


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

    def subscribed(event: Event) -> Sequence[str]:
        return subscribers(event, account["name"])

    for new, entry in entries:
        before = state
        news, state = notifications_for(new, before)
        facts = _facts(new, rotation, account)
        rows = [
            _row(_notification(event, new, entry, now, facts), hook, entry)
            for hook, event in news.calls(subscribed).items()
        ]
        for hook, event in news.ends(subscribed).items():
            code, _, why = before[event].partition(": ")
            ended = {"code": code, "reason": f"no longer: {why or event}"}
            rows.append(_row(_notification(Event.RECOVERED, new, entry, now, ended), hook, entry))
        if rows:
            connection.execute(insert(tables.delivery), rows)
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
    waiting = rotation.waiting if rotation else None
    if waiting and waiting.convergence:
        facts |= vars(waiting.convergence)
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
    behind = tuple(known["behind"]) if "behind" in known else None
    return Notification(**known | times | {"event": Event(known["event"]), "behind": behind})


_TIMES = ("at", "since", "next_try_at")
