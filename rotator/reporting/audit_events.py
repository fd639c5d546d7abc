"""What an account's chained entries say of a period: rotations, uses, revocations, acts. Pure.

Each function reads the entries once, from the first to the last.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from rotator.errors import SecretNotFound
from rotator.model import State, Step
from rotator.reporting.audit_records import (
    Act,
    AuditEvent,
    FailureGroup,
    HoldPeriod,
    ManualAction,
    Period,
    Revocation,
    RotationHistory,
    TroublePeriod,
)

#: Events that a report needs; older versions of rotator have used `drift`.
_NEEDED = frozenset(
    {
        *("opened", "asked", "intent", "learned", "done", "rejected", "withdrawn", "unknown"),
        *("closed", "refused", "failed", "trouble", "trouble-over", "drift", "drift-over"),
        *("requested", "held", "released", "lease-ended", "forgotten"),
    }
)
_UNNEEDED = frozenset({Step.STAGE, Step.PROBE, Step.CLEAR, Step.HOOKS, Step.WAIT})


def is_needed(event: str, step: str | None) -> bool:
    """Return whether a report needs entries of this event and step."""
    # A rotation may be closed at any step.
    return event == "closed" or (event in _NEEDED and step not in _UNNEEDED)


def rotations_in(events: Iterable[AuditEvent]) -> list[RotationHistory]:
    """Return the rotations according to their entries, in the order of their opening."""
    found: dict[str, RotationHistory] = {}
    for event in events:
        if not event.rotation_id or event.event not in ("opened", "learned", "done", "closed"):
            continue
        known = found.get(event.rotation_id)
        if known is None:
            known = RotationHistory(
                id=event.rotation_id,
                reason=event.text("reason") or "",
                opened_at=event.at,
                old_id=event.text("predecessor_id"),
                old_since=event.time("predecessor_since"),
            )
        found[event.rotation_id] = _after(known, event)
    return list(found.values())


def _after(rotation: RotationHistory, event: AuditEvent) -> RotationHistory:
    """Return the history of a rotation with one more of its entries."""
    match event.event, event.step:
        case "learned", "open":
            return replace(rotation, old_id=event.text("predecessor_id"))
        case (("done" | "learned"), ("create" | "push")):
            new_id = event.text("secret_id") or rotation.new_id
            # A secret that an operator adopted is never its own predecessor.
            old_id = None if rotation.old_id == new_id else rotation.old_id
            return replace(rotation, new_id=new_id, old_id=old_id)
        case "done", "verify":
            return replace(rotation, verified_at=event.at)
        case "closed", _:
            outcome, code = event.text("outcome"), event.text("code")
            return replace(rotation, closed_at=event.at, outcome=outcome, code=code)
    return rotation


@dataclass(frozen=True, kw_only=True)
class Beginning:
    """The beginning of a secret's use by consumers."""

    secret_id: str | None
    at: datetime | None
    #: From when its age counts; None where that is not known.
    aged_from: datetime | None


def beginnings_in(
    events: Iterable[AuditEvent],
    rotations: Iterable[RotationHistory],
    created: Mapping[str, datetime],
) -> list[Beginning]:
    """Return the beginning of each secret's use: what was there first, rotations, adoptions.

    `created` is when Vonage created those secrets of which that is known.
    """
    known = {each.id: each for each in rotations}
    found: list[Beginning] = []
    newest: RotationHistory | None = None
    for event in events:
        rotation = known.get(event.rotation_id or "")
        newest = rotation or newest
        begins = _beginning(event, rotation, created)
        if begins is None or (found and found[-1].secret_id == begins.secret_id):
            continue
        if not found and newest:
            since = newest.old_since
            found.append(Beginning(secret_id=newest.old_id, at=since, aged_from=since))
        found.append(begins)
    return found


def _beginning(
    event: AuditEvent, rotation: RotationHistory | None, created: Mapping[str, datetime]
) -> Beginning | None:
    """Return the beginning of a secret's use that an entry records; None for none."""
    if rotation and (event.event, event.step) == ("done", Step.VERIFY):
        return Beginning(secret_id=rotation.new_id, at=event.at, aged_from=event.at)
    if (event.event, event.step, event.rotation_id) == ("done", Step.PUSH, None):
        adopted_id = event.text("secret_id")
        aged_from = created.get(adopted_id or "")
        return Beginning(secret_id=adopted_id, at=event.at, aged_from=aged_from)
    return None


def revocations_in(
    events: Iterable[AuditEvent], rotations: Iterable[RotationHistory]
) -> dict[str, Revocation]:
    """Return the revocation of each secret that was revoked, by its id."""
    reading = _Revocations(rotations={each.id: each for each in rotations})
    for event in events:
        reading.read(event)
    return reading.found


@dataclass(kw_only=True)
class _Revocations:
    """The revocations according to the entries that were read so far."""

    rotations: Mapping[str, RotationHistory]
    found: dict[str, Revocation] = field(default_factory=dict)
    #: Secrets whose deletion was begun and may have taken place.
    begun: set[str] = field(default_factory=set)
    #: Who asked last for a deletion by hand.
    person: str | None = None

    def read(self, event: AuditEvent) -> None:
        """Apply the next entry."""
        rotation = self.rotations.get(event.rotation_id or "")
        is_by_hand = event.rotation_id is None and event.detail.get("operation") == "delete"
        if is_by_hand and event.event == "requested":
            self.person = event.text("by")
        elif is_by_hand or event.step in (Step.EVICT, Step.DELETE):
            self._delete(event, rotation)
        elif rotation and (event.event, event.text("outcome")) == ("closed", "completed"):
            self._complete(event, rotation)

    def _delete(self, event: AuditEvent, rotation: RotationHistory | None) -> None:
        secret_id = event.text("secret_id")
        if secret_id is None:
            return
        if event.event == "intent":
            self.begun.add(secret_id)
        elif event.event == "done":
            self.found[secret_id] = _deleted(event, secret_id, rotation, self.person)
        elif event.text("code") == SecretNotFound.code:
            self.found[secret_id] = _found_gone(secret_id, event.at)
        elif event.event != "unknown":
            self.begun.discard(secret_id)

    def _complete(self, event: AuditEvent, rotation: RotationHistory) -> None:
        """Apply that the old secret is not listed any more.

        Where the answer to its deletion was lost, that was it.
        """
        old_id = rotation.old_id
        if old_id is None or old_id in self.found:
            return
        if old_id in self.begun:
            self.found[old_id] = _deleted(event, old_id, rotation, None)
        else:
            self.found[old_id] = _found_gone(old_id, event.at, rotation)


def _deleted(
    event: AuditEvent, secret_id: str, rotation: RotationHistory | None, person: str | None
) -> Revocation:
    if rotation is None:
        by, how = "operator", "by hand"
    elif event.step == Step.EVICT:
        by, how = "rotator", "evicted"
    else:
        by, how = "rotator", "undone" if secret_id == rotation.new_id else "replaced"
    return Revocation(
        secret_id=secret_id,
        at=event.at,
        by=by,
        how=how,
        rotation_id=event.rotation_id,
        person=person if rotation is None else None,
    )


def _found_gone(
    secret_id: str, at: datetime, rotation: RotationHistory | None = None
) -> Revocation:
    rotation_id = rotation.id if rotation else None
    return Revocation(
        secret_id=secret_id, at=at, by="someone else", how="found gone", rotation_id=rotation_id
    )


def failures_in(events: Iterable[AuditEvent], period: Period) -> list[FailureGroup]:
    """Group refusals and failures by reason, in the order of their first occurrence."""
    found: dict[tuple[str, str, str], FailureGroup] = {}
    for event in events:
        if event.event not in ("refused", "failed") or event.at < period.since:
            continue
        code, why = event.text("code") or "", event.text("why") or ""
        known = found.get((event.event, code, why))
        found[event.event, code, why] = FailureGroup(
            event=event.event,
            code=code,
            why=why,
            count=known.count + 1 if known else 1,
            first_at=known.first_at if known else event.at,
            last_at=event.at,
        )
    return list(found.values())


#: States of the events that begin trouble, where their entries do not record one.
_STATES = {"trouble": State.DRIFTED, "drift": State.DRIFTED, "refused": State.REFUSED}


def troubles_in(events: Iterable[AuditEvent], period: Period) -> list[TroublePeriod]:
    """Return from when to when something was wrong, in the order of its beginning.

    It ends as in the account's row (`rotator.ledger.writer`): by a look that finds it over, by a
    verified value, and, unless consumers were without a working secret, by a rotation's progress.
    """
    found: list[TroublePeriod] = []
    for event in events:
        known = found[-1] if found and found[-1].until is None else None
        present = _trouble_after(known, event)
        if present is known:
            continue
        if known and present and (known.state, known.code) == (present.state, present.code):
            found[-1] = replace(present, since=known.since)
            continue
        if known:
            found[-1] = replace(known, until=event.at)
        if present:
            found.append(present)
    return [each for each in found if period.shares(each.since, each.until)]


def _trouble_after(known: TroublePeriod | None, event: AuditEvent) -> TroublePeriod | None:
    """Return what is wrong after an event; the same if it changes nothing."""
    code = event.text("code") or ""
    if event.event in _STATES and code != "held":
        if event.event == "drift" and code == State.OVERDUE:
            # Older versions of rotator took a secret's age for drift.
            return None
        if (
            event.event == "refused"
            and known
            and known.code == code
            and "state" not in event.detail
        ):
            return known
        return TroublePeriod(
            state=event.text("state") or _STATES[event.event].value,
            code=code,
            why=event.text("why") or "",
            since=event.at,
        )
    if event.event in ("trouble-over", "drift-over") or event.step in (Step.VERIFY, Step.COMPLETE):
        return None
    is_progress = event.event == "opened" or (event.event == "done" and event.rotation_id)
    return None if is_progress and known and known.state != State.BROKEN else known


def holds_in(events: Iterable[AuditEvent], period: Period) -> list[HoldPeriod]:
    """Pair each hold with its end."""
    changes = [event for event in events if event.event in ("held", "released")]
    nexts = [*changes, None][1:] if changes else []
    return [
        HoldPeriod(
            reason=held.text("reason") or "",
            by=held.text("by") or "",
            freeze=bool(held.detail.get("freeze")),
            since=held.at,
            until=ended.at if ended else None,
            ended_by=ended.text("by") or "" if ended else None,
        )
        for held, ended in zip(changes, nexts, strict=True)
        if held.event == "held" and period.shares(held.at, ended.at if ended else None)
    ]


def manual_actions_in(events: Iterable[AuditEvent], period: Period) -> list[ManualAction]:
    """Return what became of each operation by hand, in order."""
    return [
        ManualAction(
            at=event.at,
            operation=event.text("operation") or "",
            secret_id=event.text("secret_id"),
            outcome=event.event,
        )
        for event in events
        if _is_outcome(event) and event.at >= period.since
    ]


def _is_outcome(event: AuditEvent) -> bool:
    """Return whether an event is the outcome of an operation by hand."""
    return "operation" in event.detail and event.event not in ("intent", "requested")


#: Acts that have an event of their own, and what they are called.
_ACTS = {
    "held": "hold",
    "released": "release",
    "lease-ended": "release --lease",
    "forgotten": "forget",
}


def acts_in(events: Iterable[AuditEvent], period: Period) -> list[Act]:
    """Return what persons asked for, in order.

    Older versions of rotator recorded only what became of it, and not always who it was.
    """
    acts: list[Act] = []
    #: Where the newest act of each operation stands whose outcome has not been read.
    awaited: dict[str, int] = {}
    for event in events:
        if event.event == "requested" or event.event in _ACTS:
            act = _act(event)
            awaited[act.operation] = len(acts)
            acts.append(act)
        elif _is_outcome(event):
            operation = event.text("operation") or ""
            place = awaited.pop(operation, None)
            if place is None:
                acts.append(_unsigned(event, operation))
            else:
                acts[place] = _with_outcome(acts[place], event)
        elif _is_asked_for(event) and awaited.pop("rotate", None) is None:
            acts.append(_unsigned(event, "rotate"))
    return [act for act in acts if act.at >= period.since]


def _act(event: AuditEvent) -> Act:
    named = ("operation", "by", "from", "because")
    facts = {key: value for key, value in event.detail.items() if key not in named}
    because = event.text("because")
    if event.event == "held":
        because = event.text("reason")
        facts.pop("reason", None)
    return Act(
        at=event.at,
        operation=_ACTS.get(event.event) or event.text("operation") or "",
        by=event.text("by"),
        host=event.text("from"),
        because=because,
        facts=facts,
    )


def _unsigned(event: AuditEvent, operation: str) -> Act:
    """Return an act of which only the effect is recorded."""
    keys = ("reason", "grace_seconds", "secret_id")
    return Act(
        at=event.at,
        operation=operation,
        facts={key: event.detail[key] for key in keys if event.detail.get(key) is not None},
        outcome=event.event if _is_outcome(event) else None,
    )


def _with_outcome(act: Act, event: AuditEvent) -> Act:
    secret_id = event.text("secret_id")
    facts = {**act.facts, "secret_id": secret_id} if secret_id else act.facts
    return replace(act, outcome=event.event, facts=facts)


def _is_asked_for(event: AuditEvent) -> bool:
    """Return whether a rotation was begun, or continued, because a person asked for it."""
    is_by_person = event.text("reason") in ("asked", "compromised")
    return event.event == "asked" or (event.event == "opened" and is_by_person)
