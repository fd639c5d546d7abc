"""Views of accounts and of the timeline: texts and measures, without further decisions."""

import json
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial

from rotator.ledger.chain import Entry
from rotator.model import Policy, Rotation, Step
from rotator.model.rotation import CLOCK, SecretRole
from rotator.reporting.status import AccountStatus
from rotator.reporting.text import age_text, span

#: Number of days, today included.
DAYS = 90

#: Height of the picture, and from one bar to the next, in the picture's units.
HEIGHT, SPACING = 60, 10

#: Days between two labels.
_LABELLED = 15

_MINUTE = timedelta(minutes=1)

#: Minimum height of a bar that is not empty.
_LOWEST = 3

#: Counts the rotations closed since then, by day and outcome.
Count = Callable[[datetime], Mapping[date, Mapping[str, int]]]


@dataclass(frozen=True, kw_only=True)
class Day:
    """One day."""

    x: int
    #: Start and height of each part, from the top down: failed above completed.
    failed: tuple[int, int]
    completed: tuple[int, int]
    title: str


@dataclass(frozen=True, kw_only=True)
class Timeline:
    """Ninety bars, and their description in words."""

    bars: tuple[Day, ...]
    #: Below the axis, each at the start of an equal part of it.
    labels: tuple[str, ...]
    completed: int
    failed: int


def timeline(counts: Mapping[date, Mapping[str, int]], today: date) -> Timeline:
    """Build the timeline from the counts by day and outcome."""
    days = [today - timedelta(days=back) for back in reversed(range(DAYS))]
    pairs = [_pair(counts.get(day, {})) for day in days]
    peak = max(map(sum, pairs))
    return Timeline(
        bars=tuple(
            _bar(place * SPACING, day, *pair, peak)
            for place, (day, pair) in enumerate(zip(days, pairs, strict=True))
        ),
        labels=tuple(f"{day:%b} {day.day}" for day in days[::_LABELLED]),
        completed=sum(completed for completed, _ in pairs),
        failed=sum(failed for _, failed in pairs),
    )


def _pair(counts: Mapping[str, int]) -> tuple[int, int]:
    return counts.get("completed", 0), counts.get("failed", 0)


def _bar(x: int, day: date, completed: int, failed: int, peak: int) -> Day:
    parts = [f"{completed} completed"] * bool(completed) + [f"{failed} failed"] * bool(failed)
    completed_height, failed_height = _height(completed, peak), _height(failed, peak)
    ground = HEIGHT - completed_height
    return Day(
        x=x,
        failed=(max(0, ground - failed_height), min(failed_height, ground)),
        completed=(ground, completed_height),
        title=f"{day}: {', '.join(parts) or 'none'}",
    )


def _height(count: int, peak: int) -> int:
    """Return a bar's height; the tallest leaves room for the shortest on top."""
    return max(_LOWEST, round(count / peak * (HEIGHT - _LOWEST))) if count else 0


def timeline_until(now: datetime, count: Count) -> Timeline:
    """Return the timeline that ends today."""
    today = now.astimezone(UTC).date()
    first = datetime.combine(today - timedelta(days=DAYS - 1), datetime.min.time(), UTC)
    return timeline(count(first), today)


#: Shown only for a rotation that has taken them; the others for each.
_OCCASIONAL = (Step.EVICT, Step.HOOKS, Step.ABORT)

_DONE = ("opened", "done", "learned", "closed")


@dataclass(frozen=True, kw_only=True)
class StepView:
    """One step of a rotation."""

    name: str
    #: `done`, `now` or `todo`.
    state: str
    #: When it was completed; for a wait that is not over, when it will be.
    at: datetime | None
    #: Its result so far, if worth showing.
    note: str = ""


def steps(
    rotation: Rotation, entries: Iterable[Entry], *, deletion_at: datetime | None, now: datetime
) -> list[StepView]:
    """Return a rotation's progress; `deletion_at` is when the old secret may be deleted."""
    done: dict[str, datetime | None] = {}
    notes: dict[str, str] = {}
    for entry in entries:
        step = entry.step or ""
        if step == Step.DELETE and rotation.verified_at:
            # No entry is recorded when a wait is over.
            done.setdefault(Step.WAIT, _time(entry))
        if entry.event in _DONE:
            done[step] = _time(entry)
            notes.pop(step, None)
        elif entry.event in _NOTES:
            notes[step] = _NOTES[entry.event]
        elif entry.event == "gate-shut":
            done.pop(step, None)
    shown = [step for step in Step if step not in _OCCASIONAL or step in done or step in notes]
    current = _current_step(rotation, shown, done)
    ends_at = deletion_at if deletion_at and deletion_at > now else None
    if current is Step.WAIT and not ends_at:
        notes[current] = _shut(rotation) or "the grace is over"
    return [
        StepView(
            name=step.value,
            state="done" if step in done else "now" if step is current else "todo",
            at=ends_at if step is Step.WAIT and step not in done else done.get(step),
            note=notes.get(step, ""),
        )
        for step in shown
    ]


def _shut(rotation: Rotation) -> str | None:
    """Return which gate the deletion waits for; None where it waits for none."""
    gate = rotation.waiting.gate if rotation.waiting else None
    return "for the clock" if gate == CLOCK else f"for gate {gate}" if gate else None


_NOTES = {
    "unknown": "answer lost; checking",
    "rejected": "rejected; trying again",
    "aborting": "being undone",
}


def _current_step(rotation: Rotation, shown: list[Step], done: Collection[str]) -> Step | None:
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
    #: The secret's role, `empty`, or `unseen` if not observed.
    kind: str


@dataclass(frozen=True, kw_only=True)
class Next:
    """What happens to an account next or, if its time has come, what is the case."""

    text: str
    #: When it happens, or since when it is the case; None if unknown.
    at: datetime | None = None
    is_past: bool = False
    #: Whether its time has come and nobody has begun it.
    is_pending: bool = False


@dataclass(frozen=True, kw_only=True)
class AccountDetail:
    """One account, with its open rotation."""

    status: AccountStatus
    age: Age | None
    slots: tuple[Slot, ...]
    next: Next
    #: Steps of the open rotation.
    steps: tuple[StepView, ...]


def account_detail(
    status: AccountStatus, entries: Iterable[Entry] = (), expendable_ids: Collection[str] = ()
) -> AccountDetail:
    """Build the view of an account; `entries` are those of its open rotation."""
    opened, deletion_at = status.opened, status.deletion_at
    progress = opened and steps(opened, entries, deletion_at=deletion_at, now=status.now)
    return AccountDetail(
        status=status,
        age=_age(status),
        slots=slots(status, expendable_ids),
        next=next_of(status),
        steps=tuple(progress or ()),
    )


def _age(status: AccountStatus) -> Age | None:
    since, policy = status.summary.current_since, status.account.policy
    if since is None:
        return None
    age, every = status.now - since, policy.every
    return Age(
        text=age_text(since, status.now),
        limit=span(policy.max_age),
        percent=min(100.0, max(0.0, _percent(age, policy.max_age))),
        mark=_percent(every, policy.max_age) if every and every < policy.max_age else None,
        tone="late" if age > policy.max_age else "due" if _is_due(status) else "young",
    )


def _is_due(status: AccountStatus) -> bool:
    return status.due_from is not None and status.now >= status.due_from


def _percent(part: timedelta, whole: timedelta) -> float:
    return round(100 * part / whole, 1)


def slots(status: AccountStatus, expendable_ids: Collection[str] = ()) -> tuple[Slot, ...]:
    """Return both slots, the current secret's first."""
    if not status.summary.listed_ids:
        # Never observed, or no credential was accepted: at least one secret always exists.
        return (Slot(id="", kind="unseen"),) * 2
    opened, current_id = status.opened, status.summary.current_id
    if opened and current_id is None:
        # Uncertain until the next observation; but rotator knows what it wrote.
        is_pushed = opened.vault_version is not None
        current_id = opened.new_id if is_pushed else opened.predecessor_id
    role_of = partial(
        SecretRole.of, current_id=current_id, opened=opened, expendable_ids=expendable_ids
    )
    found = [Slot(id=each, kind=role_of(each)) for each in status.summary.listed_ids]
    found.sort(key=lambda slot: (slot.kind != SecretRole.CURRENT, slot.kind, slot.id))
    return (*found, *[Slot(id="", kind="empty")] * (2 - len(found)))


def has_unexplained(status: AccountStatus) -> bool:
    """Return whether a secret is foreign, unless the ledger knows it as expendable."""
    return any(slot.kind == SecretRole.FOREIGN for slot in slots(status))


def next_of(status: AccountStatus) -> Next:
    """Return what happens next: of the open rotation, else when the next one begins."""
    hold, opened, now = status.summary.hold, status.opened, status.now
    retry_at = status.summary.retry_at
    if hold and (hold.freeze or not status.deletion_at):
        return _since("nothing while held", hold.at)
    if opened and status.deletion_at:
        return _next_deletion(opened, status.deletion_at, now)
    if retry_at and retry_at > now and (opened or _is_due(status)):
        return Next(text=f"next try {distance(retry_at, now)}", at=retry_at)
    if opened:
        return _next_step(opened, now)
    return _next_rotation(status.due_from, now)


def _next_deletion(rotation: Rotation, deletion_at: datetime, now: datetime) -> Next:
    if rotation.waiting and (gate := _shut(rotation)):
        return _since(f"deletion waits {gate}", rotation.waiting.shut_since)
    if deletion_at <= now:
        return _pending("deletion due", deletion_at, now)
    is_in_grace = rotation.delete_due_at is not None and now < rotation.delete_due_at
    place = "" if is_in_grace else ", in a window"
    return Next(text=f"deletion {distance(deletion_at, now)}{place}", at=deletion_at)


def _next_step(rotation: Rotation, now: datetime) -> Next:
    opens_at = rotation.waiting.retry_at if rotation.waiting else None
    if opens_at and opens_at > now:
        return Next(text=f"goes on {distance(opens_at, now)}, in a window", at=opens_at)
    return _since("being rotated now", rotation.opened_at)


def _next_rotation(due_at: datetime | None, now: datetime) -> Next:
    if due_at is None:
        return Next(text="not known yet")
    if due_at <= now:
        return _pending("rotation due", due_at, now)
    return Next(text=f"rotation {distance(due_at, now)}", at=due_at)


def _pending(what: str, since: datetime, now: datetime) -> Next:
    return replace(_since(f"{what} for {_roughly(now - since)}", since), is_pending=True)


def _since(text: str, since: datetime | None) -> Next:
    return Next(text=text, at=since, is_past=True)


def distance(at: datetime, now: datetime) -> str:
    """Return in words how far away a time is that is still to come."""
    return f"in {_roughly(at - now)}"


def elapsed(since: datetime, now: datetime) -> str:
    """Return in words how long ago a time was."""
    return _roughly(max(now - since, timedelta()))


def _roughly(length: timedelta) -> str:
    """Return a duration as people say it: days alone, once there are more than two."""
    if length.days > 2:  # noqa: PLR2004  # two days
        return f"{length.days}d"
    return span(length - length % _MINUTE if length >= _MINUTE else length)


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


def entry_view(entry: Entry) -> EntryView:
    """Build the view of an entry. It may have been tampered with, so any field may be invalid."""
    detail = entry.exported()["detail"]
    facts = detail.items() if isinstance(detail, dict) else ()
    return EntryView(
        seq=entry.seq,
        at=_time(entry),
        account=entry.account,
        rotation_id=entry.rotation_id or "",
        step=entry.step or "",
        event=entry.event,
        detail=" ".join(
            f"{key}={value if isinstance(value, str) else json.dumps(value)}"
            for key, value in facts
            if value is not None
        ),
    )


def _time(entry: Entry) -> datetime | None:
    with suppress(TypeError, ValueError):
        return datetime.fromisoformat(entry.at)
    return None


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
