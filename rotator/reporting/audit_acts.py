"""What persons asked for, according to an account's chained entries, and its outcome. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from rotator.model import Step
from rotator.reporting.audit_records import Act, AuditEvent, ManualAction, Period
from rotator.reporting.text import PROOFS


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
    no_outcome = ("intent", "requested", "not-begun")
    return "operation" in event.detail and event.event not in no_outcome


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
    reading = _Acts()
    for event in events:
        reading.read(event)
    return [act for act in reading.acts if act.at >= period.since]


@dataclass(kw_only=True)
class _Acts:
    """The acts according to the entries that were read so far."""

    acts: list[Act] = field(default_factory=list)
    #: Where the newest act of each operation stands whose effect has not been read.
    awaited: dict[str, int] = field(default_factory=dict)
    #: Where the newest request for a rotation stands, until its outcome is read.
    rotating: int | None = None
    #: Where each request through the trigger stands: several may be one rotation.
    triggered: dict[str, int] = field(default_factory=dict)

    def read(self, event: AuditEvent) -> None:
        """Apply the next entry."""
        operation = event.text("operation") or ""
        if event.event == "requested" or event.event in _ACTS:
            self._add(_act(event), awaited=True)
        elif (place := self.triggered.get(event.text("trigger") or "")) is not None:
            is_done = event.event == "carried-out"
            self._end(place, event, "done" if is_done else event.text("outcome"))
        elif event.event == "not-begun":
            self._end(self.awaited.pop(operation, None), event, event.text("outcome"))
        elif _is_outcome(event):
            place = self.awaited.pop(operation, None)
            if place is None:
                self._add(_unsigned(event, operation))
            else:
                self.acts[place] = _with_outcome(self.acts[place], event)
        elif _is_asked_for(event) and self.awaited.pop(_ROTATE, None) is None:
            self._add(_unsigned(event, _ROTATE))
        elif outcome := _outcome_of_rotating(event):
            self._end(self.rotating, event, outcome)

    def _add(self, act: Act, *, awaited: bool = False) -> None:
        place = len(self.acts)
        self.acts.append(act)
        if awaited:
            self.awaited[act.operation] = place
        if act.operation == _ROTATE:
            self.rotating = place
        if trigger := act.facts.get("trigger"):
            self.triggered[str(trigger)] = place

    def _end(self, place: int | None, event: AuditEvent, outcome: str | None) -> None:
        """Apply the outcome of the act at `place`."""
        if place is not None:
            self.acts[place] = replace(self.acts[place], outcome=outcome, code=event.text("code"))
        if place == self.rotating:
            self.rotating = None
            self.awaited.pop(_ROTATE, None)


_ROTATE = "rotate"


def _outcome_of_rotating(event: AuditEvent) -> str | None:
    """Return what an entry says became of the rotation that a person asked for; None for nothing.

    It is done once consumers use the new secret, or, where they did before, once it is over.
    """
    match event.event, event.step:
        case (("refused" | "failed"), _):
            return event.event
        case "done", Step.VERIFY:
            return "done"
        case "closed", _:
            return "done" if event.text("outcome") == "completed" else "failed"
    return None


def _act(event: AuditEvent) -> Act:
    named = PROOFS | {"operation", "by", "from", "because"}
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
        outcome="done" if event.event in _ACTS else None,
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
    return replace(act, outcome=event.event, facts=facts, code=event.text("code"))


def _is_asked_for(event: AuditEvent) -> bool:
    """Return whether a rotation was begun, or continued, because a person asked for it."""
    is_by_person = event.text("reason") in ("asked", "compromised")
    return event.event == "asked" or (event.event == "opened" and is_by_person)
