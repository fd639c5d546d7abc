"""What an account's chained entries say of a period: rotations, uses, revocations. Pure.

Each function reads the entries once, from the first to the last.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from rotator.errors import SecretNotFound
from rotator.model import State, Step
from rotator.reporting.audit_records import (
    AuditEvent,
    FailureGroup,
    HoldPeriod,
    Period,
    Revocation,
    RotationHistory,
    Sighting,
    TroublePeriod,
)
from rotator.rotation.audit_trail import EXPLAINED

#: Events that a report needs; older versions of rotator have used `drift`.
_NEEDED = frozenset(
    {
        *("opened", "asked", "intent", "learned", "done", "rejected", "withdrawn", "unknown"),
        *("closed", "refused", "failed", "trouble", "trouble-over", "drift", "drift-over"),
        *("requested", "carried-out", "not-begun", "held", "released", "lease-ended", "forgotten"),
        *("secret-appeared", "secret-vanished", EXPLAINED, "dead-after"),
    }
)
_UNNEEDED = frozenset({Step.STAGE, Step.PROBE, Step.CLEAR, Step.HOOKS, Step.WAIT, Step.WITHDRAW})


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
    return {secret_id: reading.proved(each) for secret_id, each in reading.found.items()}


@dataclass(kw_only=True)
class _Revocations:
    """The revocations according to the entries that were read so far."""

    rotations: Mapping[str, RotationHistory]
    found: dict[str, Revocation] = field(default_factory=dict)
    #: The deletions that were begun and may have taken place, by the secret's id.
    begun: dict[str, AuditEvent] = field(default_factory=dict)
    #: When Vonage refused the deleted secrets of which that was proved.
    dead: dict[str, datetime | None] = field(default_factory=dict)
    #: Who asked last for a deletion by hand.
    person: str | None = None

    def read(self, event: AuditEvent) -> None:
        """Apply the next entry."""
        rotation = self.rotations.get(event.rotation_id or "")
        is_by_hand = event.rotation_id is None and event.detail.get("operation") == "delete"
        if is_by_hand and event.event == "requested":
            self.person = event.text("by")
        elif event.event in _SIGHTINGS:
            self._see(event)
        elif event.event == "dead-after":
            self.dead[event.text("secret_id") or ""] = event.time("dead_at")
        elif is_by_hand or event.step in (Step.EVICT, Step.DELETE):
            self._delete(event, rotation)
        elif rotation and (event.event, event.text("outcome")) == ("closed", "completed"):
            self._complete(event, rotation)

    def proved(self, revocation: Revocation) -> Revocation:
        """Return a revocation with when Vonage refused the secret, if that was proved."""
        return replace(revocation, dead_at=self.dead.get(revocation.secret_id))

    def _delete(self, event: AuditEvent, rotation: RotationHistory | None) -> None:
        secret_id = event.text("secret_id")
        if secret_id is None:
            return
        if event.event == "intent":
            self.begun[secret_id] = event
        elif event.event == "done":
            self.found[secret_id] = _deleted(event, secret_id, rotation, self.person)
        elif event.text("code") == SecretNotFound.code:
            self.found.setdefault(secret_id, _found_gone(secret_id, event.at))
        elif event.event != "unknown":
            self.begun.pop(secret_id, None)

    def _see(self, event: AuditEvent) -> None:
        """Apply that a look first showed a secret, or that it was gone."""
        secret_id = event.text("secret_id")
        if secret_id is None:
            return
        if event.event == "secret-appeared":
            # It may have vanished for a while.
            self.found.pop(secret_id, None)
        elif begun := self.begun.get(secret_id):
            rotation = self.rotations.get(begun.rotation_id or "")
            gone = replace(begun, at=event.at)
            self.found[secret_id] = _deleted(gone, secret_id, rotation, self.person)
        else:
            self.found[secret_id] = _found_gone(secret_id, event.at)

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


#: Events of the first look that showed what somebody else did.
_SIGHTINGS = {"secret-appeared": "appeared", "secret-vanished": "vanished"}


def sightings_in(
    events: Iterable[AuditEvent], rotations: Iterable[RotationHistory], period: Period
) -> list[Sighting]:
    """Return the secrets that others made or revoked, in the order in which looks showed that.

    Not those whose deletion had begun, although a look showed first that it took effect.
    """
    reading = _Revocations(rotations={each.id: each for each in rotations})
    found: list[Sighting] = []
    for event in events:
        reading.read(event)
        if event.event == EXPLAINED:
            _explain(found, event)
        what, secret_id = _SIGHTINGS.get(event.event), event.text("secret_id")
        if what is None or secret_id is None or event.at < period.since:
            continue
        if what == "appeared" or secret_id not in reading.begun:
            found.append(Sighting(at=event.at, secret_id=secret_id, what=what))
    return found


def _explain(found: list[Sighting], event: AuditEvent) -> None:
    """Add to the newest sighting of a secret who made or revoked it."""
    for place in reversed(range(len(found))):
        if found[place].secret_id == event.text("secret_id"):
            found[place] = replace(found[place], origin=event.text("why"))
            return


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
