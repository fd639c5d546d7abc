"""View of an account for the page: texts and measures, without further decisions."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from rotator.ledger.chain import Entry
from rotator.model import Policy, Rotation, Step
from rotator.model.notification import PendingDelivery
from rotator.reporting.status import AccountStatus
from rotator.reporting.text import age_text, moment, span
from rotator.web.overview import AccountView, State

#: Shown for every rotation, in this order.
_ALWAYS = (
    Step.OPEN,
    Step.STAGE,
    Step.CREATE,
    Step.PROBE,
    Step.PUSH,
    Step.VERIFY,
    Step.CLEAR,
    Step.WAIT,
    Step.DELETE,
    Step.COMPLETE,
)

_DONE = ("opened", "done", "learned", "closed")


@dataclass(frozen=True, kw_only=True)
class StepView:
    """One step of a rotation."""

    name: str
    #: `done`, `now` or `todo`.
    state: str
    #: When it was completed; for a wait, when it will be over.
    at: datetime | None
    #: Its result so far, if worth showing.
    note: str = ""


def stages(
    rotation: Rotation, entries: Iterable[Entry], *, deletion_at: datetime | None
) -> list[StepView]:
    """Return a rotation's progress; `deletion_at` is when its wait will be over."""
    done: dict[str, datetime] = {}
    trouble: dict[str, str] = {}
    for entry in entries:
        step = entry.step or ""
        if entry.event in _DONE:
            done[step] = datetime.fromisoformat(entry.at)
            trouble.pop(step, None)
        elif entry.event in ("unknown", "rejected", "aborting"):
            trouble[step] = _TROUBLE[entry.event]
    if Step.DELETE in done and deletion_at:
        # No entry is recorded when the grace is over.
        done[Step.WAIT] = deletion_at
    shown = [step for step in Step if step in _ALWAYS or step in done or step in trouble]
    now = _now(rotation, shown, done)
    return [
        StepView(
            name=step.value,
            state="done" if step in done else "now" if step is now else "todo",
            at=deletion_at if step is Step.WAIT else done.get(step),
            note=trouble.get(step, ""),
        )
        for step in shown
    ]


_TROUBLE = {
    "unknown": "answer lost; looking",
    "rejected": "rejected; trying again",
    "aborting": "being undone",
}


def _now(rotation: Rotation, shown: list[Step], done: dict[str, datetime]) -> Step | None:
    """Return the step that comes next: the first one after all that are done."""
    if rotation.abort_code:
        return Step.ABORT
    last = max((shown.index(step) for step in shown if step in done), default=-1)
    return shown[last + 1] if last + 1 < len(shown) else None


@dataclass(frozen=True, kw_only=True)
class Age:
    """Age of the current secret, compared with its policy."""

    text: str
    limit: str
    #: Percentage of the age limit, at most 100.
    percent: float
    #: Percentage of the limit at which the secret is rotated; None where a calendar decides.
    mark: float | None
    #: `young`, `due` or `late`.
    tone: str


@dataclass(frozen=True, kw_only=True)
class Slot:
    """One of the two secret slots at Vonage."""

    #: "" for an empty slot.
    id: str
    #: `current`, `new`, `old`, `unknown`, `empty`, or `unseen` if not observed.
    kind: str


@dataclass(frozen=True, kw_only=True)
class AccountDetail:
    """One account."""

    name: str
    api_key: str
    state: State
    #: What is wrong or pending, each with its introductory word.
    notes: tuple[str, ...]
    age: Age | None
    slots: tuple[Slot, ...]
    #: When the next action is due, and how long that is from now or ago.
    due_at: datetime | None
    due: str
    is_past_due: bool
    stages: tuple[StepView, ...]
    rotation_id: str
    opened_at: datetime | None
    #: Reason of the open rotation.
    reason: str
    #: Pending deliveries to hooks.
    undelivered: tuple[PendingDelivery, ...]


def row(
    shown: AccountView, entries: Iterable[Entry] = (), undelivered: tuple[PendingDelivery, ...] = ()
) -> AccountDetail:
    """Build the row of an account.

    `entries` are those of its open rotation, `undelivered` its pending deliveries.
    """
    standing = replace(shown.standing, undelivered=undelivered)
    opened = standing.opened
    due_at, due = _next(standing)
    return AccountDetail(
        name=standing.account.name,
        api_key=standing.account.api_key,
        state=shown.state,
        notes=tuple(_notes(standing)),
        age=_age(standing),
        slots=_slots(standing),
        due_at=due_at,
        due=due,
        is_past_due=due_at is not None and due_at <= standing.now,
        stages=tuple(stages(opened, entries, deletion_at=standing.deletion_at)) if opened else (),
        rotation_id=opened.id if opened else "",
        opened_at=opened.opened_at if opened else None,
        reason=opened.reason if opened else "",
        undelivered=undelivered,
    )


def _notes(standing: AccountStatus) -> Iterator[str]:
    rotation = standing.rotation
    if standing.hold:
        yield f"held: {standing.hold}"
    if standing.drift:
        yield standing.drift
    if standing.overdue_reason:
        yield f"overdue: {standing.overdue_reason}"
    if gate := standing.gate_note():
        yield f"waiting for gate {gate}"
    if hook := standing.hook_note():
        yield f"hook {hook}"
    if rotation and rotation.outcome == "failed":
        ago = age_text(rotation.closed_at, standing.now)
        yield f"last rotation failed {ago} ago: {rotation.error_code}"
    if standing.failures:
        tries = "1 try" if standing.failures == 1 else f"{standing.failures} tries in a row"
        next_try = moment(standing.retry_at)
        yield f"{tries} came to nothing; the next not before {next_try}"


def _age(standing: AccountStatus) -> Age | None:
    since, policy = standing.current_since, standing.account.policy
    if since is None:
        return None
    age = standing.now - since
    every = policy.every
    is_late = age > policy.max_age
    is_due = standing.due_from is not None and standing.now >= standing.due_from
    return Age(
        text=age_text(since, standing.now),
        limit=span(policy.max_age),
        percent=min(100.0, max(0.0, _percent(age, policy.max_age))),
        mark=_percent(every, policy.max_age) if every and every < policy.max_age else None,
        tone="late" if is_late else "due" if is_due else "young",
    )


def _percent(part: timedelta, whole: timedelta) -> float:
    return round(100 * part / whole, 1)


def _slots(standing: AccountStatus) -> tuple[Slot, ...]:
    """Return both slots, the current secret's first."""
    if not standing.secret_ids:
        # Never observed, or no credential was accepted: at least one secret always exists.
        return (Slot(id="", kind="unseen"),) * 2
    found = [Slot(id=each, kind=_kind(standing, each)) for each in standing.secret_ids]
    found.sort(key=lambda slot: (slot.kind != "current", slot.kind, slot.id))
    empty = [Slot(id="", kind="empty")] * (2 - len(found))
    return (*found, *empty)


def _kind(standing: AccountStatus, secret_id: str) -> str:
    rotation, current_id = standing.rotation, standing.current_id
    if standing.opened and current_id is None:
        # Uncertain until the next observation; but rotator knows what it wrote.
        is_pushed = standing.opened.vault_version is not None
        current_id = standing.opened.new_id if is_pushed else standing.opened.predecessor_id
    if secret_id == current_id:
        return "current"
    if rotation and secret_id == rotation.new_id:
        return "new"
    if rotation and secret_id == rotation.predecessor_id:
        return "old"
    return "unknown"


def _next(standing: AccountStatus) -> tuple[datetime | None, str]:
    """Return when a rotation or a deletion is due, and a text for it."""
    due_at, deletion_at = standing.due_from, standing.deletion_at
    if deletion_at:
        return deletion_at, f"deletion {distance(deletion_at, standing.now)}"
    return due_at, distance(due_at, standing.now) if due_at else "not known yet"


def distance(at: datetime, now: datetime) -> str:
    """Return in words how far a time is from now."""
    return f"{_roughly(now - at)} ago" if at <= now else f"in {_roughly(at - now)}"


def _roughly(length: timedelta) -> str:
    """Return a duration as people say it: days alone, once there are more than two."""
    return f"{length.days}d" if length.days > 2 else span(length)  # noqa: PLR2004  # two days


@dataclass(frozen=True, kw_only=True)
class EntryView:
    """An entry of the ledger."""

    seq: int
    at: datetime | None
    account: str
    rotation_id: str
    step: str
    event: str
    detail: str

    @property
    def what(self) -> str:
        """The event in a word or two: `create done`, `opened`."""
        return f"{self.step} {self.event}" if self.event in _OF_STEP else self.event


#: Events that are unclear without their step.
_OF_STEP = ("intent", "done", "rejected", "unknown", "learned")


def line(entry: Entry) -> EntryView:
    """Build the view of an entry. It may have been tampered with, so any field may be invalid."""
    exported = entry.exported()
    detail = exported["detail"]
    pairs = detail.items() if isinstance(detail, dict) else ()
    return EntryView(
        seq=entry.seq,
        at=_instant(entry.at),
        account=entry.account,
        rotation_id=entry.rotation_id or "",
        step=entry.step or "",
        event=entry.event,
        detail=" ".join(f"{key}={_text(value)}" for key, value in pairs if value is not None),
    )


def _instant(text: str) -> datetime | None:
    try:
        return datetime.fromisoformat(text)
    except (TypeError, ValueError):
        return None


def _text(value: Any) -> str:  # noqa: ANN401  # any JSON
    return value if isinstance(value, str) else json.dumps(value)


def policy_facts(policy: Policy) -> Iterator[tuple[str, str]]:
    """Yield the policy for an account's secrets, as labels and texts."""
    if policy.every:
        yield "rotate every", span(policy.every)
    else:
        yield "rotate at", f"{policy.cron} ({policy.timezone})"
    if policy.window:
        yield "only within", f"{', '.join(policy.window)} ({policy.timezone})"
    yield "grace", span(policy.grace)
    yield "overdue after", span(policy.max_age)
    yield "foreign secrets", policy.on_foreign.value
