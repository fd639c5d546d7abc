"""Every way to alter one entry of a record, and to make its chain whole again."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from rotator.ledger import chain
from rotator.ledger.chain import Entry
from rotator.ledger.facts import time_of
from rotator.model.times import rfc3339_exact

#: What a time is moved by: more than any process is paused, and less than a grace.
MOVED = timedelta(hours=5)
#: Stands for another id than any.
OTHER = "00000000-0000-4000-8000-000000000000"
#: Events of which one could stand for the other: how an effect ended, and what a look found.
SIBLINGS = (
    ("done", "unknown", "rejected", "withdrawn"),
    ("gates-open", "gates-skipped"),
    ("dead-after", "still-accepted", "not-proven"),
    ("secret-appeared", "secret-vanished"),
    ("held", "released"),
    ("carried-out", "not-begun"),
)


@dataclass(frozen=True, kw_only=True)
class Alteration:
    """One entry altered."""

    #: What was done to which kind of entry: `drop done probe`, `change secret_id of done create`.
    kind: str
    #: How many entries are as they were; and those that follow.
    place: int
    tail: tuple[Entry, ...]


def alterations(entries: Sequence[Entry]) -> Iterator[Alteration]:
    """Yield each alteration of these entries of an account."""
    for place, entry in enumerate(entries):
        after, what = entries[place + 1 :], _name(entry)
        altered = [(f"drop {what}", [*after]), (f"double {what}", [entry, entry, *after])]
        if after:
            swapped = f"swap {what} with {_name(after[0])}"
            altered.append((swapped, [after[0], entry, *after[1:]]))
        altered += [(f"{kind} of {what}", [other, *after]) for kind, other in _changes(entry)]
        for kind, tail in altered:
            yield Alteration(kind=kind, place=place, tail=tuple(tail))


def _name(entry: Entry) -> str:
    operation = json.loads(entry.detail).get("operation") if entry.rotation_id is None else None
    return " ".join(filter(None, (entry.event, entry.step, operation)))


def _changes(entry: Entry) -> Iterator[tuple[str, Entry]]:
    detail = json.loads(entry.detail)
    for field in detail:
        left = {name: value for name, value in detail.items() if name != field}
        yield f"remove {field}", entry._replace(detail=chain.canonical_json(left))
        if detail[field] is not None:
            empty = detail | {field: None}
            yield f"empty {field}", entry._replace(detail=chain.canonical_json(empty))
        changed = detail | {field: _another(detail[field])}
        yield f"change {field}", entry._replace(detail=chain.canonical_json(changed))
    at = time_of(entry.at)
    if at:
        yield "move forth the time", entry._replace(at=rfc3339_exact(at + MOVED))
        yield "move back the time", entry._replace(at=rfc3339_exact(at - MOVED))
    if entry.rotation_id:
        yield "remove the rotation", entry._replace(rotation_id=None)
        yield "change the rotation", entry._replace(rotation_id=OTHER)
    yield "change the event", entry._replace(event="trouble")
    for sibling in _siblings(entry):
        yield f"change to {sibling} the event", entry._replace(event=sibling)
    if entry.step:
        yield "remove the step", entry._replace(step=None)
        yield "change the step", entry._replace(step="evict" if entry.step != "evict" else "clear")


def _siblings(entry: Entry) -> Iterator[str]:
    """Yield the other events that an entry of its kind could have."""
    for events in SIBLINGS:
        if entry.event in events:
            yield from (event for event in events if event != entry.event)


def _another(value: Any) -> Any:  # noqa: ANN401  # any JSON
    """Return another value of the same kind."""
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return max(0, value - 1) if value > 1 else value + 7
    if isinstance(value, str) and (at := time_of(value)):
        return (at - MOVED).isoformat(timespec="microseconds")
    return OTHER


def chained(entries: Sequence[Entry]) -> tuple[Entry, ...]:
    """Return entries as one whole chain."""
    head, found = chain.GENESIS, []
    for seq, entry in enumerate(entries, start=1):
        linked = entry._replace(seq=seq, prev_hash=head)
        head = chain.hash_of(linked)
        found.append(linked._replace(hash=head))
    return tuple(found)
