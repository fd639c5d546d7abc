"""What hooks are to be told: recorded with the entry that it is about, in the same transaction.

An entry of a rotation or of a pass is an event for hooks if it is news: a failure, a refusal or
drift is told once, and again only after it was overcome or became another one. What was told
last stands in the account's row.

Events that stand in the ledger for hooks: `delivered`, `undelivered` (the first try failed; it is
tried again), `given-up` (it was tried for a week) and `dropped` (its hook has not been
configured for a week).
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
from rotator.model.notification import Event, Notice
from rotator.rotation.ports import Draft

#: Names the hooks that are to hear of an event of an account.
Hearing = Callable[[Event, str], Sequence[str]]
#: What was told last, by the kind of trouble.
Told = Mapping[str, str]

#: Kinds of trouble that are over once a rotation got so far.
_OVERCOME = ("trouble", "drift")


@dataclass(frozen=True, kw_only=True)
class News:
    """What there is to tell of one entry."""

    #: The first that a hook hears of is the one that it is told.
    events: tuple[Event, ...] = ()
    #: What is told from now on.
    told: Told = field(default_factory=dict)


def told_in(row: Mapping[str, Any]) -> Told:
    """Give what hooks were told last, as an account's row has it."""
    told: Told = json.loads(row["told"])
    return told


def news(draft: Draft, told: Told) -> News:
    """Judge what an entry is worth to hooks, given what was told before."""
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
            # A hold keeps the account from being rotated, too, but nobody else did it.
            drift = {} if code == "held" else {"drift": found}
            return _once(told, {"trouble": f"refused {found}"} | drift, Event.REFUSED, Event.DRIFT)
        case "drift", _ if code == Event.OVERDUE:
            # Told by its own name, whatever it is that is late: see `Book.notice`.
            return News(told={**told, "drift": found})
        case "drift", _:
            return _once(told, {"drift": found}, Event.DRIFT)
        case "drift-over", _:
            return News(told=_without(told, *_OVERCOME))
        case event, _ if event in _BY_CALL:
            return News(events=(Event(event),), told=told)
        case _:
            return News(told=told)


#: Events that are entries of their own, written once for each change: see `Book.notice`.
_BY_CALL = frozenset({Event.OVERDUE, Event.BALANCE})


def _once(told: Told, found: Told, *events: Event) -> News:
    """Give the events, each beside a kind of trouble, of which the trouble was not told yet."""
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
    entries: Iterable[tuple[Draft, chain.Entry]],
    *,
    told: Told,
    rotation: Rotation | None,
    hearing: Hearing,
    now: datetime,
) -> Told:
    """Record what hooks are to be told of `entries`, the newest of one account, in this order.

    `told` is what they were told before; gives what they are told with this.
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
    event: Event, draft: Draft, entry: chain.Entry, rotation: Rotation | None, now: datetime
) -> Notice:
    is_about = rotation is not None and draft.rotation_id == rotation.id
    found = rotation if is_about else None
    code, reason = draft.detail.get("code"), draft.detail.get("why")
    return Notice(
        # The same for a receiver however often it comes, and never that of another ledger's.
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


def _row(notice: Notice, hook: str, entry: chain.Entry) -> tables.Row:
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


def notice_in(text: str) -> Notice:
    """Give the notice that a row holds as JSON."""
    known = json.loads(text)
    return Notice(
        **{
            **known,
            "event": Event(known["event"]),
            "at": datetime.fromisoformat(known["at"]),
        }
    )


_NEW_DELIVERY = insert(tables.delivery)
